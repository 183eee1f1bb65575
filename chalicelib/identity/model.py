"""Accounts, codes, sessions and memberships as values, and every decision about them. No I/O and no clock."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.kernel import phone as phones
from chalicelib.kernel.errors import Conflict, Invalid, Problem, TooMany, Unauthorized
from chalicelib.kernel.instant import DAY_MS, HOUR_MS, Instant

OPERATOR_ROLE = "operator"

# One table of what a merchant's staff may do. Whatever a role does not name is denied.
_MONEY = frozenset({"balance.read", "statements.read"})
_COUNTER = frozenset({"orders.read", "orders.accept", "orders.serve", "redeem"})
_SHOP = _COUNTER | {"orders.cancel", "offers.edit", "shops.edit", "calendar.edit", "reviews.read", "reviews.reply"}
ROLES: dict[str, frozenset[str]] = {
    "owner": _SHOP | _MONEY | {"staff.manage", "withdrawals.request"},
    "manager": _SHOP | _MONEY,
    "cashier": _COUNTER,
    "worker": frozenset({"orders.read", "orders.serve"}),
    "accountant": _MONEY,
}

MAX_ADDRESSES = 20
MAX_FAVOURITES = 500
MAX_DEVICES = 10
MAX_SHOPS_OF_A_MEMBER = 200


class PhoneCountryUnsupported(Invalid):
    """Codes are not sent to this country."""

    code = "phone_country_unsupported"


class OtpResendTooSoon(TooMany):
    """A code went to this phone less than a minute ago."""

    code = "otp_resend_too_soon"


class OtpLimit(TooMany):
    """This phone, address or number range has had all its codes for now."""

    code = "otp_limit"


class OtpBudgetSpent(TooMany):
    """No more codes are paid for today, in all or to this country."""

    code = "otp_budget_spent"


class OtpInvalid(Unauthorized):
    """Wrong, used, expired or never sent: the answer does not say which."""

    code = "otp_invalid"


class OtpLocked(TooMany):
    """The code was tried too often and is void."""

    code = "otp_locked"


class RefreshInvalid(Unauthorized):
    """The session is over, or the token is not ours."""

    code = "refresh_invalid"


class RefreshReused(Unauthorized):
    """A token that was rotated away came again: the whole session is revoked."""

    code = "refresh_reused"


class PhoneTaken(Conflict):
    """The phone belongs to another account. Accounts are never merged silently."""

    code = "phone_taken"


class PhoneAlreadyBound(Conflict):
    """This account has another phone."""

    code = "phone_already_bound"


class AddressLimit(Conflict):
    code = "address_limit"


class FavouriteLimit(Conflict):
    code = "favourite_limit"


class SignUpRaced(Conflict):
    """Another request made the account a moment ago; the caller reads again, so nobody is ever told this."""


@dataclass(frozen=True)
class Account:
    """`phone_sealed` is cipher text, None until a phone is bound. `version` counts changes that `GET /v1/me` shows.
    `personalised`: what the account has ordered may change the order of what it is shown."""

    id: str
    phone_sealed: str | None
    display_name: str
    locale: str
    roles: tuple[str, ...]
    version: int
    created_at: Instant
    personalised: bool = True


@dataclass(frozen=True)
class Taste:
    """What a slice above keeps of an account's orders, as plain values, while that is wanted; None: nothing yet.
    `version` counts the changes of it."""

    personalised: bool
    content: Any
    version: int


@dataclass(frozen=True)
class Membership:
    """Where an account works, and as what. `shop_ids` empty means every shop of the merchant."""

    merchant_id: str
    role: str
    shop_ids: tuple[str, ...] = ()

    @property
    def permissions(self) -> frozenset[str]:
        return ROLES[self.role]


@dataclass(frozen=True)
class Otp:
    """The one code that a phone may have. `hash` is None when it is void; `day` counts days since 1970 in UTC."""

    hash: str | None
    tries: int
    expires: Instant
    sent: Instant
    day: int
    day_count: int
    used: Instant | None = None


@dataclass(frozen=True)
class OtpRules:
    """Seconds and counts, from the settings."""

    seconds: int
    tries: int
    resend_seconds: int
    per_day: int


@dataclass(frozen=True)
class Session:
    """One sign-in and all the refresh tokens that follow from it. Tokens are kept as hashes."""

    id: str
    account_id: str
    hash: str
    expires: Instant
    created_at: Instant
    previous: str | None = None
    previous_until: Instant | None = None


@dataclass(frozen=True)
class Address:
    """Where somebody lives or wants service. Latitude and longitude are WGS-84 in ten-millionths of a degree."""

    id: str
    label: str
    contact_name: str
    phone: str
    city: str
    district: str
    street: str
    unit: str
    lat_e7: int | None
    lng_e7: int | None
    version: int
    created_at: Instant


@dataclass(frozen=True)
class Favourite:
    shop_id: str
    created_at: Instant


@dataclass(frozen=True)
class Device:
    """A place that push messages can go to; its token is cipher text. It leaves with the session that registered it."""

    id: str
    platform: str
    token_sealed: str
    session_id: str
    created_at: Instant


def check_country(phone: str, country_codes: str) -> str:
    """The calling code of a phone, when codes go there (`country_codes` is a comma list). Else raises
    PhoneCountryUnsupported."""
    code = phones.country_code(phone)
    if code not in (part.strip() for part in country_codes.split(",")):
        raise PhoneCountryUnsupported(errors=[{"field": "phone", "message": f"no codes are sent to {code}"}])
    return code


def number_range(phone: str) -> str:
    """All but the last four digits: who pumps messages dials through such a range."""
    return phone[:-4]


def refuse(problem: type[TooMany], until: Instant, now: Instant) -> TooMany:
    """A 429 that names the seconds until an instant, at least one."""
    seconds = max(1, -(-until.since(now) // 1000))
    return problem(retry_after_seconds=seconds, detail_args={"seconds": str(seconds)})


def issue(known: Otp | None, code_hash: str, now: Instant, rules: OtpRules) -> Otp:
    """The row of a fresh code, which replaces the known one. Raises OtpResendTooSoon or OtpLimit."""
    today = now.ms // DAY_MS
    count = known.day_count if known and known.day == today else 0
    if known and now < known.sent.plus(seconds=rules.resend_seconds):
        raise refuse(OtpResendTooSoon, known.sent.plus(seconds=rules.resend_seconds), now)
    if count >= rules.per_day:
        raise refuse(OtpLimit, end_of_day(now), now)
    return Otp(code_hash, 0, now.plus(seconds=rules.seconds), now, today, count + 1)


def refusal(otp: Otp | None, now: Instant, rules: OtpRules) -> Problem | None:
    """Why a code may not be tried now; None when it may. Says nothing about whether it is right."""
    if otp is None or otp.hash is None or otp.used is not None or now >= otp.expires:
        return OtpInvalid()
    if otp.tries >= rules.tries:
        return refuse(OtpLocked, otp.sent.plus(seconds=rules.resend_seconds), now)
    return None


def same(a: str, b: str) -> bool:
    """Compares in a time that does not depend on where two texts differ."""
    return hmac.compare_digest(a.encode(), b.encode())


def rotate(session: Session, new_hash: str, now: Instant, *, seconds: int, grace_seconds: int) -> Session:
    """The session after its current token was spent for a new one."""
    return replace(
        session,
        hash=new_hash,
        expires=now.plus(seconds=seconds),
        previous=session.hash,
        previous_until=now.plus(seconds=grace_seconds),
    )


def standing(session: Session | None, token_hash: str, now: Instant) -> str:
    """What a genuine token is to its session: `current`, `repeated` (rotated a moment ago, and the answer may have
    been lost), `reused` or `over`."""
    if session is None or now >= session.expires:
        return "over"
    if same(session.hash, token_hash):
        return "current"
    if session.previous and same(session.previous, token_hash):
        assert session.previous_until is not None  # noqa: S101  # the two are written together
        return "repeated" if now < session.previous_until else "reused"
    return "reused"


def surplus(sessions: list[Session], now: Instant, keep: int) -> list[Session]:
    """Which sessions must go so that at most `keep` stay: those that are over, then the oldest."""
    over = [session for session in sessions if now >= session.expires]
    living = sorted((s for s in sessions if now < s.expires), key=lambda s: (s.created_at, s.id))
    return over + (living[: len(living) - keep] if len(living) > keep else [])


def end_of_day(now: Instant) -> Instant:
    """The next midnight in UTC."""
    return Instant((now.ms // DAY_MS + 1) * DAY_MS)


def end_of_hour(now: Instant) -> Instant:
    return Instant((now.ms // HOUR_MS + 1) * HOUR_MS)
