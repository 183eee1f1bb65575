"""Addresses and favourites: bounded by a counter in the account's row, which moves in the same transaction."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

from chalicelib.identity import tables as accounts
from chalicelib.identity import vault
from chalicelib.identity.belongings import tables
from chalicelib.identity.belongings.tables import SealedAddress
from chalicelib.identity.model import (
    MAX_ADDRESSES,
    MAX_FAVOURITES,
    Address,
    AddressLimit,
    Favourite,
    FavouriteLimit,
)
from chalicelib.kernel import ids
from chalicelib.kernel.errors import IdempotencyKeyReused, NotFound
from chalicelib.kernel.page import Page
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, OldItem, Transaction

_FIELDS = ("label", "contact_name", "phone", "city", "district", "street", "unit", "lat_e7", "lng_e7")


def _seal(ctx: Context, account_id: str, address: Address, request_hash: str) -> SealedAddress:
    plain = json.dumps({name: getattr(address, name) for name in _FIELDS}, ensure_ascii=False)
    sealed = vault.seal(ctx.ports.secrets, f"{account_id}/{address.id}", "address", plain)
    return SealedAddress(address.id, sealed, request_hash, address.version, address.created_at)


def _unseal(ctx: Context, account_id: str, stored: SealedAddress) -> Address:
    plain = vault.unseal(ctx.ports.secrets, f"{account_id}/{stored.id}", "address", stored.sealed)
    return Address(id=stored.id, version=stored.version, created_at=stored.created_at, **json.loads(plain))


def addresses(ctx: Context, account_id: str) -> list[Address]:
    """All of an account's addresses, the newest last."""
    found = [_unseal(ctx, account_id, stored) for stored in tables.addresses(account_id)]
    return sorted(found, key=lambda address: (address.created_at, address.id))


def address(ctx: Context, account_id: str, address_id: str) -> Address:
    """Raises NotFound, also for somebody else's."""
    stored = tables.address(account_id, address_id)
    if stored is None:
        raise NotFound
    return _unseal(ctx, account_id, stored)


def add_address(
    ctx: Context, account_id: str, key: str, request_hash: str, fields: dict[str, Any]
) -> tuple[Address, bool]:
    """The address, and whether it stood already under this idempotency key. Raises AddressLimit at twenty, and
    IdempotencyKeyReused when the key came with other fields."""
    address_id = ids.derived("adr", account_id, "create_address", key) if key else ids.random_id("adr")
    made = Address(id=address_id, version=1, created_at=ctx.now, **fields)
    tx = Transaction()

    def met(old: OldItem) -> IdempotencyKeyReused | None:
        return None if tables.address_in(old).request_hash == request_hash else IdempotencyKeyReused()

    tables.add_address(tx, account_id, _seal(ctx, account_id, made, request_hash), met)
    accounts.count_address(tx, account_id, 1, MAX_ADDRESSES, AddressLimit())
    try:
        tx.commit()
    except AlreadyDone:
        return address(ctx, account_id, address_id), True
    return made, False


def change_address(ctx: Context, account_id: str, seen: Address, changes: dict[str, Any]) -> Address:
    """Raises Stale when the address changed since it was read."""
    stored = tables.address(account_id, seen.id)
    if stored is None:
        raise NotFound
    after = replace(seen, version=seen.version + 1, **changes)
    tx = Transaction()
    tables.replace_address(tx, account_id, _seal(ctx, account_id, after, stored.request_hash))
    tx.commit()
    return after


def remove_address(account_id: str, address_id: str) -> None:
    """Raises NotFound."""
    tx = Transaction()
    tables.remove_address(tx, account_id, address_id)
    accounts.count_address(tx, account_id, -1, MAX_ADDRESSES, NotFound())
    tx.commit()


def favourites(account_id: str, limit: int, after: str | None) -> Page[Favourite]:
    """The newest first. All of them are read, for they are few and small, and sorted here."""
    found = sorted(tables.favourites(account_id), key=_place, reverse=True)
    rest = [favourite for favourite in found if after is None or _place(favourite) < after]
    page = rest[:limit]
    return Page(page, _place(page[-1]) if len(rest) > limit else None)


def _place(favourite: Favourite) -> str:
    return f"{favourite.created_at.ms:014d}#{favourite.shop_id}"


def add_favourite(ctx: Context, account_id: str, shop_id: str) -> tuple[Favourite, bool]:
    """The favourite, and whether it stood already. Raises FavouriteLimit at five hundred."""
    made = Favourite(shop_id, ctx.now)
    tx = Transaction()
    tables.add_favourite(tx, account_id, made)
    accounts.count_favourite(tx, account_id, 1, MAX_FAVOURITES, FavouriteLimit())
    try:
        tx.commit()
    except AlreadyDone:
        return tables.favourite(account_id, shop_id) or made, True
    return made, False


def remove_favourite(account_id: str, shop_id: str) -> None:
    """What is no favourite stays none."""
    tx = Transaction()
    tables.remove_favourite(tx, account_id, shop_id)
    accounts.count_favourite(tx, account_id, -1, MAX_FAVOURITES, FavouriteLimit())
    with suppress(AlreadyDone):
        tx.commit()
