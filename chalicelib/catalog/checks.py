"""What the catalogue accepts. Each function answers the faults as `{"field", "message"}`; none means acceptable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chalicelib.catalog import bundles
from chalicelib.catalog import hours as opening
from chalicelib.catalog import usage as uses
from chalicelib.catalog.model import (
    CONFIRMATIONS,
    KINDS,
    MAX_HORIZON_DAYS,
    MAX_OFFERS,
    MAX_OPTIONS,
    MAX_STAFF,
    OFFER,
    ON_SHELF,
    QUANTUM_MINUTES,
    REFUND_BADGES,
    City,
    Merchant,
    Offer,
    Shop,
    ShopPage,
    Staff,
    Text,
)
from chalicelib.kernel import geo, ids
from chalicelib.kernel.instant import zone
from chalicelib.kernel.money import BPS, EXPONENTS, MAX_AMOUNT_MINOR

Fault = dict[str, str]

MAX_NAME = 80
MAX_TEXT = 2000
MAX_PHOTOS = 20
MAX_URL = 500
MAX_CHAIRS = 50
MAX_SERVICE_MINUTES = 12 * 60
MAX_BUFFER_MINUTES = 240
MAX_LEAD_MINUTES = 30 * 1440
MAX_STEP_MINUTES = 240
MAX_POLICY_STEPS = 8
MAX_TIME_OFF = 60
MAX_RULES = 12
MAX_GROUPS = 10
MAX_ITEMS = 20  # of one group
MAX_QUANTITY = 999


class _Faults(list[Fault]):
    def unless(self, holds: bool, field: str, message: str) -> None:
        if not holds:
            self.append({"field": field, "message": message})

    def text(self, field: str, text: Text, most: int, *, required: bool = False) -> None:
        self.unless(not required or any(text.values()), field, "needs words in at least one language")
        self.unless(all(len(words) <= most for words in text.values()), field, f"at most {most} characters")
        self.unless(len(text) <= 10, field, "at most 10 languages")

    def minutes(self, field: str, value: int, low: int, high: int) -> None:
        fits = low <= value <= high and value % QUANTUM_MINUTES == 0
        self.unless(fits, field, f"{low} to {high} minutes, a multiple of {QUANTUM_MINUTES}")


def merchant_faults(merchant: Merchant) -> list[Fault]:
    found = _Faults()
    found.unless(ids.is_id(merchant.id, "mch"), "id", "not a merchant's id")
    found.text("name", merchant.name, MAX_NAME, required=True)
    found.unless(0 <= merchant.commission_bps <= BPS, "commission_bps", "0 to 10000")
    return found


def shop_faults(shop: Shop, city: City | None) -> list[Fault]:
    found = _Faults()
    found.unless(ids.is_id(shop.id, "shp"), "id", "not a shop's id")
    found.unless(ids.is_id(shop.merchant_id, "mch"), "merchant_id", "not a merchant's id")
    found.text("name", shop.name, MAX_NAME, required=True)
    found.text("address", shop.address, 200, required=True)
    found.text("description", shop.description, MAX_TEXT)
    found.unless(shop.currency in EXPONENTS, "currency", "unknown currency")
    found.unless(_is_zone(shop.zone), "zone", "not an IANA time zone")
    found.unless(_photos_fit(shop.photos), "photos", f"at most {MAX_PHOTOS} of {MAX_URL} characters")
    found.unless(len(shop.phone_public) <= 30, "phone_public", "at most 30 characters")
    found.unless(
        len(shop.chairs) <= MAX_CHAIRS and all(_owned(chair.id, "chr", shop.id) for chair in shop.chairs),
        "chairs",
        f"at most {MAX_CHAIRS}, each with an id of this shop",
    )
    found.unless(min(shop.rating_sum_centi, shop.rating_count, shop.sales) >= 0, "sales", "not below zero")
    for sentence in opening.faults(shop.hours):
        found.unless(False, "hours", sentence)
    near = city is not None and geo.distance_m(city.centre, shop.position) <= city.radius_m
    found.unless(near, "city", "no served city, or the shop lies outside it")
    return found


def staff_faults(staff: Staff, page: ShopPage) -> list[Fault]:
    """Skills and overrides must be offers of the page."""
    found = _Faults()
    known = {offer.id for offer in page.offers}
    found.unless(_owned(staff.id, "stf", staff.shop_id), "id", "not an id of this shop")
    found.text("name", staff.name, MAX_NAME, required=True)
    found.text("title", staff.title, MAX_NAME)
    found.unless(len(staff.photo or "") <= MAX_URL, "photo", f"at most {MAX_URL} characters")
    found.unless(set(staff.offer_ids) <= known, "offer_ids", "an offer that the shop does not have")
    found.unless(set(staff.overrides) <= known, "overrides", "an offer that the shop does not have")
    for override in staff.overrides.values():
        if override.duration_minutes is not None:
            found.minutes("overrides", override.duration_minutes, QUANTUM_MINUTES, MAX_SERVICE_MINUTES)
        found.unless(abs(override.price_delta_minor) <= MAX_AMOUNT_MINOR, "overrides", "too large")
    for field, hours in (("hours", staff.hours), ("breaks", staff.breaks)):
        for sentence in opening.faults(hours) if hours is not None else []:
            found.unless(False, field, sentence)
    ordered = all(begin < end for begin, end in staff.time_off)
    found.unless(ordered and len(staff.time_off) <= MAX_TIME_OFF, "time_off", f"at most {MAX_TIME_OFF}, from before to")
    return found


def offer_faults(offer: Offer, shop: Shop) -> list[Fault]:
    found = _Faults()
    found.unless(_owned(offer.id, "ofr", offer.shop_id), "id", "not an id of this shop")
    found.unless(offer.merchant_id == shop.merchant_id, "merchant_id", "not the shop's merchant")
    found.text("name", offer.name, MAX_NAME, required=True)
    found.text("description", offer.description, MAX_TEXT)
    found.unless(_photos_fit(offer.photos), "photos", f"at most {MAX_PHOTOS} of {MAX_URL} characters")
    found.unless(offer.price.currency == shop.currency, "price", "not in the shop's currency")
    found.unless(0 <= offer.price.amount_minor <= MAX_AMOUNT_MINOR, "price", f"0 to {MAX_AMOUNT_MINOR}")
    found.unless(offer.state in OFFER.states, "state", "unknown state")
    kind = KINDS.get(offer.kind)
    found.unless(kind is not None, "kind", "unknown kind")
    if kind is not None:
        found.unless(kind.on_sale or offer.state != ON_SHELF, "kind", "this kind is not on sale yet")
    found.unless(offer.confirmation in CONFIRMATIONS, "confirmation", "instant or request")
    found.unless(offer.refund_badge in REFUND_BADGES, "refund_badge", "unknown badge")
    found.unless(len(offer.usage_rules) <= MAX_RULES, "usage_rules", f"at most {MAX_RULES}")
    for rule in offer.usage_rules:
        found.text("usage_rules", rule, 200)
    chairs = {chair.id for chair in shop.chairs}
    found.unless(set(offer.chair_ids) <= chairs, "chair_ids", "a chair that the shop does not have")
    _times(found, offer)
    _options(found, offer)
    _policy(found, offer)
    _usage(found, offer.usage)
    _bundle(found, offer)
    if offer.list_price is not None:
        found.unless(offer.list_price.currency == offer.price.currency, "list_price", "not in the offer's currency")
        fits = offer.price.amount_minor < offer.list_price.amount_minor <= MAX_AMOUNT_MINOR
        found.unless(fits, "list_price", f"above the price, at most {MAX_AMOUNT_MINOR}")
    return found


def page_faults(page: ShopPage, city: City | None) -> list[Fault]:
    """A whole shop at once, its fields named by where they stand."""
    found = [{**fault, "field": f"shop.{fault['field']}"} for fault in shop_faults(page.shop, city)]
    if len(page.offers) > MAX_OFFERS or len(page.staff) > MAX_STAFF:
        found.append({"field": "shop", "message": f"at most {MAX_OFFERS} offers and {MAX_STAFF} staff"})
    for i, offer in enumerate(page.offers):
        found += _prefixed(f"offers.{i}", offer_faults(offer, page.shop))
        found += _misplaced(f"offers.{i}", offer.shop_id, page.shop)
    for i, member in enumerate(page.staff):
        found += _prefixed(f"staff.{i}", staff_faults(member, page))
        found += _misplaced(f"staff.{i}", member.shop_id, page.shop)
    return found


def _prefixed(prefix: str, faults: Iterable[Fault]) -> list[Fault]:
    return [{**fault, "field": f"{prefix}.{fault['field']}"} for fault in faults]


def _misplaced(prefix: str, shop_id: str, shop: Shop) -> list[Fault]:
    return [] if shop_id == shop.id else [{"field": f"{prefix}.shop_id", "message": "of another shop"}]


def _times(found: _Faults, offer: Offer) -> None:
    found.minutes("duration_minutes", offer.duration_minutes, QUANTUM_MINUTES, MAX_SERVICE_MINUTES)
    found.minutes("buffer_before_minutes", offer.buffer_before_minutes, 0, MAX_BUFFER_MINUTES)
    found.minutes("buffer_after_minutes", offer.buffer_after_minutes, 0, MAX_BUFFER_MINUTES)
    found.minutes("slot_step_minutes", offer.slot_step_minutes, QUANTUM_MINUTES, MAX_STEP_MINUTES)
    found.unless(0 <= offer.lead_minutes <= MAX_LEAD_MINUTES, "lead_minutes", f"0 to {MAX_LEAD_MINUTES}")
    found.unless(0 <= offer.horizon_days <= MAX_HORIZON_DAYS, "horizon_days", f"0 to {MAX_HORIZON_DAYS}")


def _options(found: _Faults, offer: Offer) -> None:
    found.unless(len(offer.options) <= MAX_OPTIONS, "options", f"at most {MAX_OPTIONS}")
    distinct = len({option.id for option in offer.options}) == len(offer.options)
    found.unless(distinct, "options", "two options have the same id")
    for option in offer.options:
        found.text("options", option.name, MAX_NAME, required=True)
        found.unless(ids.is_id(option.id, "opt"), "options", "not an option's id")
        found.unless(option.price_delta.currency == offer.price.currency, "options", "not in the offer's currency")
        found.unless(abs(option.price_delta.amount_minor) <= MAX_AMOUNT_MINOR, "options", "too large")
        found.minutes("options", option.duration_delta_minutes, -MAX_SERVICE_MINUTES, MAX_SERVICE_MINUTES)


def _policy(found: _Faults, offer: Offer) -> None:
    notices = [notice for notice, _ in offer.policy]
    refunds = [bps for _, bps in offer.policy]
    found.unless(0 < len(notices) <= MAX_POLICY_STEPS, "policy", f"1 to {MAX_POLICY_STEPS} steps")
    falling = notices == sorted(set(notices), reverse=True) and refunds == sorted(refunds, reverse=True)
    found.unless(falling, "policy", "longest notice first, and never more back for less notice")
    found.unless(bool(notices) and notices[-1] == 0, "policy", "the last step has no notice")
    found.unless(all(0 <= bps <= BPS for bps in refunds), "policy", "refunds are 0 to 10000 basis points")


def _usage(found: _Faults, usage: uses.Usage) -> None:
    for field, value, most in (
        ("usage.valid_days", usage.valid_days, uses.MAX_VALID_DAYS),
        ("usage.per_visit", usage.per_visit, uses.MAX_PER_VISIT),
    ):
        found.unless(value is None or 1 <= value <= most, field, f"1 to {most}")
    ordered = list(usage.blackout) == sorted(set(usage.blackout))
    fits = ordered and len(usage.blackout) <= uses.MAX_BLACKOUT
    found.unless(fits, "usage.blackout", f"at most {uses.MAX_BLACKOUT} dates, in order, each once")
    for sentence in opening.faults(opening.Hours(usage.weekly)):
        found.unless(False, "usage.weekly", sentence)
    some = not usage.weekly or any(usage.weekly.values())
    found.unless(some, "usage.weekly", "hours that are given leave at least one")


def _bundle(found: _Faults, offer: Offer) -> None:
    found.unless(len(offer.bundle) <= MAX_GROUPS, "bundle", f"at most {MAX_GROUPS} groups")
    for group in offer.bundle:
        found.text("bundle", group.name, MAX_NAME, required=True)
        found.unless(1 <= len(group.items) <= MAX_ITEMS, "bundle", f"1 to {MAX_ITEMS} items in a group")
        found.unless(group.rule in bundles.RULES, "bundle", "exactly or at_most")
        found.unless(1 <= group.choose <= len(group.items), "bundle", "choose at least one and no more than there are")
        for item in group.items:
            found.text("bundle", item.name, MAX_NAME, required=True)
            found.unless(1 <= item.quantity <= MAX_QUANTITY, "bundle", f"quantities of 1 to {MAX_QUANTITY}")
            found.unless(item.value.currency == offer.price.currency, "bundle", "not in the offer's currency")
            found.unless(0 <= item.value.amount_minor <= MAX_AMOUNT_MINOR, "bundle", f"values to {MAX_AMOUNT_MINOR}")


def _photos_fit(photos: Sequence[str]) -> bool:
    return len(photos) <= MAX_PHOTOS and all(len(photo) <= MAX_URL for photo in photos)


def _owned(typed_id: str, prefix: str, owner_id: str) -> bool:
    return ids.is_id(typed_id, prefix) and ids.split(typed_id)[0] == ids.tag(owner_id)


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except ValueError:
        return False
    return True
