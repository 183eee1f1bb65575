"""What a member's own orders say of their taste, for `recommended`, and the switch that ends it.

A visit counts for the categories that were served and for the shop, and fades to nothing over 180 days. The eight
strongest of each are kept, in the member's account row: so switching personalisation off erases them in the same write,
and reading them is one read that also says whether they are wanted. A visit is written in the transaction that makes
an order fulfilled, so it counts once, whatever is repeated or dies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import category_of
from chalicelib.identity import service as identity
from chalicelib.kernel.errors import NotFound, Problem
from chalicelib.kernel.instant import DAY_MS, MINUTE_MS, Instant
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction
from chalicelib.search.model import Affinity

FADE_MS = 180 * DAY_MS
KEEP = 8  # categories, and shops
VISIT = 1_000  # the weight of one, on its day
FULL = 1_000
# With so much weight an affinity is half of what it can be.
HALF_OF_CATEGORY = 3 * VISIT
HALF_OF_SHOP = 2 * VISIT

REMEMBER_MS = 5 * MINUTE_MS
MAX_MEMBERS = 2_000

Weights = dict[str, list[int]]
"""By category or shop: [weight, when it had it in ms]."""

_lock = threading.Lock()
_members: dict[str, _Known] = {}


@dataclass(frozen=True)
class _Known:
    """`switches` is how often this process had switched personalisation when it read."""

    affinity: Affinity | None
    at: Instant
    switches: int


def of_member(ctx: Context) -> Affinity | None:
    """The affinity of whoever asks; None for somebody unknown, without orders, or who does not want it.

    Half a read unit at most once in five minutes. A switch through this process counts from the next call on.
    """
    account_id = ctx.actor.account_id
    if not account_id:
        return None
    known, switches = _members.get(account_id), identity.switches()
    if known is not None and known.switches == switches and abs(ctx.now.since(known.at)) < REMEMBER_MS:
        return known.affinity
    switched = known is not None and known.switches != switches
    taste = identity.taste_of(account_id, consistent=switched)
    found = None
    if taste is not None and taste.personalised and taste.content is not None:
        found = affinity_of(taste.content, ctx.now)
    with _lock:
        _members.pop(account_id, None)
        _members[account_id] = _Known(found, ctx.now, switches)
        while len(_members) > MAX_MEMBERS:
            _members.pop(next(iter(_members)))
    return found


def note_visit(
    tx: Transaction, ctx: Context, account_id: str, shop_id: str, served: Iterable[tuple[str, int]], changed: Problem
) -> None:
    """Adds to a transaction that somebody was served these (offer, version) at a shop; nothing for who does not want
    it. The commit raises `changed` when the account moved meanwhile: decide again."""
    seen = identity.taste_of(account_id, consistent=True)
    if seen is None or not seen.personalised:
        return
    content = visited(seen.content, _categories(ctx, shop_id, served), shop_id, ctx.now)
    identity.keep_taste(tx, account_id, seen, content, changed)
    tx.after_commit(lambda: _forget(account_id))


def _categories(ctx: Context, shop_id: str, served: Iterable[tuple[str, int]]) -> set[str]:
    try:
        shop = catalog.shop(ctx, shop_id, consistent=False)
        return {category_of(catalog.offer(ctx, offer_id, version), shop) for offer_id, version in served}
    except NotFound:
        return set()  # a taste is never worth a failure


def _forget(account_id: str) -> None:
    with _lock:
        _members.pop(account_id, None)


def visited(content: Any, categories: Iterable[str], shop_id: str, now: Instant) -> dict[str, Weights]:
    """The kept weights with one visit more."""
    content = content or {}
    return {"c": _with(content.get("c", {}), categories, now), "s": _with(content.get("s", {}), [shop_id], now)}


def _with(weights: Weights, visited_now: Iterable[str], now: Instant) -> Weights:
    left = {name: faded(pair, now) for name, pair in weights.items()}
    # The others keep their own time: fading in many small steps would not be fading in a straight line.
    fresh = {name: [left.get(name, 0) + VISIT, now.ms] for name in visited_now}
    left |= {name: weight for name, (weight, _) in fresh.items()}
    strongest = sorted(left, key=lambda name: (-left[name], name))[:KEEP]
    return {name: fresh.get(name) or weights[name] for name in strongest if left[name] > 0}


def faded(pair: list[int], now: Instant) -> int:
    """What is left of [weight, when in ms]: all of it on its day, nothing after 180."""
    weight, since_ms = pair
    return weight * max(FADE_MS - max(now.ms - since_ms, 0), 0) // FADE_MS


def affinity_of(content: Any, now: Instant) -> Affinity | None:
    """As search takes it, the same all day long, so that an answer that says the same is the same to the byte."""
    today = Instant(now.ms - now.ms % DAY_MS)
    found = Affinity(
        _values(content.get("c", {}), HALF_OF_CATEGORY, today), _values(content.get("s", {}), HALF_OF_SHOP, today)
    )
    return found if found.categories or found.shops else None


def _values(weights: Weights, half: int, now: Instant) -> dict[str, int]:
    """Rises with the weight and never reaches the top: the tenth visit says less than the second."""
    left = {name: faded(pair, now) for name, pair in sorted(weights.items())}
    values = {name: FULL * weight // (weight + half) for name, weight in left.items()}
    return {name: value for name, value in values.items() if value > 0}
