"""Accounts, codes, sessions, memberships and what people keep: one row each, and many requests."""

from __future__ import annotations

import re
import secrets
from functools import partial
from typing import Any

from chalicelib.identity import codes, model, service, sessions, tables
from chalicelib.identity.belongings import service as belongings
from chalicelib.kernel import ids
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction
from tests.builders import identity
from tests.simulation import plan as faults
from tests.simulation.interleavings import scenes
from tests.simulation.interleavings.case import Round, case, outcomes
from tests.simulation.phones import Phones


def _code(round: Round, phone: str, **changed: Any) -> tuple[Context, str]:
    """A code that was sent to a phone, and the context of who asked for it."""
    ctx = identity.context(**changed)
    codes.send(ctx, phone)
    return ctx, _last_code(phone)


def _last_code(phone: str) -> str:
    text = [text for to, text in Phones.received.values() if to == phone][-1]
    found = re.search(r"\b\d{6}\b", text)
    assert found is not None
    return found[0]


def _messages(phone: str) -> int:
    return sum(to == phone for to, _ in Phones.received.values())


@case()
def code_is_used_once(round: Round) -> None:
    """Three sign in with one right code: one session of one new account, the others are told that the code is over."""
    phone = identity.phone()
    ctx, code = _code(round, phone)
    sign_in = partial(sessions.by_phone, ctx, phone, code)
    found = round.race(sign_in, sign_in, sign_in)
    round.same("answers", outcomes(found), {"done": 1, "otp_invalid": 2})
    (winner,) = (one for one in found if isinstance(one, sessions.SignedIn))
    round.same("sessions", len(tables.sessions(winner.account.id)), 1)


@case()
def last_try_of_a_code(round: Round) -> None:
    """Two guesses, one try left: one of them is compared, the other is told that the code is locked."""
    phone = identity.phone()
    ctx, code = _code(round, phone, otp_tries=2)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    outcomes([_told(partial(codes.prove, ctx, phone, wrong))])
    guess = partial(codes.prove, ctx, phone, wrong)
    found = outcomes(round.race(guess, guess))
    # A lost answer may cost the try twice: it is spent before anything is compared, so nobody gets one more.
    allowed = [{"otp_invalid": 1, "otp_locked": 1}] + [{"otp_locked": 2}] * round.struck(faults.LOST_AFTER)
    round.holds(f"answers: {found}", found in allowed)


def _told(act: Any) -> Any:
    try:
        return act()
    except model.OtpInvalid as problem:
        return problem


@case()
def code_is_sent_once(round: Round) -> None:
    """Two ask for a first code, and later for another: each time one message leaves."""
    phone, ctx = identity.phone(), round.ctx
    send = partial(codes.send, ctx, phone)
    round.same("first", outcomes(round.race(send, send)), {"done": 1, "otp_resend_too_soon": 1})
    round.later(minutes=2)
    send = partial(codes.send, round.ctx, phone)
    round.same("second", outcomes(round.race(send, send)), {"done": 1, "otp_resend_too_soon": 1})
    round.same("messages", _messages(phone), 2)


@case()
def budget_of_codes(round: Round) -> None:
    """Two phones behind one address that may ask once more this hour: one message leaves."""
    address, phones = secrets.token_hex(8), [identity.phone() for _ in range(3)]
    _code(round, phones[0], address=address, otp_per_address_hour=2)
    ctx = identity.context(address=address, otp_per_address_hour=2)
    found = round.race(*(partial(codes.send, ctx, phone) for phone in phones[1:]))
    round.same("answers", outcomes(found), {"done": 1, "otp_limit": 1})
    round.same("messages", [_messages(phones[1]) + _messages(phones[2])], [1])


@case()
def code_that_did_not_leave(round: Round) -> None:
    """A message that cannot be handed over makes its code void, unless another one has taken its place by then."""
    phone, ctx = identity.phone(), round.ctx
    codes.send(ctx, phone)
    seen = tables.otp(codes.phone_hash(ctx, phone))
    assert seen is not None
    assert seen.hash is not None
    round.later(minutes=2)
    void = partial(codes._void, codes.phone_hash(ctx, phone), seen.hash)
    again, _ = round.race(partial(codes.send, round.ctx, phone), void)
    # Voided between reading and writing, the row is not what was read: that is told as the wish to wait.
    sent = again is None
    after = tables.otp(codes.phone_hash(ctx, phone))
    round.same("a code is there", bool(after and after.hash), sent)
    round.holds("the old code is over", after is None or after.hash != seen.hash)


@case()
def one_phone_one_account(round: Round) -> None:
    """Three requests sign one phone up: one account, and all get its id."""
    phone, ctx = identity.phone(), round.ctx
    found = round.race(*(partial(service.ensure_account, phone, f"N{n}", ctx.now, ctx) for n in range(3)))
    round.same("accounts", len(set(found)), 1)


@case(alone=True)
def one_wechat_user_one_account(round: Round) -> None:
    """Two log-ins of one new WeChat user: one account, two sessions."""
    ctx = round.ctx
    found = round.race(*(partial(sessions.by_wechat, ctx, f"wx-demo-1-{secrets.token_hex(8)}") for _ in range(2)))
    round.same("answers", outcomes(found), {"done": 2})
    round.same("accounts", len({one.account.id for one in found}), 1)


@case()
def one_phone_two_accounts(round: Round) -> None:
    """Two accounts without a phone bind the same one: one of them gets it."""
    phone, ctx = identity.phone(), round.ctx
    accounts = [_without_phone(ctx) for _ in range(2)]
    _, code = _code(round, phone)
    found = round.race(*(partial(service.bind_phone, ctx, account, phone, code) for account in accounts))
    round.same("winners", outcomes(found).get("done"), 1)
    round.holds("the loser is told why", set(outcomes(found)) <= {"done", "phone_taken", "otp_invalid"})
    round.same("phones", sorted(service.phone_of(ctx, one) or "" for one in accounts), ["", phone])


@case()
def two_phones_one_account(round: Round) -> None:
    """One account binds two phones at once: it has one of them, and the other is nobody's."""
    ctx, account = round.ctx, _without_phone(round.ctx)
    phones = [identity.phone() for _ in range(2)]
    acts = [partial(service.bind_phone, ctx, account, phone, _code(round, phone)[1]) for phone in phones]
    round.same("answers", outcomes(round.race(*acts)), {"done": 1, "phone_already_bound": 1})
    owners = [tables.account_id_by("phone", codes.phone_hash(ctx, phone)) for phone in phones]
    round.same("owners", sorted(owner or "" for owner in owners), ["", account])


def _without_phone(ctx: Context) -> str:
    tx = Transaction()
    made = service.create(tx, ctx)
    tx.commit()
    return made.id


@case()
def refresh_and_sign_out(round: Round) -> None:
    """Two tabs refresh one token while a third signs out: both get the same successor, or are told that it is over; the
    session does not come back to life."""
    phone = identity.phone()
    ctx, code = _code(round, phone)
    signed_in = sessions.by_phone(ctx, phone, code)
    account = signed_in.account.id
    (session,) = tables.sessions(account)
    refresh = partial(sessions.refresh, ctx, signed_in.refresh_token)
    one, two, _ = round.race(refresh, refresh, partial(sessions.end, account, session.id))
    round.holds("told", set(outcomes([one, two])) <= {"done", "refresh_invalid"})
    successors = {found.refresh_token for found in (one, two) if isinstance(found, sessions.SignedIn)}
    round.holds("one successor", len(successors) <= 1)
    round.same("sessions", tables.sessions(account), [])


@case()
def profile_of_one_reading(round: Round) -> None:
    """Two changes of one reading of a profile: one stands, the other is told that its reading was stale."""
    who = identity.person()
    seen = service.account(who.account_id)
    acts = [partial(service.change_profile, seen, display_name=name, locale=None) for name in ("One", "Two")]
    found = round.race(*acts)
    round.same("answers", outcomes(found), {"done": 1, "stale": 1})
    (winner,) = (one for one in found if isinstance(one, model.Account))
    round.same("stands", service.account(seen.id), winner)


@case(weight=2)
def roles_and_profile(round: Round) -> None:
    """A role and a name of one reading: neither is written over the other unseen."""
    who = identity.person()
    seen = service.account(who.account_id)
    found = round.race(
        partial(service.grant_operator, seen.id),
        partial(service.change_profile, seen, display_name="New", locale=None),
    )
    after = service.account(seen.id)
    stands = [model.OPERATOR_ROLE in after.roles, after.display_name == "New"]
    done = [outcomes([one]) == {"done": 1} for one in found]
    # Whose answer is lost, and whose change is changed again before it is sent once more, cannot know it any more.
    round.same("stands", [one for one, sure in zip(stands, done, strict=True) if sure], [True] * sum(done))
    round.holds("who is refused has changed nothing", stands == done or round.struck(faults.LOST_AFTER))
    round.holds("one of them stands", any(stands))


@case()
def last_room_for_an_address(round: Round) -> None:
    """Room for one address more, and three that are added: one stands, and the count is that of the rows."""
    who, ctx = scenes.person(round), round.ctx
    add = partial(_adds_address, ctx, who.account_id)
    round.kept("nineteen", lambda: [add(f"n{number}") for number in range(model.MAX_ADDRESSES - 1)])
    found = round.race(*(partial(add, f"{round.seed}/{number}") for number in range(3)))
    round.same("answers", outcomes(found), {"done": 1, "address_limit": 2})
    round.same("rows", len(belongings.addresses(ctx, who.account_id)), model.MAX_ADDRESSES)
    (added,) = (one[0] for one in found if isinstance(one, tuple))
    belongings.remove_address(who.account_id, added.id)


def _adds_address(ctx: Context, account_id: str, key: str, street: str = "南京西路") -> tuple[model.Address, bool]:
    names = ("label", "contact_name", "phone", "city", "district", "street", "unit")
    fields: dict[str, Any] = {**dict.fromkeys(names, ""), "lat_e7": None, "lng_e7": None, "street": street}
    return belongings.add_address(ctx, account_id, key, f"hash of {street}", fields)


@case()
def one_address_under_one_key(round: Round) -> None:
    """One request to add an address sent twice, and another under its key: one address, and the other is refused."""
    who, ctx = identity.person(), round.ctx
    add = partial(_adds_address, ctx, who.account_id, "key")
    found = round.race(add, add, partial(add, "北京东路"))
    round.holds(
        f"answers: {outcomes(found)}",
        outcomes(found) in ({"done": 2, "idempotency_key_reused": 1}, {"done": 1, "idempotency_key_reused": 2}),
    )
    round.same("rows", len(belongings.addresses(ctx, who.account_id)), 1)


@case()
def address_changed_and_removed(round: Round) -> None:
    """Two changes of one reading and two removals of an address: what is gone stays gone, and is counted once."""
    who, ctx = identity.person(), round.ctx
    seen, _ = _adds_address(ctx, who.account_id, "key")
    change = partial(belongings.change_address, ctx, who.account_id, seen)
    remove = partial(belongings.remove_address, who.account_id, seen.id)
    found = round.race(partial(change, {"unit": "1"}), partial(change, {"unit": "2"}), remove, remove)
    round.same("removals", outcomes(found[2:]), {"done": 1, "not_found": 1})
    changes = outcomes(found[:2])
    round.holds(f"changes: {changes}", changes.get("done", 0) <= 1 and set(changes) <= {"done", "stale", "not_found"})
    round.same("rows", belongings.addresses(ctx, who.account_id), [])


@case()
def address_of_one_reading(round: Round) -> None:
    """Two changes of one reading of an address: one stands, whatever happens to its answer."""
    who, ctx = scenes.person(round), round.ctx
    seen, _ = _adds_address(ctx, who.account_id, f"key {round.seed % 10}/{secrets.token_hex(4)}")
    change = partial(belongings.change_address, ctx, who.account_id, seen)
    found = round.race(partial(change, {"unit": "1"}), partial(change, {"unit": "2"}))
    round.same("answers", outcomes(found), {"done": 1, "stale": 1})
    (winner,) = (one for one in found if isinstance(one, model.Address))
    round.same("stands", belongings.address(ctx, who.account_id, seen.id), winner)
    belongings.remove_address(who.account_id, seen.id)


@case()
def favourite_twice(round: Round) -> None:
    """The same favourite added twice and removed twice: counted once each time."""
    who, shop_id, ctx = identity.person(), ids.random_id("shp"), round.ctx
    add = partial(belongings.add_favourite, ctx, who.account_id, shop_id)
    added = round.race(add, add)
    round.same("added", [one[1] for one in added].count(False), 1)
    remove = partial(belongings.remove_favourite, who.account_id, shop_id)
    round.race(remove, remove, remove)
    round.same("rows", belongings.favourites(who.account_id, 10, None).items, [])
    round.same("count", _count(round, who.account_id, tables.AccountRow.favourites), 0)


@case()
def last_room_for_a_favourite(round: Round) -> None:
    """Room for one favourite more: of two that come at once one stands."""
    who, ctx = identity.person(), round.ctx
    tx = Transaction()
    tables.count_favourite(tx, who.account_id, model.MAX_FAVOURITES - 1, model.MAX_FAVOURITES, model.FavouriteLimit())
    tx.commit()
    acts = [partial(belongings.add_favourite, ctx, who.account_id, ids.random_id("shp")) for _ in range(2)]
    round.same("answers", outcomes(round.race(*acts)), {"done": 1, "favourite_limit": 1})


def _count(round: Round, account_id: str, counter: Any) -> int:
    return int(getattr(tables.AccountRow.get(account_id, "-", consistent_read=True), counter.attr_path[-1], 0) or 0)


@case()
def membership_revoked_twice(round: Round) -> None:
    """A membership is revoked by two at once while another one is given: the loser is told that there is none, and the
    account's version tells of both changes."""
    who, merchant_id = identity.person(), ids.random_id("mch")
    service.grant_membership(who.account_id, merchant_id, "worker")
    before = service.account(who.account_id).version
    revoke = partial(service.revoke_membership, who.account_id, merchant_id)
    found = round.race(revoke, revoke, partial(service.grant_membership, who.account_id, ids.random_id("mch"), "owner"))
    round.same("answers", outcomes(found), {"done": 2, "not_found": 1})
    round.same("memberships", [one.role for one in service.memberships(who.account_id)], ["owner"])
    round.same("versions", service.account(who.account_id).version - before, 2)


@case(weight=0.3)
def membership_of_nobody(round: Round) -> None:
    """An account that does not exist is given a membership, and loses one: both are told so, and nothing is there."""
    account_id, merchant_id = ids.random_id("acc"), ids.random_id("mch")
    found = round.race(
        partial(service.grant_membership, account_id, merchant_id, "worker"),
        partial(service.revoke_membership, account_id, merchant_id),
    )
    round.same("answers", outcomes(found), {"not_found": 2})
    round.same("memberships", service.memberships(account_id), [])
