"""After the tables were restored to an instant: every fact of the provider since then, once more, then the match.

What happened to known orders comes back by it. Orders that were placed later are not here: nobody can pay them any
more, and what was paid for them stands as an `orphan` difference until somebody decides to give it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from chalicelib.kernel.errors import Invalid
from chalicelib.kernel.instant import DAY_MS, HOUR_MS, MINUTE_MS, Instant
from chalicelib.orders import orphans, replay, soundness
from chalicelib.payments.orphans import OrderIsHere, RefundUnderWay
from chalicelib.providers.ports import SUCCEEDED, Intent
from chalicelib.reconciliation import service
from chalicelib.reconciliation.service import Progress
from chalicelib.runtime import jobs, log
from chalicelib.runtime.context import Context

JOB = "restore"
EVERYTHING = "all"
KEPT_DAYS = 30
"""How long Stripe keeps its events."""
_SLICE_MS = HOUR_MS
_BEFORE_MS = 2 * MINUTE_MS  # clocks differ, and a fact of the instant's own second may be on either side of it
_INTENTS_BEFORE_MS = HOUR_MS  # made before the instant and still open at it
_COUNTS = (replay.REPLAYED, replay.KNOWN, replay.PARKED, replay.ORPHAN, replay.CANCELLED)


class TooLongAgo(Invalid):
    """The provider does not keep its facts for so long, or the instant is still to come."""

    code = "restore_instant_out_of_range"


def since(
    ctx: Context,
    instant: Instant,
    *,
    dry_run: bool = False,
    give_back: Collection[str] = (),
    progress: Progress | None = None,
) -> dict[str, int]:
    """Mends what the restore has cut, then applies what the provider tells since the instant: how many facts there
    were, what became of them, how many intents were cancelled and payments given back, what the match found, and how
    many faults are left.

    `give_back` names intents whose order is not here, or EVERYTHING. An interrupted run goes on where it was when it
    is asked for the same instant again. Raises TooLongAgo, ProviderUnavailable.
    """
    if not ctx.now.ms - KEPT_DAYS * DAY_MS <= instant.ms <= ctx.now.ms:
        raise TooLongAgo
    counts = Counter(dict.fromkeys(("mended", "facts", *_COUNTS, "given_back", "left_over", "faults"), 0))
    touched = Instant(instant.ms - _INTENTS_BEFORE_MS)
    if not dry_run:
        counts["mended"] = soundness.mend(ctx, touched)
    slices = list(_slices(instant, ctx.now, 0 if dry_run else _done_until(instant)))
    total = len(slices) + 1
    for done, (begin, end) in enumerate(slices, 1):
        for fact in ctx.ports.payments.events_since(begin, end):
            counts["facts"] += 1
            counts[replay.event(ctx, fact, dry_run=dry_run)] += 1
        if not dry_run:
            jobs.save_cursor(JOB, {"since": instant.ms, "until": min(end.ms, ctx.now.ms - _BEFORE_MS)})
        if progress:
            progress(done, total)
    found = _intents(ctx, instant, counts, dry_run)
    if not dry_run:
        replay.caught_up(ctx.now)
        counts.update(_give_back(ctx, found, give_back))
        counts.update(_matched(ctx))
        jobs.save_cursor(JOB, {"since": instant.ms, "finished": ctx.now.ms})
    for fault in soundness.faults(ctx, touched):
        counts["faults"] += 1
        log.error("restored tables disagree", kind=fault.kind, subject=fault.subject, detail=fault.detail)
    if progress:
        progress(total, total)
    counts.pop(replay.IGNORED, None)
    return dict(counts)


def _slices(instant: Instant, now: Instant, done_until: int) -> Iterator[tuple[Instant, Instant]]:
    """The time to look at, oldest first, in pieces that end on whole seconds."""
    begin = max(instant.ms - _BEFORE_MS, done_until) // 1000 * 1000
    while begin <= now.ms:
        end = begin + _SLICE_MS
        yield Instant(begin), Instant(end)
        begin = end


def _done_until(instant: Instant) -> int:
    """Up to where a run for this instant came that was interrupted."""
    cursor = jobs.cursor(JOB)
    return int(cursor.get("until", 0)) if cursor.get("since") == instant.ms else 0


def _intents(ctx: Context, instant: Instant, counts: Counter[str], dry_run: bool) -> dict[str, Intent]:
    """Looks at every intent made since, also those that no event tells of. Returns the payments without an order."""
    found = {}
    for intent in ctx.ports.payments.intents_since(Instant(instant.ms - _INTENTS_BEFORE_MS)):
        outcome = replay.intent(ctx, intent, dry_run=dry_run)
        if outcome == replay.ORPHAN:
            found[intent.intent_id] = intent
        if outcome != replay.KNOWN:
            counts[outcome] += 1
    return found


def _give_back(ctx: Context, found: dict[str, Intent], wanted: Collection[str]) -> dict[str, int]:
    """What is wanted of the payments without an order. One that cannot go back now says why, and stays."""
    chosen = found if EVERYTHING in wanted else {name: found[name] for name in wanted if name in found}
    done = 0
    for intent_id, intent in chosen.items():
        try:
            # As it is by now: a cancelled try may have brought money after all.
            paid = intent if intent.state == SUCCEEDED else ctx.ports.payments.fetch_intent(intent_id)
            orphans.give_back(ctx, paid)
            done += 1
        except (OrderIsHere, RefundUnderWay) as problem:
            log.warning("a payment is not given back", intent_id=intent_id, code=problem.code)
    return {"given_back": done, "left_over": len(found) - done}


def _matched(ctx: Context) -> dict[str, int]:
    done = service.reconcile(ctx)
    return {name: done[name] for name in ("matched", "in_flight", "differences", "fees_posted")}
