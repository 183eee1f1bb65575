"""Sign-in by phone or WeChat, and sessions: short access tokens, and a refresh token that changes at every use.

A refresh token is `<account>.<session>.<secret>.<seal>`. The seal is ours, so a made-up token never reaches the
tables and cannot revoke anything. The next secret follows from the one before: the same token asked for twice within
the grace gives the same successor, so a lost answer, two tabs or twenty threads do not tear a session apart.
"""

from __future__ import annotations

import base64
import secrets as random
from dataclasses import dataclass

from chalicelib.identity import codes, model, service, tables, vault
from chalicelib.identity.model import (
    MAX_DEVICES,
    Account,
    Device,
    RefreshInvalid,
    RefreshReused,
    Session,
    SignUpRaced,
)
from chalicelib.kernel import ids
from chalicelib.kernel.errors import Unavailable
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.runtime.transaction import Transaction
from chalicelib.web.auth import issue_access_token

_TRIES = 4
_SECRET_BYTES = 32


@dataclass(frozen=True)
class SignedIn:
    """The two tokens stand nowhere else; `phone_masked` is None until a phone is bound."""

    account: Account
    phone_masked: str | None
    access_token: str
    refresh_token: str
    expires_in_seconds: int


def by_phone(ctx: Context, phone: str, code: str) -> SignedIn:
    """Signs in, or up when the phone is new. Raises OtpInvalid or OtpLocked."""
    proof = codes.prove(ctx, phone, code)
    for _ in range(_TRIES):
        tx = Transaction()
        codes.use(tx, ctx, proof)
        found = tables.account_id_by("phone", proof.phone_hash)
        account = service.account(found) if found else service.create(tx, ctx, phone=phone)
        session, token = _open(tx, ctx, account, fresh=found is None)
        try:
            tx.commit()
        except SignUpRaced:
            continue
        return _signed_in(ctx, account, session, token)
    raise Unavailable(retry_after_seconds=1)


def by_wechat(ctx: Context, login_code: str) -> SignedIn:
    """Signs in, or up when WeChat's user is new; the account has no phone until one is bound.

    A user is found by union id first, then by open id, and both lead to the account from then on. Where the two
    already lead to different accounts the union id's is taken, and nothing is merged. Raises WechatCodeInvalid and
    ProviderUnavailable.
    """
    user = ctx.ports.wechat_login.code_to_user(login_code)
    named = [("union", user.union_id), ("open", user.open_id)]
    hashes = [vault.keyed_hash(ctx.ports.secrets, "wechat", kind, name) for kind, name in named if name]
    for _ in range(_TRIES):
        owners = [tables.account_id_by("wechat", keyed) for keyed in hashes]
        found = next((owner for owner in owners if owner), None)
        tx = Transaction()
        account = service.account(found) if found else service.create(tx, ctx)
        for keyed, owner in zip(hashes, owners, strict=True):
            if owner is None:
                tables.add_lookup(tx, "wechat", keyed, account.id, SignUpRaced())
        session, token = _open(tx, ctx, account, fresh=found is None)
        try:
            tx.commit()
        except SignUpRaced:
            continue
        return _signed_in(ctx, account, session, token)
    raise Unavailable(retry_after_seconds=1)


def _open(tx: Transaction, ctx: Context, account: Account, *, fresh: bool) -> tuple[Session, str]:
    """A new session, and room for it: what is over goes, and so does the oldest beyond the limit."""
    secret = _text(random.token_bytes(_SECRET_BYTES))
    session = Session(
        id=ids.random_id("ses"),
        account_id=account.id,
        hash=_hash(ctx, secret),
        expires=ctx.now.plus(seconds=ctx.settings.refresh_token_seconds),
        created_at=ctx.now,
    )
    if not fresh:
        for gone in model.surplus(tables.sessions(account.id), ctx.now, ctx.settings.sessions_per_account - 1):
            tables.remove_session(tx, account.id, gone.id)
    tables.put_session(tx, session)
    return session, _token(ctx, account.id, session.id, secret)


def refresh(ctx: Context, token: str) -> SignedIn:
    """A fresh pair. Raises RefreshInvalid for a token that is not ours or whose session is over, and RefreshReused,
    after revoking the session, for one that was rotated away before the grace."""
    account_id, session_id, secret = _opened(ctx, token)
    successor = vault.keyed_hash(ctx.ports.secrets, "next", session_id, secret)
    for _ in range(_TRIES):
        seen = tables.session(account_id, session_id)
        found = model.standing(seen, _hash(ctx, secret), ctx.now)
        if seen is None or found == "over":
            raise RefreshInvalid
        if found == "reused":
            return _revoke(account_id, session_id)
        account = tables.account(account_id)
        if account is None:
            raise RefreshInvalid
        if found == "repeated" or _rotate(ctx, seen, successor):
            return _signed_in(ctx, account, seen, _token(ctx, account_id, session_id, successor))
    raise Unavailable(retry_after_seconds=1)


def _rotate(ctx: Context, seen: Session, successor: str) -> bool:
    """False when another request rotated or ended the session first."""
    after = model.rotate(
        seen,
        _hash(ctx, successor),
        ctx.now,
        seconds=ctx.settings.refresh_token_seconds,
        grace_seconds=ctx.settings.refresh_grace_seconds,
    )
    tx = Transaction()
    tables.rotate_session(tx, seen, after, ctx.now, RefreshInvalid())
    try:
        tx.commit()
    except RefreshInvalid:
        return False
    return True


def _revoke(account_id: str, session_id: str) -> SignedIn:
    end(account_id, session_id)
    log.warning("a refresh token was reused, its session is revoked", account_id=account_id, session_id=session_id)
    raise RefreshReused


def end(account_id: str, session_id: str) -> None:
    """Ends a session, and no more push messages go to its devices; one that is over already stays over. Its access
    token lives on for its few minutes."""
    tx = Transaction()
    tables.remove_session(tx, account_id, session_id)
    for device in tables.devices(account_id):
        if device.session_id == session_id:
            tables.remove_device(tx, account_id, device.id)
    tx.commit()


def register_device(ctx: Context, platform: str, push_token: str) -> Device:
    """The caller's device as a place for push messages, until its session ends. The same token again changes nothing
    but its session; beyond ten devices the oldest goes."""
    account_id = ctx.actor.account_id
    device_id = ids.derived("dev", account_id, platform, push_token)
    known = {device.id: device for device in tables.devices(account_id)}
    sealed = vault.seal(ctx.ports.secrets, account_id, "device", push_token)
    created_at = known[device_id].created_at if device_id in known else ctx.now
    device = Device(device_id, platform, sealed, ctx.actor.session_id, created_at)
    tx = Transaction()
    others = sorted((d for d in known.values() if d.id != device_id), key=lambda d: (d.created_at, d.id))
    for gone in others[: max(0, len(others) - MAX_DEVICES + 1)]:
        tables.remove_device(tx, account_id, gone.id)
    tables.put_device(tx, account_id, device)
    tx.commit()
    return device


def _signed_in(ctx: Context, account: Account, session: Session, token: str) -> SignedIn:
    return SignedIn(
        account=account,
        phone_masked=service.phone_masked(ctx, account),
        access_token=issue_access_token(account.id, session.id, account.roles, ctx.now),
        refresh_token=token,
        expires_in_seconds=ctx.settings.access_token_seconds,
    )


def _hash(ctx: Context, secret: str) -> str:
    return vault.keyed_hash(ctx.ports.secrets, "refresh", secret)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _token(ctx: Context, account_id: str, session_id: str, secret: str) -> str:
    body = f"{account_id.removeprefix('acc_')}.{session_id.removeprefix('ses_')}.{secret}"
    return f"{body}.{vault.keyed_hash(ctx.ports.secrets, 'refresh-seal', body)}"


def _opened(ctx: Context, token: str) -> tuple[str, str, str]:
    """(account id, session id, secret). Raises RefreshInvalid for a token that we did not make."""
    body, _, seal = token.rpartition(".")
    if not model.same(seal, vault.keyed_hash(ctx.ports.secrets, "refresh-seal", body)):
        raise RefreshInvalid
    account, session, secret = body.split(".")
    return f"acc_{account}", f"ses_{session}", secret
