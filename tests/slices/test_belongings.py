"""Addresses and favourites, over HTTP."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from chalicelib.kernel import ids
from tests import engine
from tests.builders import identity as people

ADDRESS = {
    "label": "家",
    "contact_name": "李雷",
    "phone": "+8613812345678",
    "city": "上海",
    "district": "静安区",
    "street": "南京西路 1266 号",
    "unit": "2 幢 301",
    "position": {"lat": 31.2304, "lng": 121.4737, "datum": "gcj02"},
}


def test_an_address_is_kept_read_changed_and_deleted() -> None:
    """Its phone is masked, its position comes back where it was put, its version guards the edit."""
    client = people.person().client
    made = client.post("/v1/me/addresses", ADDRESS)
    assert made.status == 201
    assert (made.json["street"], made.json["phone_masked"]) == ("南京西路 1266 号", "+86 *******5678")
    assert "13812345678" not in made.text
    assert made.json["position"] == {"lat": 31.2304, "lng": 121.4737, "datum": "gcj02"}
    where = made.headers["Location"]
    assert client.get(where).json == made.json
    assert client.patch(where, {"unit": "3 幢"}).status == 428
    changed = client.patch(where, {"unit": "3 幢", "position": None}, If_Match=made.headers["ETag"])
    assert (changed.json["unit"], changed.json["position"], changed.json["version"]) == ("3 幢", None, 2)
    assert changed.json["contact_name"] == "李雷"
    assert client.patch(where, {"unit": "4 幢"}, If_Match=made.headers["ETag"]).status == 412
    assert client.get("/v1/me/addresses").json == {"items": [changed.json], "next_cursor": None}
    assert client.delete(where).status == 204
    assert client.delete(where).status == 404
    assert client.get("/v1/me/addresses").json["items"] == []


def test_a_strangers_address_is_not_found() -> None:
    """To read, change and delete it; and it stays as it was."""
    mine, stranger = people.person().client, people.person().client
    where = mine.post("/v1/me/addresses", ADDRESS).headers["Location"]
    before = engine.digest()
    answers = [stranger.get(where), stranger.patch(where, {"unit": "x"}, If_Match="*"), stranger.delete(where)]
    assert [reply.status for reply in answers] == [404, 404, 404]
    assert engine.digest() == before


def test_the_same_key_makes_one_address_and_another_body_is_refused() -> None:
    """A replay answers the first status with the address as it is now."""
    client, key = people.person().client, secrets.token_hex(8)
    first = client.post("/v1/me/addresses", ADDRESS, key=key)
    client.patch(first.headers["Location"], {"label": "公司"}, If_Match='"1"')
    again = client.post("/v1/me/addresses", ADDRESS, key=key)
    assert (again.status, again.json["id"], again.json["label"]) == (201, first.json["id"], "公司")
    assert (first.headers.get("Idempotent-Replayed"), again.headers["Idempotent-Replayed"]) == (None, "true")
    other = client.post("/v1/me/addresses", {**ADDRESS, "unit": "9"}, key=key)
    assert (other.status, other.code) == (422, "idempotency_key_reused")


def test_the_twenty_first_address_is_refused_until_one_is_deleted() -> None:
    """A replay of the twentieth is still answered."""
    client = people.person().client
    made = [client.post("/v1/me/addresses", ADDRESS, key=f"k{i}") for i in range(20)]
    assert {reply.status for reply in made} == {201}
    refused = client.post("/v1/me/addresses", ADDRESS, key="k20")
    assert (refused.status, refused.code) == (409, "address_limit")
    assert client.post("/v1/me/addresses", ADDRESS, key="k19").status == 201
    client.delete(made[0].headers["Location"])
    assert client.post("/v1/me/addresses", ADDRESS, key="k20").status == 201
    assert len(client.get("/v1/me/addresses").json["items"]) == 20


@pytest.mark.parametrize(
    "change",
    [
        {"position": {"lat": 31.2, "lng": 121.4}},
        {"position": {"lat": 91, "lng": 121.4, "datum": "wgs84"}},
        {"position": {"lat": "31.2", "lng": 121.4, "datum": "wgs84"}},
        {"street": ""},
        {"street": "x" * 201},
        {"contact_name": None},
        {"phone": "13812345678"},
        {"owner": "acc_1"},
    ],
)
def test_an_unacceptable_address_is_422_and_changes_nothing(change: dict[str, Any]) -> None:
    """A position must name its datum; text is bounded; unknown fields are refused."""
    client = people.person().client
    before = engine.digest()
    reply = client.post("/v1/me/addresses", {**ADDRESS, **change})
    assert (reply.status, reply.code, engine.digest()) == (422, "invalid_request", before)


def test_favourites_are_listed_newest_first_page_by_page() -> None:
    """Every shop once, and a cursor of somebody else's list is refused."""
    client, shops = people.person().client, [ids.random_id("shp") for _ in range(7)]
    for shop in shops:
        assert client.request("PUT", f"/v1/me/favourites/{shop}").status == 201
    assert client.request("PUT", f"/v1/me/favourites/{shops[0]}").status == 200
    found, cursor = [], ""
    while True:
        page = client.get(f"/v1/me/favourites?limit=3{cursor}").json
        found += [item["shop_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(found) == sorted(shops)
    times = [item["created_at"] for item in client.get("/v1/me/favourites?limit=100").json["items"]]
    assert times == sorted(times, reverse=True)
    assert people.person().client.get(f"/v1/me/favourites?limit=3{cursor}").code == "cursor_invalid"


def test_a_favourite_can_be_taken_back_twice() -> None:
    """What is gone stays gone, and makes room exactly once."""
    client, shop = people.person().client, ids.random_id("shp")
    client.request("PUT", f"/v1/me/favourites/{shop}")
    assert client.delete(f"/v1/me/favourites/{shop}").status == 204
    before = engine.digest()
    assert client.delete(f"/v1/me/favourites/{shop}").status == 204
    assert engine.digest() == before
    assert client.get("/v1/me/favourites").json == {"items": [], "next_cursor": None}


def test_the_five_hundred_and_first_favourite_is_refused() -> None:
    """The counter in the account's row is what bounds the list."""
    person = people.person()
    from chalicelib.identity.belongings import service

    ctx = people.context()
    for i in range(500):
        service.add_favourite(ctx, person.account_id, ids.derived("shp", str(i)))
    refused = person.client.request("PUT", f"/v1/me/favourites/{ids.random_id('shp')}")
    assert (refused.status, refused.code) == (409, "favourite_limit")
    assert person.client.request("PUT", f"/v1/me/favourites/{ids.derived('shp', '7')}").status == 200


@pytest.mark.parametrize("shop", ["shp_1", "ofr_0123456789abcdefghjkmnpqrs", "%2e%2e"])
def test_what_is_no_shop_id_is_not_found(shop: str) -> None:
    """A malformed id names nothing."""
    assert people.person().client.request("PUT", f"/v1/me/favourites/{shop}").status == 404
