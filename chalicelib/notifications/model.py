"""Which message a piece of news deserves, judged by how its order stands when the message is about to leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.kernel.money import Money

KEEP_DAYS = 90
CLAIM_MS = 60_000  # twice the time that a consumer has: who has not sent by then is dead
MAX_NAME = 24  # characters of a shop's or an offer's name: a message of three parts costs three


@dataclass(frozen=True)
class Receipt:
    """One message to one person, claimed before it is sent. `by` is the queue message that holds the claim; empty
    when its sending failed and any other may try."""

    recipient: str
    id: str
    by: str
    at: Instant


@dataclass(frozen=True)
class Standing:
    """How an order stands now: `refund` is all that goes or went back."""

    state: str
    refund_state: str
    refund: Money
    starts_at: Instant | None


# Which state an order must still be in for the news to be true.
_STATE_OF = {
    "order.confirmed": "confirmed",
    "order.paid": "paid",
    "order.cancelled": "cancelled",
    "order.declined": "declined",
}


def template(event: str, order: Standing, now: Instant) -> str | None:
    """The message's name in the catalogues, or None when there is nothing (any more) to say.

    News can be late: a confirmation of an order that was cancelled since, or of a time that has passed, is not sent.
    """
    if event == "order.refunded":
        return event if order.refund_state != "none" and order.refund.amount_minor > 0 else None
    if order.state != _STATE_OF.get(event):
        return None
    if event in ("order.cancelled", "order.declined"):
        return f"{event}.refund" if order.refund.amount_minor > 0 else event
    if order.starts_at is None:
        return f"{event}.anytime"
    return event if now < order.starts_at else None


def receipt_id(news_id: str, event: str) -> str:
    """The same for all wordings of one event: which one fits may change between two tries."""
    return f"{news_id}#{event}"


def may_send(receipts: list[Receipt], wanted: str, by: str, now: Instant, per_day: int) -> str:
    """`send`, `held` (another queue message has sent it, or is about to), `stale` (another one claimed it so long ago
    that it has either sent it or died) or `enough` (the day's bound is reached).

    The queue message that holds a claim may take it again: it comes back only because it did not finish.
    """
    for receipt in receipts:
        if receipt.id == wanted:
            if receipt.by in ("", by):
                return "send"
            return "held" if now.since(receipt.at) < CLAIM_MS else "stale"
    today = sum(now.since(receipt.at) < DAY_MS for receipt in receipts)
    return "send" if today < per_day else "enough"


def money_text(money: Money, locale: str) -> str:
    """`¥128.00` for yuan in Chinese, else the number and its currency."""
    if locale == "zh-CN" and money.currency == "CNY":
        return "¥" + money.text().removesuffix(" CNY")
    return money.text()


def name_text(names: Mapping[str, str], locale: str) -> str:
    """A name in the reader's language, or in any, cut to what a message has room for."""
    name = names.get(locale) or next((text for text in names.values() if text), "")
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"
