"""What many do at the same moment with one code, one token, one phone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from chalicelib.identity import codes, model, service, sessions, tables
from chalicelib.identity.belongings import service as belongings
from chalicelib.identity.model import OtpInvalid, OtpResendTooSoon, RefreshInvalid, RefreshReused
from chalicelib.kernel.errors import Problem
from chalicelib.providers.sms.local import Inbox
from chalicelib.runtime.transaction import Transaction
from tests import engine
from tests.builders import identity as people

THREADS = 20


def at_once(act: Callable[[int], object], count: int = THREADS) -> list[object]:
    """What each of `count` threads got from `act(its number)`: a value, or the problem it met."""
    gate = Barrier(count)

    def run(number: int) -> object:
        gate.wait()
        try:
            return act(number)
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def outcomes(results: list[object]) -> Counter[str]:
    return Counter(result.code if isinstance(result, Problem) else "done" for result in results)


def test_twenty_use_one_right_code_and_one_session_is_made() -> None:
    """The others are told that the code is invalid or locked."""
    phone, ctx = people.phone(), people.context()
    codes.send(ctx, phone)
    code = people.last_code(phone)
    results = at_once(lambda _: sessions.by_phone(ctx, phone, code))
    found = outcomes(results)
    assert found.pop("done") == 1
    assert set(found) <= {"otp_invalid", "otp_locked"}
    (winner,) = [result for result in results if isinstance(result, sessions.SignedIn)]
    assert len(tables.sessions(winner.account.id)) == 1


def test_a_hundred_guesses_at_once_get_five_tries_together() -> None:
    """A try is spent before the code is compared, so no guess rides on another's."""
    phone, ctx = people.phone(), people.context()
    codes.send(ctx, phone)
    right = int(people.last_code(phone))
    found = outcomes(at_once(lambda n: codes.prove(ctx, phone, f"{(right + 1 + n) % 1_000_000:06d}"), 100))
    assert found == {"otp_invalid": 5, "otp_locked": 95}


def test_twenty_ask_for_a_code_and_one_message_is_sent() -> None:
    """The rest are told to wait."""
    phone, ctx = people.phone(), people.context()
    found = outcomes(at_once(lambda _: codes.send(ctx, phone)))
    assert found == {"done": 1, OtpResendTooSoon.code: 19}
    assert len(Inbox().list(phone)) == 1


def test_twenty_refresh_one_token_and_all_hold_the_same_living_successor() -> None:
    """Nobody is signed out by a crowd within the grace; after it, the old token revokes the session."""
    signed_in, ctx = people.sign_in(people.phone()), people.context()
    results = at_once(lambda _: sessions.refresh(ctx, signed_in.refresh_token))
    assert outcomes(results) == {"done": 20}
    successors = {result.refresh_token for result in results if isinstance(result, sessions.SignedIn)}
    assert len(successors) == 1
    newest = sessions.refresh(ctx, successors.pop())
    with pytest.raises(RefreshReused):
        sessions.refresh(ctx.at(ctx.now.plus(seconds=31)), signed_in.refresh_token)
    with pytest.raises(RefreshInvalid):
        sessions.refresh(ctx, newest.refresh_token)


def test_a_refresh_that_was_overtaken_does_not_turn_its_session_back() -> None:
    """What was decided on an old reading is not written over two newer rotations, nor over a sign-out."""
    signed_in, ctx = people.sign_in(people.phone()), people.context()
    (seen,) = tables.sessions(signed_in.account.id)
    newest = sessions.refresh(ctx, sessions.refresh(ctx, signed_in.refresh_token).refresh_token)

    def overtaken() -> None:
        tx = Transaction()
        after = model.rotate(seen, "late", ctx.now, seconds=60, grace_seconds=30)
        tables.rotate_session(tx, seen, after, ctx.now, RefreshInvalid())
        tx.commit()

    with pytest.raises(RefreshInvalid):
        overtaken()
    assert sessions.refresh(ctx, newest.refresh_token)
    sessions.end(seen.account_id, seen.id)
    with pytest.raises(RefreshInvalid):
        overtaken()
    assert tables.sessions(signed_in.account.id) == []


def test_one_phone_signs_up_once_however_many_ask() -> None:
    """One account, one look-up, and every caller gets its id."""
    phone, ctx = people.phone(), people.context()
    results = at_once(lambda n: service.ensure_account(phone, f"N{n}", ctx.now, ctx))
    assert len(set(results)) == 1
    named = [
        row
        for row in engine.everything()["linli-identity"]
        if row["pk"]["S"].startswith("id#phone#") and row["a"]["S"] == results[0]
    ]
    assert len(named) == 1


def test_two_accounts_bind_one_phone_and_one_gets_it() -> None:
    """With the same code, at the same moment."""
    phone, ctx = people.phone(), people.context()
    accounts = []
    for _ in range(2):
        tx = Transaction()
        accounts.append(service.create(tx, ctx).id)
        tx.commit()
    codes.send(ctx, phone)
    code = people.last_code(phone)
    found = outcomes(at_once(lambda n: service.bind_phone(ctx, accounts[n], phone, code), 2))
    assert found["done"] == 1
    assert set(found) <= {"done", "phone_taken", OtpInvalid.code}
    assert sorted(service.phone_of(ctx, account) or "" for account in accounts) == ["", phone]


def test_thirty_add_an_address_at_once_and_twenty_stand() -> None:
    """The counter and the rows move together."""
    person, ctx = people.person(), people.context()
    fields = {
        "label": "",
        "contact_name": "Li Lei",
        "phone": person.phone,
        "city": "上海",
        "district": "",
        "street": "南京西路",
        "unit": "",
        "lat_e7": None,
        "lng_e7": None,
    }
    found = outcomes(at_once(lambda n: belongings.add_address(ctx, person.account_id, f"k{n}", "h", fields), 30))
    assert found == {"done": 20, "address_limit": 10}
    assert len(belongings.addresses(ctx, person.account_id)) == 20
