"""Entries of the journal: what one is, how entries of one subject are chained, and which are the same post."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.kernel.errors import Conflict, Invalid
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import EXPONENTS

MAX_LEGS = 16
MERCHANT_ACCOUNTS = (
    "L.merchant_pending:",
    "L.merchant_available:",
    "L.merchant_withdrawing:",
    "L.merchant_reserve:",
    "A.merchant_receivable:",
)

Meta = Mapping[str, int | str]


class EntryConflict(Invalid):
    """An entry of this id stands in the journal with other content: the same event cannot mean two things."""

    code = "entry_conflict"


class BalanceInsufficient(Conflict):
    """The balance does not hold as much as would be taken."""

    code = "balance_insufficient"


@dataclass(frozen=True)
class Leg:
    """One side of an entry in minor units: debit above zero, credit below."""

    account: str
    amount_minor: int


Legs = tuple[Leg, ...]


@dataclass(frozen=True)
class Entry:
    """One event in the books of one currency. Made by `entry`, which checks it; legs stand in order of account.

    `business_id` is what the event happened to (`ord_…`, `stm_…`, a provider's line), `n` the version of that row
    which it moves. `ref` names the provider's object that moved the money (`ch_…`, `re_…`), as its lines do.
    """

    event: str
    business_id: str
    n: int
    at: Instant
    currency: str
    legs: Legs
    merchant_id: str = ""
    shop_id: str = ""
    ref: str = ""
    meta: Meta = field(default_factory=dict)
    previous_hash: str = ""
    hash: str = ""

    @property
    def id(self) -> str:
        return f"{self.event}:{self.business_id}:{self.n}"

    def on(self, prefix: str) -> int:
        """The sum of its legs on accounts of this name or beginning, debit above zero."""
        return sum(leg.amount_minor for leg in self.legs if leg.account.startswith(prefix))

    @property
    def moves_merchant(self) -> bool:
        """Does it touch an account of a merchant's?"""
        return any(leg.account.startswith(MERCHANT_ACCOUNTS) for leg in self.legs)


def entry(
    event: str,
    business_id: str,
    n: int,
    *,
    at: Instant,
    currency: str,
    legs: Iterable[Leg],
    merchant_id: str = "",
    shop_id: str = "",
    ref: str = "",
    meta: Meta | None = None,
    previous_hash: str = "",
) -> Entry:
    """An entry that balances, with its hash over content and `previous_hash`, the hash of its subject's last entry
    ("" for the first). Raises ValueError for one that breaks invariant 1 of the ledger, which is always a bug.
    """
    made = Entry(
        event=event,
        business_id=business_id,
        n=n,
        at=at,
        currency=currency,
        legs=tuple(sorted(legs, key=lambda leg: leg.account)),
        merchant_id=merchant_id,
        shop_id=shop_id,
        ref=ref,
        meta=dict(meta or {}),
        previous_hash=previous_hash,
    )
    _check(made)
    return replace(made, hash=content_hash(made))


def _check(made: Entry) -> None:
    accounts = [leg.account for leg in made.legs]
    if not made.event or any(mark in made.event + made.business_id for mark in "#:") or made.n < 0:
        raise ValueError(f"not an entry id: {made.id}")
    if made.currency not in EXPONENTS:
        raise ValueError(f"{made.id}: unknown currency {made.currency!r}")
    if not 2 <= len(accounts) <= MAX_LEGS or len(set(accounts)) != len(accounts):
        raise ValueError(f"{made.id}: {len(accounts)} legs, or an account twice")
    if any(type(leg.amount_minor) is not int or leg.amount_minor == 0 for leg in made.legs):
        raise ValueError(f"{made.id}: a leg is a whole number and not zero")
    if made.moves_merchant and not made.merchant_id:
        raise ValueError(f"{made.id}: touches a merchant's account and names no merchant")
    if sum(leg.amount_minor for leg in made.legs) != 0:
        raise ValueError(f"{made.id}: legs do not sum to zero")
    if any(type(value) not in (int, str) for value in made.meta.values()):
        raise ValueError(f"{made.id}: meta holds whole numbers and text")


def _payload(made: Entry) -> list[object]:
    legs = [[leg.account, leg.amount_minor] for leg in made.legs]
    meta = sorted(made.meta.items())
    names = [made.event, made.business_id, made.n, made.currency, made.merchant_id, made.shop_id, made.ref]
    return [*names, legs, meta]


def content_hash(made: Entry) -> str:
    """SHA-256 in hex over everything that the entry says, when it said it, and the hash before it."""
    content = [*_payload(made), made.at.ms, made.previous_hash]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def same_post(one: Entry, other: Entry) -> bool:
    """Do both say the same event with the same content? When it was posted and after what does not matter: the
    provider tells a thing many times, and only the first telling is written."""
    return _payload(one) == _payload(other)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Entries of one subject as their chain runs; those that hang on nothing come last, by time."""
    rest = sorted(entries, key=lambda found: (found.at, found.id))
    after: dict[str, list[Entry]] = {}
    for found in rest:
        after.setdefault(found.previous_hash, []).append(found)
    ordered: list[Entry] = []
    head = ""
    while after.get(head):
        following = after[head].pop(0)
        ordered.append(following)
        head = following.hash
    placed = {found.id for found in ordered}
    return ordered + [found for found in rest if found.id not in placed]


def head_hash(entries: Iterable[Entry]) -> str:
    """The hash that the next entry of this subject names as its `previous_hash`."""
    ordered = in_order(entries)
    return ordered[-1].hash if ordered else ""


def chain_failures(entries: Sequence[Entry]) -> list[str]:
    """What is wrong with the chain of one subject: content that its hash does not cover, a link that leads nowhere,
    two entries after the same one. Empty when it holds."""
    failures = []
    previous = ""
    for found in in_order(entries):
        if content_hash(found) != found.hash:
            failures.append(f"{found.id}: the content is not what was hashed")
        if found.previous_hash != previous:
            failures.append(f"{found.id}: does not follow the entry before it")
        previous = found.hash
    return failures
