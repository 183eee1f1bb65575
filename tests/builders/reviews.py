"""Reviews for tests: of visits that took place, through the app's own operations."""

from __future__ import annotations

import secrets
from typing import Any

from chalicelib.catalog import service as catalog
from chalicelib.catalog.rating import Rating
from chalicelib.reviews import tables
from chalicelib.reviews.model import rating_of
from tests import world
from tests.builders import identity, salons
from tests.builders import orders as build
from tests.builders.identity import Person
from tests.builders.orders import Visit, expect
from tests.client import Reply

SCORES = {"service": 5, "environment": 4, "value": 5}


def served(salon: salons.Salon | None = None, *, customer: Person | None = None, **given: Any) -> Visit:
    """A visit from its booking to its end, free of charge where nothing else is said, so that nobody has to pay."""
    place = salon or salons.salon(**{"price_minor": 0, "staff": 4, **given})
    visit = build.booked(place, customer, days_ahead=1)
    visit.until_start()
    for act in ("check-in", "start", "finish"):
        visit.staff_does(act)
    visit.read()
    return visit


def write(visit: Visit, key: str = "", **body: Any) -> Reply:
    asked = {"scores": SCORES, "text": "剪得很细致。", **body}
    return visit.customer.client.post(f"/v1/orders/{visit.id}/reviews", asked, key=key or secrets.token_hex(8))


def reviewed(visit: Visit, **body: Any) -> dict[str, Any]:
    """A review that was taken, and everything that follows from it done."""
    review = expect(write(visit, **body), 201)
    world.run_queues()
    return review


def rating(shop_id: str) -> Rating | None:
    return catalog.whole_page(identity.context(), shop_id).rating


def by_hand(shop_id: str) -> Rating:
    return rating_of(tables.scores_of(shop_id))
