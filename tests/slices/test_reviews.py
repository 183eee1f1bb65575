"""Reviews through the whole app: who may write one, who sees it, and what it does to the shop's rating."""

from __future__ import annotations

from tests.builders import reviews as build
from tests.builders.orders import expect
from tests.client import Client


def test_a_review_is_listed_and_moves_the_shops_rating() -> None:
    """Written, on the shop's list, counted on the shop's page, found by search with the new rating."""
    visit = build.served()
    shop_id = visit.salon.shop.id
    review = build.reviewed(visit)
    listed = expect(Client().get(f"/v1/shops/{shop_id}/reviews"), 200)
    assert [(one["id"], one["author"], one["stars"]) for one in listed["items"]] == [(review["id"], "L**", 5)]
    shop = expect(Client().get(f"/v1/shops/{shop_id}"), 200)
    assert shop["reviews"] == listed["summary"]
    assert shop["reviews"] == {
        "count": 1,
        "service": 5.0,
        "environment": 4.0,
        "value": 5.0,
        "stars": {"5": 1, "4": 0, "3": 0, "2": 0, "1": 0},
    }
    assert (shop["rating"], shop["rating_count"]) == (4.24, 1)
    assert shop["version"] == visit.salon.shop.version
    (hit,) = expect(Client().get(f"/v1/search?q={shop_id[-8:]}"), 200)["items"]
    assert (hit["rating"], hit["rating_count"]) == (4.24, 1)
