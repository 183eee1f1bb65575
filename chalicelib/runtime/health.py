"""Is what this process needs there? Each check is a name, whether it holds, and how long it took; nothing secret.

What was found is remembered for some seconds, so that asking often makes no load.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import aws, clock, jobs, log, outbox, resources, schedules

REMEMBERED_SECONDS = 5
PATIENCE_SECONDS = 8  # API Gateway waits 29; what takes longer than this is not well
MAX_SKEW_SECONDS = 10
MAX_NEWS_LATE_SECONDS = 60
MAX_OVERDUE_SECONDS = 600


@dataclass(frozen=True)
class Check:
    """One thing that was looked at, and the milliseconds that it took."""

    name: str
    ok: bool
    ms: int


class NotWell(Exception):
    """A check that could be made and does not hold."""


_lock = threading.Lock()
_last: tuple[float, tuple[Check, ...]] | None = None


def checks(more: Mapping[str, Callable[[], object]]) -> tuple[Check, ...]:
    """Everything this module knows to check and what the caller adds, by name; all at once, each by its own. A check
    holds unless it raises."""
    global _last  # noqa: PLW0603  # what was found, for all callers of this process
    with _lock:  # whoever comes while it is looked at waits for the same answer
        if _last is None or time.monotonic() - _last[0] >= REMEMBERED_SECONDS:
            found = _all({**_OWN, **more})
            _last = (time.monotonic(), found)
        return _last[1]


def _all(wanted: Mapping[str, Callable[[], object]]) -> tuple[Check, ...]:
    pool = ThreadPoolExecutor(len(wanted))
    running = {name: pool.submit(copy_context().run, _one, name, check) for name, check in wanted.items()}
    wait(running.values(), timeout=PATIENCE_SECONDS)
    pool.shutdown(wait=False)
    return tuple(
        each.result() if each.done() else Check(name, ok=False, ms=PATIENCE_SECONDS * 1000)
        for name, each in running.items()
    )


def _one(name: str, check: Callable[[], object]) -> Check:
    begun = time.perf_counter()
    try:
        check()
    except Exception as error:  # whatever is wrong with one, the others are looked at
        log.warning("not well", check=name, error=repr(error))
        return Check(name, ok=False, ms=log.since_ms(begun))
    return Check(name, ok=True, ms=log.since_ms(begun))


def _database() -> None:
    """A strongly consistent read."""
    jobs.cursor("health")


def _queues() -> None:
    for queue in resources.QUEUES:
        asked = {"QueueUrl": resources.queue_url(queue), "AttributeNames": ["ApproximateNumberOfMessages"]}
        resources.sqs().call("GetQueueAttributes", asked)


def _clock() -> None:
    """The machine's clock beside the Date header of the database's answer, which has whole seconds. Signatures, tokens
    and holds all compare clocks."""
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        # Anything that it answers has a date; DynamoDB itself says that it is healthy, without a signature.
        with urlopen(aws.DYNAMODB.endpoint, timeout=2) as answer:  # noqa: S310  # from our own settings
            date = answer.headers["Date"]
    except HTTPError as error:
        date = error.headers["Date"]
    skew = clock.machine_now().since(Instant.of(parsedate_to_datetime(date)))
    if abs(skew) > MAX_SKEW_SECONDS * 1000:
        raise NotWell(f"the clock is {skew} ms ahead of the database's")


def _outbox() -> None:
    oldest = outbox.oldest()
    if oldest and clock.now().since(oldest[1]) > MAX_NEWS_LATE_SECONDS * 1000:
        raise NotWell(f"news is late: {oldest[0]} since {oldest[1]}")


def _schedules() -> None:
    """Those that have run at all; that one never did is for the watch to say."""
    now = clock.now()
    name, due = schedules.most_overdue(schedules.last_runs(), now)
    if now.since(due) > MAX_OVERDUE_SECONDS * 1000:
        raise NotWell(f"{name} should have run at {due}")


_OWN: dict[str, Callable[[], object]] = {
    "database": _database,
    "queues": _queues,
    "clock": _clock,
    "outbox": _outbox,
    "schedules": _schedules,
}
