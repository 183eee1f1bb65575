"""Fulfilment states of a line, one table for each kind of offer."""

from __future__ import annotations

from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.states import StateMachine

APPOINTMENT = StateMachine(
    "appointment",
    "expected",
    {
        "expected": {"check_in": "checked_in", "start": "in_service", "no_show": "no_show"},
        "checked_in": {"start": "in_service", "finish": "finished"},
        "in_service": {"finish": "finished"},
        "finished": {},
        "no_show": {},
    },
)

MACHINES = {"appointment": APPOINTMENT}

EARLY_CHECK_IN_SECONDS = 12 * 3600
NO_SHOW_UNTIL_SECONDS = 24 * 3600


class TooEarly(Conflict):
    """A visit can be checked in on its day, not before; a no-show is one 15 minutes after the start."""

    code = "too_early"


class TooLate(Conflict):
    """A no-show is reported within 24 hours after the end."""

    code = "too_late"


def check_time(event: str, now: Instant, starts_at: Instant, ends_at: Instant, no_show_after_seconds: int) -> None:
    """Raises TooEarly or TooLate when the clock does not allow the step."""
    if event in ("check_in", "start") and now < starts_at.plus(seconds=-EARLY_CHECK_IN_SECONDS):
        raise TooEarly
    if event == "no_show":
        if now < starts_at.plus(seconds=no_show_after_seconds):
            raise TooEarly
        if now > ends_at.plus(seconds=NO_SHOW_UNTIL_SECONDS):
            raise TooLate
