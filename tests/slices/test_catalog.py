"""The catalogue over HTTP and through its use cases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date

import pytest

from chalicelib.catalog import citylog, service
from chalicelib.catalog.hours import Hours, every_day
from chalicelib.catalog.model import Chair, OfferNotFound, Override, ShopNotFound
from chalicelib.kernel import geo, ids
from chalicelib.kernel.errors import Invalid, InvalidTransition, Stale
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.runtime.meter import measured
from tests.builders import catalog as build
from tests.client import Client

CTX = build.context()


def test_a_shop_page_shows_the_shop_and_its_staff() -> None:
    """Names come in the caller's language, the position in GCJ-02."""
    page = build.stored_page(phone_public="021-6333 0001")
    shop = Client(language="zh-CN").get(f"/v1/shops/{page.shop.id}").json
    shown = geo.to_gcj02(page.shop.position)
    assert shop["name"] == "云尚造型"
    assert shop["position"] == {"lat": round(shown.lat, 6), "lng": round(shown.lng, 6), "datum": "gcj02"}
    assert shop["contact"] == {"phone": "021-6333 0001"}
    assert shop["hours"]["weekly"][0] == {
        "weekday": "monday",
        "intervals": [{"opens": "10:00", "closes": "22:00", "closes_next_day": False}],
    }
    assert shop["staff"] == [
        {
            "id": page.staff[0].id,
            "name": "周凯",
            "title": "总监",
            "photo": None,
            "offer_ids": [page.offers[0].id],
        }
    ]
    assert Client().get(f"/v1/shops/{page.shop.id}").json["name"] == "Yunshang Hair"


def test_a_language_that_a_name_lacks_falls_back_to_chinese() -> None:
    page = build.stored_page(name={"zh-CN": "阿强理发"})
    assert Client(language="en").get(f"/v1/shops/{page.shop.id}").json["name"] == "阿强理发"


def test_a_read_carries_an_etag_and_may_be_kept_for_a_moment() -> None:
    page = build.stored_page(hours=every_day((0, 1440)))
    for path in (f"/v1/shops/{page.shop.id}", f"/v1/offers/{page.offers[0].id}", "/v1/categories"):
        first = Client().get(path)
        assert first.headers["Cache-Control"].startswith("public, max-age=")
        again = Client().get(path, If_None_Match=first.headers["ETag"])
        assert (again.status, again.text) == (304, "")


def test_an_offer_shows_what_an_order_needs() -> None:
    shop = build.shop(city=build.stored_city().code)
    offer = build.offer(shop, options=(build.option(),), usage_rules=({"zh-CN": "需提前预约", "en": "Book ahead"},))
    build.stored_page(build.ShopPage(shop, (offer,), (build.staff(shop, offer),)))
    body = Client().get(f"/v1/offers/{offer.id}").json
    assert body["price"] == {"amount_minor": 12_800, "currency": "CNY"}
    assert (body["kind"], body["confirmation"], body["version"]) == ("appointment", "instant", 1)
    assert body["options"][0]["price_delta"] == {"amount_minor": 3_000, "currency": "CNY"}
    assert body["usage_rules"] == ["Book ahead"]
    assert [step["refund_bps"] for step in body["policy"]["steps"]] == [10_000, 5_000]
    assert body["policy"]["steps"][0]["text"] == "Cancelled 2 hours or more before the start: full refund"
    assert body["policy"]["steps"][1]["text"] == "Cancelled later: 50% back"


def test_offers_come_in_the_shops_order_page_by_page() -> None:
    """Three pages of two hold all five, each once."""
    page = build.stored_page(offers=5)
    found, cursor = [], ""
    for _ in range(3):
        reply = Client().get(f"/v1/shops/{page.shop.id}/offers?limit=2{cursor}").json
        found += [item["id"] for item in reply["items"]]
        cursor = f"&cursor={reply['next_cursor']}"
    assert found == [offer.id for offer in page.offers]
    assert reply["next_cursor"] is None


@pytest.mark.parametrize("state", ["draft", "off_shelf"])
def test_what_is_not_on_the_shelf_is_not_there(state: str) -> None:
    shop = build.shop(city=build.stored_city().code)
    hidden, shown = build.offer(shop, state=state), build.offer(shop)
    build.stored_page(build.ShopPage(shop, (hidden, shown), ()))
    reply = Client().get(f"/v1/offers/{hidden.id}")
    assert (reply.status, reply.code) == (404, "offer_not_found")
    items = Client().get(f"/v1/shops/{shop.id}/offers").json["items"]
    assert [item["id"] for item in items] == [shown.id]
    assert service.offer(CTX, hidden.id).state == state


def test_a_shop_that_is_not_approved_is_not_there_and_neither_are_its_offers() -> None:
    page = build.stored_page(state="suspended")
    assert Client().get(f"/v1/shops/{page.shop.id}").code == "shop_not_found"
    assert Client().get(f"/v1/shops/{page.shop.id}/offers").code == "shop_not_found"
    assert Client().get(f"/v1/offers/{page.offers[0].id}").code == "offer_not_found"
    assert service.shop(CTX, page.shop.id).state == "suspended"
    assert list(service.shops_of_city(CTX, page.shop.city)) == []


@pytest.mark.parametrize("shop_id", ["shp_nothing", "ofr_0123456789abcdefghjkmnpqrs", "%2e%2e", "shp_" + "0" * 26])
def test_an_id_that_names_no_shop_is_404(shop_id: str) -> None:
    assert Client().get(f"/v1/shops/{shop_id}").status == 404


def test_an_offer_id_that_only_shares_a_shops_tag_is_404() -> None:
    page = build.stored_page()
    other = ids.owned("ofr", page.shop.id, "never made")
    assert Client().get(f"/v1/offers/{other}").code == "offer_not_found"
    with pytest.raises(OfferNotFound):
        service.offer(CTX, other)


def test_everything_reads_back_as_it_was_put() -> None:
    """Hours with exceptions, breaks, time off, overrides, chairs and options survive the store."""
    shop = build.shop(
        city=build.stored_city().code,
        hours=Hours({0: ((540, 720), (780, 1560))}, {date(2026, 12, 31): (), date(2027, 1, 1): ((600, 900),)}),
        description={"zh-CN": "老弄堂里的理发店"},
        photos=("/media/a.jpg",),
    )
    chair = Chair(ids.owned("chr", shop.id, "1"), {"zh-CN": "1 号椅"})
    shop = replace(shop, chairs=(chair,))
    offer = build.offer(shop, options=(build.option(group="length"),), chair_ids=(chair.id,), confirmation="request")
    member = build.staff(
        shop,
        offer,
        hours=every_day((660, 1200), closed=(1,)),
        breaks=every_day((780, 840)),
        time_off=((Instant.parse("2026-12-01T00:00:00Z"), Instant.parse("2026-12-02T00:00:00Z")),),
        overrides={offer.id: Override(2_000, 75)},
    )
    page = build.ShopPage(shop, (offer,), (member,))
    service.put_shop_page(CTX, page)
    assert service.whole_page(CTX, shop.id) == page
    assert service.offer(CTX, offer.id) == offer
    assert service.shop_ids_of_merchant(CTX, shop.merchant_id) == [shop.id]


def test_an_offers_versions_stay_as_they_were() -> None:
    page = build.stored_page()
    first = page.offers[0]
    service.put_offer(CTX, build.next_version(first, price=Money(15_800, "CNY")))
    assert service.offer(CTX, first.id).price.amount_minor == 15_800
    assert service.offer(CTX, first.id, 1) == first
    with measured() as used:
        assert service.offer(CTX, first.id, 1) == first
    assert used.read_units == 0
    with pytest.raises(OfferNotFound):
        service.offer(CTX, first.id, 3)


def test_a_write_over_an_old_version_is_stale_and_changes_nothing() -> None:
    page = build.stored_page()
    service.put_offer(CTX, build.next_version(page.offers[0], price=Money(15_800, "CNY")))
    before = service.whole_page(CTX, page.shop.id)
    for act in (
        lambda: service.put_offer(CTX, build.next_version(page.offers[0], price=Money(9_900, "CNY"))),
        lambda: service.put_shop(CTX, replace(page.shop, version=3)),
        lambda: service.put_staff(CTX, replace(page.staff[0], rank=7)),
        lambda: service.put_shop_page(CTX, page),
    ):
        with pytest.raises(Stale):
            act()
    assert service.whole_page(CTX, page.shop.id) == before


def test_an_offer_moves_only_as_its_states_allow() -> None:
    page = build.stored_page()
    with pytest.raises(InvalidTransition):
        service.put_offer(CTX, build.next_version(page.offers[0], state="draft"))
    service.put_offer(CTX, build.next_version(page.offers[0], state="off_shelf"))
    assert service.offer(CTX, page.offers[0].id).state == "off_shelf"


def test_a_page_with_faults_is_refused_whole_and_names_each() -> None:
    shop = build.shop(city=build.stored_city().code, hours=every_day((600, 500)))
    offer = build.offer(shop, duration_minutes=7, chair_ids=(ids.owned("chr", shop.id, "x"),), policy=((0, 20_000),))
    member = build.staff(shop, build.offer(shop))
    with pytest.raises(Invalid) as refused:
        service.put_shop_page(CTX, build.ShopPage(shop, (offer,), (member,)))
    fields = {fault["field"] for fault in refused.value.errors}
    assert fields == {
        "shop.hours",
        "offers.0.duration_minutes",
        "offers.0.chair_ids",
        "offers.0.policy",
        "staff.0.offer_ids",
    }
    with pytest.raises(ShopNotFound):
        service.shop(CTX, shop.id)


def test_a_shop_outside_its_city_is_refused() -> None:
    with pytest.raises(Invalid):
        build.stored_page(position=geo.Point(39.9, 116.4))


def test_a_listing_equals_what_its_page_shows_after_every_write() -> None:
    """Put, change, unshelve, shelve, suspend, move to another city: search never sees anything else."""
    page = build.stored_page(offers=2)
    shop, offer = page.shop, page.offers[0]
    other = build.stored_city(centre=page.shop.position)
    steps = [
        lambda: service.put_offer(CTX, build.next_version(offer, price=Money(100, "CNY"))),
        lambda: service.put_offer(CTX, replace(offer, price=Money(100, "CNY"), state="off_shelf", version=3)),
        lambda: service.put_staff(CTX, build.next_version(page.staff[0], state="left")),
        lambda: service.put_shop(CTX, build.next_version(shop, sales=9)),
        lambda: service.put_shop(CTX, replace(shop, state="suspended", version=3)),
        lambda: service.put_shop(CTX, replace(shop, version=4)),
        lambda: service.put_shop(CTX, replace(shop, city=other.code, version=5)),
    ]
    seen = citylog.sequence(shop.city, consistent=True)
    for step in steps:
        step()
        whole = service.whole_page(CTX, shop.id)
        wanted = whole.listing()
        assert list(service.shops_of_city(CTX, whole.shop.city)) == ([wanted] if wanted else [])
        versions = citylog.sequence(shop.city, consistent=True)
        assert versions > seen
        seen = versions
    assert list(service.shops_of_city(CTX, shop.city)) == []


def test_concurrent_edits_of_one_shop_all_arrive_in_its_listing() -> None:
    """Eight people change eight offers of a shop at once; the listing shows all eight prices."""
    page = build.stored_page(offers=8)
    refused: list[Exception] = []

    def edit(number: int) -> None:
        try:
            service.put_offer(CTX, build.next_version(page.offers[number], price=Money(1_000 + number, "CNY")))
        except Exception as error:  # shown by the assertion below
            refused.append(error)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    listed = next(service.shops_of_city(CTX, page.shop.city))
    now = {offer.price.amount_minor for offer in service.whole_page(CTX, page.shop.id).offers}
    assert {offer.price.amount_minor for offer in listed.offers} == now
    assert (refused, now) == ([], {1_000 + number for number in range(8)})


def test_a_shop_page_is_one_query_of_at_most_one_read_unit() -> None:
    page = build.stored_page(offers=5, members=4)
    with measured() as used:
        service.shop_page(CTX, page.shop.id, consistent=False)
    assert (used.calls["Query"], used.read_units <= 1) == (1, True)


def test_cities_and_categories_come_in_their_order() -> None:
    far = build.stored_city(rank=10_001, name={"zh-CN": "甲", "en": "A"})
    near = build.stored_city(rank=10_000, name={"zh-CN": "乙", "en": "B"})
    codes = [item["code"] for item in Client().get("/v1/cities").json["items"]]
    assert codes.index(near.code) < codes.index(far.code)
