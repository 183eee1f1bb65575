"""What the catalogue holds, as values, and what may be asked of it. Names are texts by locale.

An offer's and a staff member's id begin with their shop's tag, so that each resolves to its row without an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chalicelib.catalog.bundles import BundleGroup
from chalicelib.catalog.hours import Hours, Minutes, Stretch, intervals_of, is_open
from chalicelib.catalog.prices import PriceHistory
from chalicelib.catalog.rating import Rating
from chalicelib.catalog.usage import Usage
from chalicelib.kernel.errors import Invalid, NotFound
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.kernel.states import StateMachine

__all__ = [
    "Category", "Chair", "City", "CityNotServed", "Hours", "Merchant", "Minutes", "Offer", "OfferNotFound", "Option",
    "OptionsInvalid", "Override", "Policy", "Shop", "ShopPage", "Staff", "StaffCannotServe", "Stretch", "Text",
    "intervals_of", "open_now", "text_in",
]  # fmt: skip

Text = Mapping[str, str]
"""The same words in several languages, by locale."""

Policy = tuple[tuple[int, int], ...]
"""Steps (seconds before the start, refund in basis points), longest notice first; the last step has 0 seconds."""

LOCALES = ("zh-CN", "en")
QUANTUM_MINUTES = 5
MAX_HORIZON_DAYS = 90
MAX_OFFERS = 200  # of one shop
MAX_STAFF = 100
MAX_OPTIONS = 20

# Bayesian display: a shop begins as if it had ten ratings of 4.2.
PRIOR_COUNT = 10
PRIOR_CENTI = 420


class OfferNotFound(NotFound):
    """There is no such offer, or it is not on the shelf."""

    code = "offer_not_found"


class ShopNotFound(NotFound):
    """There is no such shop, or it is not open to the public."""

    code = "shop_not_found"


class CityNotServed(NotFound):
    """No served city has this code, or lies near this point."""

    code = "city_not_served"


class OptionsInvalid(Invalid):
    """An option that the offer does not have, or two of one group."""

    code = "options_invalid"


class StaffCannotServe(Invalid):
    """The staff member does not work at the shop of the offer, or does not offer it."""

    code = "staff_cannot_serve"


MERCHANT = StateMachine(
    "merchant",
    "draft",
    {
        "draft": {"submit": "submitted"},
        "submitted": {"pass_checks": "auto_checked", "reject": "rejected"},
        "auto_checked": {"review": "in_review", "approve": "approved"},
        "in_review": {"approve": "approved", "reject": "rejected"},
        "approved": {"suspend": "suspended", "terminate": "terminated"},
        "suspended": {"reinstate": "approved", "terminate": "terminated"},
        "rejected": {"revise": "draft"},
        "terminated": {},
    },
)

OFFER = StateMachine(
    "offer",
    "draft",
    {
        "draft": {"submit": "in_review"},
        "in_review": {"approve": "approved", "reject": "draft"},
        "approved": {"shelve": "on_shelf"},
        "on_shelf": {"unshelve": "off_shelf"},
        "off_shelf": {"shelve": "on_shelf"},
    },
)

ON_SHELF = "on_shelf"
APPROVED = "approved"
ACTIVE = "active"

INSTANT, REQUEST = "instant", "request"
CONFIRMATIONS = (INSTANT, REQUEST)


@dataclass(frozen=True)
class Kind:
    """How an offer is fulfilled. Only kinds on sale can be put on the shelf."""

    on_sale: bool
    confirmation: str
    timed: bool  # booked for a start, and so with a duration and staff


KINDS: Mapping[str, Kind] = {
    "appointment": Kind(on_sale=True, confirmation=INSTANT, timed=True),
    "class": Kind(on_sale=False, confirmation=INSTANT, timed=True),
    "voucher": Kind(on_sale=False, confirmation=INSTANT, timed=False),
    "pickup": Kind(on_sale=False, confirmation=REQUEST, timed=False),
    "at_home": Kind(on_sale=False, confirmation=REQUEST, timed=True),
}

# 随时退, 提前退, 过期退, 不可退
REFUND_BADGES = ("anytime", "before_deadline", "on_expiry", "none")


@dataclass(frozen=True)
class City:
    """A served city. A point belongs to it within `radius_m` of its centre (WGS-84)."""

    code: str
    name: Text
    centre: Point
    radius_m: int
    zone: str
    currency: str
    rank: int = 0


@dataclass(frozen=True)
class Category:
    code: str
    name: Text
    rank: int = 0


@dataclass(frozen=True)
class Merchant:
    """Who sells and is paid. The commission is the platform's part of what is earned, in basis points."""

    id: str
    name: Text
    commission_bps: int
    state: str = "draft"
    version: int = 1


@dataclass(frozen=True)
class Chair:
    """A thing of the shop that one booking needs alone: a chair, a room, a treadmill."""

    id: str
    name: Text


@dataclass(frozen=True)
class Shop:
    """`position` is WGS-84. Ratings are sums of hundredths of a star, so that they stay whole numbers."""

    id: str
    merchant_id: str
    city: str
    name: Text
    category: str
    address: Text
    position: Point
    zone: str
    hours: Hours
    currency: str
    created_at: Instant
    description: Text = field(default_factory=dict)
    photos: tuple[str, ...] = ()
    phone_public: str = ""
    chairs: tuple[Chair, ...] = ()
    rating_sum_centi: int = 0
    rating_count: int = 0
    sales: int = 0
    state: str = APPROVED
    version: int = 1

    @property
    def rating_centi(self) -> int:
        """The displayed rating in hundredths of a star, drawn towards the prior while ratings are few."""
        weighed = self.rating_sum_centi + PRIOR_COUNT * PRIOR_CENTI
        count = self.rating_count + PRIOR_COUNT
        return (2 * weighed + count) // (2 * count)


@dataclass(frozen=True)
class Override:
    """How one staff member serves one offer differently; None for the duration means the offer's own."""

    price_delta_minor: int = 0
    duration_minutes: int | None = None


@dataclass(frozen=True)
class Staff:
    """`offer_ids` are the skills. `hours` None means the shop's; breaks repeat weekly; time off is (from, to)."""

    id: str
    shop_id: str
    name: Text
    title: Text = field(default_factory=dict)
    photo: str | None = None
    offer_ids: tuple[str, ...] = ()
    hours: Hours | None = None
    breaks: Hours = field(default_factory=Hours)
    time_off: tuple[Stretch, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    state: str = ACTIVE
    rank: int = 0
    version: int = 1


@dataclass(frozen=True)
class Option:
    """At most one option of a group can be chosen; options without a group are free to combine."""

    id: str
    name: Text
    price_delta: Money
    duration_delta_minutes: int = 0
    group: str = ""


@dataclass(frozen=True)
class Offer:
    """A service with its price and its rules of booking. `chair_ids`: any one of them must be free; empty: none needed.

    Minutes are multiples of 5. Buffers are the staff member's and the chair's time, not the customer's. `list_price` is
    to stand struck through beside the price for as long as that is true, see `prices.shown`; `history` is kept by
    the store and says nothing of whether two offers are the same.
    """

    id: str
    shop_id: str
    merchant_id: str
    name: Text
    price: Money
    duration_minutes: int
    kind: str = "appointment"
    category: str = ""
    description: Text = field(default_factory=dict)
    photos: tuple[str, ...] = ()
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    lead_minutes: int = 0
    horizon_days: int = 30
    slot_step_minutes: int = 30
    options: tuple[Option, ...] = ()
    chair_ids: tuple[str, ...] = ()
    confirmation: str = INSTANT
    policy: Policy = ((7200, 10_000), (0, 5_000))
    refund_badge: str = "before_deadline"
    usage_rules: tuple[Text, ...] = ()
    usage: Usage = field(default_factory=Usage)
    bundle: tuple[BundleGroup, ...] = ()
    list_price: Money | None = None
    history: PriceHistory = field(default=PriceHistory(), compare=False)
    state: str = ON_SHELF
    rank: int = 0
    version: int = 1


@dataclass(frozen=True)
class ShopPage:
    """A shop with its offers and staff, in the order in which they are shown. Once its reviews have been counted, the
    `rating` says what the shop's own figures are."""

    shop: Shop
    offers: tuple[Offer, ...]
    staff: tuple[Staff, ...]
    rating: Rating | None = None

    def rated(self) -> ShopPage:
        """With the rating's figures in the shop, whoever wrote others there."""
        if self.rating is None:
            return self
        shop = replace(self.shop, rating_sum_centi=self.rating.sum_centi, rating_count=self.rating.count)
        return replace(self, shop=shop)

    def public(self) -> ShopPage:
        """Only what is on the shelf and who is at work."""
        return ShopPage(
            self.shop,
            tuple(offer for offer in self.offers if offer.state == ON_SHELF and KINDS[offer.kind].on_sale),
            tuple(member for member in self.staff if member.state == ACTIVE),
            self.rating,
        )

    def listing(self) -> ShopPage | None:
        """What search needs of the public page; None while there is nothing to find."""
        page = self.public()
        if page.shop.state != APPROVED or not page.offers:
            return None
        shop = replace(page.shop, description={}, photos=page.shop.photos[:1], chairs=(), version=1)
        bare: dict[str, Any] = {
            "description": {},
            "photos": (),
            "usage_rules": (),
            "usage": Usage(),
            "bundle": (),
            "list_price": None,
            "history": PriceHistory(),
            "options": (),
            "policy": (),
            "refund_badge": "",
        }
        offers = tuple(replace(offer, version=1, **bare) for offer in page.offers)
        return ShopPage(shop, offers, tuple(replace(member, title={}, photo=None, version=1) for member in page.staff))

    def with_offer(self, offer: Offer) -> ShopPage:
        others = (other for other in self.offers if other.id != offer.id)
        return replace(self, offers=tuple(sorted((*others, offer), key=lambda each: (each.rank, each.id))))

    def with_staff(self, staff: Staff) -> ShopPage:
        others = (other for other in self.staff if other.id != staff.id)
        return replace(self, staff=tuple(sorted((*others, staff), key=lambda each: (each.rank, each.id))))


def text_in(text: Text, locale: str) -> str:
    """The words in a locale, else in Chinese, else in English, else in any language; empty when there are none."""
    for candidate in (locale, *LOCALES):
        if candidate in text:
            return text[candidate]
    return next(iter(text.values()), "")


def open_now(shop: Shop, now: Instant) -> bool:
    return is_open(shop.hours, now, shop.zone)


def choose(offer: Offer, option_ids: tuple[str, ...]) -> tuple[Option, ...]:
    """The chosen options in the offer's own order. Raises OptionsInvalid."""
    chosen = tuple(option for option in offer.options if option.id in option_ids)
    groups = [option.group for option in chosen if option.group]
    if len(chosen) != len(option_ids) or len(set(groups)) != len(groups):
        raise OptionsInvalid
    return chosen


def category_of(offer: Offer, shop: Shop) -> str:
    """An offer without a category of its own belongs to its shop's."""
    return offer.category or shop.category


def can_serve(staff: Staff, offer: Offer) -> bool:
    return staff.state == ACTIVE and staff.shop_id == offer.shop_id and offer.id in staff.offer_ids


def price_of(offer: Offer, options: tuple[Option, ...] = (), staff: Staff | None = None) -> Money:
    """What one unit costs with these options and this staff member; never below zero."""
    amount = offer.price.amount_minor + sum(option.price_delta.amount_minor for option in options)
    if staff is not None:
        amount += staff.overrides.get(offer.id, Override()).price_delta_minor
    return Money(max(amount, 0), offer.price.currency)


def duration_of(offer: Offer, options: tuple[Option, ...] = (), staff: Staff | None = None) -> int:
    """Minutes the customer is served, at least one quantum; buffers are not in it."""
    own = staff.overrides.get(offer.id, Override()).duration_minutes if staff is not None else None
    minutes = (offer.duration_minutes if own is None else own) + sum(o.duration_delta_minutes for o in options)
    return max(minutes, QUANTUM_MINUTES)


def refund_bps(policy: Policy, seconds_before_start: int) -> int:
    """The part that goes back when the customer cancels this long before the start; nothing after it."""
    return next((bps for notice, bps in policy if seconds_before_start >= notice), 0)
