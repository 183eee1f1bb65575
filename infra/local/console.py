"""The routes that exist only on one machine: the SMS inbox, the payment page, the schedules and the clock.

They are served beside the application, never by it. A foreign web page in the same browser can neither read them (the
Host must be this machine) nor change anything (the Origin, where there is one, must be too).
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from chalicelib.kernel import errors
from chalicelib.kernel.errors import Problem
from chalicelib.providers.sms.local import Inbox
from infra.local import pages
from infra.local.answers import Answer, json_answer, problem, problem_of_status, request_id_of
from infra.local.files import advance_clock, clock_offset_seconds, instant_text, local_now
from infra.local.scheduler import Scheduler, UnknownScheduleError
from infra.local.stripe_control import ControlError, StripeControl
from infra.local.usage import Usage
from infra.ops.seed import CONSUMER_PHONE, MERCHANT_PHONE, OPERATOR_PHONE

log = logging.getLogger("linli.local.console")

# Whom the seed makes; any other phone signs up.
DEMO_ACCOUNTS = {"consumer": CONSUMER_PHONE, "merchant owner": MERCHANT_PHONE, "operator": OPERATOR_PHONE}
OUTCOMES = (
    "succeed",
    "decline",
    "delay",
    "duplicate",
    "shuffle",
    "lose",
    "late",
    "wrong_amount",
    "refund_fails",
    "dispute",
)
MAX_ADVANCE_SECONDS = 10 * 366 * 24 * 3600
MAX_DELAY_SECONDS = 24 * 3600
_LOCAL_NAMES = {"localhost", "host.docker.internal"}


class _RefusedError(Exception):
    """Carries the problem up to `answer`; `message` is for developers and becomes the one entry of its `errors`."""

    def __init__(
        self, kind: type[Problem], message: str = "", *, field: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.problem = kind(errors=[{"field": field, "message": message}] if message else [])
        self.headers = headers


class Console:
    """Answers `/local…`, and `/` with the way there; everything else is the application's."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        stripe: StripeControl,
        scheduler: Scheduler,
        clock_file: Path,
        usage: Usage | None = None,
    ) -> None:
        self._inbox = inbox
        self._stripe = stripe
        self._scheduler = scheduler
        self._clock_file = clock_file
        self._usage = usage or Usage()
        self._sms_before = inbox.count()

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], scheduler: Scheduler, usage: Usage | None = None
    ) -> Console:
        """Build it from the variables `start.py` exports."""
        return cls(
            inbox=Inbox(environment["LINLI_SMS_INBOX"]),
            stripe=StripeControl(environment["LINLI_STRIPE_BASE_URL"]),
            scheduler=scheduler,
            clock_file=Path(environment["LINLI_CLOCK_FILE"]),
            usage=usage,
        )

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer | None:
        """Return the answer to a request of `target` (path and query), or None when it is the application's."""
        path, _, query = target.partition("?")
        if path == "/" and method in ("GET", "HEAD"):
            return Answer(302, headers={"Location": "/local", "Cache-Control": "no-store"})
        if path != "/local" and not path.startswith("/local/"):
            return None
        request = {name.lower(): value for name, value in headers.items()}
        try:
            if not _is_this_machine(request.get("host", "")):
                raise _RefusedError(errors.Forbidden, "local tools are for this machine only")
            parts = [unquote(part) for part in path.rstrip("/").split("/")[2:]]
            if method in ("GET", "HEAD"):
                return self._read(parts, parse_qs(query), "text/html" in request.get("accept", ""))
            if method == "POST":
                origin = request.get("origin")
                if origin is not None and not _is_this_machine(origin.partition("://")[2]):
                    raise _RefusedError(errors.Forbidden, "a foreign page may not change anything here")
                return self._change(parts, body)
            raise _RefusedError(errors.MethodNotAllowed, headers={"Allow": "GET, HEAD, POST"})
        except _RefusedError as error:
            request_id = request_id_of(request.get("x-request-id", ""))
            language = request.get("accept-language", "")
            return problem(error.problem, request_id=request_id, language=language, headers=error.headers)

    def _read(self, parts: list[str], query: dict[str, list[str]], as_page: bool) -> Answer:
        match parts:
            case []:
                now, offset = instant_text(local_now(self._clock_file)), clock_offset_seconds(self._clock_file)
                return pages.index(self._scheduler.expressions, DEMO_ACCOUNTS, now, offset)
            case ["sms"]:
                return self._sms(query, as_page)
            case ["pay", attempt_id]:
                intents = self._intents(attempt_id)
                return pages.pay(attempt_id, intents[0]) if as_page else json_answer({"items": intents})
            case ["schedules"]:
                items = [{"name": name, "expression": text} for name, text in self._scheduler.expressions.items()]
                return json_answer({"items": items})
            case ["clock"]:
                return self._clock()
            case ["usage"]:
                return json_answer({**self._usage.report(), "sms": self._inbox.count() - self._sms_before})
            case ["schedules", _, "run"]:
                raise _RefusedError(errors.MethodNotAllowed, headers={"Allow": "POST"})
        raise _RefusedError(errors.NotFound, "no local tool has this path")

    def _change(self, parts: list[str], body: bytes | None) -> Answer:
        match parts:
            case ["schedules", name, "run"]:
                return self._run_schedule(name)
            case ["pay", attempt_id]:
                return self._decide(attempt_id, _json_object(body))
            case ["clock"]:
                seconds = _whole(_json_object(body).get("advance_seconds"), MAX_ADVANCE_SECONDS)
                advance_clock(self._clock_file, seconds)
                return self._clock()
            case [] | ["sms"] | ["schedules"] | ["usage"]:
                raise _RefusedError(errors.MethodNotAllowed, headers={"Allow": "GET, HEAD"})
        raise _RefusedError(errors.NotFound, "no local tool has this path")

    def _sms(self, query: dict[str, list[str]], as_page: bool) -> Answer:
        phone = _phone(query.get("phone", [""])[0])
        messages = self._inbox.list(phone)
        return pages.sms(phone, messages) if as_page else json_answer({"items": messages})

    def _clock(self) -> Answer:
        now, offset = instant_text(local_now(self._clock_file)), clock_offset_seconds(self._clock_file)
        return json_answer({"now": now, "offset_seconds": offset})

    def _run_schedule(self, name: str) -> Answer:
        try:
            run = self._scheduler.run_now(name)
        except UnknownScheduleError:
            known = ", ".join(self._scheduler.expressions) or "none"
            raise _RefusedError(errors.NotFound, f"no schedule is called {name!r}; there are: {known}") from None
        except Exception as error:
            log.exception("schedule %s failed", name)
            raise _RefusedError(Problem, f"the schedule failed: {type(error).__name__}") from error
        return json_answer({"name": run.name, "took_ms": run.took_ms, "result": run.result})

    def _intents(self, attempt_id: str) -> list[Any]:
        try:
            intents = self._stripe.intents_of_attempt(attempt_id)
        except ControlError as error:
            raise _passed_on(error) from error
        if not intents:
            raise _RefusedError(errors.NotFound, "the local payment provider knows no payment of this attempt")
        return list(intents)

    def _decide(self, attempt_id: str, decision: dict[str, Any]) -> Answer:
        if decision.get("outcome") not in OUTCOMES:
            raise _RefusedError(errors.Invalid, "one of: " + ", ".join(OUTCOMES), field="outcome")
        wanted: dict[str, Any] = {"outcome": decision["outcome"]}
        if decision.get("seconds") is not None:
            wanted["seconds"] = _whole(decision["seconds"], MAX_DELAY_SECONDS, "seconds")
        try:
            return json_answer(self._stripe.decide(self._intents(attempt_id)[0]["id"], wanted))
        except ControlError as error:
            raise _passed_on(error) from error


def _passed_on(error: ControlError) -> _RefusedError:
    return _RefusedError(problem_of_status(error.status), str(error))


def _json_object(body: bytes | None) -> dict[str, Any]:
    try:
        document = json.loads(body or b"")
    except (ValueError, RecursionError):
        raise _RefusedError(errors.Malformed, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise _RefusedError(errors.Malformed, "the body is not a JSON object")
    return document


def _whole(value: Any, highest: int, name: str = "advance_seconds") -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise _RefusedError(errors.Invalid, f"a whole number from 0 to {highest}", field=name)
    return value


def _phone(text: str) -> str | None:
    """Return an E.164 number from a query value, in which an unescaped `+` has become a space; None for no number."""
    digits = re.sub(r"[^0-9]", "", text)
    return f"+{digits}" if digits else None


def _is_this_machine(host: str) -> bool:
    """Tell whether a Host header can be meant for us: a name of ours or a plain address.

    A foreign name that was pointed at loopback (DNS rebinding) is neither.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in _LOCAL_NAMES or name.endswith(".localhost"):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
