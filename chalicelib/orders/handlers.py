"""What orders do when nobody asks: the minute's sweep, and refunds by queue."""

from __future__ import annotations

from collections import Counter
from typing import Any

from chalice.app import Blueprint

from chalicelib.booking import service as booking
from chalicelib.kernel.errors import Unavailable
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.orders import ending, paying, tables
from chalicelib.payments import service as payments
from chalicelib.providers.ports import ProviderEvent
from chalicelib.runtime import entry, jobs, log
from chalicelib.runtime.context import Context
from chalicelib.runtime.outbox import News
from chalicelib.runtime.resources import REFUND
from chalicelib.runtime.schedules import SCHEDULES

blueprint = Blueprint(__name__)

OVERLAP_MS = 120_000  # clock skew between writers, and events that share a second with the cursor


@blueprint.on_sqs_message(queue=REFUND.full_name, batch_size=REFUND.batch_size, name="refund")
@entry.sqs
def refund(ctx: Context, news: News) -> None:
    """Sends approved refunds to the provider. What fails comes again, and the sweep asks too."""
    paying.drive_refunds(ctx, news.data["order_id"])


@blueprint.schedule(SCHEDULES["sweep"], name="sweep")
@entry.schedule("sweep", lease_seconds=20)
def sweep(ctx: Context) -> dict[str, Any]:
    """Facts that no webhook brought, facts that were parked, everything whose time has come, and days of which search
    may not have been told."""
    return {"events": _poll(ctx), "parked": _retry_parked(ctx), **_due(ctx), "days": booking.look_again(ctx)}


def _poll(ctx: Context) -> int:
    """Applies every provider event since the cursor: the promise behind webhooks, which are only the speed."""
    since = Instant(int(jobs.cursor("poll").get("ms", ctx.now.ms - DAY_MS)))
    seen, count = since, 0
    try:
        for event in ctx.ports.payments.events_since(Instant(since.ms - OVERLAP_MS)):
            _apply(ctx, event)
            seen = max(seen, event.created)
            count += 1
    except Unavailable as error:
        log.warning("provider did not answer the poll", code=error.code)
    if seen != since:
        jobs.save_cursor("poll", {"ms": seen.ms})
    return count


def _apply(ctx: Context, event: ProviderEvent) -> None:
    """One bad event must not hide all those after it: it is parked, and tried again from there."""
    try:
        paying.apply_event(ctx, event)
    except Unavailable:
        raise
    except Exception as error:
        log.error("event not applied", error, event_id=event.event_id)
        payments.park(ctx, event, "failed")


def _retry_parked(ctx: Context) -> int:
    """Asks the provider again for each parked object, and applies what it is by now."""
    done = 0
    for fact in payments.parked():
        try:
            paying.apply_parked(ctx, fact)
        except Unavailable:
            continue
        except Exception as error:  # whatever is wrong with one fact, the others and the holds go on
            if not payments.expired(fact, ctx.now):
                log.warning("parked fact not applied", object_id=fact.object_id, error=repr(error))
                continue
            log.error("a parked fact was never applied", object_id=fact.object_id)
        payments.close_parked(fact)
        done += 1
    return done


def _due(ctx: Context) -> dict[str, int]:
    since = Instant(int(jobs.cursor("due").get("ms", 0)))
    outcomes = Counter(
        ending.sweep_one(ctx, order_id) for order_id in tables.due(ctx.now, Instant(since.ms - OVERLAP_MS))
    )
    # Everything up to now was resolved or given a later mark; had one of them raised, the cursor would have stayed.
    jobs.save_cursor("due", {"ms": ctx.now.ms})
    return dict(outcomes)
