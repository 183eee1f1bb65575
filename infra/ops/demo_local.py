"""The demo's stage on this machine: a running `make start` and its local tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console

from infra.ops.demo_stage import DemoFailed, Http, Stage


class LocalTools:
    """Satisfies `demo_stage.Backstage` with what stands below /local."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def offset_seconds(self) -> int:
        return int(self._ask("GET", "clock")["offset_seconds"])

    def advance(self, seconds: int) -> int:
        return int(self._ask("POST", "clock", {"advance_seconds": seconds})["offset_seconds"])

    def pay(self, attempt_id: str) -> None:
        self._ask("POST", f"pay/{attempt_id}", {"outcome": "succeed"})

    def run(self, schedule: str) -> dict[str, Any]:
        return dict(self._ask("POST", f"schedules/{schedule}/run")["result"])

    def mark(self) -> Any:
        return str(self._ask("GET", "clock")["now"])

    def heard(self, phone: str, template: str, since: Any) -> str:
        for message in self._ask("GET", f"sms?phone={quote(phone)}")["items"]:
            if message["template"].startswith(template) and message["sent_at"] >= since:
                return str(message["text"])
        return ""

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        reply = self._http.ask(method, f"/local/{path}", body)
        if reply.status != 200:
            raise DemoFailed(f"{method} /local/{path} answered {reply.status}", reply.body)
        return reply.body


def find(environ: Mapping[str, str], console: Console) -> Stage:
    """The stack of LINLI_DATA (default .linli). Raises DemoFailed when none is running there."""
    data = Path(environ.get("LINLI_DATA") or ".linli").resolve()
    asked = environ.get("LINLI_PORT")
    try:
        known = json.loads((data / "env.json").read_text(encoding="utf-8"))
        if asked and asked != known["LINLI_PORT"]:
            raise DemoFailed(f"the stack in {data} listens on port {known['LINLI_PORT']}, not on {asked}")
        http, provider = Http(known["LINLI_PUBLIC_URL"]), Http(known["LINLI_STRIPE_BASE_URL"])
        secrets = json.loads(Path(known["LINLI_SECRETS_FILE"]).read_text(encoding="utf-8"))
        return Stage(http, provider, secrets["stripe_secret_key"], LocalTools(http), console)
    except OSError as error:
        message = f"no stack is running with its data in {data}: run `make start` in another terminal"
        raise DemoFailed(message) from error
