"""Rows of accounts, look-ups, memberships, codes, limits and sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pynamodb.attributes import UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.identity.model import Account, Device, Membership, Otp, Session, SignUpRaced, Taste
from chalicelib.kernel.errors import NotFound, Problem, Stale
from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, query_all, table_name
from chalicelib.runtime.transaction import OldItem, Otherwise, Transaction

_ONLY = "-"
_DAY_SECONDS = DAY_MS // 1000


class IdentityRow(Row):
    """The base of all rows of this slice's one table."""

    class Meta:
        table_name = table_name("identity")
        ttl_attribute = "t"


class AccountRow(IdentityRow):
    """pk `acc_…`, sk `-`. `addresses` and `favourites` count the rows below the account, so that both are bounded.
    While `impersonal` stands there, no `taste` does."""

    phone_sealed = UnicodeAttribute(attr_name="p", null=True)
    display_name = UnicodeAttribute(attr_name="n")
    locale = UnicodeAttribute(attr_name="l")
    roles = PackedAttribute(attr_name="r")
    version = IntegerAttribute(attr_name="v")
    created_ms = IntegerAttribute(attr_name="c")
    addresses = IntegerAttribute(attr_name="na", null=True)
    favourites = IntegerAttribute(attr_name="nf", null=True)
    impersonal = IntegerAttribute(attr_name="o", null=True)
    taste = PackedAttribute(attr_name="ta", null=True)
    taste_version = IntegerAttribute(attr_name="tv", null=True)


class LookupRow(IdentityRow):
    """pk `id#phone#<keyed hash>` or `id#wechat#<keyed hash>`, sk `-`: put-if-absent makes it unique."""

    account_id = UnicodeAttribute(attr_name="a")


class MembershipRow(IdentityRow):
    """pk `acc_…`, sk `mem#mch_…`."""

    role = UnicodeAttribute(attr_name="r")
    shop_ids = PackedAttribute(attr_name="s")


class OtpRow(IdentityRow):
    """pk `otp#<keyed hash of the phone>`, sk `-`. Kept beyond the code's life, for it counts the day's codes."""

    hash = UnicodeAttribute(attr_name="h", null=True)
    tries = IntegerAttribute(attr_name="k")
    expires_ms = IntegerAttribute(attr_name="x")
    sent_ms = IntegerAttribute(attr_name="s")
    day = IntegerAttribute(attr_name="d")
    day_count = IntegerAttribute(attr_name="n")
    used_ms = IntegerAttribute(attr_name="u", null=True)
    ttl = IntegerAttribute(attr_name="t")


class LimitRow(IdentityRow):
    """pk `rl#<scope>`, sk the number of the window since 1970."""

    taken = IntegerAttribute(attr_name="n", null=True)
    ttl = IntegerAttribute(attr_name="t")


class SessionRow(IdentityRow):
    """pk `acc_…`, sk `ses#ses_…`."""

    hash = UnicodeAttribute(attr_name="h")
    previous = UnicodeAttribute(attr_name="p", null=True)
    previous_until_ms = IntegerAttribute(attr_name="g", null=True)
    expires_ms = IntegerAttribute(attr_name="x")
    created_ms = IntegerAttribute(attr_name="c")
    ttl = IntegerAttribute(attr_name="t")


class DeviceRow(IdentityRow):
    """pk `acc_…`, sk `dev#dev_…`."""

    platform = UnicodeAttribute(attr_name="k")
    token_sealed = UnicodeAttribute(attr_name="d")
    session_id = UnicodeAttribute(attr_name="s")
    created_ms = IntegerAttribute(attr_name="c")


# Accounts and their look-ups


def _account(row: AccountRow) -> Account:
    return Account(
        id=row.pk,
        phone_sealed=row.phone_sealed,
        display_name=row.display_name,
        locale=row.locale,
        roles=tuple(row.roles),
        version=row.version,
        created_at=Instant(row.created_ms),
        personalised=row.impersonal is None,
    )


def account(account_id: str) -> Account | None:
    """A1: an account by its id, strongly."""
    try:
        return _account(AccountRow.get(account_id, _ONLY, consistent_read=True))
    except AccountRow.DoesNotExist:
        return None


def account_id_by(kind: str, keyed_hash: str) -> str | None:
    """A2: the account of a phone or of a WeChat user."""
    try:
        return str(LookupRow.get(f"id#{kind}#{keyed_hash}", _ONLY, consistent_read=True).account_id)
    except LookupRow.DoesNotExist:
        return None


def add_account(tx: Transaction, account: Account) -> None:
    row = AccountRow(
        account.id,
        _ONLY,
        phone_sealed=account.phone_sealed,
        display_name=account.display_name,
        locale=account.locale,
        roles=list(account.roles),
        version=account.version,
        created_ms=account.created_at.ms,
    )
    tx.put_new(row, SignUpRaced())


def add_lookup(tx: Transaction, kind: str, keyed_hash: str, account_id: str, taken: Problem) -> None:
    tx.put_new(LookupRow(f"id#{kind}#{keyed_hash}", _ONLY, account_id=account_id), taken)


def change_profile(tx: Transaction, seen: Account, display_name: str, locale: str, *, personalised: bool) -> None:
    """Raises Stale when the account changed since it was read; AlreadyDone when this very change stands. Switched off,
    the account's taste is erased, and what was about to be written of it does not fit any more."""
    version = seen.version + 1
    wanted = replace(seen, display_name=display_name, locale=locale, personalised=personalised, version=version)
    actions: list[Action] = [AccountRow.display_name.set(display_name), AccountRow.locale.set(locale)]
    actions.append(AccountRow.version.set(version))
    if personalised != seen.personalised:
        actions.append(AccountRow.impersonal.remove() if personalised else AccountRow.impersonal.set(1))
        actions += [AccountRow.taste.remove(), AccountRow.taste_version.set((AccountRow.taste_version | 0) + 1)]
    tx.update(AccountRow(seen.id, _ONLY), actions, AccountRow.version == seen.version, _unless_it_is(wanted))


def _unless_it_is(wanted: Account) -> Otherwise:
    """A change whose answer was lost is sent once more, and meets itself: that is not stale."""
    return lambda old: None if old and _account(AccountRow.from_raw_data(old)) == wanted else Stale()


def taste(account_id: str, *, consistent: bool) -> Taste | None:
    """A1f: an account's taste, and whether it wants one; None without the account."""
    try:
        row = AccountRow.get(account_id, _ONLY, consistent_read=consistent)
    except AccountRow.DoesNotExist:
        return None
    return Taste(row.impersonal is None, row.taste, row.taste_version or 0)


def put_taste(tx: Transaction, account_id: str, seen: Taste, content: Any, otherwise: Problem) -> None:
    """Over the taste that was seen, and only while it is wanted."""
    actions = [AccountRow.taste.set(content), AccountRow.taste_version.set(seen.version + 1)]
    unmoved = AccountRow.taste_version == seen.version if seen.version else AccountRow.taste_version.does_not_exist()
    condition = AccountRow.pk.exists() & AccountRow.impersonal.does_not_exist() & unmoved
    tx.update(AccountRow(account_id, _ONLY), actions, condition, otherwise)


def set_phone(tx: Transaction, account_id: str, sealed: str, taken: Problem) -> None:
    """Only an account without a phone takes one."""
    actions = [AccountRow.phone_sealed.set(sealed), AccountRow.version.set(AccountRow.version + 1)]
    condition = AccountRow.pk.exists() & AccountRow.phone_sealed.does_not_exist()
    tx.update(AccountRow(account_id, _ONLY), actions, condition, taken)


def set_roles(tx: Transaction, seen: Account, roles: tuple[str, ...]) -> None:
    """Raises Stale when the account changed since it was read; AlreadyDone when this very change stands."""
    wanted = replace(seen, roles=roles, version=seen.version + 1)
    actions = [AccountRow.roles.set(list(roles)), AccountRow.version.set(seen.version + 1)]
    tx.update(AccountRow(seen.id, _ONLY), actions, AccountRow.version == seen.version, _unless_it_is(wanted))


def count_address(tx: Transaction, account_id: str, step: int, limit: int, otherwise: Problem) -> None:
    """One address more or less; `otherwise` when there would be more than `limit`."""
    actions = [AccountRow.addresses.set((AccountRow.addresses | 0) + step)]
    tx.update(AccountRow(account_id, _ONLY), actions, _room(AccountRow.addresses, step, limit), otherwise)


def count_favourite(tx: Transaction, account_id: str, step: int, limit: int, otherwise: Problem) -> None:
    """One favourite more or less; `otherwise` when there would be more than `limit`."""
    actions = [AccountRow.favourites.set((AccountRow.favourites | 0) + step)]
    tx.update(AccountRow(account_id, _ONLY), actions, _room(AccountRow.favourites, step, limit), otherwise)


def _room(counter: Any, step: int, limit: int) -> Condition:
    room: Condition = AccountRow.pk.exists() & (counter.does_not_exist() | (counter <= limit - step))
    return room


# Memberships


def memberships(account_id: str) -> list[Membership]:
    """A9: where an account works, strongly, for it decides what a request may do."""
    rows = query_all(MembershipRow, account_id, MembershipRow.sk.startswith("mem#"))
    return [Membership(row.sk.removeprefix("mem#"), row.role, tuple(row.shop_ids)) for row in rows]


def put_membership(tx: Transaction, account_id: str, membership: Membership) -> None:
    sk = f"mem#{membership.merchant_id}"
    tx.put(MembershipRow(account_id, sk, role=membership.role, shop_ids=list(membership.shop_ids)))
    _touch(tx, account_id)


def remove_membership(tx: Transaction, account_id: str, merchant_id: str) -> None:
    tx.delete(MembershipRow(account_id, f"mem#{merchant_id}"), MembershipRow.pk.exists(), NotFound())
    _touch(tx, account_id)


def _touch(tx: Transaction, account_id: str) -> None:
    """Memberships are part of what `GET /v1/me` shows, so its version moves with them."""
    actions = [AccountRow.version.set(AccountRow.version + 1)]
    tx.update(AccountRow(account_id, _ONLY), actions, AccountRow.pk.exists(), NotFound())


# One-time codes and their limits


def _otp(row: OtpRow) -> Otp:
    return Otp(
        hash=row.hash,
        tries=row.tries,
        expires=Instant(row.expires_ms),
        sent=Instant(row.sent_ms),
        day=row.day,
        day_count=row.day_count,
        used=None if row.used_ms is None else Instant(row.used_ms),
    )


def otp(phone_hash: str) -> Otp | None:
    """A4: the code of a phone, strongly."""
    try:
        return _otp(OtpRow.get(f"otp#{phone_hash}", _ONLY, consistent_read=True))
    except OtpRow.DoesNotExist:
        return None


def replace_otp(tx: Transaction, phone_hash: str, seen: Otp | None, fresh: Otp, raced: Problem) -> None:
    """`raced` is what it means when another code was sent since `seen` was read."""
    row = OtpRow(
        f"otp#{phone_hash}",
        _ONLY,
        hash=fresh.hash,
        tries=fresh.tries,
        expires_ms=fresh.expires.ms,
        sent_ms=fresh.sent.ms,
        day=fresh.day,
        day_count=fresh.day_count,
        ttl=fresh.sent.seconds + 2 * _DAY_SECONDS,
    )
    unchanged = (
        OtpRow.pk.does_not_exist()
        if seen is None
        else (OtpRow.sent_ms == seen.sent.ms) & (OtpRow.day_count == seen.day_count)
    )
    tx.put(row, unchanged, raced)


def spend_try(tx: Transaction, phone_hash: str, seen: Otp, *, limit: int, now: Instant, otherwise: Otherwise) -> None:
    """One of the code's tries is gone before the code is compared, so that guesses at the same moment do not share
    one."""
    condition = (
        (OtpRow.hash == seen.hash)
        & (OtpRow.tries < limit)
        & (OtpRow.expires_ms > now.ms)
        & OtpRow.used_ms.does_not_exist()
    )
    tx.update(OtpRow(f"otp#{phone_hash}", _ONLY), [OtpRow.tries.set(OtpRow.tries + 1)], condition, otherwise)


def use_otp(tx: Transaction, phone_hash: str, code_hash: str, now: Instant, otherwise: Problem) -> None:
    condition = (OtpRow.hash == code_hash) & (OtpRow.expires_ms > now.ms) & OtpRow.used_ms.does_not_exist()
    tx.update(OtpRow(f"otp#{phone_hash}", _ONLY), [OtpRow.used_ms.set(now.ms)], condition, otherwise)


def void_otp(tx: Transaction, phone_hash: str, code_hash: str, otherwise: Otherwise) -> None:
    """The code never left: it is worth nothing, and another may be asked for at once. The day's count stays."""
    actions = [OtpRow.hash.remove(), OtpRow.sent_ms.set(0)]
    tx.update(OtpRow(f"otp#{phone_hash}", _ONLY), actions, OtpRow.hash == code_hash, otherwise)


def otp_in(old: OldItem) -> Otp | None:
    """The code that made a condition fail."""
    return _otp(OtpRow.from_raw_data(old)) if old else None


def spend_window(tx: Transaction, scope: str, *, window_ms: int, limit: int, now: Instant, otherwise: Problem) -> None:
    """A5: one of `limit` in the current fixed window of this scope."""
    window = now.ms // window_ms
    ttl = (window + 1) * window_ms // 1000 + _DAY_SECONDS
    actions = [LimitRow.taken.set((LimitRow.taken | 0) + 1), LimitRow.ttl.set(ttl)]
    room = LimitRow.taken.does_not_exist() | (LimitRow.taken < limit)
    tx.update(LimitRow(f"rl#{scope}", str(window)), actions, room, otherwise)


# Sessions


def _session(row: SessionRow) -> Session:
    return Session(
        id=row.sk.removeprefix("ses#"),
        account_id=row.pk,
        hash=row.hash,
        expires=Instant(row.expires_ms),
        created_at=Instant(row.created_ms),
        previous=row.previous,
        previous_until=None if row.previous_until_ms is None else Instant(row.previous_until_ms),
    )


def sessions(account_id: str) -> list[Session]:
    """A3: every session of an account."""
    return [_session(row) for row in query_all(SessionRow, account_id, SessionRow.sk.startswith("ses#"))]


def session(account_id: str, session_id: str) -> Session | None:
    """A3: one session, strongly."""
    try:
        return _session(SessionRow.get(account_id, f"ses#{session_id}", consistent_read=True))
    except SessionRow.DoesNotExist:
        return None


def put_session(tx: Transaction, session: Session) -> None:
    tx.put(_session_row(session))


def _session_row(session: Session) -> SessionRow:
    return SessionRow(
        session.account_id,
        f"ses#{session.id}",
        hash=session.hash,
        previous=session.previous,
        previous_until_ms=session.previous_until.ms if session.previous_until else None,
        expires_ms=session.expires.ms,
        created_ms=session.created_at.ms,
        ttl=session.expires.seconds,
    )


def rotate_session(tx: Transaction, seen: Session, after: Session, now: Instant, otherwise: Problem) -> None:
    condition = (SessionRow.hash == seen.hash) & (SessionRow.expires_ms > now.ms)
    tx.put(_session_row(after), condition, otherwise)


def remove_session(tx: Transaction, account_id: str, session_id: str) -> None:
    tx.delete(SessionRow(account_id, f"ses#{session_id}"))


def devices(account_id: str) -> list[Device]:
    """A3b: the devices of an account, at most ten."""
    rows = query_all(DeviceRow, account_id, DeviceRow.sk.startswith("dev#"))
    return [
        Device(row.sk.removeprefix("dev#"), row.platform, row.token_sealed, row.session_id, Instant(row.created_ms))
        for row in rows
    ]


def put_device(tx: Transaction, account_id: str, device: Device) -> None:
    row = DeviceRow(
        account_id,
        f"dev#{device.id}",
        platform=device.platform,
        token_sealed=device.token_sealed,
        session_id=device.session_id,
        created_ms=device.created_at.ms,
    )
    tx.put(row)


def remove_device(tx: Transaction, account_id: str, device_id: str) -> None:
    tx.delete(DeviceRow(account_id, f"dev#{device_id}"))
