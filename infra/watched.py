"""Physical names of what alarms and the dashboard look at; they know no other."""

from __future__ import annotations

from infra.declare import API, Function, Stack
from infra.functions import Stage


def surfaces(stack: Stack) -> list[str]:
    """Those that have an API."""
    return sorted({function.surface for function in stack.functions if function.name == API})


def function_name(function: Function, stage: Stage) -> str:
    return f"{stage.prefix}{function.surface}-{function.name}"


def api_name(surface: str, stage: Stage) -> str:
    return stage.prefix + surface
