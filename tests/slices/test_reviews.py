"""Reviews through the whole app: who may write one, who sees it, and what it does to the shop's rating."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.catalog import service as catalog
from chalicelib.catalog.rating import Rating, RatingMoved
from chalicelib.kernel import ids
from chalicelib.reviews import counting, importing, tables
from chalicelib.reviews.model import Scores, rating_of
from chalicelib.runtime import audit
from tests import engine, world
from tests.builders import identity, salons
from tests.builders import orders as orders_of
from tests.builders import reviews as build
from tests.builders.orders import Visit, expect
from tests.client import Client

SALON_OF_TESTS: dict[str, Any] = {"price_minor": 0, "staff": 4}


@pytest.fixture(scope="module")
def salon() -> salons.Salon:
    """One for all tests that do not count."""
    return salons.salon(**SALON_OF_TESTS)


@pytest.fixture(scope="module")
def operator() -> Client:
    return identity.operator().client


def path(review: dict[str, Any], act: str = "") -> str:
    return f"/v1/operator/reviews/{review['id']}/{act}" if act else f"/v1/reviews/{review['id']}"


def judge(operator: Client, review: dict[str, Any], act: str, status: int = 200) -> dict[str, Any]:
    judged = expect(operator.post(path(review, act), {"reason": "Looked at"}), status)
    world.run_queues()
    return judged


def listed(shop_id: str, query: str = "") -> list[str]:
    return [one["id"] for one in expect(Client().get(f"/v1/shops/{shop_id}/reviews?{query}"), 200)["items"]]


def imported(number: int, *, score: int = 5, days_ago: int = 1) -> importing.Imported:
    return importing.Imported(
        str(number), "林", Scores(score, score, score), "", {"en": "Haircut"}, world.now().plus(days=-days_ago)
    )


# ---------------------------------------------------------------------------------------------- writing


def test_a_review_is_listed_and_moves_the_shops_rating() -> None:
    """Written, on the shop's list, counted on the shop's page, found by search with the new rating."""
    visit = build.served()
    shop_id = visit.salon.shop.id
    review = build.reviewed(visit)
    found = expect(Client().get(f"/v1/shops/{shop_id}/reviews"), 200)
    assert [(one["id"], one["author"], one["stars"]) for one in found["items"]] == [(review["id"], "L**", 5)]
    shop = expect(Client().get(f"/v1/shops/{shop_id}"), 200)
    assert shop["reviews"] == found["summary"]
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


def test_the_order_says_until_when_and_the_review_what_only_its_author_is_told(salon: salons.Salon) -> None:
    visit = build.served(salon)
    finished = next(event["at"] for event in visit.order["timeline"] if event["event"] == "finished")
    until = str(world.Instant.parse(finished).plus(days=30))
    assert visit.order["lines"][0]["reviewable_until"] == until
    review = build.reviewed(visit, anonymous=True)
    assert (review["author"], review["own"]["order_id"], review["own"]["state"]) == ("Anonymous", visit.id, "published")
    assert expect(Client(language="zh-CN").get(path(review)), 200)["author"] == "匿名用户"
    assert expect(Client().get(path(review)), 200)["own"] is None
    assert expect(identity.person().client.get(path(review)), 200)["own"] is None
    mine = expect(visit.customer.client.get(f"/v1/orders/{visit.id}/reviews"), 200)["items"]
    assert [one["id"] for one in mine] == [review["id"]]


def test_a_line_is_reviewed_once(salon: salons.Salon) -> None:
    """The same again is a replay, under any key and none; other words are told of the first ones."""
    visit = build.served(salon)
    assert expect(visit.customer.client.get(f"/v1/orders/{visit.id}/reviews"), 200)["items"] == []
    first = expect(build.write(visit, "k"), 201)
    before = engine.digest()
    for key in ("k", "other"):
        again = build.write(visit, key)
        assert (again.status, again.headers.get("Idempotent-Replayed")) == (201, "true")
        assert again.json["id"] == first["id"]
    other = build.write(visit, "third", text="Other words")
    assert (other.status, other.code, other.json["review_id"]) == (409, "already_reviewed", first["id"])
    assert build.write(visit, "k", text="Other words").code == "idempotency_key_reused"
    assert engine.digest() == before
    world.advance(days=31)
    assert build.write(visit, "k").status == 201


def test_only_what_was_had_is_reviewed_and_only_for_thirty_days(salon: salons.Salon) -> None:
    """Not before, not by others, not a line that is not there, not too late; nothing is changed by trying."""
    waiting = orders_of.booked(salon)
    visit = build.served(salon)
    stranger = Visit(salon, identity.person(), visit.order)
    before = engine.digest()
    assert build.write(waiting).code == "review_too_early"
    assert build.write(stranger).status == 404
    assert build.write(visit, line_id=ids.random_id("lin")).status == 404
    assert engine.digest() == before
    world.advance(days=30)
    before = engine.digest()
    assert build.write(visit).code == "review_closed"
    assert engine.digest() == before


BAD: dict[str, Any] = {
    "no scores": {"scores": None},
    "zero": {"scores": {**build.SCORES, "service": 0}},
    "six": {"scores": {**build.SCORES, "value": 6}},
    "a fraction": {"scores": {**build.SCORES, "value": 4.5}},
    "a dimension missing": {"scores": {"service": 5, "value": 5}},
    "a dimension more": {"scores": {**build.SCORES, "taste": 5}},
    "too long": {"text": "好" * 1_001},
    "control characters": {"text": "a\u0000b"},
    "markup": {"text": "<img src=x onerror=alert(1)>"},
    "ten images": {"images": [ids.random_id("img") for _ in range(10)]},
    "no image's id": {"images": ["https://example.org/a.jpg"]},
    "no line's id": {"line_id": "first"},
    "an unknown field": {"state": "published"},
}


@pytest.fixture(scope="module")
def waiting_for_words(salon: salons.Salon) -> Visit:
    return build.served(salon)


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_what_is_no_review_is_422_and_changes_nothing(waiting_for_words: Visit, body: dict[str, Any]) -> None:
    before = engine.digest()
    reply = build.write(waiting_for_words, **body)
    assert (reply.status, reply.code) == (422, "invalid_request"), reply.text
    assert engine.digest() == before


def test_a_photo_that_nobody_uploaded_is_none(waiting_for_words: Visit) -> None:
    before = engine.digest()
    reply = build.write(waiting_for_words, images=[ids.random_id("img")])
    assert (reply.status, reply.code, reply.json["errors"][0]["field"]) == (422, "image_unknown", "images")
    assert engine.digest() == before


def test_a_change_needs_the_version_that_was_read_and_counts_anew() -> None:
    visit = build.served()
    review = build.reviewed(visit)
    client = visit.customer.client
    assert client.patch(path(review), {"text": "x"}).status == 428
    assert client.patch(path(review), {"text": "x"}, If_Match='"7"').status == 412
    assert identity.person().client.patch(path(review), {"text": "x"}, If_Match='"1"').status == 404
    lower = {"scores": {"service": 1, "environment": 1, "value": 1}}
    changed = client.patch(path(review), lower, If_Match='"1"')
    assert (changed.status, changed.headers["ETag"]) == (200, '"2.en"')
    assert (changed.json["stars"], changed.json["text"]) == (1, review["text"])
    assert changed.json["edited_at"] >= review["created_at"]
    world.run_queues()
    assert build.rating(visit.salon.shop.id) == Rating(1, 1, 1, 1, (1, 0, 0, 0, 0), revision=2)
    same = client.patch(path(review), lower, If_Match='"2"')
    assert (same.status, same.headers["ETag"]) == (200, '"2.en"')
    world.advance(days=30)
    assert client.patch(path(review), {"text": "y"}, If_Match='"2"').code == "review_closed"


# ---------------------------------------------------------------------------------------------- lists


@pytest.fixture(scope="module")
def much_reviewed() -> salons.Salon:
    """Thirty reviews of one salon: each fifth lower by a star, two at the same moment."""
    place = salons.salon(**SALON_OF_TESTS)
    many = [imported(n, score=5 - n % 5, days_ago=n // 2 + 1) for n in range(30)]
    assert importing.bring(identity.context(), place.shop, many) == 30
    return place


@pytest.mark.parametrize("sort", ["newest", "highest", "lowest"])
def test_pages_hold_every_review_once_in_their_order(much_reviewed: salons.Salon, sort: str) -> None:
    """Also while new ones come, which stand before or between what was read already."""
    shop_id = much_reviewed.shop.id
    whole = expect(Client().get(f"/v1/shops/{shop_id}/reviews?sort={sort}&limit=100"), 200)["items"]
    keys = [(one["stars"], one["created_at"]) for one in whole]
    if sort == "newest":
        assert [created for _, created in keys] == sorted((created for _, created in keys), reverse=True)
    else:
        assert [stars for stars, _ in keys] == sorted((stars for stars, _ in keys), reverse=sort == "highest")
    seen: list[str] = []
    cursor = ""
    while True:
        page = expect(Client().get(f"/v1/shops/{shop_id}/reviews?sort={sort}&limit=7&cursor={cursor}"), 200)
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert seen == [one["id"] for one in whole]
    assert page["summary"]["count"] == len(whole) == 30
    assert all(one["imported"] for one in whole)


def test_a_cursor_belongs_to_its_list(much_reviewed: salons.Salon, salon: salons.Salon) -> None:
    page = expect(Client().get(f"/v1/shops/{much_reviewed.shop.id}/reviews?limit=1"), 200)
    for shop_id, query in ((much_reviewed.shop.id, "sort=lowest&"), (salon.shop.id, "")):
        reply = Client().get(f"/v1/shops/{shop_id}/reviews?{query}limit=1&cursor={page['next_cursor']}")
        assert (reply.status, reply.code) == (422, "cursor_invalid")


def test_bringing_the_same_again_changes_only_how_often_was_counted(much_reviewed: salons.Salon) -> None:
    """Some old ones with a new one among them: the new one is added."""
    ctx, shop = identity.context(), much_reviewed.shop
    before = build.rating(shop.id)
    assert before is not None
    assert importing.bring(ctx, shop, [imported(n) for n in range(30)]) == 0
    after = build.rating(shop.id)
    assert after == replace(before, revision=before.revision + 1)
    other = salons.salon(**SALON_OF_TESTS).shop
    assert importing.bring(ctx, other, [imported(1), imported(2)]) == 2
    assert importing.bring(ctx, other, [imported(1), imported(3, score=1), imported(2)]) == 1
    counted = build.rating(other.id)
    assert counted is not None
    assert (counted.count, counted.stars) == (3, (1, 0, 0, 0, 2))


def test_a_shop_that_is_not_there_has_no_reviews() -> None:
    for shop_id, code in ((ids.random_id("shp"), "shop_not_found"), ("x", "not_found")):
        reply = Client().get(f"/v1/shops/{shop_id}/reviews")
        assert (reply.status, reply.code) == (404, code)


# ---------------------------------------------------------------------------------------------- the shop


def test_a_shop_answers_once_and_again_after_a_change(salon: salons.Salon) -> None:
    visit = build.served(salon)
    review = build.reviewed(visit)
    reply = f"/v1/merchant/reviews/{review['id']}/reply"
    owner = salon.owner.client
    answered = expect(owner.post(reply, {"text": "Thank you"}), 201)
    assert (answered["order_id"], answered["review"]["reply"]["text"]) == (visit.id, "Thank you")
    assert owner.post(reply, {"text": "Thank you"}).headers["Idempotent-Replayed"] == "true"
    assert owner.post(reply, {"text": "Never mind"}).code == "reply_exists"
    assert expect(Client().get(path(review)), 200)["reply"]["text"] == "Thank you"
    world.advance(seconds=5)
    changed = visit.customer.client.patch(path(review), {"text": "Not so good after all"}, If_Match='"2"')
    assert changed.json["reply"]["text"] == "Thank you"
    assert expect(owner.post(reply, {"text": "Sorry"}), 201)["review"]["reply"]["text"] == "Sorry"


def test_an_answer_carries_no_telephone_number(salon: salons.Salon) -> None:
    review = build.reviewed(build.served(salon))
    before = engine.digest()
    refused = salon.owner.client.post(f"/v1/merchant/reviews/{review['id']}/reply", {"text": "Call 13800138000"})
    assert (refused.status, refused.code) == (422, "reply_refused")
    assert refused.json["errors"] == [{"field": "text", "message": "contact"}]
    assert engine.digest() == before


def test_staff_see_the_reviews_of_their_own_shops(salon: salons.Salon) -> None:
    """Newest first, page after page; not those of others, and not what is not published."""
    reviews = [build.reviewed(build.served(salon))["id"] for _ in range(2)]
    held = build.reviewed(build.served(salon), text="13800138000")
    owner = salon.owner.client
    first = expect(owner.get("/v1/merchant/reviews?limit=1"), 200)
    second = expect(owner.get(f"/v1/merchant/reviews?limit=1&cursor={first['next_cursor']}"), 200)
    assert [page["items"][0]["review"]["id"] for page in (first, second)] == reviews[::-1]
    everything = expect(owner.get(f"/v1/merchant/reviews?limit=100&shop_id={salon.shop.id}"), 200)
    assert held["id"] not in [one["review"]["id"] for one in everything["items"]]
    assert owner.post(f"/v1/merchant/reviews/{held['id']}/reply", {"text": "Hi"}).status == 404
    assert owner.get(f"/v1/merchant/reviews?shop_id={ids.random_id('shp')}").status == 404
    elsewhere = identity.staff().client
    assert expect(elsewhere.get("/v1/merchant/reviews"), 200)["items"] == []
    worker = identity.staff(salon.merchant.id, role="worker").client
    assert worker.get("/v1/merchant/reviews").status == 403


# ---------------------------------------------------------------------------------------------- the operator


def test_what_looks_wrong_waits_for_a_person(operator: Client) -> None:
    """Held: seen by its author, counted by nobody, in the operator's queue; published, it counts."""
    visit = build.served()
    shop_id = visit.salon.shop.id
    review = build.reviewed(visit, text="加微信 abc_12345")
    assert (review["own"]["state"], review["own"]["faults"]) == ("in_review", ["contact"])
    assert Client().get(path(review)).status == 404
    assert expect(visit.customer.client.get(path(review)), 200)["id"] == review["id"]
    assert (listed(shop_id), build.rating(shop_id)) == ([], None)
    waiting = in_queue(operator, "in_review")
    assert waiting[review["id"]]["faults"] == ["contact"]
    judge(operator, review, "publish")
    assert listed(shop_id) == [review["id"]]
    assert build.rating(shop_id) == Rating(1, 5, 4, 5, (0, 0, 0, 0, 1), revision=1)
    assert review["id"] not in in_queue(operator, "in_review")


def in_queue(operator: Client, state: str) -> dict[str, Any]:
    """Everything that stands in a state, page after page, by review."""
    found: dict[str, Any] = {}
    cursor = ""
    while True:
        page = expect(operator.get(f"/v1/operator/reviews?state={state}&limit=2&cursor={cursor}"), 200)
        found |= {one["review"]["id"]: one for one in page["items"]}
        if page["next_cursor"] is None:
            return found
        cursor = page["next_cursor"]


def test_hidden_and_rejected_come_back_through_an_operator_only(operator: Client) -> None:
    """Each act is counted, and noted in the audit log with its reason."""
    visit = build.served()
    shop_id = visit.salon.shop.id
    review = build.reviewed(visit)
    judge(operator, review, "hide")
    assert (listed(shop_id), rating_count(shop_id)) == ([], 0)
    own = expect(visit.customer.client.get(path(review)), 200)["own"]
    assert (own["state"], own["reason"]) == ("hidden", "Looked at")
    again = operator.post(path(review, "hide"), {"reason": "Once more"})
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    refused = operator.post(path(review, "reject"), {"reason": "No"})
    assert (refused.status, refused.code, refused.json["allowed"]) == (
        409,
        "invalid_transition",
        ["hold", "pass", "publish"],
    )
    version = visit.customer.client.get(path(review)).headers["ETag"]
    changed = expect(visit.customer.client.patch(path(review), {"text": "Kinder words"}, If_Match=version), 200)
    assert (changed["own"]["state"], listed(shop_id)) == ("in_review", [])
    judge(operator, review, "reject")
    judge(operator, review, "publish")
    assert (listed(shop_id), rating_count(shop_id)) == ([review["id"]], 1)
    acts = [entry for entry in audit.entries() if entry.subject == review["id"]]
    assert [entry.act for entry in acts] == ["review.hide", "review.reject", "review.publish"]
    assert all(entry.reason == "Looked at" and entry.actor and entry.before != entry.after for entry in acts)


def rating_count(shop_id: str) -> int:
    return int(expect(Client().get(f"/v1/shops/{shop_id}"), 200)["rating_count"])


def test_an_act_without_a_reason_is_none(operator: Client, salon: salons.Salon) -> None:
    review = build.reviewed(build.served(salon))
    before = engine.digest()
    for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "x" * 201}):
        assert operator.post(path(review, "hide"), body).status == 422
    assert engine.digest() == before


# ---------------------------------------------------------------------------------------------- counting


def test_a_count_that_was_overtaken_is_not_stored() -> None:
    """It read the revision first, and somebody stored a newer count before it was done."""
    ctx, shop = identity.context(), salons.salon(**SALON_OF_TESTS).shop
    importing.bring(ctx, shop, [imported(1)])
    seen = catalog.rating_revision(ctx, shop.id)
    late = rating_of(tables.scores_of(shop.id))
    importing.bring(ctx, shop, [imported(2, score=1)])
    with pytest.raises(RatingMoved):
        catalog.put_rating(ctx, shop.id, late, seen)
    assert build.rating(shop.id) == replace(build.by_hand(shop.id), revision=2)


def test_two_changes_that_undo_each_other_do_not_let_a_late_count_in(operator: Client) -> None:
    """The second one's count has the figures that stood before, and is stored all the same."""
    visit = build.served()
    shop_id = visit.salon.shop.id
    review = build.reviewed(visit)
    ctx = identity.context()
    expect(operator.post(path(review, "hide"), {"reason": "No"}), 200)
    seen = catalog.rating_revision(ctx, shop_id)
    late = rating_of(tables.scores_of(shop_id))  # of the hiding; it sees nothing
    expect(operator.post(path(review, "publish"), {"reason": "Yes"}), 200)
    counting.recount(ctx, shop_id)  # of the publishing
    with pytest.raises(RatingMoved):
        catalog.put_rating(ctx, shop_id, late, seen)
    assert rating_count(shop_id) == 1
    world.run_queues()


def test_news_that_comes_twice_counts_once(salon: salons.Salon) -> None:
    """Lost by the queue, sent again by the sweeper, brought a second time: the rating is the same."""
    visit = build.served()
    expect(build.write(visit), 201)
    world.forget_queue("rate")
    assert build.rating(visit.salon.shop.id) is None
    assert orders_of.relay() >= 1
    world.run_queues()
    counted = build.rating(visit.salon.shop.id)
    assert counted == replace(build.by_hand(visit.salon.shop.id), revision=1)


def test_a_rating_survives_what_a_merchant_writes_and_what_was_stored_before_it() -> None:
    """A shop that came with figures of its own loses them to its first count; a write of the shop with old figures
    does not bring them back, and a count does not move the shop's version."""
    ctx = identity.context()
    made = salons.salon(**SALON_OF_TESTS)
    shop = catalog.shop(ctx, made.shop.id)
    old = replace(shop, rating_sum_centi=480 * 50, rating_count=50, version=2)
    catalog.put_shop(ctx, old)
    assert rating_count(shop.id) == 50
    importing.bring(ctx, shop, [imported(1)])
    assert rating_count(shop.id) == 1
    page = catalog.whole_page(ctx, shop.id)
    assert page.shop.version == 2
    catalog.put_shop(ctx, replace(old, phone_public="021-0000 0000", version=3))
    page = catalog.whole_page(ctx, shop.id)
    assert (page.shop.phone_public, page.shop.rating_count, page.shop.version) == ("021-0000 0000", 1, 3)
    (found,) = [each for each in catalog.shops_of_city(ctx, "sha") if each.shop.id == shop.id]
    assert found.shop.rating_count == 1


def test_a_closed_shops_reviews_are_not_shown() -> None:
    visit = build.served()
    build.reviewed(visit)
    ctx = identity.context()
    shop = catalog.whole_page(ctx, visit.salon.shop.id).shop
    catalog.put_shop(ctx, replace(shop, state="suspended", version=shop.version + 1))
    assert Client().get(f"/v1/shops/{shop.id}/reviews").code == "shop_not_found"
