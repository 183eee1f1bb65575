"""The orders slice's public face: read orders, prove them, and the few facts that slices above ask for.

Placing stands in `placing`, money in `paying`, ends in `ending`; every write goes through `saving`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from chalicelib.catalog import service as catalog
from chalicelib.catalog.model import Text
from chalicelib.kernel.errors import NotFound
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.ledger import model as ledger
from chalicelib.ledger import service as ledger_service
from chalicelib.orders import saving, tables
from chalicelib.orders.changes import Change
from chalicelib.orders.model import ORDER, TABS, CancelQuote, CancelTooLate, Order, cancel_quote, proof_of, tab
from chalicelib.providers.ports import SUCCEEDED
from chalicelib.runtime.context import Context

_READINGS = 5  # of a row and its entries, until no write came between


def own(ctx: Context, order_id: str) -> Order:
    """The caller's own order. Raises NotFound, also for somebody else's."""
    found = tables.order(order_id)
    if found is None or found.account_id != ctx.actor.account_id:
        raise NotFound
    return found


def of_merchant(ctx: Context, order_id: str) -> Order:
    """An order of the staff member's merchant and shops. Raises NotFound for any other."""
    found = tables.order(order_id)
    if found is None or found.merchant_id != ctx.actor.merchant_id or not ctx.actor.may_act_for(found.shop_id):
        raise NotFound
    return found


def mine(
    ctx: Context, tab_wanted: str | None, state: str | None, after: str | None, limit: int
) -> tuple[list[Order], str | None]:
    """The caller's orders, newest first, and the key to go on after."""
    found = [
        order
        for order in tables.orders_of(ctx.actor.account_id)
        if (tab_wanted is None or tab(order) == tab_wanted) and (state is None or order.state == state)
    ]
    if after is not None:
        created, _, order_id = after.partition("#")
        found = [order for order in found if (-order.created_at.ms, order.id) > (-int(created), order_id)]
    page = found[:limit]
    more = f"{page[-1].created_at.ms}#{page[-1].id}" if len(found) > limit else None
    return page, more


def counts(ctx: Context) -> dict[str, int]:
    """How many orders stand in each tab."""
    found = Counter(tab(order) for order in tables.orders_of(ctx.actor.account_id))
    return {name: found[name] for name in TABS}


def of_shops(ctx: Context, shop_ids: Iterable[str], since: Instant, limit: int) -> list[Order]:
    """Orders of these shops placed at or after an instant, oldest first."""
    found = [order for shop_id in shop_ids for order in tables.orders_of_shop(shop_id, since, limit)]
    found = [order for order in found if order.merchant_id == ctx.actor.merchant_id]
    return sorted(found, key=lambda order: (order.created_at, order.id))[:limit]


def quote_cancel(ctx: Context, order: Order, by: str) -> CancelQuote:
    """What cancelling now would give back. Raises InvalidTransition or CancelTooLate where it could not be done."""
    if order.state == "in_fulfilment":
        raise CancelTooLate
    ORDER.fire(order.state, "cancel")
    return cancel_quote(order, ctx.now, by)


def change(
    ctx: Context, order_id: str, decide: Callable[[Order], Change | None], also: saving.Also | None = None
) -> Order:
    """For slices above: one decided move of an order, see `saving.change`."""
    return saving.change(ctx, order_id, decide, also=also)


# ---------------------------------------------------------------------------------------------- proof


def prove(order: Order) -> ledger.Proof:
    """Whether the order's books agree with the provider's facts and with the decision computed anew."""
    return proof_of(order, ledger_service.entries_of(order.id))


def every_id() -> Iterator[str]:
    """The id of every order, in no order of time: for operators' tools."""
    return tables.every_id()


def faults(order_id: str) -> list[str]:
    """What is wrong with an order's books, in words that name the entry; empty when its chain and its proof hold and
    its row names the head of the chain. Row and entries are read as they stood together, also while the order moves."""
    for _ in range(_READINGS):
        order = tables.order(order_id)
        entries = ledger_service.entries_of(order_id)
        again = tables.order(order_id)
        if order is None and again is None:
            return [*ledger.chain_failures(entries), *(f"{entry.id}: there is no such order" for entry in entries[:1])]
        if order is not None and again is not None and order.version == again.version:
            proof = proof_of(order, entries)
            head = [] if proof.hash == order.last_hash else ["the order's row names another head of the chain"]
            return [*proof.failures, *head]
    return ["it moved during every reading: look again"]


@dataclass(frozen=True)
class OrderMoney:
    """What an order says of its money, for the third side of reconciliation; minor units."""

    captured_minor: int
    refunded_minor: int
    currency: str


def payment_facts(ctx: Context, order_ids: Iterable[str]) -> dict[str, OrderMoney]:
    """By order id; unknown orders are left out."""
    return {
        order.id: OrderMoney(order.captured_minor, order.refunded_minor, order.currency)
        for order in tables.many(order_ids)
    }


def unaware_of(ctx: Context, paid: Mapping[str, str]) -> set[str]:
    """Those intents whose money their order does not know of; `paid` says by intent which order it is for."""
    found = {order.id: order for order in tables.many(paid.values())}
    return {intent for intent, order_id in paid.items() if not _received(found.get(order_id), intent)}


def _received(order: Order | None, intent_id: str) -> bool:
    attempts = [attempt for charge in order.charges for attempt in charge.attempts] if order else []
    return any(attempt.intent_id == intent_id and attempt.state == SUCCEEDED for attempt in attempts)


# ---------------------------------------------------------------------------------------------- notices


@dataclass(frozen=True)
class Notice:
    """What a message about an order may say, read at the moment of sending."""

    order_id: str
    account_id: str
    shop_name: Text
    offer_name: Text
    starts_at: Instant | None
    time_zone: str
    total: Money
    refund: Money
    state: str
    refund_state: str


def notice(ctx: Context, order_id: str) -> Notice | None:
    """None when the order is not there (any more)."""
    order = tables.order(order_id)
    if order is None:
        return None
    offer = catalog.offer(ctx, order.lines[0].offer_id, order.lines[0].offer_version)
    shop = catalog.shop(ctx, order.shop_id)
    return Notice(
        order_id=order.id,
        account_id=order.account_id,
        shop_name=shop.name,
        offer_name=offer.name,
        starts_at=order.starts_at,
        time_zone=order.zone,
        total=Money(order.total_minor, order.currency),
        refund=Money(sum(refund.amount_minor for refund in order.refunds), order.currency),
        state=order.state,
        refund_state=order.refund_state,
    )
