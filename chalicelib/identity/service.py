"""Accounts, memberships and contact data: what other slices may ask of identity, and one's own profile."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from chalicelib.identity import codes, model, tables, vault
from chalicelib.identity.model import (
    OPERATOR_ROLE,
    ROLES,
    Account,
    Membership,
    PhoneAlreadyBound,
    PhoneTaken,
    SignUpRaced,
    Taste,
)
from chalicelib.kernel import ids
from chalicelib.kernel import phone as phones
from chalicelib.kernel.errors import NotFound, Problem, Unauthorized, Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import messages
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import AlreadyDone, Transaction

_TRIES = 4
_PHONE = "phone"

_lock = threading.Lock()
_switches = 0


def account(account_id: str) -> Account:
    """Raises Unauthorized when there is none: a token may outlive its account by minutes."""
    found = tables.account(account_id)
    if found is None:
        raise Unauthorized
    return found


def create(tx: Transaction, ctx: Context, *, phone: str | None = None, display_name: str = "") -> Account:
    """Adds a new account, and its look-up by phone, to a transaction whose commit raises SignUpRaced when another
    request was faster."""
    account_id = ids.random_id("acc")
    made = Account(
        id=account_id,
        phone_sealed=None if phone is None else vault.seal(ctx.ports.secrets, account_id, _PHONE, phone),
        display_name=display_name
        or messages.text(ctx.locale, "account", "default_name", suffix=account_id[-4:].upper()),
        locale=ctx.locale,
        roles=(),
        version=1,
        created_at=ctx.now,
    )
    tables.add_account(tx, made)
    if phone is not None:
        tables.add_lookup(tx, _PHONE, codes.phone_hash(ctx, phone), account_id, SignUpRaced())
    return made


def ensure_account(phone: str, display_name: str, now: Instant, ctx: Context) -> str:
    """The id of the account with this E.164 phone, made when there is none. Raises ValueError for no phone number."""
    ctx, phone = ctx.at(now), phones.parse(phone)
    for _ in range(_TRIES):
        found = tables.account_id_by(_PHONE, codes.phone_hash(ctx, phone))
        if found:
            return found
        tx = Transaction()
        made = create(tx, ctx, phone=phone, display_name=display_name)
        try:
            tx.commit()
        except SignUpRaced:
            continue
        return made.id
    raise Unavailable(retry_after_seconds=1)


def phone_of(ctx: Context, account_id: str) -> str | None:
    """The E.164 phone in clear, for sending to it; None when no phone is bound or there is no such account."""
    return _phone(ctx, tables.account(account_id))


def contact_of(ctx: Context, account_id: str) -> tuple[str | None, str]:
    """(phone in clear or None, language) of an account. Raises NotFound when there is none."""
    found = tables.account(account_id)
    if found is None:
        raise NotFound
    return _phone(ctx, found), found.locale


def phone_masked(ctx: Context, account: Account) -> str | None:
    clear = _phone(ctx, account)
    return None if clear is None else phones.mask(clear)


def _phone(ctx: Context, account: Account | None) -> str | None:
    if account is None or account.phone_sealed is None:
        return None
    return vault.unseal(ctx.ports.secrets, account.id, _PHONE, account.phone_sealed)


def change_profile(
    seen: Account, *, display_name: str | None = None, locale: str | None = None, personalised: bool | None = None
) -> Account:
    """None leaves a field as it is. Raises Stale when the account changed since it was read. Switching personalisation
    off erases the account's taste."""
    global _switches  # noqa: PLW0603  # one count for the process
    wanted = seen.personalised if personalised is None else personalised
    tx = Transaction()
    tables.change_profile(tx, seen, display_name or seen.display_name, locale or seen.locale, personalised=wanted)
    with suppress(AlreadyDone):
        tx.commit()
    if wanted != seen.personalised:
        with _lock:
            _switches += 1
    return account(seen.id)


def switches() -> int:
    """How often personalisation was switched through this process: whoever remembers a taste asks again after it."""
    return _switches


def taste_of(account_id: str, *, consistent: bool) -> Taste | None:
    """What is kept of an account's taste, and whether it wants that; None without the account. One read."""
    return tables.taste(account_id, consistent=consistent)


def keep_taste(tx: Transaction, account_id: str, seen: Taste, content: Any, otherwise: Problem) -> None:
    """Adds the account's taste, plain values, over the one that was seen. The commit raises `otherwise` when it was
    changed or switched off meanwhile."""
    tables.put_taste(tx, account_id, seen, content, otherwise)


def bind_phone(ctx: Context, account_id: str, phone: str, code: str) -> Account:
    """Gives an account without a phone one, proved by its code. The same phone again changes nothing.

    Raises OtpInvalid, OtpLocked, PhoneAlreadyBound, and PhoneTaken when the phone is another account's; its code is
    then still good for signing in there.
    """
    mine = account(account_id)
    if mine.phone_sealed is not None:
        if _phone(ctx, mine) == phone:
            return mine
        raise PhoneAlreadyBound
    proof = codes.prove(ctx, phone, code)
    tx = Transaction()
    codes.use(tx, ctx, proof)
    tables.add_lookup(tx, _PHONE, proof.phone_hash, account_id, PhoneTaken())
    sealed = vault.seal(ctx.ports.secrets, account_id, _PHONE, phone)
    tables.set_phone(tx, account_id, sealed, PhoneAlreadyBound())
    tx.commit()
    return account(account_id)


def memberships(account_id: str) -> list[Membership]:
    """Where an account works, read anew each time: what is revoked is gone with the next request."""
    return tables.memberships(account_id)


def add_membership(
    tx: Transaction, account_id: str, merchant_id: str, role: str, shop_ids: tuple[str, ...] = ()
) -> None:
    """For a transaction of a slice above, for example the one that makes a merchant with its owner.

    Raises ValueError for an unknown role; its commit raises NotFound for an unknown account.
    """
    if role not in ROLES:
        raise ValueError(f"unknown role {role!r}")
    if len(shop_ids) > model.MAX_SHOPS_OF_A_MEMBER:
        raise ValueError(f"a member has at most {model.MAX_SHOPS_OF_A_MEMBER} shops by name")
    tables.put_membership(tx, account_id, Membership(merchant_id, role, tuple(shop_ids)))


def grant_membership(account_id: str, merchant_id: str, role: str, shop_ids: tuple[str, ...] = ()) -> None:
    """Makes the account a member of the merchant's staff, or changes its role and shops (empty: all of them)."""
    tx = Transaction()
    add_membership(tx, account_id, merchant_id, role, shop_ids)
    tx.commit()


def revoke_membership(account_id: str, merchant_id: str) -> None:
    """Raises NotFound when the account is no member."""
    tx = Transaction()
    tables.remove_membership(tx, account_id, merchant_id)
    tx.commit()


def grant_operator(account_id: str) -> None:
    """Makes the account one of the operator's staff, from its next access token on. Raises Unauthorized without one."""
    seen = account(account_id)
    if OPERATOR_ROLE in seen.roles:
        return
    tx = Transaction()
    tables.set_roles(tx, seen, (*seen.roles, OPERATOR_ROLE))
    with suppress(AlreadyDone):
        tx.commit()
