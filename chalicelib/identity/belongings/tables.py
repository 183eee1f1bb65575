"""Rows of addresses and favourites, below their account's key."""

from __future__ import annotations

from dataclasses import dataclass

from pynamodb.attributes import UnicodeAttribute

from chalicelib.identity.model import Favourite
from chalicelib.identity.tables import IdentityRow
from chalicelib.kernel.errors import NotFound, Stale
from chalicelib.kernel.instant import Instant
from chalicelib.runtime.dynamo import IntegerAttribute, query_all
from chalicelib.runtime.transaction import OldItem, Otherwise, Transaction


class AddressRow(IdentityRow):
    """pk `acc_…`, sk `adr#adr_…`. Everything that says where or who is in one sealed text."""

    sealed = UnicodeAttribute(attr_name="d")
    request_hash = UnicodeAttribute(attr_name="rh")
    version = IntegerAttribute(attr_name="v")
    created_ms = IntegerAttribute(attr_name="c")


class FavouriteRow(IdentityRow):
    """pk `acc_…`, sk `fav#shp_…`."""

    created_ms = IntegerAttribute(attr_name="c")


@dataclass(frozen=True)
class SealedAddress:
    """An address as it is stored; the service opens it."""

    id: str
    sealed: str
    request_hash: str
    version: int
    created_at: Instant


def _address(row: AddressRow) -> SealedAddress:
    return SealedAddress(
        row.sk.removeprefix("adr#"), row.sealed, row.request_hash, row.version, Instant(row.created_ms)
    )


def _row(account_id: str, address: SealedAddress) -> AddressRow:
    return AddressRow(
        account_id,
        f"adr#{address.id}",
        sealed=address.sealed,
        request_hash=address.request_hash,
        version=address.version,
        created_ms=address.created_at.ms,
    )


def addresses(account_id: str) -> list[SealedAddress]:
    """A1b: the addresses of an account, at most twenty."""
    return [_address(row) for row in query_all(AddressRow, account_id, AddressRow.sk.startswith("adr#"))]


def address(account_id: str, address_id: str) -> SealedAddress | None:
    """A1b: one address of an account, strongly."""
    try:
        return _address(AddressRow.get(account_id, f"adr#{address_id}", consistent_read=True))
    except AddressRow.DoesNotExist:
        return None


def address_in(old: OldItem) -> SealedAddress:
    """The address that put-if-absent ran into."""
    return _address(AddressRow.from_raw_data(old or {}))


def add_address(tx: Transaction, account_id: str, address: SealedAddress, otherwise: Otherwise) -> None:
    tx.put_new(_row(account_id, address), otherwise)


def replace_address(tx: Transaction, account_id: str, after: SealedAddress) -> None:
    """Raises Stale unless the stored version is the one before."""
    tx.put(_row(account_id, after), AddressRow.version == after.version - 1, Stale())


def remove_address(tx: Transaction, account_id: str, address_id: str) -> None:
    tx.delete(AddressRow(account_id, f"adr#{address_id}"), AddressRow.pk.exists(), NotFound())


def favourites(account_id: str) -> list[Favourite]:
    """A1c: the favourites of an account, at most 500 rows of some 90 bytes."""
    rows = query_all(FavouriteRow, account_id, FavouriteRow.sk.startswith("fav#"), consistent=False)
    return [Favourite(row.sk.removeprefix("fav#"), Instant(row.created_ms)) for row in rows]


def favourite(account_id: str, shop_id: str) -> Favourite | None:
    """A1c: one favourite, strongly."""
    try:
        row = FavouriteRow.get(account_id, f"fav#{shop_id}", consistent_read=True)
    except FavouriteRow.DoesNotExist:
        return None
    return Favourite(shop_id, Instant(row.created_ms))


def add_favourite(tx: Transaction, account_id: str, favourite: Favourite) -> None:
    """AlreadyDone when it stands."""
    row = FavouriteRow(account_id, f"fav#{favourite.shop_id}", created_ms=favourite.created_at.ms)
    tx.put_new(row, lambda _: None)


def remove_favourite(tx: Transaction, account_id: str, shop_id: str) -> None:
    """AlreadyDone when it is gone."""
    tx.delete(FavouriteRow(account_id, f"fav#{shop_id}"), FavouriteRow.pk.exists(), lambda _: None)
