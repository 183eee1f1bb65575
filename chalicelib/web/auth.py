"""Who may call a route. Deny by default: a route states one rule, and `Router` refuses a route without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.kernel.errors import Forbidden, Malformed, Unauthorized
from chalicelib.kernel.instant import Instant
from chalicelib.runtime import lean
from chalicelib.runtime.context import CONSUMER, NOBODY, OPERATOR, STAFF, Actor
from chalicelib.runtime.settings import settings

ISSUER = "linli"
ALGORITHM = "HS256"


@dataclass(frozen=True)
class Rule:
    """`kind` is public, signed (a webhook proves itself), consumer, merchant or operator; `permission` is a staff
    member's, for example `orders.accept`."""

    kind: str
    permission: str = ""


PUBLIC = Rule("public")
SIGNED = Rule("signed")
MEMBER = Rule(CONSUMER)
OPERATORS = Rule(OPERATOR)


def staff(permission: str) -> Rule:
    return Rule(STAFF, permission)


class MerchantAmbiguous(Malformed):
    """The account works for several merchants: the header `Linli-Merchant` must name one."""

    code = "merchant_ambiguous"


def _key(kid: str) -> str:
    """Not kept here: the adapter remembers secrets for as long as a removed one may live."""
    from chalicelib import wiring

    try:
        return wiring.ports().secrets.get(f"token_key_{kid}")
    except KeyError as error:
        raise Unauthorized from error


CURRENT_KID = "1"


def require_key() -> None:
    """Raises unless the key that signs tokens can be read."""
    _key(CURRENT_KID)


def issue_access_token(account_id: str, session_id: str, roles: tuple[str, ...], now: Instant) -> str:
    """A signed token that lives `access_token_seconds`."""
    lean.load_jwt()
    import jwt

    claims = {
        "iss": ISSUER,
        "aud": settings().stage,
        "sub": account_id,
        "ses": session_id,
        "rol": list(roles),
        "iat": now.seconds,
        "exp": now.seconds + settings().access_token_seconds,
    }
    return jwt.encode(claims, _key(CURRENT_KID), ALGORITHM, headers={"kid": CURRENT_KID})


def read_access_token(token: str, now: Instant) -> dict[str, Any]:
    """The claims. Raises Unauthorized for a token that is forged, expired or of another stage."""
    lean.load_jwt()
    import jwt

    try:
        kid = jwt.get_unverified_header(token).get("kid", "")
        if not isinstance(kid, str) or not kid.isalnum():
            raise Unauthorized
        claims: dict[str, Any] = jwt.decode(
            token,
            _key(kid),
            [ALGORITHM],
            issuer=ISSUER,
            audience=settings().stage,
            # The clock is ours (`now`), so expiry is compared below and not by the library.
            options={"require": ["exp", "iat", "sub", "ses"], "verify_exp": False, "verify_iat": False},
        )
    except (jwt.PyJWTError, UnicodeError, ValueError) as error:
        raise Unauthorized from error
    if not (type(claims["iat"]) is type(claims["exp"]) is int and claims["iat"] - 60 <= now.seconds < claims["exp"]):
        raise Unauthorized
    return claims


def actor_for(rule: Rule, headers: dict[str, str], now: Instant) -> Actor:
    """The actor that a request proves to be, when the rule lets it pass. Raises Unauthorized or Forbidden."""
    if rule.kind == "signed":
        return NOBODY
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if rule.kind == "public":
        return NOBODY if scheme.lower() != "bearer" else _optional(token.strip(), now)
    if scheme.lower() != "bearer":
        raise Unauthorized
    claims = read_access_token(token.strip(), now)
    if rule.kind == OPERATOR and OPERATOR not in claims.get("rol", []):
        raise Forbidden
    if rule.kind == STAFF:
        return _staff_actor(rule, claims, headers.get("linli-merchant", ""))
    return Actor(kind=rule.kind, account_id=claims["sub"], session_id=claims["ses"])


def _optional(token: str, now: Instant) -> Actor:
    """A public route serves everybody; a token that holds only makes the answer personal."""
    try:
        claims = read_access_token(token, now)
    except Unauthorized:
        return NOBODY
    return Actor(kind=CONSUMER, account_id=claims["sub"], session_id=claims["ses"])


def _staff_actor(rule: Rule, claims: dict[str, Any], merchant_id: str) -> Actor:
    from chalicelib import wiring

    found = [m for m in wiring.memberships(claims["sub"]) if not merchant_id or m.merchant_id == merchant_id]
    if not found:
        raise Forbidden
    if len(found) > 1:
        raise MerchantAmbiguous
    membership = found[0]
    if rule.permission not in membership.permissions:
        raise Forbidden
    return Actor(
        kind=STAFF,
        account_id=claims["sub"],
        session_id=claims["ses"],
        merchant_id=membership.merchant_id,
        role=membership.role,
        shop_ids=membership.shop_ids,
        permissions=membership.permissions,
    )
