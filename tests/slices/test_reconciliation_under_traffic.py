"""The night's comparison of balances while people pay: the provider, the books and what is between them move as the run
reads. Payments are made through the local Stripe server exactly before or after one call of the real adapter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.ledger import service as ledger
from chalicelib.providers.ports import BalanceLine, PaymentProvider
from chalicelib.reconciliation import model, service, tables
from chalicelib.reconciliation.model import Run
from chalicelib.runtime import log
from tests import world
from tests.builders import identity
from tests.builders import orders as build
from tests.slices.test_reconciliation import line_of

pytestmark = pytest.mark.usefixtures("alone")


@dataclass
class Busy:
    """The real adapter; `happens` is told before and after each reading of the account, by name and number."""

    real: PaymentProvider
    happens: Callable[[str, int], None]
    calls: dict[str, int] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def balance_lines(self, since: Instant, until: Instant) -> Iterator[BalanceLine]:
        found: list[BalanceLine] = self._around("lines", lambda: list(self.real.balance_lines(since, until)))
        return iter(found)

    def balance(self, currency: str) -> Money:
        found: Money = self._around("balance", lambda: self.real.balance(currency))
        return found

    def _around(self, what: str, read: Callable[[], Any]) -> Any:
        number = self.calls[what] = self.calls.get(what, 0) + 1
        self.happens(f"before {what}", number)
        found = read()
        self.happens(f"after {what}", number)
        return found


@pytest.fixture
def errors() -> Iterator[list[str]]:
    """What is logged as an error meanwhile."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger(log.logger().name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    yield said
    logger.setLevel(level)
    logger.removeHandler(handler)


def run_while(happens: Callable[[str, int], None]) -> Run:
    """A whole run with that going on; today's row."""
    ctx = identity.context(world.now())
    busy = Busy(ctx.ports.payments, happens)
    service.reconcile(replace(ctx, ports=SimpleNamespace(payments=busy)))
    run = tables.run("stripe", model.provider_day(ctx.now))
    assert run is not None
    return run


def settled(visit: build.Visit) -> None:
    visit.pay(method="card")


def known_to_the_provider_only(visit: build.Visit) -> None:
    world.payer_does(visit.open_payment()["attempt_id"], "succeed")


@pytest.mark.parametrize("pays", [settled, known_to_the_provider_only])
@pytest.mark.parametrize(
    "moment",
    [("before lines", 1), ("after lines", 1), ("before balance", 1), ("after balance", 1), ("after lines", 2)],
)
def test_a_payment_made_while_the_run_reads_is_no_hole(
    moment: tuple[str, int], pays: Callable[[build.Visit], None], errors: list[str]
) -> None:
    """Whichever two readings it falls between, every cent is explained; the next run matches it."""
    visit, early = build.booked(), build.booked()
    early.pay()
    world.advance(seconds=2)
    run = run_while(lambda *at: pays(visit) if at == moment else None)
    assert run.balanced is True, run.balance
    assert errors == []
    world.settle_down()
    world.advance(seconds=2)
    assert run_while(lambda *_: None).balanced is True
    assert len(ledger.lines_of(visit.id)) == len(ledger.lines_of(early.id)) == 1


def test_a_balance_that_never_stands_still_is_not_compared(errors: list[str]) -> None:
    """With a payment before each reading nobody can say what the balance has: null, and no alarm; later it holds."""
    run = run_while(lambda what, _: build.booked().pay() if what == "before balance" else None)
    assert (run.balanced, run.balance["CNY"][0]) == (None, None)
    assert errors == []
    newest = identity.operator().client.get("/v1/operator/reconciliation/runs?limit=1").json["items"][0]
    (shown,) = [each for each in newest["balances"] if each["books"]["currency"] == "CNY"]
    assert (shown["provider"], shown["holds"]) == (None, None)
    world.advance(seconds=2)
    assert run_while(lambda *_: None).balanced is True


def keeps_back(line_id: str, minor: int) -> None:
    """The provider pays out so much less of a line than its amount and its fee say."""
    store = world.provider()._store
    with store.transaction():
        line = store.get("balance_transaction", line_id)
        assert line is not None
        line["net"] -= minor
        store.save(line)


@pytest.mark.parametrize("traffic", [False, True])
def test_a_cent_that_no_line_explains_is_a_hole_with_traffic_or_without(traffic: bool, errors: list[str]) -> None:
    """The provider's balance lacks one cent although every line agrees: alarm, by exactly that cent."""
    visit, other = build.booked(), build.booked()
    visit.pay()
    line = line_of(visit.id)
    keeps_back(line.line_id, 1)
    run = run_while(lambda *at: other.pay() if traffic and at == ("before balance", 1) else None)
    theirs, ours, explained = run.balance["CNY"]
    assert (run.balanced, theirs) == (False, ours + explained - 1)
    assert len(errors) == 1
    keeps_back(line.line_id, -1)
    world.advance(seconds=2)
    assert run_while(lambda *_: None).balanced is True
