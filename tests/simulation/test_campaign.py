"""Which plans a campaign plays, and what it says of them."""

from __future__ import annotations

import json

from tests.simulation import campaign, report
from tests.simulation.campaign import Tally, Wish, one_fault_each, plans_of
from tests.simulation.plan import CRASH_AFTER, CRASH_BEFORE, LOST_AFTER
from tests.simulation.shape import kind
from tests.simulation.workers import Played

REACH = ("", "put a", "", "put b", "put a", "put a", "put a", "")


def test_each_change_is_broken_in_each_way() -> None:
    """Reads change nothing, so nobody needs to die there; every change is lost in all three ways."""
    plans = {str(plan) for plan in one_fault_each("hold_expiry", REACH, 0)}
    kinds = (CRASH_BEFORE, CRASH_AFTER, LOST_AFTER)
    assert plans == {f"hold_expiry/0/0/{kind}@{at}" for kind in kinds for at in (1, 3, 4, 5, 6)}


def test_alike_calls_are_broken_so_often() -> None:
    """Of calls that are alike as many as wanted, the first among them and the others from all over."""
    struck = [plan.faults[0].at for plan in one_fault_each("hold_expiry", REACH, 2)]
    assert struck == [1, 3, 5] * 3


def test_every_nth_is_of_all_ways() -> None:
    """A short run takes some plans of each kind of fault."""
    wish = Wish(("hold_expiry",), 0, every=4)
    plans = [plan.faults[0].kind for _, plan in plans_of(wish, [Played("hold_expiry/0/0/", reach=REACH)])]
    assert plans == [CRASH_BEFORE, CRASH_BEFORE, CRASH_AFTER, LOST_AFTER]


def test_seeds_go_round_the_journeys() -> None:
    """Seeds begin where they are told to, and each journey has its turn, with plans made for its size."""
    wish = Wish(("book_and_pay", "hold_expiry"), 40, first=7, every=0)
    calm = [Played("book_and_pay/0/0/", reach=("",) * 300, messages=9), Played("hold_expiry/0/0/", reach=("",) * 20)]
    plans = [plan for _, plan in plans_of(wish, calm)]
    assert [plan.seed for plan in plans] == list(range(7, 47))
    assert [plan.journey for plan in plans[:3]] == ["hold_expiry", "book_and_pay", "hold_expiry"]
    last = {name: max(f.at for p in plans if p.journey == name for f in p.faults) for name in wish.journeys}
    assert last["hold_expiry"] < 20
    assert last["book_and_pay"] > 200


def test_a_kind_is_what_a_call_does() -> None:
    """Other values in the same expressions are the same kind; other attributes, callers and paths are not."""
    first = b'{"TableName":"t","Item":{"pk":{"S":"a \\" b"},"n":{"N":"1"},"q":{"NS":["1","2"]}}}'
    other = b'{"TableName":"t","Item":{"pk":{"S":"c"},"n":{"N":"7"},"q":{"NS":["3"]}}}'
    wider = b'{"TableName":"t","Item":{"pk":{"S":"c"},"n":{"N":"7"},"x":{"S":"y"},"q":{"NS":["3"]}}}'
    assert kind("buyer 1", "PutItem", first) == kind("buyer 2", "PutItem", other)
    assert len({kind("buyer", "PutItem", one) for one in (first, wider)} | {kind("sweep", "PutItem", first)}) == 3
    assert kind("sweep", "Query", first) == ""
    url = "http://127.0.0.1:9/v1/payment_intents"
    cancels = [f"post {url}/pi_{name}/cancel a=1".encode() for name in ("A" * 24, "B" * 24)]
    assert kind("sweep", "Stripe", cancels[0]) == kind("sweep", "Stripe", cancels[1]) != ""
    assert kind("sweep", "Stripe", f"get {url}/pi_{'A' * 24} ".encode()) == ""


def _tally() -> Tally:
    tally = Tally()
    good = Played("hold_expiry/1/0/crash_after@3", (), "aa", 10, 4, 2, 1, {CRASH_AFTER: 1, "duplicate": 2})
    tally.add(campaign.EXHAUSTIVE, good)
    for seed in range(30):
        fails = (f"books_balance: ord_{seed} is off", "other: too")
        tally.add(campaign.RANDOM, Played(f"hold_expiry/{seed}/0/", fails, "bb", 5, 1, 1, 0, {CRASH_BEFORE: 1}))
    tally.add(campaign.RANDOM, Played("hold_expiry/99/0/", ("nothing_oversold: x",), "cc", 5, 1, 1))
    return tally


def test_failures_stand_under_their_invariant() -> None:
    """Each broken invariant is named with its number of runs, each plan is a command to paste; a flood is cut off."""
    lines = list(report.summary(_tally()))
    assert "FAILED books_balance: 30 runs" in lines
    assert "FAILED nothing_oversold: 1 runs" in lines
    commands = [line.strip() for line in lines if "make simulate" in line]
    assert commands[0] == "make simulate PLAN='hold_expiry/0/0/'"
    assert "make simulate PLAN='hold_expiry/99/0/'" in commands
    assert len(commands) <= report.SHOWN + 1
    assert any(line.startswith("and ") and line.endswith(" more") for line in lines)


def test_the_last_line_is_for_machines() -> None:
    """Everything is counted, and the hash depends on what was traced and in which order."""
    figures = json.loads(report.figures(_tally()))
    assert (figures["seeds"], figures["exhaustive"], figures["failures"]) == (31, 1, 31)
    assert (figures["orders"], figures["crashes"], figures["duplicates"], figures["reorders"]) == (33, 31, 2, 1)
    assert figures["faults"] == {CRASH_AFTER: 1, CRASH_BEFORE: 30, "duplicate": 2}
    turned = Tally()
    for trace in ("cc", "aa"):
        turned.add(campaign.RANDOM, Played("hold_expiry/1/0/", trace_hash=trace))
    straight = Tally()
    for trace in ("aa", "cc"):
        straight.add(campaign.RANDOM, Played("hold_expiry/1/0/", trace_hash=trace))
    assert turned.trace_hash != straight.trace_hash
