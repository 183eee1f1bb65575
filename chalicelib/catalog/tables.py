"""The catalogue's rows: one table, one kind of row, no index; and the logs of the cities in a table of their own.

| pk | sk | what |
|---|---|---|
| tag of the shop | `-` | the shop |
| | `ofr#<half>` `stf#<half>` | current offers and staff |
| | `ver#<half>#v0003` | an offer's immutable version |
| | `~` | the page's lock: how often any of the above was written |
| `mch_…` | `-`, `shp#<shop id>` | the merchant, its shops |
| `cities`, `categories` | code | the few of each |
| `city#<code>` | shop id | a listing: what the public sees of a shop, for search |

The log has a table of its own because those who take part in it without changing a shop, a booking for one, must not be
allowed to write what is for sale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chalicelib.catalog import changes, packing
from chalicelib.catalog.changes import Change
from chalicelib.catalog.model import Category, City, Merchant, Offer, Shop, ShopPage, Staff
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Problem
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import Transaction

T = TypeVar("T")

_LOG_DAYS = 2
_LOCK = "~"  # sorts behind everything that a page Query reads


class CatalogRow(Row):
    """`version` counts the writes of this row; the content is packed."""

    class Meta:
        table_name = table_name("catalog")

    version = IntegerAttribute(attr_name="v")
    content = PackedAttribute(attr_name="d", null=True)


class LogRow(Row):
    """pk `<city>`, sk `-`: the number of the last entry of the city's log. pk `<city>#log`, sk `%012d`: an entry.

    The number moves from n to n + 1 in the transaction that writes entry n + 1, on condition that it is n: the log has
    no gaps, and its order is that in which the changes came to be."""

    class Meta:
        table_name = table_name("city_log")
        ttl_attribute = "t"

    number = IntegerAttribute(attr_name="n", null=True)
    content = PackedAttribute(attr_name="d", null=True)
    ttl = IntegerAttribute(attr_name="t", null=True)


def _half(typed_id: str) -> str:
    return ids.split(typed_id)[1]


def _city_key(city: str) -> str:
    return f"city#{city}"


def _log_key(city: str) -> str:
    return f"{city}#log"


def _get(pk: str, sk: str, read: Callable[[Any], T], *, consistent: bool) -> T | None:
    for row in CatalogRow.query(pk, CatalogRow.sk == sk, consistent_read=consistent):
        return read(row.content)
    return None


def get_shop(shop_id: str, *, consistent: bool) -> Shop | None:
    """A6, the shop alone."""
    found = _get(ids.tag(shop_id), "-", packing.to_shop, consistent=consistent)
    return found if found is not None and found.id == shop_id else None


def get_page(shop_tag: str, *, consistent: bool) -> ShopPage | None:
    """A6: a shop with all its offers and staff, in one Query, by the tag that its offers' ids carry."""
    shop: Shop | None = None
    offers: list[Offer] = []
    staff: list[Staff] = []
    for row in query_all(CatalogRow, shop_tag, CatalogRow.sk < "ver#", consistent=consistent):
        if row.sk == "-":
            shop = packing.to_shop(row.content)
        elif row.sk.startswith("ofr#"):
            offers.append(packing.to_offer(row.content))
        else:
            staff.append(packing.to_staff(row.content))
    if shop is None:
        return None
    offers.sort(key=lambda offer: (offer.rank, offer.id))
    staff.sort(key=lambda member: (member.rank, member.id))
    return ShopPage(shop, tuple(offers), tuple(staff))


def get_offer(offer_id: str, *, consistent: bool) -> Offer | None:
    """A7, as it is now."""
    shop_tag, half = ids.split(offer_id)
    return _get(shop_tag, f"ofr#{half}", packing.to_offer, consistent=consistent)


def get_offer_version(offer_id: str, version: int) -> Offer | None:
    """A7, as it was."""
    shop_tag, half = ids.split(offer_id)
    return _get(shop_tag, f"ver#{half}#v{version:04d}", packing.to_offer, consistent=True)


def get_merchant(merchant_id: str, *, consistent: bool) -> Merchant | None:
    """A8, the merchant alone."""
    return _get(merchant_id, "-", packing.to_merchant, consistent=consistent)


def shop_ids_of_merchant(merchant_id: str) -> list[str]:
    """A8."""
    rows = query_all(CatalogRow, merchant_id, CatalogRow.sk.startswith("shp#"))
    return [row.sk.removeprefix("shp#") for row in rows]


def all_cities() -> list[City]:
    """A10, the cities that are served."""
    cities = [packing.to_city(row.content) for row in query_all(CatalogRow, "cities", consistent=False)]
    return sorted(cities, key=lambda city: (city.rank, city.code))


def all_categories() -> list[Category]:
    """A10, the categories."""
    found = [packing.to_category(row.content) for row in query_all(CatalogRow, "categories", consistent=False)]
    return sorted(found, key=lambda category: (category.rank, category.code))


def city_sequence(city: str, *, consistent: bool) -> int:
    """A10: what a warm function polls; 0 for a city whose log is empty."""
    for row in LogRow.query(city, LogRow.sk == "-", consistent_read=consistent):
        return int(row.number)
    return 0


def listings(city: str) -> Iterator[ShopPage]:
    """A10: what the public sees of every listed shop of a city, by id, read strongly and a page of rows at a time."""
    for row in CatalogRow.query(_city_key(city), CatalogRow.sk > "-", consistent_read=True):
        yield packing.to_page(row.content)


def log_after(city: str, sequence: int, limit: int, *, consistent: bool) -> list[Change]:
    """A110: the entries of a city's log behind one, in order, as far as they stand there."""
    rows = LogRow.query(_log_key(city), LogRow.sk > f"{sequence:012d}", consistent_read=consistent, limit=limit)
    return [changes.unpack(int(row.sk), row.content) for row in rows]


def page_lock(shop_id: str) -> int:
    """How often the shop's page was written; 0 before the first time. Read strongly."""
    for row in CatalogRow.query(ids.tag(shop_id), CatalogRow.sk == _LOCK, consistent_read=True):
        return int(row.version)
    return 0


def _put(tx: Transaction, pk: str, sk: str, *, version: int, content: packing.Plain | None, otherwise: Problem) -> None:
    """Version 1 where nothing stands, version n over n - 1."""
    row = CatalogRow(pk, sk, version=version, content=content)
    if version == 1:
        tx.put_new(row, otherwise)
    else:
        tx.put(row, CatalogRow.version == version - 1, otherwise)


def put_city(tx: Transaction, city: City) -> None:
    tx.put(CatalogRow("cities", city.code, version=1, content=packing.of_city(city)))


def put_category(tx: Transaction, category: Category) -> None:
    tx.put(CatalogRow("categories", category.code, version=1, content=packing.of_category(category)))


def put_merchant(tx: Transaction, merchant: Merchant, otherwise: Problem) -> None:
    _put(
        tx,
        merchant.id,
        "-",
        version=merchant.version,
        content=packing.of_merchant(merchant),
        otherwise=otherwise,
    )


def put_shop(tx: Transaction, shop: Shop, otherwise: Problem) -> None:
    """The shop, and at its first version its place among its merchant's shops."""
    _put(tx, ids.tag(shop.id), "-", version=shop.version, content=packing.of_shop(shop), otherwise=otherwise)
    if shop.version == 1:
        tx.put(CatalogRow(shop.merchant_id, f"shp#{shop.id}", version=1))


def put_offer(tx: Transaction, offer: Offer, otherwise: Problem) -> None:
    """The current offer and its immutable version."""
    shop_tag, half = ids.split(offer.id)
    content = packing.of_offer(offer)
    _put(tx, shop_tag, f"ofr#{half}", version=offer.version, content=content, otherwise=otherwise)
    tx.put_new(CatalogRow(shop_tag, f"ver#{half}#v{offer.version:04d}", version=1, content=content), otherwise)


def put_staff(tx: Transaction, staff: Staff, otherwise: Problem) -> None:
    shop_tag, half = ids.split(staff.id)
    content = packing.of_staff(staff)
    _put(tx, shop_tag, f"stf#{half}", version=staff.version, content=content, otherwise=otherwise)


def move_page_lock(tx: Transaction, shop_id: str, seen: int, otherwise: Problem) -> None:
    """Every write of a page moves its lock over the one that was read before the page."""
    _put(tx, ids.tag(shop_id), _LOCK, version=seen + 1, content=None, otherwise=otherwise)


def put_listing(tx: Transaction, page: ShopPage) -> None:
    """What the public sees from now on. The page's lock guards it."""
    tx.put(CatalogRow(_city_key(page.shop.city), page.shop.id, version=1, content=packing.of_page(page)))


def remove_listing(tx: Transaction, page: ShopPage) -> None:
    tx.delete(CatalogRow(_city_key(page.shop.city), page.shop.id))


def put_change(tx: Transaction, city: str, change: Change, now: Instant, otherwise: Problem) -> None:
    """Moves the city's number to the change's, over the one before it, and writes the entry."""
    number, seen = LogRow(city, "-", number=change.sequence), change.sequence - 1
    if seen == 0:
        tx.put_new(number, otherwise)
    else:
        tx.put(number, LogRow.number == seen, otherwise)
    # The number has just been moved over its forerunner, so nobody else can have written this entry.
    ttl = now.plus(ms=_LOG_DAYS * DAY_MS).seconds
    tx.put(LogRow(_log_key(city), f"{change.sequence:012d}", content=changes.pack(change), ttl=ttl))
