"""Physical names of what alarms and the dashboard look at; they know no other."""

from __future__ import annotations

from infra.declare import API, Function, Stack
from infra.functions import Stage
from infra.names import function_name as own_name
from infra.names import stack_name


def surfaces(stack: Stack) -> list[str]:
    """Those that have an API."""
    return sorted({function.surface for function in stack.functions if function.name == API})


def function_name(function: Function, stage: Stage) -> str:
    return stage.prefix + own_name(function)


def api_name(surface: str, stage: Stage) -> str:
    """An API is called as its stack is."""
    return stack_name(stage.name, surface)
