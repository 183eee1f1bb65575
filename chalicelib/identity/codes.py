"""One-time codes: sent through the SMS port in the request, and kept as nothing but a keyed hash."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass

from chalicelib.identity import model, tables, vault
from chalicelib.identity.model import OtpBudgetSpent, OtpInvalid, OtpLimit, OtpResendTooSoon, OtpRules
from chalicelib.kernel.errors import TooMany
from chalicelib.kernel.instant import DAY_MS, HOUR_MS
from chalicelib.providers.ports import ProviderUnavailable, SmsRefused
from chalicelib.runtime import messages
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction


@dataclass(frozen=True)
class Proof:
    """A right code, not yet used up: whoever acts on it adds `use` to the transaction of the act."""

    phone: str
    phone_hash: str
    code_hash: str


def rules(ctx: Context) -> OtpRules:
    known = ctx.settings
    return OtpRules(known.otp_seconds, known.otp_tries, known.otp_resend_seconds, known.otp_per_phone_day)


def phone_hash(ctx: Context, phone: str) -> str:
    return vault.keyed_hash(ctx.ports.secrets, "phone", phone)


def _code_hash(ctx: Context, phone: str, code: str) -> str:
    return vault.keyed_hash(ctx.ports.secrets, "otp", phone, code)


def send(ctx: Context, phone: str) -> None:
    """Sends a fresh six-digit code to an E.164 phone, whether or not anybody has an account with it.

    Raises PhoneCountryUnsupported, OtpResendTooSoon, OtpLimit or OtpBudgetSpent with nothing changed, and
    ProviderUnavailable or SmsRefused when the message could not be handed over: that code is void, and asking again
    is allowed at once, though it counts.
    """
    country = model.check_country(phone, ctx.settings.otp_country_codes)
    index = phone_hash(ctx, phone)
    code = f"{secrets.randbelow(1_000_000):06d}"
    code_hash = _code_hash(ctx, phone, code)
    seen = tables.otp(index)
    fresh = model.issue(seen, code_hash, ctx.now, rules(ctx))
    tx = Transaction()
    raced = model.refuse(OtpResendTooSoon, fresh.sent.plus(seconds=rules(ctx).resend_seconds), ctx.now)
    tables.replace_otp(tx, index, seen, fresh, raced)
    _spend_limits(tx, ctx, phone, country)
    tx.commit()
    text = messages.text(ctx.locale, "sms", "otp", code=code, minutes=str(ctx.settings.otp_seconds // 60))
    try:
        ctx.ports.sms.send(to=phone, text=text, template="otp", dedupe_key=f"otp:{index}:{ctx.now.ms}")
    except (ProviderUnavailable, SmsRefused):
        _void(index, code_hash)
        raise


def _spend_limits(tx: Transaction, ctx: Context, phone: str, country: str) -> None:
    """The windows that stop a pump of messages: by address, by range of numbers, by country and by the day's budget."""
    known, now = ctx.settings, ctx.now

    def spend(window_ms: int, limit: int, otherwise: TooMany, *scope: str) -> None:
        tables.spend_window(
            tx, "#".join(("otp", *scope)), window_ms=window_ms, limit=limit, now=now, otherwise=otherwise
        )

    hour = model.refuse(OtpLimit, model.end_of_hour(now), now)
    day = model.refuse(OtpBudgetSpent, model.end_of_day(now), now)
    if ctx.address:
        address = vault.keyed_hash(ctx.ports.secrets, "address", ctx.address)
        spend(HOUR_MS, known.otp_per_address_hour, hour, "address", address)
    numbers = vault.keyed_hash(ctx.ports.secrets, "range", model.number_range(phone))
    spend(HOUR_MS, known.otp_per_prefix_hour, hour, "range", numbers)
    if country != known.otp_country_codes.partition(",")[0].strip():
        spend(DAY_MS, known.sms_country_budget, day, "country", country)
    spend(DAY_MS, known.sms_daily_budget, day, "all")


def _void(index: str, code_hash: str) -> None:
    tx = Transaction()
    tables.void_otp(tx, index, code_hash, lambda _: None)
    with suppress(AlreadyDone):  # another code has taken its place meanwhile
        tx.commit()


def prove(ctx: Context, phone: str, code: str) -> Proof:
    """Spends one try. Raises OtpInvalid (401) for a code that is wrong, used, expired or was never sent, and
    OtpLocked (429) after the last try."""
    index = phone_hash(ctx, phone)
    seen = tables.otp(index)
    refused = model.refusal(seen, ctx.now, rules(ctx))
    if refused is not None or seen is None:
        raise refused or OtpInvalid()
    tx = Transaction()
    tables.spend_try(
        tx,
        index,
        seen,
        limit=ctx.settings.otp_tries,
        now=ctx.now,
        otherwise=lambda old: model.refusal(tables.otp_in(old), ctx.now, rules(ctx)) or OtpInvalid(),
    )
    tx.commit()
    code_hash = _code_hash(ctx, phone, code)
    if not model.same(seen.hash or "", code_hash):
        raise OtpInvalid
    return Proof(phone, index, code_hash)


def use(tx: Transaction, ctx: Context, proof: Proof) -> None:
    """The code is used up with the transaction, and only once: a second commit raises OtpInvalid."""
    tables.use_otp(tx, proof.phone_hash, proof.code_hash, ctx.now, OtpInvalid())
