"""What works by itself: schedules under leases, news on their way, messages to people, and the log of operators."""

from __future__ import annotations

import copy
import secrets
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

from chalicelib.kernel import ids
from chalicelib.notifications import service as notifications
from chalicelib.providers.ports import ProviderUnavailable
from chalicelib.runtime import audit, jobs, outbox
from chalicelib.runtime.context import Context
from chalicelib.runtime.outbox import News
from chalicelib.runtime.transaction import Transaction
from tests.builders import identity
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes
from tests.simulation.phones import Phones

_EVENT = "order.confirmed"


@case()
def one_lease(round: Round) -> None:
    """Three runs of one job begin at once: one has the lease, and when it is over or its time is up, the next."""
    job = secrets.token_hex(6)

    def begin() -> None:
        jobs.take_lease(job, identity.context().now, 60)

    round.same("first", outcomes(round.race(begin, begin, begin)), {"done": 1, "job_running": 2})
    round.later(seconds=61)
    round.same("its time is up", outcomes(round.race(begin, begin)), {"done": 1, "job_running": 1})
    jobs.end_lease(job, round.run.now)
    round.same("ended", outcomes(round.race(begin, begin)), {"done": 1, "job_running": 1})


@case()
def log_of_operators(round: Round) -> None:
    """Three operators act at once: three entries, each after the other, and the chain holds."""
    noted = len(list(audit.entries()))
    acts = [partial(audit.append, audit.Act(f"op{n}", "test", "nothing"), round.run.now) for n in range(3)]
    round.same("answers", outcomes(round.race(*acts)), {"done": 3})
    round.same("entries", len(list(audit.entries())) - noted, 3)
    round.same("failures", audit.failures(audit.entries(), ()), [])


def _news(round: Round, sends: int = 1) -> News:
    """News that stand in the outbox since more than a minute, and were sent so often."""
    news = News.of(_EVENT, ids.random_id("ord"), 1, round.run.now, order_id=ids.random_id("ord"))
    tx = Transaction()
    row = outbox._row(news)
    row.sends = sends
    tx.put(row)
    tx.commit()
    return news


def _standing(news: News) -> list[bool]:
    """Where it stands: with the sweeper (False) or at rest (True)."""
    return [one.resting for one in outbox.standing() if one.news.id == news.id]


@case()
def news_handled_while_swept(round: Round) -> None:
    """A consumer takes news out of the outbox while two sweeps send it again: what was handled does not come back."""
    news = _news(round)
    round.later(minutes=2)
    sweep = partial(lambda: outbox.sweep(round.run.now))
    round.race(sweep, sweep, partial(outbox.handled, news))
    round.same("standing", _standing(news), [])


@case()
def news_handled_while_put_to_rest(round: Round) -> None:
    """News that were sent for the last time are handled while two sweeps put them to rest: what was handled waits for
    nobody."""
    news = _news(round, sends=outbox.MAX_SENDS)
    round.later(days=30)
    sweep = partial(lambda: outbox.sweep(round.run.now))

    def handled() -> list[bool]:
        for _ in range(round.seed % 8):  # what its consumer does before
            outbox.stands(news)
        outbox.handled(news)
        return _standing(news)

    *_, seen = round.race(sweep, sweep, handled)
    # What rests already when it is handled stays for a person to see.
    round.holds(f"seen: {seen}", seen in ([], [True]))
    round.same("standing", _standing(news), seen)


@case()
def news_woken_twice(round: Round) -> None:
    """Two operators wake news that rest: they stand with the sweeper, once."""
    news = _news(round, sends=outbox.MAX_SENDS)
    round.later(days=30)
    outbox.sweep(round.run.now)
    (item,) = (one for one in outbox.standing() if one.news.id == news.id)
    wake = partial(outbox.wake, item)
    found = round.race(wake, wake)
    round.same("woken", Counter(found), Counter([True, False]))
    round.same("standing", _standing(news), [False])
    outbox.handled(news)


# ---------------------------------------------------------------------------------------------- messages


def _told(round: Round) -> News:
    """News of a confirmed order that nobody has told its customer."""
    # So many messages a day, and no more, go to one person.
    order = scenes.paid(round, who=scenes.person(round, f"customer {round.seed // 20}"))
    return next(one.news for one in outbox.standing() if one.news.data["order_id"] == order.id)


def _tells(news: News, message_id: str, ctx: Context | None = None) -> str:
    """One queue message, as its function handles it."""
    try:
        done = notifications.tell(ctx or identity.context(), news, message_id)
    except notifications.ClaimHeld:
        return "held"
    except ProviderUnavailable:
        return "failed"
    outbox.handled(news)
    return done


@case()
def message_is_sent_once(round: Round) -> None:
    """Three queue messages bring the same news: one text leaves, the others find that it is being sent or was."""
    news = _told(round)
    before = len(Phones.received)
    found = outcomes(round.race(*(partial(_tells, news, f"m{n}") for n in range(3))))
    round.same("sent", found.get("sent"), 1)
    round.holds(f"answers: {found}", set(found) <= {"sent", "held", "repeated"})
    round.same("texts", len(Phones.received) - before, 1)


class _BadLine:
    """A line to a phone that fails after so long."""

    def __init__(self, round: Round, seconds: int = 0) -> None:
        self.round = round
        self.seconds = seconds

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        self.round.run.baton.sleep(self.seconds * 1000)
        raise ProviderUnavailable


def _over(line: _BadLine) -> Context:
    """A context whose messages go over that line."""
    ctx = identity.context()
    ports: Any = copy.copy(ctx.ports)
    ports.sms = line
    return replace(ctx, ports=ports)


@case()
def message_that_did_not_leave(round: Round) -> None:
    """Who claimed a message cannot send it and lets it go, while two others bring the same news: one text leaves, of
    theirs or later."""
    news = _told(round)
    before = len(Phones.received)
    acts = [
        partial(_tells, news, "m0", _over(_BadLine(round))),
        partial(_tells, news, "m1"),
        partial(_tells, news, "m2"),
    ]
    first, *others = round.race(*acts)
    told = outcomes(others)
    round.holds(f"the first: {first}", first in ("failed", "held", "repeated"))
    round.holds(f"the others: {told}", told.get("sent", 0) <= 1 and set(told) <= {"sent", "held", "repeated"})
    round.same("again", _tells(news, "m3"), "repeated" if "sent" in told else "sent")
    round.same("texts", len(Phones.received) - before, 1)


@case(weight=1.5)
def claim_of_the_dead(round: Round) -> None:
    """Who claimed a message hangs in its sending; after a minute two others find the claim stale: one of them takes it
    over and sends, and the first one's letting go changes nothing."""
    news = _told(round)
    before = len(Phones.received)
    slow = _over(_BadLine(round, seconds=70))

    def later(message_id: str) -> str:
        round.run.baton.sleep(65_000)
        return _tells(news, message_id)

    found = round.race(partial(_tells, news, "m0", slow), partial(later, "m1"), partial(later, "m2"))
    told = outcomes(found[1:])
    round.same("the first", found[0], "failed")
    round.holds(f"the others: {told}", told in ({"sent": 1, "held": 1}, {"sent": 1, "repeated": 1}))
    round.same("texts", len(Phones.received) - before, 1)
    again = _tells(news, "m0")
    round.holds(f"again: {again}", again == "repeated")
