"""One page of several: a search near a border looks through every city that its radius reaches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from chalicelib.kernel.instant import Instant
from chalicelib.search.cards import Hit
from chalicelib.search.model import Facets, Relax, SearchPage, SearchQuery
from chalicelib.search.ranking import Place

K = TypeVar("K")

# In the order in which `model.relaxed` tries them: of equal counts the earlier one stands first.
_FILTERS = ("q", "category", "kind", "price", "rating", "open_now", "bookable_on", "has_voucher", "radius")


def merged(query: SearchQuery, pages: Sequence[SearchPage], now: Instant) -> SearchPage:
    """What one city of all their shops would have answered: each page is its own city's, of the same query.

    A shop that has just moved across the border may for a moment be known on both sides. It is shown once.
    """
    hits: dict[str, Hit] = {}
    for hit in sorted((hit for page in pages for hit in page.hits), key=lambda hit: (hit.order, hit.card.id)):
        hits.setdefault(hit.card.id, hit)
    twice = sum(len(page.hits) for page in pages) - len(hits)
    shown = list(hits.values())[: query.limit]
    more = len(hits) > query.limit or any(page.next_key is not None for page in pages)
    totals = [page.total for page in pages if page.total is not None]
    return SearchPage(
        hits=shown,
        next_key=_key(query, shown[-1], now) if more and shown else None,
        facets=_facets([page.facets for page in pages if page.facets is not None]),
        total=sum(totals) - twice if totals else None,
        relax=relaxed(page.relax for page in pages) if not shown else (),
    )


def _key(query: SearchQuery, last: Hit, now: Instant) -> str:
    return Place.read(query.after, now, query.affinity).key(last.order, last.card.id)


def _facets(several: Sequence[Facets]) -> Facets | None:
    if not several:
        return None

    def together(parts: Iterable[dict[K, int]]) -> dict[K, int]:
        found: Counter[K] = Counter()
        for part in parts:
            found.update(part)
        return dict(found)

    return Facets(
        category=together(dict(one.category) for one in several),
        kind=together(dict(one.kind) for one in several),
        price=together(dict(one.price) for one in several),
        rating=together(dict(one.rating) for one in several),
        open_now=together(dict(one.open_now) for one in several),
    )


def relaxed(several: Iterable[Sequence[Relax]]) -> tuple[Relax, ...]:
    """Counts of the same filter together; of radii the first in which any city has something."""
    given = [relax for each in several for relax in each]
    nearest = min((relax.radius_m for relax in given if relax.radius_m is not None), default=None)
    counts: Counter[str] = Counter()
    for relax in given:
        if relax.radius_m in (None, nearest):
            counts[relax.filter] += relax.count
    found = (Relax(name, count, nearest if name == "radius" else None) for name, count in counts.items())
    return tuple(sorted(found, key=lambda relax: (-relax.count, _FILTERS.index(relax.filter))))
