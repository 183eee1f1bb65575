"""The public pages as a process remembers them, so that a page which many look at costs next to nothing.

A page is shown for two seconds without asking. After that its lock says whether it changed, half a read unit however
large the page is; only a page that is new to the process, or did change, is read. A page that is looked at once costs
its one Query and no more. A write through this process is seen at once, one through another within two seconds.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from chalicelib.catalog import tables
from chalicelib.catalog.model import APPROVED, Offer, OfferNotFound, ShopNotFound, ShopPage
from chalicelib.kernel import ids
from chalicelib.kernel.instant import SECOND_MS, Instant
from chalicelib.runtime.context import Context

REMEMBER_MS = 2 * SECOND_MS
MAX_PAGES = 256

_lock = threading.Lock()
_pages: dict[str, _Seen] = {}
_writes = 0


@dataclass(frozen=True)
class _Seen:
    """A page as it was, at least as new as `lock`; None: nobody has asked for the lock yet."""

    page: ShopPage
    lock: int | None
    at: Instant


def shop_page(ctx: Context, shop_id: str) -> ShopPage:
    """What the public sees of a shop, at most two seconds old. Raises ShopNotFound."""
    page = _page(ids.tag(shop_id), ctx.now)
    if page is None or page.shop.id != shop_id or page.shop.state != APPROVED:
        raise ShopNotFound
    return page


def offer_on_sale(ctx: Context, offer_id: str) -> tuple[ShopPage, Offer]:
    """An offer that can be bought, with its shop, at most two seconds old. Raises OfferNotFound."""
    page = _page(ids.split(offer_id)[0], ctx.now)
    if page is not None and page.shop.state == APPROVED:
        for offer in page.offers:
            if offer.id == offer_id:
                return page, offer
    raise OfferNotFound


def forget(shop_id: str) -> None:
    """The page was written: what is known of it, or is being read just now, may be old."""
    global _writes  # noqa: PLW0603  # one count for the process
    with _lock:
        _writes += 1
        _pages.pop(ids.tag(shop_id), None)


def _page(shop_tag: str, now: Instant) -> ShopPage | None:
    known = _pages.get(shop_tag)
    if known is not None and abs(now.since(known.at)) < REMEMBER_MS:
        return known.page
    writes = _writes
    found = _first(shop_tag, now) if known is None else _again(known, shop_tag, now)
    with _lock:
        if found is None:
            _pages.pop(shop_tag, None)
        elif writes == _writes:
            _pages.pop(shop_tag, None)
            _pages[shop_tag] = found
            while len(_pages) > MAX_PAGES:
                _pages.pop(next(iter(_pages)))
    return None if found is None else found.page


def _first(shop_tag: str, now: Instant) -> _Seen | None:
    page = tables.get_page(shop_tag, consistent=False)
    return None if page is None else _Seen(page.public(), None, now)


def _again(known: _Seen, shop_tag: str, now: Instant) -> _Seen | None:
    lock = tables.page_lock(known.page.shop.id, consistent=False)
    if lock == known.lock:
        return replace(known, at=now)
    # Strongly, so that the page is at least as new as its lock says, whoever answers.
    page = tables.get_page(shop_tag, consistent=True)
    return None if page is None else _Seen(page.public(), lock, now)
