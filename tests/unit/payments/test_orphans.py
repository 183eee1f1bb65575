"""Money without an order: in suspense for a moment, owed, and back, whatever the provider answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel.money import Money
from chalicelib.ledger.model import Entry, chain_failures
from chalicelib.payments import orphans
from chalicelib.payments.model import MAX_REFUND_TRIES
from chalicelib.payments.orphans import Orphan, RefundUnderWay
from chalicelib.providers.ports import Refund
from tests.builders import plain
from tests.builders.plain import NOW, PROVIDER

INTENT = plain.intent(plain.order(price_minor=10_000))


def earlier(amount: int, state: str = "succeeded", number: int = 0) -> Refund:
    return Refund(f"re_{number}", state, Money(amount, "CNY"), INTENT.order_id, f"ref_{number:026}.0", INTENT.intent_id)


def said(orphan: Orphan, state: str) -> Refund:
    """The provider's word on the present try."""
    record = orphan.refund
    assert record is not None
    own_id = f"{record.id}.{record.tries}"
    return Refund(f"re_{own_id}", state, Money(record.amount_minor, "CNY"), orphan.order_id, own_id, orphan.intent_id)


def balances(entries: list[Entry]) -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in entries:
        found.update({leg.account: leg.amount_minor for leg in entry.legs})
    return found


@given(
    st.lists(st.integers(1, 3000), max_size=3),
    st.lists(st.sampled_from(["processing", "succeeded", "failed", "canceled"]), max_size=12),
)
def test_the_books_say_what_the_provider_holds(gone: list[int], answers: list[str]) -> None:
    """At each moment: what came less what went is at the provider, the rest is owed, and nothing rests in suspense."""
    step = orphans.opened(INTENT, [earlier(amount, number=n) for n, amount in enumerate(gone)], NOW, PROVIDER)
    orphan, entries = step.after, list(step.entries)
    held = 10_000 - sum(gone)
    for answer in answers:
        fact = said(orphan, answer)
        again = orphans.told(orphan, fact, NOW)
        if again is not None:
            held -= sum(entry.on("L.refund_payable") for entry in again.entries)
            assert again.after.version == orphan.version + 1
            orphan = again.after
            entries += again.entries
        assert orphans.told(orphan, fact, NOW) is None
        seen = balances(entries)
        assert seen[f"A.psp:{PROVIDER}"] == held == -seen["L.refund_payable"]
        assert seen["L.suspense"] == 0
    assert chain_failures(entries) == []
    assert orphan.last_hash == entries[-1].hash


def test_five_failures_leave_it_to_a_person() -> None:
    """Each try has its own number; after the last one the money stays owed and nothing moves any more."""
    orphan = orphans.opened(INTENT, [], NOW, PROVIDER).after
    tried = []
    for _ in range(MAX_REFUND_TRIES):
        assert orphan.refund is not None
        tried.append(orphan.refund.tries)
        step = orphans.refused(orphan, NOW)
        assert step is not None
        orphan = step.after
    assert tried == list(range(MAX_REFUND_TRIES))
    assert orphan.settled
    assert orphans.refused(orphan, NOW) is None


def test_what_went_back_before_is_not_given_twice() -> None:
    """All of it: only booked. A part of it: the rest. Not decided yet: not now."""
    assert orphans.opened(INTENT, [earlier(10_000)], NOW, PROVIDER).after.refund is None
    part = orphans.opened(INTENT, [earlier(4_000), earlier(5_000, "failed", 1)], NOW, PROVIDER).after.refund
    assert part is not None
    assert part.amount_minor == 6_000
    with pytest.raises(RefundUnderWay):
        orphans.opened(INTENT, [earlier(4_000, "processing")], NOW, PROVIDER)


def test_its_own_refund_is_no_earlier_one() -> None:
    """A run that ended after it had asked finds its own refund at the provider and owes as much as before."""
    begun = orphans.opened(INTENT, [], NOW, PROVIDER)
    own = replace(said(begun.after, "succeeded"))
    assert orphans.opened(INTENT, [own], NOW, PROVIDER) == begun
