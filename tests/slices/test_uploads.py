"""Photos through the whole app and the local stack's own door: asked for, put, used in a review, seen by everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from chalicelib.kernel import ids
from chalicelib.uploads.model import MAX_BYTES
from tests import engine, world
from tests.builders import identity, reviews, salons
from tests.builders import photos as build
from tests.builders.orders import Visit, expect
from tests.builders.photos import Door, Heard
from tests.client import Client


@pytest.fixture(scope="module")
def salon() -> salons.Salon:
    return salons.salon(price_minor=0, staff=6)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with build.door() as opened:
        yield opened


@pytest.fixture(scope="module")
def waiting(salon: salons.Salon) -> Visit:
    """A visit that nobody manages to review in these tests."""
    return reviews.served(salon)


def seen(door: Door, image: dict[str, str]) -> Heard:
    return door.ask("GET", urlsplit(image["url"]).path)


def refused(visit: Visit, *images: str) -> tuple[int, str]:
    """What a review with these images is told, which has changed nothing."""
    before = engine.digest()
    reply = reviews.write(visit, images=list(images))
    assert engine.digest() == before
    assert {error["field"].partition(".")[0] for error in reply.json["errors"]} == {"images"}
    return reply.status, reply.code


def test_photos_of_a_review_are_seen_by_everybody(door: Door, salon: salons.Salon) -> None:
    """One of each type, byte for byte, as an image and nothing else, in the order of the review."""
    visit = reviews.served(salon)
    contents = {kind: build.photo(kind) for kind in build.PHOTOS}
    images = [build.uploaded(visit.customer.client, door, content, kind) for kind, content in contents.items()]
    assert door.ask("GET", f"/media/photos/{images[0]}").status == 404  # nobody has looked at it yet
    review = reviews.reviewed(visit, images=images)
    shown = expect(Client().get(f"/v1/reviews/{review['id']}"), 200)["images"]
    assert [image["id"] for image in shown] == images
    for image, (kind, content) in zip(shown, contents.items(), strict=True):
        heard = seen(door, image)
        assert (heard.status, heard.body) == (200, content)
        assert heard.headers["Content-Type"] == kind
        assert heard.headers["X-Content-Type-Options"] == "nosniff"
        assert heard.headers["Content-Disposition"] == "inline"
        assert heard.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert "immutable" in heard.headers["Cache-Control"]
    with_images = expect(Client().get(f"/v1/shops/{salon.shop.id}/reviews?with_images=true"), 200)["items"]
    assert review["id"] in [one["id"] for one in with_images]


def test_a_place_is_for_one_photo_and_the_same_key_names_the_same() -> None:
    """Nothing is stored by asking, beside the count of calls."""
    client = identity.person().client
    first = expect(build.asked(client, key="k"), 201)
    assert ids.is_id(first["image"], "img")
    assert first["upload"]["method"] == "POST"
    left = world.Instant.parse(first["upload"]["expires_at"]).since(world.Instant.parse(first["upload"]["server_time"]))
    assert left == 600_000
    assert expect(build.asked(client, key="k"), 201)["image"] == first["image"]
    others = [
        build.asked(client),
        build.asked(client, key="other"),
        build.asked(client, size=201, key="k"),
        build.asked(identity.person().client, key="k"),
    ]
    assert len({first["image"], *(expect(each, 201)["image"] for each in others)}) == 5


BAD: dict[str, dict[str, Any]] = {
    "SVG": {"content_type": "image/svg+xml", "bytes": 200},
    "a page": {"content_type": "text/html", "bytes": 200},
    "nothing": {"content_type": "image/jpeg", "bytes": 0},
    "too large": {"content_type": "image/jpeg", "bytes": MAX_BYTES + 1},
    "a fraction": {"content_type": "image/jpeg", "bytes": 1.5},
    "no size": {"content_type": "image/jpeg"},
    "a name": {"content_type": "image/jpeg", "bytes": 200, "name": "../a.jpg"},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_no_place_for_what_is_no_photo(body: dict[str, Any]) -> None:
    reply = identity.person().client.post("/v1/uploads", body)
    assert (reply.status, reply.code) == (422, "invalid_request")


def test_who_asks_for_too_many_places_waits() -> None:
    client = identity.person().client
    taken = 0
    while (answer := build.asked(client)).status == 201:
        taken += 1
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert 30 <= taken <= 60  # the minute may have changed under way


# ---------------------------------------------------------------------------------------------- the door


def test_a_place_takes_one_photo_once(door: Door) -> None:
    client = identity.person().client
    made = expect(build.asked(client), 201)["upload"]
    assert door.put(made, build.photo()).status == 204
    assert door.put(made, build.photo()).status == 409


def test_a_place_takes_no_more_than_was_asked_for(door: Door) -> None:
    """Neither a byte more nor nothing; and the largest photo that there may be."""
    client = identity.person().client
    made = expect(build.asked(client, size=200), 201)["upload"]
    assert b"EntityTooLarge" in door.put(made, build.photo(size=201)).body
    assert b"EntityTooSmall" in door.put(made, b"").body
    assert door.put(made, build.photo(size=199)).status == 204
    largest = expect(build.asked(client, size=MAX_BYTES), 201)["upload"]
    assert door.put(largest, build.photo(size=MAX_BYTES)).status == 204


@pytest.mark.parametrize("field", ["key", "Content-Type", "policy", "signature"])
def test_a_form_that_was_changed_is_refused(door: Door, field: str) -> None:
    """By the signature, or by what it signs; the place is free afterwards."""
    client = identity.person().client
    made = expect(build.asked(client), 201)["upload"]
    other = expect(build.asked(identity.person().client, "image/png"), 201)["upload"]["fields"]
    for value in (other[field], "", "ä", made["fields"][field] + "A"):
        heard = door.put(made, build.photo(), **{field.replace("-", "_"): value})
        assert heard.status == 403, value
        assert heard.headers["Content-Type"] == "application/problem+json"
    assert door.put(made, build.photo()).status == 204


def test_a_place_is_open_for_ten_minutes(door: Door) -> None:
    client = identity.person().client
    early, late = (expect(build.asked(client), 201)["upload"] for _ in range(2))
    world.advance(seconds=590)
    assert door.put(early, build.photo()).status == 204
    world.advance(seconds=10)
    assert door.put(late, build.photo()).status == 403


def test_what_is_no_form_is_refused(door: Door) -> None:
    """Whatever its bytes: 400 and a problem document, and nothing is put."""
    made = expect(build.asked(identity.person().client), 201)["upload"]
    body, kind = build.form(made["fields"], build.photo())
    cut = body[: body.index(b'name="file"')]
    many, of_many = build.form({f"f{number}": "x" for number in range(30)}, b"x")
    long, of_long = build.form({"key": "x" * 30_000}, b"x")
    path = urlsplit(made["url"]).path
    for sent, content_type in [
        (body, "text/plain"),
        (body, "multipart/form-data"),
        (body, "multipart/form-data; boundary=other"),
        (cut, kind),
        (b"", kind),
        (many, of_many),
        (long, of_long),
    ]:
        heard = door.ask("POST", path, sent, Content_Type=content_type)
        assert (heard.status, heard.headers["Content-Type"]) == (400, "application/problem+json")
    assert door.put(made, build.photo()).status == 204


def test_the_door_says_what_may_be_done(door: Door) -> None:
    """A page may ask first; nothing but photos is shown, and no upload."""
    image = build.uploaded(identity.person().client, door)
    assert door.ask("OPTIONS", "/media/uploads").headers["Access-Control-Allow-Origin"] == "*"
    assert door.ask("GET", "/media/uploads").status == 405
    for path in ("photos/", "photos/..%2fuploads", f"uploads/{image}", f"uploads/{image}.jpeg", f"photos/{image}"):
        assert door.ask("GET", f"/media/{path}").status == 404, path


# ---------------------------------------------------------------------------------------------- in a review


def test_only_ones_own_upload_that_is_there_is_used(door: Door, waiting: Visit) -> None:
    """Nobody else's, none that was never put, none that is made up; and one bad one among good ones keeps them all
    from being seen."""
    mine = build.uploaded(waiting.customer.client, door)
    foreign = build.uploaded(identity.person().client, door)
    empty = expect(build.asked(waiting.customer.client), 201)["image"]
    for bad in (foreign, empty, ids.random_id("img")):
        assert refused(waiting, mine, bad) == (422, "image_unknown")
    assert door.ask("GET", f"/media/photos/{mine}").status == 404


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("image/jpeg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("image/jpeg", b"<!doctype html><script>alert(1)</script>"),
        ("image/png", build.PHOTOS["image/jpeg"]),
        ("image/webp", b"RIFF\x24\x00\x00\x00WAVEfmt "),
    ],
)
def test_what_does_not_begin_as_it_was_said_to_is_refused(
    door: Door, waiting: Visit, content_type: str, content: bytes
) -> None:
    """In words of the reader's language, with the image's id."""
    client = waiting.customer.client
    good, bad = build.uploaded(client, door), build.uploaded(client, door, content, content_type)
    assert refused(waiting, good, bad) == (422, "image_refused")
    reply = reviews.write(waiting, images=[bad])
    assert bad in reply.json["errors"][0]["message"]
    assert door.ask("GET", f"/media/photos/{good}").status == door.ask("GET", f"/media/photos/{bad}").status == 404


def test_no_image_twice_in_one_review(door: Door, waiting: Visit) -> None:
    image = build.uploaded(waiting.customer.client, door)
    assert refused(waiting, image, image) == (422, "invalid_request")


def test_an_image_stands_in_one_review(door: Door, salon: salons.Salon) -> None:
    """Not in another of the same person; the same request again is answered as before."""
    first = reviews.served(salon)
    second = reviews.served(salon, customer=first.customer)
    image = build.uploaded(first.customer.client, door)
    review = expect(reviews.write(first, "k", images=[image]), 201)
    again = reviews.write(first, "k", images=[image])
    assert (again.status, again.json["id"], again.headers["Idempotent-Replayed"]) == (201, review["id"], "true")
    assert refused(second, image) == (422, "image_unknown")


def test_an_image_that_was_taken_away_is_gone_for_good(door: Door, salon: salons.Salon) -> None:
    """Nobody sees it any more, and it does not come back; the others stay what they were."""
    visit = reviews.served(salon)
    client = visit.customer.client
    stays, goes, comes = (build.uploaded(client, door) for _ in range(3))
    review = reviews.reviewed(visit, images=[stays, goes])
    path = f"/v1/reviews/{review['id']}"
    changed = expect(client.patch(path, {"images": [comes, stays]}, If_Match='"1"'), 200)
    assert [image["id"] for image in changed["images"]] == [comes, stays]
    assert [seen(door, image).status for image in changed["images"]] == [200, 200]
    assert door.ask("GET", f"/media/photos/{goes}").status == 404
    back = client.patch(path, {"images": [stays, goes]}, If_Match='"2"')
    assert (back.status, back.code) == (422, "image_unknown")
    assert door.ask("GET", f"/media/photos/{goes}").status == 404
    same = expect(client.patch(path, {"images": [comes, stays]}, If_Match='"2"'), 200)
    assert [image["id"] for image in same["images"]] == [comes, stays]
