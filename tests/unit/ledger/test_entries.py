"""Entries: invariant 1, the hash chain, and what counts as the same post."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.ledger import model
from chalicelib.ledger.model import Entry, Leg
from tests.builders.ledger import NOW, Books

BALANCED = (Leg("A.psp:stripe", 100), Leg("L.escrow", -100))


def make(**changed: Any) -> Entry:
    given: dict[str, Any] = {"event": "captured", "business_id": "ord_1", "n": 1, "at": NOW, "currency": "CNY"}
    given |= {"legs": BALANCED, **changed}
    return model.entry(given.pop("event"), given.pop("business_id"), given.pop("n"), **given)


@pytest.mark.parametrize(
    "changed",
    [
        {"legs": ()},
        {"legs": (Leg("L.escrow", 1),)},
        {"legs": (Leg("A.psp:stripe", 100), Leg("L.escrow", -99))},
        {"legs": (Leg("A.psp:stripe", 0), Leg("L.escrow", 0))},
        {"legs": (Leg("L.escrow", 100), Leg("L.escrow", -100))},
        {"legs": (Leg("A.psp:stripe", 1.0), Leg("L.escrow", -1.0))},
        {"legs": (Leg("A.psp:stripe", True), Leg("L.escrow", -1))},
        {"legs": tuple(Leg(f"L.{i}", i - 10) for i in range(21) if i != 10)},
        {"legs": (Leg("L.escrow", 1), Leg("L.merchant_pending:mch_1", -1))},
        {"event": "cap#tured"},
        {"event": ""},
        {"business_id": "a:b"},
        {"n": -1},
        {"currency": "XXX"},
        {"meta": {"rate": 0.12}},
    ],
)
def test_an_entry_that_breaks_the_first_invariant_is_never_made(changed: dict[str, Any]) -> None:
    """It sums to zero, has at least two legs, and holds whole numbers only."""
    with pytest.raises(ValueError, match=r".+"):
        make(**changed)


def test_the_id_names_event_subject_and_version() -> None:
    """The same event of the same version always has the same id."""
    assert make().id == "captured:ord_1:1"


def test_the_order_of_legs_changes_nothing() -> None:
    """Legs stand in order of account whichever way they came."""
    assert make(legs=reversed(BALANCED)) == make()


def test_the_same_post_may_come_later_but_not_with_other_content() -> None:
    """Time and place in the chain are the first telling's; the rest must agree."""
    first = make()
    assert model.same_post(first, make(at=NOW.plus(hours=2), previous_hash="x"))
    for changed in (
        {"legs": (Leg("A.psp:stripe", 101), Leg("L.escrow", -101))},
        {"ref": "ch_2"},
        {"currency": "USD"},
        {"shop_id": "shp_2"},
        {"meta": {"bps": 1}},
    ):
        assert not model.same_post(first, make(**changed))


def test_a_chain_is_read_in_its_own_order_from_any_order() -> None:
    """Entries come back sorted by event name from the store; the links restore how they happened."""
    books = Books()
    books.captured()
    books.earned()
    books.earned_reversed()
    assert model.in_order(sorted(books.entries, key=lambda entry: entry.event)) == books.entries
    assert model.head_hash(reversed(books.entries)) == books.entries[-1].hash
    assert model.chain_failures(books.entries) == []
    assert model.head_hash([]) == ""


tampering = st.sampled_from(
    [
        lambda entry: replace(entry, legs=tuple(Leg(leg.account, leg.amount_minor * 2) for leg in entry.legs)),
        lambda entry: replace(entry, at=entry.at.plus(ms=1)),
        lambda entry: replace(entry, ref="ch_other"),
        lambda entry: replace(entry, meta={**entry.meta, "bps": 1}),
        lambda entry: replace(entry, shop_id="shp_other"),
        lambda entry: replace(entry, previous_hash="0" * 64),
        lambda entry: replace(entry, hash="0" * 64),
        lambda entry: replace(entry, n=entry.n + 1),
    ]
)


@given(st.integers(0, 2), tampering)
def test_a_tampered_entry_is_found(which: int, tamper: Any) -> None:
    """Whatever field of whichever entry was changed, the chain says so."""
    books = Books()
    books.captured()
    books.earned()
    books.earned_reversed()
    books.entries[which] = tamper(books.entries[which])
    assert model.chain_failures(books.entries)


def test_an_entry_taken_out_of_the_middle_and_a_fork_are_found() -> None:
    """A link that leads nowhere, and two entries after the same one."""
    books = Books()
    books.captured()
    books.earned()
    books.earned_reversed()
    assert model.chain_failures([books.entries[0], books.entries[2]])
    fork = model.entry("kept", books.order_id, 9, at=NOW, currency="CNY", legs=BALANCED)
    assert model.chain_failures([*books.entries, fork])
