"""People for tests: real accounts, real sessions, phones of their own."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from typing import Any

from chalicelib import wiring
from chalicelib.identity import service, sessions
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.providers.sms.local import Inbox
from chalicelib.runtime import clock
from chalicelib.runtime.context import Context
from chalicelib.runtime.settings import settings
from chalicelib.web.auth import issue_access_token
from tests.client import Client


@dataclass(frozen=True)
class Person:
    """Somebody with an account, and a client that acts for them."""

    account_id: str
    phone: str
    client: Client


def phone() -> str:
    """A mobile number that no other test has."""
    return f"+861{3 + secrets.randbelow(7)}{secrets.randbelow(10**9):09d}"


def context(now: Instant | None = None, *, address: str = "", locale: str = "en", **changed: Any) -> Context:
    """A caller's context; further keywords change settings for it alone."""
    known = replace(settings(), **changed)
    return Context(now=now or clock.now(), ports=wiring.ports(), locale=locale, address=address, settings=known)


def person(*, phone_number: str = "", display_name: str = "Li Lei", language: str = "en") -> Person:
    """An account made directly, signed in without a code."""
    number = phone_number or phone()
    ctx = context(locale=language)
    account_id = service.ensure_account(number, display_name, ctx.now, ctx)
    return Person(account_id, number, client_of(account_id, language))


def staff(merchant_id: str = "", *, role: str = "owner", shop_ids: tuple[str, ...] = (), **kwargs: Any) -> Person:
    """A member of a merchant's staff; a new merchant id when none is given."""
    made = person(**kwargs)
    service.grant_membership(made.account_id, merchant_id or ids.random_id("mch"), role, shop_ids)
    return made


def operator(**kwargs: Any) -> Person:
    """One of the operator's staff."""
    made = person(**kwargs)
    service.grant_operator(made.account_id)
    return replace(made, client=client_of(made.account_id, made.client.language))


def client_of(account_id: str, language: str) -> Client:
    """A client of an account, signed in without a code."""
    roles = service.account(account_id).roles
    session_id = ids.random_id("ses")
    # Issued anew for each call: a test may have moved the clock by days.
    return Client(lambda: issue_access_token(account_id, session_id, roles, clock.now()), language=language)


def last_code(phone_number: str) -> str:
    """The code in the newest message to a phone."""
    found = re.search(r"\b\d{6}\b", Inbox().list(phone_number)[0]["text"])
    assert found is not None
    return found[0]


def sign_in(phone_number: str, *, now: Instant | None = None, **changed: Any) -> sessions.SignedIn:
    """Asks for a code, reads it from the inbox, and signs in with it."""
    from chalicelib.identity import codes

    ctx = context(now, **changed)
    codes.send(ctx, phone_number)
    return sessions.by_phone(ctx, phone_number, last_code(phone_number))
