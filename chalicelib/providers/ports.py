"""Ports: what Linli asks of the outside world, in Linli's words. Adapters translate; nothing of theirs leaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from chalicelib.kernel.errors import Malformed, Problem, Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money


class ProviderUnavailable(Unavailable):
    """The provider did not answer, or answered that it cannot now. Nothing is known of the effect: ask again."""

    code = "provider_unavailable"


class SignatureInvalid(Malformed):
    """A webhook whose signature, age or encoding is not the provider's."""

    code = "signature_invalid"


class WechatCodeInvalid(Problem):
    """WeChat does not know this login code, or it was used already."""

    status, code = 401, "wechat_code_invalid"


class SmsRefused(Problem):
    """The provider will never deliver to this number: it is none, or its owner does not want messages."""

    status, code = 422, "sms_refused"


class Secrets(Protocol):
    def get(self, name: str) -> str:
        """The secret of that name. Raises KeyError when there is none."""


class SmsSender(Protocol):
    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        """Sends to an E.164 number and returns the provider's message id. The same dedupe key sends once, as far as
        the provider can tell. Raises ProviderUnavailable, or SmsRefused."""


@dataclass(frozen=True)
class WechatUser:
    """Who a login code belongs to. The session key stays inside the adapter."""

    open_id: str
    union_id: str | None


class WechatLogin(Protocol):
    def code_to_user(self, code: str) -> WechatUser:
        """Raises WechatCodeInvalid or ProviderUnavailable."""


# Our words for an intent's state, whatever the provider calls it.
REQUIRES_ACTION, PROCESSING, SUCCEEDED, FAILED, CANCELED = (
    "requires_action",
    "processing",
    "succeeded",
    "failed",
    "canceled",
)


@dataclass(frozen=True)
class IntentRequest:
    """What we ask the provider to collect. `key` is derived from (order, charge, ordinal), never from the request."""

    key: str
    order_id: str
    charge_id: str
    attempt_id: str
    amount: Money
    method: str
    client: str
    description: str
    return_url: str | None


@dataclass(frozen=True)
class Intent:
    """One attempt at the provider. `received` is what came in, zero unless succeeded; `charge_ref` names the movement
    of money and is what balance lines point to. `next_action` holds what the payer's app needs, `{"type": …}`.
    `created` is when the provider made it, in whole seconds."""

    intent_id: str
    state: str
    amount: Money
    received: Money
    method: str
    order_id: str
    charge_id: str
    attempt_id: str
    charge_ref: str | None = None
    next_action: dict[str, Any] | None = None
    failure: str | None = None
    created: Instant = field(default=Instant(0))


@dataclass(frozen=True)
class Refund:
    """A refund at the provider; `state` is processing, succeeded, failed or canceled."""

    provider_id: str
    state: str
    amount: Money
    order_id: str
    refund_id: str
    intent_id: str


@dataclass(frozen=True)
class ProviderEvent:
    """A verified fact. `intent` or `refund` is set when it is one we act upon; both None means: not ours to act on."""

    event_id: str
    type: str
    created: Instant
    intent: Intent | None = None
    refund: Refund | None = None


@dataclass(frozen=True)
class BalanceLine:
    """One line of the provider's account: `amount` and `fee` in its sign (a refund is negative), net = amount − fee.

    `category` is the provider's reporting category; `source` names the charge or refund that moved the money.
    """

    line_id: str
    category: str
    amount: Money
    fee: Money
    source: str
    created: Instant
    available_on: Instant
    order_id: str = ""
    details: dict[str, str] = field(default_factory=dict)


class PaymentProvider(Protocol):
    name: str

    def methods(self, currency: str, client: str) -> list[str]:
        """The methods that can be offered for a currency on a client."""

    def create_intent(self, request: IntentRequest) -> Intent:
        """The same key gives the same intent. Raises ProviderUnavailable, or MethodRefused."""

    def fetch_intent(self, intent_id: str) -> Intent:
        """Raises ProviderUnavailable."""

    def cancel_intent(self, intent_id: str) -> Intent:
        """Ends it so that nobody can pay it any more; an intent that has succeeded comes back `succeeded`."""

    def refund(self, *, intent_id: str, amount: Money, order_id: str, refund_id: str) -> Refund:
        """The same refund id gives the same refund, however late it is asked again. Raises ProviderUnavailable."""

    def fetch_refund(self, provider_id: str) -> Refund: ...

    def verify(self, raw: bytes, headers: dict[str, str], now: Instant) -> ProviderEvent:
        """Checks signature and age on both sides. Raises SignatureInvalid for anything that is not genuine."""

    def refunds_of(self, intent_id: str) -> list[Refund]:
        """Every refund of a payment that the provider knows. Raises ProviderUnavailable."""

    def events_since(self, since: Instant, until: Instant | None = None) -> Iterator[ProviderEvent]:
        """Every fact of payments and refunds created in [since, until), oldest first; to whole seconds."""

    def intents_since(self, since: Instant, until: Instant | None = None) -> Iterator[Intent]:
        """Every intent created in [since, until) as it is by now, oldest first; to whole seconds."""

    def balance_lines(self, since: Instant, until: Instant) -> Iterator[BalanceLine]:
        """The provider's own lines created in [since, until)."""

    def lines_of(self, source: str) -> list[BalanceLine]:
        """The provider's own lines of one charge or refund, none for an unknown one. Raises ProviderUnavailable."""

    def balance(self, currency: str) -> Money:
        """What the provider holds for us, pending and available together."""


class MethodRefused(Problem):
    """The provider does not take this method for this payment."""

    status, code = 422, "method_unavailable"


_KEY = re.compile(r"[a-z0-9][a-z0-9._=-]*(/[a-z0-9][a-z0-9._=-]*)*", re.ASCII)


def checked_key(key: str) -> str:
    """The key, which is a path of plain parts that leads nowhere else. Raises ValueError for any other text.

    >>> checked_key("audit/anchors/2026-11-22.json")
    'audit/anchors/2026-11-22.json'
    """
    if not _KEY.fullmatch(key) or len(key) > 200:
        raise ValueError(f"not the key of a file: {key!r}")
    return key


class FileStore(Protocol):
    """Files that are written once and never changed, by key; see `checked_key`. All but a few are never removed."""

    def put_new(self, key: str, content: bytes) -> bool:
        """Stores a file under a key that is free, whole or not at all. False, and nothing is changed, when the key is
        taken. A caller that does not know whether it was its own write reads it back. Raises ProviderUnavailable."""

    def get(self, key: str) -> bytes:
        """Raises KeyError when there is none, or ProviderUnavailable."""

    def put_file(self, key: str, path: Path) -> bool:
        """`put_new` of what a file of this machine holds, without taking it into memory."""

    def read(self, key: str, begin: int, end: int) -> bytes:
        """Bytes [begin, end) of a file; fewer, or none, where it ends before. Raises as `get` does."""

    def local(self, key: str) -> AbstractContextManager[Path]:
        """The file on this machine for as long as the block lasts, whole, to open or to memory-map; what was opened
        lasts longer than the block. Not to be changed. Raises as `get` does, and OSError when the disk is full."""

    def delete(self, key: str) -> None:
        """Afterwards there is none; there may have been none before. Raises ProviderUnavailable."""

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin with this text, in order. Raises ProviderUnavailable."""


@dataclass(frozen=True)
class PhotoPlace:
    """Where one photo can be put until `expires_at`: a form with these fields, and `file` as the last one."""

    url: str
    fields: dict[str, str]
    expires_at: Instant


@dataclass(frozen=True)
class Uploaded:
    """What lies in a place: the media type that was agreed on, and every byte."""

    content_type: str
    content: bytes


class Photos(Protocol):
    """Photos by the id of their image. What is put into a place is nobody's business and gone after a day; what is kept
    can be seen by everybody who knows its id, and never changes."""

    def place(self, image: str, content_type: str, size: int, expires_at: Instant) -> PhotoPlace:
        """A place that takes from 1 to `size` bytes of exactly this type, and nothing after it has expired."""

    def fetch(self, image: str) -> Uploaded | None:
        """What was put there, or None. Raises ProviderUnavailable."""

    def keep(self, image: str, upload: Uploaded) -> None:
        """From now on it can be seen; where one is kept already, that one stays. Raises ProviderUnavailable."""

    def drop(self, image: str) -> None:
        """Afterwards nothing is to be seen there. Raises ProviderUnavailable."""


class TextCheck(Protocol):
    """What must be known of a text before it is shown to everybody."""

    def faults(self, text: str) -> tuple[str, ...]:
        """Why a person should read it first, `contact`, `link`, `words` or a word of the provider's; empty for a clean
        text. Raises ProviderUnavailable."""


class Ports(Protocol):
    @property
    def secrets(self) -> Secrets: ...
    @property
    def sms(self) -> SmsSender: ...
    @property
    def payments(self) -> PaymentProvider: ...
    @property
    def wechat_login(self) -> WechatLogin: ...
    @property
    def files(self) -> FileStore: ...
    @property
    def photos(self) -> Photos: ...
    @property
    def texts(self) -> TextCheck: ...
