"""The few routes that belong to no slice: health, the API document and its page."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import cast

from pydantic import Field

from chalicelib.runtime.health import checks
from chalicelib.runtime.settings import settings
from chalicelib.web import auth, openapi
from chalicelib.web.application import App
from chalicelib.web.auth import PUBLIC
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import Output, Query

router = Router("web")


class CheckOut(Output):
    """One thing that the process needs, whether it is there, and how long it took to find out."""

    name: str = Field(examples=["database"])
    ok: bool
    ms: int = Field(ge=0)


class Health(Output):
    """`status` is ok or failing. `checks` stand there when it was asked to look deeper."""

    status: str = Field(examples=["ok"])
    version: str
    checks: list[CheckOut] = Field(default=[], exclude_if=lambda found: not found)


class HealthQuery(Query):
    deep: bool = Field(default=False, description="Also whether what it needs is there; remembered for some seconds")


@router.get(
    "/healthz",
    allow=PUBLIC,
    query=HealthQuery,
    answers={200: Health, 503: Health},
    limited=False,
    summary="Is this process alive?",
)
def health(call: Call) -> Answer:
    if not call.query.deep:
        return Answer(Health(status="ok", version=settings().version))
    found = checks({"secrets": auth.require_key})
    well = all(check.ok for check in found)
    shown = [CheckOut(name=check.name, ok=check.ok, ms=check.ms) for check in found]
    answer = Health(status="ok" if well else "failing", version=settings().version, checks=shown)
    return Answer(answer, 200 if well else 503)


@lru_cache(maxsize=1)
def _document() -> str:
    cast(App, router.blueprint.current_app).load_everything()
    return json.dumps(openapi.build(), ensure_ascii=False)


@router.get("/v1/openapi.json", allow=PUBLIC, answers={200: None}, summary="The API document, OpenAPI 3.1")
def api_document(call: Call) -> Answer:
    return Answer(text=_document())


@router.get("/docs", allow=PUBLIC, answers={200: None}, media_type="text/html", summary="The API document as a page")
def api_page(call: Call) -> Answer:
    page = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")
    policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
    return Answer(text=page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})
