"""Many who write in one city at once: its log has no gap, and who follows it has the city as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import pytest

from chalicelib.catalog import citylog, service, tables
from chalicelib.catalog.changes import LogTrimmed
from chalicelib.catalog.model import Shop, ShopPage
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.search import service as search
from tests.builders import catalog as build
from tests.races.together import at_once

CTX = build.context()


def followed(city: str) -> dict[str, ShopPage]:
    """What the log says from its first entry on."""
    found: dict[str, ShopPage] = {}
    seen, last = 0, citylog.sequence(city, consistent=True)
    while seen < last:
        for change in citylog.changes_after(city, seen, limit=7):
            assert change.sequence == seen + 1
            seen = change.sequence
            if change.page is not None:
                found[change.page.shop.id] = change.page
            elif change.gone:
                del found[change.gone]
    return found


def listed(city: str) -> dict[str, ShopPage]:
    return {page.shop.id: page for page in service.shops_of_city(CTX, city)}


def test_writers_beside_each_other_leave_no_gap() -> None:
    """Sixteen people at once: prices, closed shops, moves between two cities, and notes of days."""
    one, other = build.stored_city(), build.stored_city()
    pages = [build.stored_page(city=one.code) for _ in range(8)]

    def change_price(page: ShopPage) -> None:
        for version in range(2, 6):
            price = Money(100 * version, "CNY")
            service.put_offer(CTX, replace(page.offers[0], price=price, version=version))

    def move(shop: Shop) -> None:
        service.put_shop(CTX, replace(shop, city=other.code, version=2))
        service.put_shop(CTX, replace(shop, city=one.code, version=3))
        service.put_shop(CTX, replace(shop, state="suspended", version=4))

    def note(page: ShopPage) -> None:
        for revision in range(1, 6):
            day = date(2026, 11, 24)
            search.note_day(
                CTX, shop_id=page.shop.id, city=one.code, day=day, bookable_until=Instant(revision), revision=revision
            )

    before = citylog.sequence(one.code, consistent=True)
    acts = [partial(change_price, page) for page in pages] + [partial(note, page) for page in pages[:4]]
    at_once([*acts, *(partial(move, page.shop) for page in pages[:4])])
    assert followed(one.code) == listed(one.code)
    assert set(listed(one.code)) == {page.shop.id for page in pages[4:]}
    assert followed(other.code) == listed(other.code) == {}
    assert citylog.sequence(one.code, consistent=True) - before >= 8 * 4 + 4 * 5


def test_a_log_that_was_trimmed_says_so() -> None:
    """Its oldest entries live two days; who is further behind must begin anew."""
    city = build.stored_city()
    for _ in range(3):
        build.stored_page(city=city.code)
    rows = list(tables.LogRow.query(f"{city.code}#log"))
    assert {row.ttl for row in rows} == {CTX.now.plus(days=2).seconds}
    rows[0].delete()
    with pytest.raises(LogTrimmed):
        citylog.changes_after(city.code, 0)
    assert [change.sequence for change in citylog.changes_after(city.code, 1)] == [2, 3]
    rows[1].delete()
    with pytest.raises(LogTrimmed):
        citylog.changes_after(city.code, 1)


def test_what_the_public_does_not_see_is_not_in_the_log() -> None:
    """A description, a draft, a price that did not change."""
    page = build.stored_page(city=build.stored_city().code)
    seen = citylog.sequence(page.shop.city, consistent=True)
    service.put_shop(CTX, build.next_version(page.shop, description={"en": "Longer"}))
    service.put_offer(CTX, build.offer(page.shop, state="draft"))
    assert citylog.sequence(page.shop.city, consistent=True) == seen
