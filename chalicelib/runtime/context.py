"""Who asks, when, and through which adapters: handed to every use case, so that none reads a clock or a global."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chalicelib.kernel.instant import Instant
from chalicelib.runtime.settings import Settings, settings

if TYPE_CHECKING:
    from chalicelib.providers.ports import Ports

CONSUMER, STAFF, OPERATOR, SYSTEM = "consumer", "merchant", "operator", "system"


@dataclass(frozen=True)
class Actor:
    """Who acts. `kind` is what they act as; a merchant's staff member carries the merchant, shops and permissions.

    `shop_ids` empty means every shop of the merchant.
    """

    kind: str
    account_id: str = ""
    session_id: str = ""
    merchant_id: str = ""
    role: str = ""
    shop_ids: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()

    def may_act_for(self, shop_id: str) -> bool:
        return not self.shop_ids or shop_id in self.shop_ids


NOBODY = Actor(kind="anonymous")
THE_SYSTEM = Actor(kind=SYSTEM)


@dataclass(frozen=True)
class Context:
    """`now` is fixed for the whole use case. `address` is the caller's network address, for limits only."""

    now: Instant
    ports: Ports
    actor: Actor = THE_SYSTEM
    request_id: str = ""
    locale: str = "zh-CN"
    address: str = ""
    settings: Settings = field(default_factory=settings)

    def at(self, now: Instant) -> Context:
        return replace(self, now=now)
