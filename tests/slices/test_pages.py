"""The shop's and the offer's page over HTTP: bundles, usage rules, prices; what a page costs that many look at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import pytest

from chalicelib.catalog import pages, service, tables
from chalicelib.catalog.bundles import BundleGroup, BundleItem
from chalicelib.catalog.model import ShopNotFound
from chalicelib.catalog.prices import ListPriceNotAsked
from chalicelib.catalog.usage import Usage
from chalicelib.kernel.errors import Invalid, Stale
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.runtime import clock
from chalicelib.runtime.meter import measured
from chalicelib.runtime.transaction import Transaction
from tests.builders import catalog as build
from tests.client import Client

CTX = build.context()


def yuan(amount: int) -> Money:
    return Money(amount * 100, "CNY")


@contextmanager
def the_clock_at(instant: Instant) -> Iterator[None]:
    """Requests are served at this moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: instant)
        yield


BUNDLE = (
    BundleGroup(
        {"zh-CN": "基础", "en": "Basics"},
        (BundleItem({"zh-CN": "洗剪吹", "en": "Cut"}, 1, yuan(128)), BundleItem({"en": "Mask"}, 2, yuan(60))),
        choose=2,
    ),
    BundleGroup(
        {"en": "Treats"},
        tuple(BundleItem({"en": name}, 1, yuan(value)) for name, value in (("Tea", 20), ("Nap", 80), ("Oil", 50))),
        choose=1,
    ),
    BundleGroup({"en": "Extras"}, (BundleItem({"en": "Comb"}, 3, yuan(9)),) * 2, choose=1, rule="at_most"),
)
USAGE = Usage(
    valid_days=90,
    blackout=(date(2026, 12, 31), date(2027, 1, 1), date(2027, 2, 14)),
    weekly={**dict.fromkeys(range(5), ((600, 1020),)), 6: ((1080, 1560),)},
    per_visit=2,
    stackable=False,
    reservation=True,
)


def test_a_bundle_shows_its_groups_and_what_it_is_worth() -> None:
    """Quantities, how many may be chosen, and the value of the cheapest and of the dearest choice."""
    page = build.stored_page()
    service.put_offer(CTX, build.next_version(page.offers[0], bundle=BUNDLE))
    bundle = Client().get(f"/v1/offers/{page.offers[0].id}").json["bundle"]
    assert [group["text"] for group in bundle["groups"]] == ["All 2 included", "Choose 1 of 3", "Choose up to 1 of 2"]
    assert bundle["groups"][0]["items"][1] == {
        "name": "Mask",
        "quantity": 2,
        "value": {"amount_minor": 6_000, "currency": "CNY"},
    }
    assert bundle["total_value"] == {"amount_minor": 18_800 + 2_000 + 900, "currency": "CNY"}
    assert bundle["total_value_most"] == {"amount_minor": 18_800 + 8_000 + 900, "currency": "CNY"}
    assert service.offer(CTX, page.offers[0].id, 2).bundle == BUNDLE
    assert service.offer(CTX, page.offers[0].id, 1).bundle == ()
    chinese = Client(language="zh-CN").get(f"/v1/offers/{page.offers[0].id}").json["bundle"]["groups"]
    assert [group["text"] for group in chinese] == ["共 2 项，全部包含", "3 选 1", "2 项中最多选 1 项"]


def test_usage_rules_read_as_sentences_behind_the_shops_own() -> None:
    """What a person reads comes from what a program reads."""
    page = build.stored_page()
    own = ({"zh-CN": "凭短信到店", "en": "Show the text message"},)
    service.put_offer(CTX, build.next_version(page.offers[0], usage=USAGE, usage_rules=own))
    shown = Client().get(f"/v1/offers/{page.offers[0].id}").json
    assert shown["usage_rules"] == [
        "Show the text message",
        "Valid for 90 days from the purchase",
        "Can be used Mon to Fri 10:00–17:00; Sun 18:00–02:00 of the next day",
        "Cannot be used on 31 Dec 2026 to 1 Jan 2027, 14 Feb 2027",
        "At most 2 per visit",
        "Cannot be combined with the shop's other offers",
        "Reservation needed",
    ]
    assert shown["usage"]["blackout_dates"] == ["2026-12-31", "2027-01-01", "2027-02-14"]
    assert shown["usage"]["weekly"][5] == {"weekday": "saturday", "intervals": []}
    assert Client(language="zh-CN").get(f"/v1/offers/{page.offers[0].id}").json["usage_rules"][1:5] == [
        "购买后 90 天内有效",
        "可用时间：周一至周五 10:00–17:00；周日 18:00–次日 02:00",
        "不可用日期：2026年12月31日至2027年1月1日、2027年2月14日",
        "每次到店最多使用 2 份",
    ]
    assert service.offer(CTX, page.offers[0].id).usage == USAGE


def test_an_offer_without_such_rules_says_nothing_of_them() -> None:
    page = build.stored_page()
    shown = Client().get(f"/v1/offers/{page.offers[0].id}").json
    assert (shown["bundle"], shown["usage_rules"], shown["list_price"]) == (None, [], None)
    assert set(map(str, shown["usage"].values())) == {"None", "[]"}


@pytest.mark.parametrize(
    ("badge", "chinese", "english"),
    [
        ("anytime", "随时退", "Refund any time"),
        ("before_deadline", "提前退", "Free cancellation in time"),
        ("on_expiry", "过期退", "Refund on expiry"),
        ("none", "不可退", "No refund"),
    ],
)
def test_a_refund_badge_is_named_in_both_languages(badge: str, chinese: str, english: str) -> None:
    page = build.stored_page()
    service.put_offer(CTX, build.next_version(page.offers[0], refund_badge=badge))
    for language, words in (("zh-CN", chinese), ("en", english)):
        shown = Client(language=language).get(f"/v1/offers/{page.offers[0].id}").json
        assert (shown["refund_badge"], shown["refund_badge_text"]) == (badge, words)


# Prices


def test_the_store_keeps_what_an_offer_cost_whatever_the_writer_says() -> None:
    """One point a change; a change of words adds none, a time off the shelf has no price."""
    page = build.stored_page()
    offer = page.offers[0]
    steps = (
        (1, {"price": yuan(150)}),
        (2, {"description": {"en": "Now with tea"}}),
        (3, {"state": "off_shelf"}),
        (5, {"state": "on_shelf", "price": yuan(99)}),
    )
    for days, changes in steps:
        offer = build.next_version(offer, **changes)
        service.put_offer(CTX.at(build.NOON.plus(days=days)), offer)
    history = service.offer(CTX, offer.id).history
    assert [(point.since, point.amount_minor) for point in history.points] == [
        (build.NOON, 12_800),
        (build.NOON.plus(days=1), 15_000),
        (build.NOON.plus(days=3), None),
        (build.NOON.plus(days=5), 9_900),
    ]
    assert service.offer(CTX, offer.id, 2).history.points == history.points[:2]


def test_a_struck_through_price_was_really_asked() -> None:
    """128 for forty days, then 99 beside a struck-through 128: shown for thirty days, with the history beside it."""
    page = build.stored_page()
    offer = page.offers[0]
    sale = build.next_version(offer, price=yuan(99), list_price=yuan(128))
    began = build.NOON.plus(days=40)
    with pytest.raises(ListPriceNotAsked) as refused:
        service.put_offer(CTX.at(began), replace(sale, list_price=yuan(129)))
    assert (refused.value.status, refused.value.errors[0]["field"]) == (422, "list_price")
    assert service.offer(CTX, offer.id).version == 1
    service.put_offer(CTX.at(began), sale)
    with the_clock_at(began.plus(days=29)):
        shown = Client().get(f"/v1/offers/{offer.id}").json
    assert shown["list_price"] == {"amount_minor": 12_800, "currency": "CNY"}
    assert shown["price_history"] == {
        "lowest_30d": {"amount_minor": 9_900, "currency": "CNY"},
        "points": [
            {"from": str(build.NOON), "price": {"amount_minor": 12_800, "currency": "CNY"}},
            {"from": str(began), "price": {"amount_minor": 9_900, "currency": "CNY"}},
        ],
    }
    with the_clock_at(began.plus(days=30)):
        assert Client().get(f"/v1/offers/{offer.id}").json["list_price"] is None
    # Words may still change; the price beside it is no new announcement, and stays unseen.
    service.put_offer(CTX.at(began.plus(days=31)), replace(sale, description={"en": "Tea"}, version=3))


def test_a_new_offer_has_no_price_to_strike_through() -> None:
    shop = build.shop(city=build.stored_city().code)
    offer = build.offer(shop, list_price=yuan(300))
    with pytest.raises(ListPriceNotAsked):
        service.put_shop_page(CTX, build.ShopPage(shop, (offer,), ()))
    with pytest.raises(Invalid):
        service.put_shop_page(CTX, build.ShopPage(shop, (replace(offer, list_price=yuan(1)),), ()))
    with pytest.raises(ShopNotFound):
        service.shop(CTX, shop.id)


# What a page costs


def big_page() -> build.ShopPage:
    """Two hundred offers and a hundred people: far more than a unit's four kilobytes. Written row by row, for the use
    cases would read and check the whole page for each."""
    page = build.stored_page(offers=0, members=0)
    made = [build.offer(page.shop, rank=rank, description={"en": "w" * 400}) for rank in range(200)]
    people = [build.staff(page.shop, *made[:10], rank=rank) for rank in range(100)]
    for begin in range(0, 200, 50):
        tx = Transaction()
        for offer in made[begin : begin + 50]:
            tables.put_offer(tx, offer, Stale())
        tx.commit()
    tx = Transaction()
    for member in people:
        tables.put_staff(tx, member, Stale())
    tx.commit()
    return service.whole_page(CTX, page.shop.id)


def test_a_hot_page_costs_at_most_one_read_unit(capsys: pytest.CaptureFixture[str]) -> None:
    """However large it is and whichever of its parts is looked at, once it is known; a change is seen at once."""
    page = big_page()
    paths = (f"/v1/shops/{page.shop.id}", f"/v1/shops/{page.shop.id}/offers", f"/v1/offers/{page.offers[0].id}")
    costs = []
    for seconds in range(9):
        with the_clock_at(build.NOON.plus(seconds=seconds)), measured() as used:
            assert {Client().get(path).status for path in paths} == {200}
        costs.append(used.read_units)
    with capsys.disabled():
        sys.stdout.write(f"\nread units of a page of {len(page.offers)} offers and 100 staff, by second: {costs}\n")
    assert costs[0] > 10
    assert costs[1] == 0
    assert max(costs[3:]) <= 0.5
    service.put_offer(CTX, build.next_version(page.offers[0], price=yuan(1)))
    with the_clock_at(build.NOON.plus(seconds=8)):
        assert Client().get(paths[2]).json["price"]["amount_minor"] == 100


def test_a_change_through_another_process_is_seen_after_two_seconds() -> None:
    """The lock tells, at half a unit, and only then the page is read."""
    page = build.stored_page()
    assert pages.shop_page(CTX, page.shop.id).shop.sales == 300
    known = dict(pages._pages)
    service.put_shop(CTX, build.next_version(page.shop, sales=301))
    pages._pages.update(known)  # as in a process that did not write
    assert pages.shop_page(CTX.at(build.NOON.plus(ms=1_999)), page.shop.id).shop.sales == 300
    for seconds, units in ((2, 1.5), (4, 0.5), (6, 0.5)):
        with measured() as used:
            assert pages.shop_page(CTX.at(build.NOON.plus(seconds=seconds)), page.shop.id).shop.sales == 301
        assert used.read_units <= units


def test_a_process_remembers_a_bounded_number_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PAGES", 3)
    made = [build.stored_page().shop.id for _ in range(5)]
    for shop_id in made:
        pages.shop_page(CTX, shop_id)
    assert len(pages._pages) <= 3
    with measured() as used:
        pages.shop_page(CTX, made[-1])
    assert used.read_units == 0


def test_public_reads_may_be_kept_and_asked_again() -> None:
    """ETag, If-None-Match and Cache-Control, for each public page; another language has another mark."""
    page = build.stored_page(photos=("/media/cover.jpg", "/media/inside.jpg"))
    for path in (
        f"/v1/shops/{page.shop.id}",
        f"/v1/shops/{page.shop.id}/offers",
        f"/v1/offers/{page.offers[0].id}",
        "/v1/cities",
        "/v1/categories",
    ):
        first = Client().get(path)
        assert first.headers["Cache-Control"].startswith("public, max-age=")
        assert Client().get(path, If_None_Match=first.headers["ETag"]).status == 304
    shown = Client().get(f"/v1/shops/{page.shop.id}").json
    assert (shown["cover_url"], shown["photos"]) == ("/media/cover.jpg", ["/media/cover.jpg", "/media/inside.jpg"])


# Cities


def test_a_position_names_the_city_that_serves_it() -> None:
    """The nearest whose radius holds it, in the datum it was given in; none where nobody serves."""
    wide = build.stored_city(centre=Point(-40.0, 60.0), radius_m=50_000)
    near = build.stored_city(centre=Point(-40.1, 60.0), radius_m=8_000)
    ask = Client(language="en")
    inside = ask.get("/v1/cities?lat=-40.09&lng=60&datum=wgs84")
    assert (inside.json["here"]["code"], inside.json["here"]["names"]["zh-CN"]) == (near.code, "上海")
    assert "no-store" in inside.headers["Cache-Control"]
    assert ask.get("/v1/cities?lat=-40.2&lng=60&datum=wgs84").json["here"]["code"] == wide.code
    assert ask.get("/v1/cities?lat=-45&lng=60&datum=wgs84").json["here"] is None
    assert ask.get("/v1/cities").json["here"] is None


@pytest.mark.parametrize("query", ["lat=1", "lng=1", "lat=nan&lng=1", "lat=91&lng=0", "lat=1&lng=inf", "lat=x&lng=1"])
def test_a_position_that_is_none_is_refused(query: str) -> None:
    assert Client().get(f"/v1/cities?{query}").status == 422
