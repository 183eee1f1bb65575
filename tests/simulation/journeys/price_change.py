"""Merchants change prices, close and open their shops, a day fills up, and people search until it shows.

Races: writers beside each other in one city's log; notes of one day beside each other; a base that is built while they
write; a writer, a builder or a searcher that dies anywhere; a process that begins anew and finds an old base and a long
log.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.exceptions import PynamoDBException

from chalicelib.catalog import service as catalog
from chalicelib.catalog.hours import every_day
from chalicelib.catalog.model import APPROVED, ShopPage
from chalicelib.kernel.errors import Problem
from chalicelib.kernel.money import Money
from chalicelib.orders import tables as orders
from chalicelib.runtime.context import Context
from chalicelib.runtime.entry import system_context
from chalicelib.search import cities
from tests.builders.salons import Salon
from tests.simulation import promises, steps
from tests.simulation.apps import App
from tests.simulation.simulation import BEGIN, Run

FOUND_WITHIN_SECONDS = 5
_SALE_AFTER_SECONDS = 20
_TWO_PLACES = every_day((660, 780))  # of an hour each; the first begins after so many hours
_FIRST_HOURS = 25
_DAY = BEGIN.plus(hours=_FIRST_HOURS).local_date("Asia/Shanghai")

_faults: list[str] = []
_salons: list[Salon] = []
_buyers: list[App] = []


def begin(run: Run) -> None:
    _faults.clear()
    _salons[:] = [
        run.salon(staff=1, price_minor=10_000 + number, **({} if number else {"hours": _TWO_PLACES}))
        for number in range(3)
    ]
    for number, salon in enumerate(_salons):
        steps.acts(run, f"owner {number}", lambda salon=salon: _runs_a_shop(run, salon))
    for number in range(2):
        app = steps.newcomer(run)
        steps.acts(run, f"searcher {number}", lambda app=app: _looks_around(app))
    steps.acts(run, "nightly build", lambda: _builds(run))
    _buyers[:] = [steps.newcomer(run) for _ in range(2)]
    for number, buyer in enumerate(_buyers):
        hours = _FIRST_HOURS + number
        steps.acts(run, f"friend {number}", lambda buyer=buyer, hours=hours: _visits(buyer, hours))
    run.ticks("sweep", "relay_outbox")


def rest(run: Run) -> None:
    """Nothing goes wrong any more: what stands in the catalogue is what is found, warm, changed, and from nothing."""
    run.comes_to_rest()
    app = steps.newcomer(run)
    run.baton.spawn("last look", lambda: _last_look(run, app))
    run.baton.run()


def check(run: Run) -> list[str]:
    return promises.broken(run) + _faults


def _runs_a_shop(run: Run, salon: Salon) -> None:
    """A price that changes at the same moment everywhere, and then what comes to mind."""
    run.waits(_SALE_AFTER_SECONDS)
    _writes(run, lambda ctx: _changes_price(ctx, salon, Money(run.baton.choose.randint(100, 9_000), "CNY")))
    for _ in range(2):
        run.waits_about(30)
        what = steps.one_of(run, ("price", 4), ("close", 1), ("open", 2))
        price = Money(run.baton.choose.randint(100, 90_000), "CNY")
        if what == "price":
            _writes(run, lambda ctx, price=price: _changes_price(ctx, salon, price))
        else:
            state = APPROVED if what == "open" else "suspended"
            _writes(run, lambda ctx, state=state: _moves(ctx, salon, state))


def _writes(run: Run, write: Callable[[Context], None]) -> None:
    """The merchant's side has no routes for this yet; its use case runs as a function, which may die."""
    with suppress(Problem, PynamoDBException, ClientError, BotoCoreError):
        run.functions.invoke(lambda: write(system_context()))


def _changes_price(ctx: Context, salon: Salon, price: Money) -> None:
    offer = catalog.offer(ctx, salon.offer.id)
    catalog.put_offer(ctx, replace(offer, price=price, version=offer.version + 1))


def _moves(ctx: Context, salon: Salon, state: str) -> None:
    shop = catalog.shop(ctx, salon.shop.id)
    catalog.put_shop(ctx, replace(shop, state=state, version=shop.version + 1))


def _looks_around(app: App) -> None:
    for _ in range(3):
        app.run.waits_about(40)
        app.get("/v1/search?city=sha&sort=price")


def _visits(app: App, hours: int) -> None:
    """Both friends at once, one after the other with the only stylist: together they fill the day."""
    order_id = steps.books_and_pays(app, _salons[0], hours, think=10)
    if order_id is not None and steps.one_of(app.run, ("goes", 3), ("cancels", 1)) == "cancels":
        steps.cancels(app, order_id)


def _builds(run: Run) -> None:
    for _ in range(2):
        run.waits_about(60)
        run.functions.schedule("build_search")


# At rest


def _last_look(run: Run, app: App) -> None:
    _lets_time_pass(run)
    _compares(app, "warm, at rest")
    for number, salon in enumerate(_salons):
        _writes(run, lambda ctx, salon=salon, number=number: _changes_price(ctx, salon, Money(777 + number, "CNY")))
    _writes(run, lambda ctx: _moves(ctx, _salons[1], "suspended"))
    _lets_time_pass(run)
    _compares(app, "five seconds after changes")
    run.functions.schedule("build_search")
    _lets_time_pass(run)
    _compares(app, "on a new base")
    cities.forget()
    _compares(app, "from nothing")
    _lets_time_pass(run)
    _compares(app, "from the base that was loaded beside")


def _lets_time_pass(run: Run) -> None:
    """Five seconds by every clock: in a plan with skew each function has another, so that a process's own leaps."""
    run.waits(FOUND_WITHIN_SECONDS + 2 * run.plan.skew_ms / 1000)


def _compares(app: App, when: str) -> None:
    listed = [page for salon in _salons if (page := _page(salon).listing()) is not None]
    wanted = sorted((min(offer.price.amount_minor for offer in page.offers), page.shop.id) for page in listed)
    _compares_one(app, when, wanted, "")
    shop = _salons[0].shop
    is_full = len(_places_taken()) == 2
    free = [one for one in wanted if not (is_full and one[1] == shop.id)]
    _compares_one(app, f"{when}, of a day", free, f"&bookable_on={_DAY}")


def _compares_one(app: App, when: str, wanted: list[tuple[int, str]], asked: str) -> None:
    reply = app.get(f"/v1/search?city=sha&sort=price&limit=100{asked}")
    found = [(item["price_from"]["amount_minor"], item["shop_id"]) for item in reply.json.get("items", ())]
    if found != wanted:
        _faults.append(f"search, {when}: {reply.status} {found} is found, {wanted} is listed")


def _places_taken() -> list[str]:
    """The orders that hold a place. Whoever was not told of an order has not paid it, and it has ended by now."""
    told = [told.reply.json["id"] for app in _buyers for told in app.told if told.target == "/v1/orders" and told.done]
    known = [orders.order(order_id) for order_id in dict.fromkeys(told)]
    return [order.id for order in known if order is not None and order.state == "confirmed"]


def _page(salon: Salon) -> ShopPage:
    return catalog.whole_page(system_context(), salon.shop.id)
