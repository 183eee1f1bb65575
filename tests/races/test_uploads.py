"""An image under contention: two reviews want it, and one request comes many times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from chalicelib.reviews import tables
from tests import world
from tests.builders import identity, salons
from tests.builders import photos as build
from tests.builders import reviews as of
from tests.builders.photos import Door
from tests.races.together import at_once

THREADS = 6


@pytest.fixture(scope="module")
def salon() -> salons.Salon:
    return salons.salon(price_minor=0, staff=8)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with build.door() as opened:
        yield opened


def test_of_many_reviews_at_once_one_has_the_image(door: Door, salon: salons.Salon) -> None:
    """The others are told that it is none, and are not there."""
    customer = identity.person()
    visits = [of.served(salon, customer=customer) for _ in range(THREADS)]
    image = build.uploaded(customer.client, door)
    replies = at_once([lambda visit=visit: of.write(visit, images=[image]) for visit in visits])
    assert Counter(reply.status for reply in replies) == {201: 1, 422: THREADS - 1}
    assert {reply.code for reply in replies if reply.status == 422} == {"image_unknown"}
    (winner,) = [reply.json["id"] for reply in replies if reply.status == 201]
    assert tables.used_images([image]) == {image: winner}
    written = [
        one["id"] for visit in visits for one in customer.client.get(f"/v1/orders/{visit.id}/reviews").json["items"]
    ]
    assert written == [winner]
    world.run_queues()


def test_one_review_with_photos_many_times_at_once_is_one(door: Door, salon: salons.Salon) -> None:
    """Whoever comes later is told of the first one, and not that its photos are taken; and so with a change."""
    visit = of.served(salon)
    client = visit.customer.client
    images = [build.uploaded(client, door) for _ in range(2)]
    same = at_once([lambda n=n: of.write(visit, key=str(n), images=images) for n in range(THREADS)])
    assert [reply.status for reply in same] == [201] * THREADS, [reply.text for reply in same]
    assert len({reply.json["id"] for reply in same}) == 1
    added = build.uploaded(client, door)
    path = f"/v1/reviews/{same[0].json['id']}"
    changes = at_once(
        [lambda: client.patch(path, {"images": [*images, added]}, If_Match='"1"') for _ in range(THREADS)]
    )
    assert set(Counter(reply.status for reply in changes)) <= {200, 412}
    assert [image["id"] for image in client.get(path).json["images"]] == [*images, added]
    assert client.get(path).headers["ETag"] == '"2.en"'
    world.run_queues()
