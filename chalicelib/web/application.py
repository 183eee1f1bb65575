"""The app of one deployment. `LINLI_SURFACE` says which part of the code it serves:

    public     everything that people's apps call
    webhooks   what payment providers call
    operator   what the operator's staff call
    jobs       queues and schedules, no HTTP
    all        everything in one process: the local stack and the tests

Each part is a deployment with a role and limits of its own, so a flood of webhooks takes no capacity from buyers, and a
schedule exists once however many deployments there are.
"""

from __future__ import annotations

import gc
import json
import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from chalice.app import Chalice

from chalicelib.runtime import lean
from chalicelib.runtime.settings import SettingsError, settings

PUBLIC, WEBHOOKS, OPERATOR, JOBS, ALL = "public", "webhooks", "operator", "jobs", "all"
HTTP_SURFACES = (PUBLIC, WEBHOOKS, OPERATOR)
SURFACES = (*HTTP_SURFACES, JOBS)
EVERYWHERE = "/healthz"
PATHS_FILE = Path(__file__).parent / "paths.json"


def surface_of(path: str) -> str:
    """The one part that serves a path.

    >>> surface_of("/v1/orders"), surface_of("/webhooks/stripe"), surface_of("/v1/operator/reconciliation/runs")
    ('public', 'webhooks', 'operator')
    """
    first, *rest = path.strip("/").split("/")
    if first == "webhooks":
        return WEBHOOKS
    return OPERATOR if rest[:1] == ["operator"] else PUBLIC


def serves(surface: str, path: str) -> bool:
    """Whether a deployment answers a path. Health is asked of each."""
    if surface == JOBS:
        return False
    return path == EVERYWHERE or surface in (ALL, surface_of(path))


@lru_cache(maxsize=1)
def module_by_operation() -> dict[str, str]:
    """Which module declares an operation, `GET /path`; generated (`make openapi`), so that one need not import all of
    them to find out."""
    found: dict[str, str] = json.loads(PATHS_FILE.read_text(encoding="utf-8"))
    return found


# What every slice needs, imported one after the other. A library that is reached through ten others runs its imports at
# the end of a long stack of frames; where a piece of that stack just ends, Python 3.11 asks the kernel for memory at
# each call, and the patterns of urllib3 take 50 ms to compile instead of 5.
_FOUNDATION = ("urllib3", "botocore.auth", "pydantic.main")


class App(Chalice):
    """Chalice's app, filled from modules by name. In Lambda a slice is imported when a path of its is first asked for:
    a cold start pays for one slice. Everywhere else all are imported at once, and mistakes show at the start."""

    def __init__(self, app_name: str, routes: tuple[str, ...], handlers: tuple[str, ...]) -> None:
        super().__init__(app_name, configure_logs=False)
        self.api.binary_types = []
        self.surface = settings().surface
        if self.surface not in (*SURFACES, ALL):
            raise SettingsError(f"LINLI_SURFACE must be one of {', '.join((*SURFACES, ALL))}, not {self.surface!r}")
        self._waiting = dict.fromkeys(routes)
        if self.surface in (JOBS, ALL):
            # For Chalice's packager and the local stack: Lambda loads a handler by its name and never comes here.
            for name in handlers:
                self.register_blueprint(import_module(name).blueprint)
        if not lean.in_lambda():
            self.load_everything()
        elif self.surface in HTTP_SURFACES:
            # What is made from here to the first answer stays; looking through it for garbage costs a tenth of a start.
            gc.disable()
            # We have no plugin for pydantic; to look for one is to open the metadata of every installed package.
            os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
            for name in _FOUNDATION:
                import_module(name)
            lean.load_pynamodb()

    def __call__(self, event: Any, context: Any) -> Any:
        asked = event.get("requestContext", {})
        module = module_by_operation().get(f"{asked.get('httpMethod')} {asked.get('resourcePath')}")
        self._load([module] if module else [])
        answer = super().__call__(event, context)
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return answer

    def load_everything(self) -> None:
        """Declares every operation, also those that this deployment does not serve: the API document shows them all."""
        self._load(list(self._waiting))

    def _load(self, modules: list[str]) -> None:
        for name in modules:
            if name in self._waiting:
                self.register_blueprint(import_module(name).router.blueprint)
                del self._waiting[name]
