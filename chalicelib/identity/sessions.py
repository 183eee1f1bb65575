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
from chalicelib.identity.model import Account, RefreshInvalid, RefreshReused, Session, SignUpRaced
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
    """Ends a session; one that is over already stays over. Its access token lives on for its few minutes."""
    tx = Transaction()
    tables.remove_session(tx, account_id, session_id)
    tx.commit()


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
