"""The few routes that belong to no slice: health, the API document and its page."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import cast

from chalicelib.runtime.settings import settings
from chalicelib.web import openapi
from chalicelib.web.application import App
from chalicelib.web.auth import PUBLIC
from chalicelib.web.router import Answer, Call, Router
from chalicelib.web.schema import Output

router = Router("web")


class Health(Output):
    status: str
    version: str


@router.get("/healthz", allow=PUBLIC, answers={200: Health}, limited=False, summary="Is this process alive?")
def health(call: Call) -> Answer:
    return Answer(Health(status="ok", version=settings().version))


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
