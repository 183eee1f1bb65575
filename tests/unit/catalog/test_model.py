"""Decisions about offers: options, prices, durations, policies, ratings, and the tables of states."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.catalog import checks, model
from chalicelib.catalog.bundles import EXACTLY, BundleGroup, BundleItem, worth
from chalicelib.catalog.model import OptionsInvalid, Override, ShopPage
from chalicelib.catalog.usage import Usage, alike, stretches
from chalicelib.kernel import ids
from chalicelib.kernel.errors import InvalidTransition
from chalicelib.kernel.money import Money
from tests.builders import catalog as build

SHOP = build.shop()
ITEM = BundleItem({"en": "Cut"}, 1, Money(12_800, "CNY"))


def test_options_add_their_price_and_minutes_and_the_staff_member_theirs() -> None:
    long, oil = build.option(), build.option(price_delta=Money(-500, "CNY"), duration_delta_minutes=0)
    offer = build.offer(SHOP, options=(long, oil))
    director = build.staff(SHOP, offer, overrides={offer.id: Override(6_000, 75)})
    chosen = model.choose(offer, (oil.id, long.id))
    assert chosen == (long, oil)
    assert model.price_of(offer, chosen, director) == Money(12_800 + 3_000 - 500 + 6_000, "CNY")
    assert model.duration_of(offer, chosen, director) == 75 + 15
    assert (model.price_of(offer), model.duration_of(offer)) == (Money(12_800, "CNY"), 60)


def test_a_price_never_falls_below_zero_nor_a_duration_below_one_quantum() -> None:
    off = build.option(price_delta=Money(-99_900, "CNY"), duration_delta_minutes=-120)
    offer = build.offer(SHOP, options=(off,))
    assert model.price_of(offer, (off,)) == Money(0, "CNY")
    assert model.duration_of(offer, (off,)) == 5


def test_two_options_of_a_group_or_one_of_another_offer_are_refused() -> None:
    short, long, free = build.option(group="length"), build.option(group="length"), build.option()
    offer = build.offer(SHOP, options=(short, long, free))
    assert model.choose(offer, (long.id, free.id)) == (long, free)
    for wrong in ((short.id, long.id), (build.option().id,), (free.id, free.id)):
        with pytest.raises(OptionsInvalid):
            model.choose(offer, wrong)


@pytest.mark.parametrize(("seconds", "bps"), [(7200, 10_000), (7199, 5_000), (0, 5_000), (-1, 0), (10**9, 10_000)])
def test_a_policy_gives_back_by_how_early_it_is(seconds: int, bps: int) -> None:
    assert model.refund_bps(((7200, 10_000), (0, 5_000)), seconds) == bps


@given(st.integers(0, 5_000), st.integers(0, 500))
def test_a_displayed_rating_lies_between_the_mean_and_the_prior(count: int, mean: int) -> None:
    """And reaches the mean to a hundredth once there are thousands."""
    shop = build.shop(rating_sum_centi=count * mean, rating_count=count)
    low, high = sorted((mean if count else model.PRIOR_CENTI, model.PRIOR_CENTI))
    assert low <= shop.rating_centi <= high
    exact = (count * mean + 10 * 420) / (count + 10)
    assert abs(shop.rating_centi - exact) <= 0.5


@pytest.mark.parametrize(
    ("text", "locale", "shown"),
    [
        ({"zh-CN": "剪发", "en": "Cut"}, "en", "Cut"),
        ({"zh-CN": "剪发", "en": "Cut"}, "ja", "剪发"),
        ({"en": "Cut"}, "zh-CN", "Cut"),
        ({"fr": "Coupe"}, "en", "Coupe"),
        ({}, "en", ""),
    ],
)
def test_words_fall_back_from_language_to_language(text: dict[str, str], locale: str, shown: str) -> None:
    assert model.text_in(text, locale) == shown


@pytest.mark.parametrize("machine", [model.OFFER, model.MERCHANT], ids=lambda machine: machine.name)
def test_a_state_machine_refuses_everything_that_its_table_does_not_hold(machine: model.StateMachine) -> None:
    for state in machine.states:
        for event in machine.events:
            if machine.can(state, event):
                assert machine.fire(state, event) in machine.states
            else:
                with pytest.raises(InvalidTransition):
                    machine.fire(state, event)


def test_only_kinds_on_sale_reach_the_shelf() -> None:
    """A voucher can be prepared as a draft; on the shelf it is a fault, and the public page leaves it out."""
    draft = build.offer(SHOP, kind="voucher", state="draft")
    assert checks.offer_faults(draft, SHOP) == []
    shelved = replace(draft, state="on_shelf")
    assert [fault["field"] for fault in checks.offer_faults(shelved, SHOP)] == ["kind"]
    assert ShopPage(SHOP, (shelved,), ()).public().offers == ()


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("id", {"id": ids.random_id("ofr")}),
        ("merchant_id", {"merchant_id": ids.random_id("mch")}),
        ("name", {"name": {}}),
        ("name", {"name": {"zh-CN": "长" * 81}}),
        ("price", {"price": Money(100, "USD")}),
        ("price", {"price": Money(-1, "CNY")}),
        ("price", {"price": Money(100_000_000, "CNY")}),
        ("duration_minutes", {"duration_minutes": 0}),
        ("duration_minutes", {"duration_minutes": 725}),
        ("buffer_after_minutes", {"buffer_after_minutes": 3}),
        ("slot_step_minutes", {"slot_step_minutes": 0}),
        ("lead_minutes", {"lead_minutes": -1}),
        ("horizon_days", {"horizon_days": 91}),
        ("kind", {"kind": "flight"}),
        ("state", {"state": "sold"}),
        ("confirmation", {"confirmation": "perhaps"}),
        ("refund_badge", {"refund_badge": "maybe"}),
        ("policy", {"policy": ()}),
        ("policy", {"policy": ((7200, 5_000), (0, 10_000))}),
        ("policy", {"policy": ((0, 5_000), (7200, 10_000))}),
        ("policy", {"policy": ((7200, 10_000),)}),
        ("options", {"options": tuple(build.option() for _ in range(21))}),
        ("options", {"options": (build.option(price_delta=Money(1, "USD")),)}),
        ("options", {"options": (build.option(id="long"),)}),
        ("options", {"options": (build.option(duration_delta_minutes=4),)}),
        ("photos", {"photos": ("x",) * 21}),
        ("usage_rules", {"usage_rules": ({"en": "x"},) * 13}),
        ("chair_ids", {"chair_ids": (ids.owned("chr", SHOP.id, "1"),)}),
        ("list_price", {"list_price": Money(12_800, "CNY")}),
        ("list_price", {"list_price": Money(20_000, "USD")}),
        ("usage.valid_days", {"usage": Usage(valid_days=0)}),
        ("usage.valid_days", {"usage": Usage(valid_days=731)}),
        ("usage.per_visit", {"usage": Usage(per_visit=101)}),
        ("usage.blackout", {"usage": Usage(blackout=(date(2026, 12, 2), date(2026, 12, 1)))}),
        ("usage.blackout", {"usage": Usage(blackout=tuple(date(2026, 1, 1) + timedelta(n) for n in range(61)))}),
        ("usage.weekly", {"usage": Usage(weekly={7: ((600, 660),)})}),
        ("usage.weekly", {"usage": Usage(weekly={0: ((660, 600),)})}),
        ("usage.weekly", {"usage": Usage(weekly={0: ()})}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (), 1),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (ITEM,), 2),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (ITEM,), 0),)}),
        ("bundle", {"bundle": (BundleGroup({}, (ITEM,), 1),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (ITEM,), 1, "any"),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (ITEM,) * 21, 1),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (ITEM,), 1),) * 11}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (replace(ITEM, quantity=0),), 1),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (replace(ITEM, value=Money(1, "USD")),), 1),)}),
        ("bundle", {"bundle": (BundleGroup({"en": "x"}, (replace(ITEM, value=Money(-1, "CNY")),), 1),)}),
    ],
)
def test_an_offer_that_makes_no_sense_names_the_field(field: str, changes: dict) -> None:
    assert checks.offer_faults(build.offer(SHOP), SHOP) == []
    assert {fault["field"] for fault in checks.offer_faults(build.offer(SHOP, **changes), SHOP)} == {field}


@given(
    st.lists(
        st.lists(st.integers(0, 500), min_size=1, max_size=6).flatmap(
            lambda values: st.tuples(st.just(values), st.integers(1, len(values)))
        ),
        max_size=4,
    )
)
def test_a_bundle_is_worth_between_its_cheapest_and_its_dearest_choice(groups: list[tuple[list[int], int]]) -> None:
    """As every choice of so many items, tried one by one, says."""
    bundle = [
        BundleGroup({"en": "x"}, tuple(replace(ITEM, value=Money(v, "CNY")) for v in values), n, EXACTLY)
        for values, n in groups
    ]
    totals = [[sum(choice) for choice in combinations(values, n)] for values, n in groups]
    found = worth(bundle, "CNY")
    assert found.least == Money(sum(map(min, totals)), "CNY")
    assert found.most == Money(sum(map(max, totals)), "CNY")


@given(st.sets(st.dates(date(2026, 1, 1), date(2026, 3, 1)), max_size=60))
def test_runs_of_dates_hold_each_date_once_and_do_not_touch(days: set[date]) -> None:
    runs = stretches(days)
    spelled = [first + timedelta(n) for first, last in runs for n in range((last - first).days + 1)]
    assert spelled == sorted(days)
    assert all(later[0] - earlier[1] > timedelta(1) for earlier, later in pairwise(runs))


@given(st.dictionaries(st.integers(0, 6), st.sampled_from([(), ((600, 900),), ((600, 1500),)])))
def test_runs_of_weekdays_hold_each_weekday_once_with_its_hours(weekly: dict) -> None:
    runs = alike(weekly)
    assert {day: hours for first, last, hours in runs for day in range(first, last + 1)} == weekly
    assert all(later[0] > earlier[1] + 1 or later[2] != earlier[2] for earlier, later in pairwise(runs))
