"""One file for each journey: a module with `begin(run)`, which lets people take part, and optionally `rest(run)`, which
brings the run to rest in its own way, and `check(run)`, which returns what else is wrong at its end.

A new file here joins every run of the simulation by being here.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType


def names() -> list[str]:
    """The journeys, in alphabetical order."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def journey(name: str) -> ModuleType:
    """Raises ValueError for one that is not there."""
    if name not in names():
        raise ValueError(f"no journey {name!r}; there are {', '.join(names())}")
    return import_module(f"{__name__}.{name}")
