"""Which earnings go on a statement, where its period ends, and what its lines say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel.instant import HOUR_MS, Instant
from chalicelib.ledger import model as books
from chalicelib.ledger.model import Entry
from chalicelib.settlement import model
from chalicelib.settlement.model import Account, Standing, Statement, bounded_end, decide, period_end
from tests.builders.ledger import NOW, Books

DISPUTE = 48 * 3600


def standing(entries: list[Entry], *, blocked: frozenset[str] = frozenset()) -> dict[str, Standing]:
    by_order: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda found: found.at):
        by_order.setdefault(entry.business_id, []).append(entry)
    return {
        order: Standing(order not in blocked, last_moved=own[-1].at, psp_fee=60, first_moved=own[0].id)
        for order, own in by_order.items()
    }


def test_nothing_is_due_before_the_dispute_window_is_over_and_not_a_millisecond_later() -> None:
    """Earned at ten on Thursday: two days later at ten it is not due, a millisecond after that it is."""
    end = period_end("Asia/Shanghai", NOW.plus(seconds=DISPUTE), 1, DISPUTE)
    assert end == NOW  # half-open: an earning of exactly this instant waits
    assert period_end("Asia/Shanghai", NOW.plus(seconds=DISPUTE, ms=1), 1, DISPUTE) > NOW


def test_the_midnight_is_the_shops_own() -> None:
    """At 18:30 UTC it is the 23rd in Shanghai and the 22nd in London; a day ago was another midnight."""
    now = Instant.parse("2026-11-22T18:30:00.000Z")
    assert str(period_end("Asia/Shanghai", now, 1, 0)) == "2026-11-21T16:00:00.000Z"
    assert str(period_end("Europe/London", now, 1, 0)) == "2026-11-21T00:00:00.000Z"


def test_a_day_with_a_change_of_clocks_ends_at_its_own_midnight() -> None:
    """London went back on 25 October 2026: that day had 25 hours."""
    before = period_end("Europe/London", Instant.parse("2026-10-26T12:00:00.000Z"), 1, 0)
    after = period_end("Europe/London", Instant.parse("2026-10-27T12:00:00.000Z"), 1, 0)
    assert after.since(before) == 25 * HOUR_MS


def test_a_line_says_gross_commission_and_net_and_the_fee_once() -> None:
    """88.00 of 100.00 at 12 %; the tip is whole and repeats no fee."""
    order = Books()
    order.captured()
    earned = order.earned()
    tip = order.add("tip_earned", books.tip_earned(500, order.merchant_id))
    content = decide([tip, earned], standing([earned, tip]), NOW.plus(days=1))
    first, second = content.lines
    assert (first.kind, first.gross, first.commission, first.commission_bps, first.psp_fee, first.net) == (
        "earning",
        10_000,
        1200,
        1200,
        60,
        8800,
    )
    assert (second.gross, second.commission, second.psp_fee, second.net) == (500, 0, 0, 500)
    assert content.net_minor == 9300


def test_an_earning_and_its_undo_cancel_out_on_one_statement() -> None:
    """The reversal is a line of its own, all of it below zero."""
    order = Books()
    entries = [order.earned(), order.earned_reversed()]
    content = decide(entries, standing(entries), NOW.plus(days=1))
    assert [line.kind for line in content.lines] == ["earning", "reversal"]
    assert [line.gross for line in content.lines] == [10_000, -10_000]
    assert content.net_minor == 0


def test_an_order_whose_share_moves_after_the_period_waits_whole() -> None:
    """Its undo lies in the next period, so its earning waits for it."""
    order = Books()
    earned, undone = order.earned(), order.earned_reversed()
    content = decide([earned], standing([earned, undone]), undone.at)
    assert (content.lines, content.waiting) == ((), (earned,))


orders = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 3000), st.integers(1, 90_000), st.booleans()), max_size=30
)


@given(orders, st.lists(st.integers(1, 500), min_size=1, max_size=8))
def test_every_earning_is_on_exactly_one_statement(made: list[tuple[int, int, int, bool]], periods: list[int]) -> None:
    """Over any cut of time into periods, with money arriving late: nothing is settled twice, and once all is
    available nothing is left out; openings and closings follow one another."""
    entries = []
    late = {}
    for day, minute, net, blocked in made:
        order = Books(at=NOW.plus(days=day, minutes=minute))
        entries.append(order.earned(net % 10_000 + 1))
        late[order.order_id] = blocked
    entries.sort(key=lambda entry: entry.at)
    start, carried, settled = NOW, [], []
    for hours in [*periods, 24 * 60]:
        end = start.plus(hours=hours)
        last = hours == 24 * 60
        window = [entry for entry in entries if start <= entry.at < end]
        blocked_now = frozenset() if last else frozenset(order for order, waits in late.items() if waits)
        content = decide([*carried, *window], standing(entries, blocked=blocked_now), end)
        settled += [(line.order_id, line.event, line.n) for line in content.lines]
        carried, start = list(content.waiting), end
    assert sorted(settled) == sorted((entry.business_id, entry.event, entry.n) for entry in entries)
    assert not carried


def test_too_many_lines_end_the_period_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is the next statement of the same night; what was carried over counts."""
    monkeypatch.setattr(model, "MAX_LINES", 8)
    entries = [Books(at=NOW.plus(ms=i)).earned() for i in range(12)]
    end = NOW.plus(days=1)
    assert bounded_end(entries[:8], 0, standing(entries), end) == end
    assert bounded_end(entries, 0, standing(entries), end) == entries[8].at
    assert bounded_end(entries, 3, standing(entries), end) == entries[5].at


def test_too_many_waiting_end_the_period_early() -> None:
    """Five more may wait: the sixth that cannot be settled ends the period."""
    entries = [Books(at=NOW.plus(ms=i)).earned() for i in range(12)]
    blocked = frozenset(entry.business_id for entry in entries[::2])
    carried = model.MAX_WAITING - 5
    end = bounded_end(entries, carried, standing(entries, blocked=blocked), NOW.plus(days=1))
    assert end == entries[10].at


def test_the_hash_covers_every_line_and_what_waits() -> None:
    """Another amount, or another entry left over, is another hash; a packed line comes back as it was."""
    order, other = Books(), Books()
    earned, left = order.earned(), other.earned()
    account = Account(order.merchant_id, order.shop_id, "CNY", "Asia/Shanghai")
    statement = Statement(model.statement_id(account, 1), account, 1, "closing", NOW, NOW.plus(days=1), NOW, 0)
    whole = decide([earned, left], standing([earned, left]), NOW.plus(days=1))
    part = decide([earned, left], standing([earned, left], blocked=frozenset({left.business_id})), NOW.plus(days=1))
    less = decide([earned], standing([earned]), NOW.plus(days=1))
    assert len({model.content_hash(statement, content) for content in (whole, part, less)}) == 3
    assert [model.unpacked(model.packed(line)) for line in whole.lines] == list(whole.lines)
