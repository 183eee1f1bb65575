"""One's own addresses and favourites over HTTP."""

from __future__ import annotations

from chalicelib.identity.belongings import service
from chalicelib.identity.belongings.schemas import (
    AddressIn,
    AddressOut,
    AddressPage,
    AddressPatch,
    FavouriteOut,
    FavouritePage,
    ListQuery,
)
from chalicelib.identity.model import AddressLimit, FavouriteLimit
from chalicelib.web import cursor
from chalicelib.web.auth import MEMBER
from chalicelib.web.router import Answer, Call, Router

router = Router("me")


@router.get("/v1/me/addresses", allow=MEMBER, answers={200: AddressPage}, summary="My addresses, at most 20")
def list_addresses(call: Call) -> Answer:
    items = [AddressOut.of(address) for address in service.addresses(call.ctx, call.account_id)]
    return Answer(AddressPage(items=items, next_cursor=None))


@router.post(
    "/v1/me/addresses",
    allow=MEMBER,
    body=AddressIn,
    answers={201: AddressOut},
    errors=(AddressLimit,),
    idempotency="accepted",
    summary="Add an address",
)
def create_address(call: Call) -> Answer:
    address, stood = service.add_address(call.ctx, call.account_id, call.key, call.body_hash, call.body.fields())
    return Answer(
        AddressOut.of(address),
        201,
        location=f"/v1/me/addresses/{address.id}",
        version=address.version,
        replayed=stood,
    )


@router.get("/v1/me/addresses/{address_id}", allow=MEMBER, answers={200: AddressOut}, summary="One of my addresses")
def get_address(call: Call) -> Answer:
    address = service.address(call.ctx, call.account_id, call.id("address_id", "adr"))
    return Answer(AddressOut.of(address), version=address.version)


@router.patch(
    "/v1/me/addresses/{address_id}",
    allow=MEMBER,
    body=AddressPatch,
    answers={200: AddressOut},
    if_match=True,
    summary="Change an address",
)
def change_address(call: Call) -> Answer:
    seen = service.address(call.ctx, call.account_id, call.id("address_id", "adr"))
    call.require_version(seen.version)
    address = service.change_address(call.ctx, call.account_id, seen, call.body.changes())
    return Answer(AddressOut.of(address), version=address.version)


@router.delete("/v1/me/addresses/{address_id}", allow=MEMBER, answers={204: None}, summary="Delete an address")
def delete_address(call: Call) -> Answer:
    service.remove_address(call.account_id, call.id("address_id", "adr"))
    return Answer(status=204)


@router.get(
    "/v1/me/favourites",
    allow=MEMBER,
    query=ListQuery,
    answers={200: FavouritePage},
    summary="My favourite shops, the newest first",
)
def list_favourites(call: Call) -> Answer:
    scope = f"list_favourites|{call.account_id}"
    after = cursor.open_cursor(scope, call.query.cursor)
    page = service.favourites(call.account_id, call.query.limit, after)
    items = [FavouriteOut.of(favourite) for favourite in page.items]
    return Answer(FavouritePage(items=items, next_cursor=cursor.seal(scope, page.next_key)))


@router.put(
    "/v1/me/favourites/{shop_id}",
    allow=MEMBER,
    answers={201: FavouriteOut, 200: FavouriteOut},
    errors=(FavouriteLimit,),
    summary="Make a shop a favourite",
)
def add_favourite(call: Call) -> Answer:
    favourite, stood = service.add_favourite(call.ctx, call.account_id, call.id("shop_id", "shp"))
    return Answer(FavouriteOut.of(favourite), 200 if stood else 201)


@router.delete("/v1/me/favourites/{shop_id}", allow=MEMBER, answers={204: None}, summary="A favourite no more")
def remove_favourite(call: Call) -> Answer:
    service.remove_favourite(call.account_id, call.id("shop_id", "shp"))
    return Answer(status=204)
