"""Entries of queue and schedule functions. Lambda loads them without app.py, so nothing here may rely on it.

Chalice's decorator stands outermost, ours inside:

    @blueprint.on_sqs_message(queue=NOTIFY.full_name, batch_size=NOTIFY.batch_size, name="notify")
    @entry.sqs
    def notify(ctx: Context, news: News) -> None: ...
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import clock, jobs, log, outbox
from chalicelib.runtime.context import THE_SYSTEM, Context
from chalicelib.runtime.meter import measured
from chalicelib.runtime.outbox import News


def system_context(request_id: str = "", now: Instant | None = None) -> Context:
    """The context of work that nobody waits for."""
    from chalicelib import wiring

    return Context(now=now or clock.now(), ports=wiring.ports(), actor=THE_SYSTEM, request_id=request_id)


def sqs(consume: Callable[[Context, News], None]) -> Callable[[Any], dict[str, Any]]:
    """One call for each message; what fails is named in `batchItemFailures` and comes again, the rest is done."""

    @wraps(consume)
    def handler(event: Any) -> dict[str, Any]:
        where = log.of_lambda(event.context, consume.__name__)
        failures = []
        for record in event.to_dict()["Records"]:
            message_id = record["messageId"]
            with log.bound(request_id=message_id, **where):
                try:
                    _consume(consume, record["body"], message_id)
                except Exception as error:  # any failure of one message must not lose the others
                    log.error("message failed", error)
                    failures.append({"itemIdentifier": message_id})
        return {"batchItemFailures": failures}

    return handler


def _consume(consume: Callable[[Context, News], None], body: str, message_id: str) -> None:
    begun = time.perf_counter()
    news = News.parse(body)
    log.bind(news=news.id, order_id=str(news.data.get("order_id", "")))
    with measured() as used:
        consume(system_context(message_id), news)
        outbox.handled(news)
    log.info("consumed", ms=log.since_ms(begun), **used.fields())


def schedule(
    job: str, lease_seconds: int
) -> Callable[[Callable[[Context], dict[str, Any]]], Callable[[Any], dict[str, Any]]]:
    """A scheduled run under a lease; answers what it did, or `{"skipped": true}` while another run is under way."""

    def decorate(run: Callable[[Context], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
        @wraps(run)
        def handler(event: Any) -> dict[str, Any]:
            begun = time.perf_counter()
            with log.bound(job=job, **log.of_lambda(event.context, job)):
                ctx = system_context()
                try:
                    jobs.take_lease(job, ctx.now, lease_seconds)
                except jobs.LeaseTaken:
                    log.info("job skipped, another run is under way")
                    return {"skipped": True}
                try:
                    with measured() as used:
                        done = run(ctx)
                except Exception as error:  # Lambda would print a trace of its own, in no form that can be searched
                    log.error("job failed", error, ms=log.since_ms(begun))
                    raise
                finally:
                    jobs.end_lease(job, ctx.now)
                jobs.note_ok(job, ctx.now)
                log.info("job done", ms=log.since_ms(begun), **used.fields(), **done)
                return done

        return handler

    return decorate
