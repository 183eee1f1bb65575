"""The product's own use cases, one step at a time.

A use case runs until it wants something from outside (a row, a conditional write, the provider) and is stopped there.
What it wanted is its next step. To go on, it is run again from its beginning with the answers so far, which it meets in
the same order because nothing else can tell it anything. So a use case under way is a value, other things can happen
between any two of its steps, and a crash is to forget it.

Replaced are `orders.tables.order`, `orders.saving.write` and the provider's port: the edges. All that stands between
them is the code that is deployed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from chalicelib.booking.model import SlotNotHeld, SlotTaken
from chalicelib.kernel.errors import InvalidTransition, Problem
from chalicelib.kernel.money import Money
from chalicelib.kernel.states import StateMachine
from chalicelib.orders import paying, saving, tables
from chalicelib.orders.changes import Change
from chalicelib.orders.model import Changed, Order
from chalicelib.payments import service as payments
from chalicelib.providers.ports import Intent, IntentRequest, MethodRefused, ProviderUnavailable, Refund
from chalicelib.runtime import log
from chalicelib.runtime.context import Actor, Context
from chalicelib.runtime.settings import Settings
from tests.builders import plain
from tests.simulation.model.world import INSTANTS, Flight, IntentAt, Pool, Row, abstract, intent_said, refund_said

UseCase = Callable[[Context, str, Any], object]
Fired = tuple[str, str, str]
"""Machine, state, event."""

ID = plain.order().id
_STAFF = Actor(kind="merchant", merchant_id=plain.order().merchant_id)
_SETTINGS = Settings()

CHANGED, TAKEN, NOT_HELD, DOWN, REFUSED = "changed", "taken", "not held", "down", "refused"
_PROBLEMS: dict[str, Callable[[], Exception]] = {
    CHANGED: Changed,
    TAKEN: lambda: SlotTaken(alternatives=[]),
    NOT_HELD: SlotNotHeld,
    DOWN: lambda: ProviderUnavailable(retry_after_seconds=2),
    REFUSED: MethodRefused,
}


class Step(NamedTuple):
    """What a use case wants next. `kind` is read, write, create, cancel, fetch, refund or fetch_refund, or done; a
    write has the numbers of the rows before and after in `about`."""

    kind: str
    about: tuple[Hashable, ...] = ()
    claims: bool = False
    releases: bool = False
    fired: tuple[Fired, ...] = ()
    fault: str = ""


class _Stopped(BaseException):
    """Not an Exception: the product would swallow it."""


class Replayer:
    """Finds the next step of a use case under way. Each is found once and remembered."""

    def __init__(self, use_cases: Mapping[str, UseCase], rows: Pool[Row]) -> None:
        self._use_cases = use_cases
        self.rows = rows
        self._known: dict[Flight, Step] = {}
        self._run: _Run | None = None

    def next_step(self, flight: Flight) -> Step:
        found = self._known.get(flight)
        if found is None:
            found = self._known[flight] = self._find(flight)
        return found

    def _find(self, flight: Flight) -> Step:
        run = self._run = _Run(self.rows, flight)
        ctx = Context(now=INSTANTS[flight.phase], ports=run, actor=_STAFF, settings=_SETTINGS)  # type: ignore[arg-type]
        try:
            self._use_cases[flight.name](ctx, ID, flight.about)
        except _Stopped:
            assert run.stopped is not None
            return run.stopped
        except (Problem, InvalidTransition, paying.UnknownOrder):
            pass  # whoever asked is told so
        except Exception as error:
            return Step("done", fault=f"{flight.name} failed: {error!r}")
        finally:
            self._run = None
        return Step("done", fault=run.fault)

    @contextmanager
    def at_the_edges(self) -> Iterator[None]:
        """While it lasts, the product's use cases meet this world instead of tables and a provider, and every row of a
        state table that is used is noted."""
        edges: tuple[tuple[Any, str, Any], ...] = (
            (tables, "order", lambda _: self._asked().order()),
            (saving, "write", lambda _, before, change, **__: self._asked().write(before, change)),
            (payments, "park", lambda *_: self._asked().fails("a fact was parked")),
            (log, "info", lambda *_, **__: None),
            (log, "warning", lambda *_, **__: None),
            (log, "error", lambda message, caught=None, **_: self._asked().logged(message, caught)),
            (StateMachine, "fire", self._noting(StateMachine.fire)),
        )
        with ExitStack() as afterwards:
            for where, name, edge in edges:
                afterwards.callback(setattr, where, name, getattr(where, name))
                setattr(where, name, edge)
            yield

    def _asked(self) -> _Run:
        assert self._run is not None
        return self._run

    def _noting(self, fire: Callable[[StateMachine, str, str], str]) -> Callable[[StateMachine, str, str], str]:
        def noted(machine: StateMachine, state: str, event: str) -> str:
            target = fire(machine, state, event)
            if self._run is not None:
                self._run.fired.append((machine.name, state, event))
            return target

        return noted


class _Run:
    """One running of a use case, which answers it from the past. It is its provider's port, too."""

    name = plain.PROVIDER

    def __init__(self, rows: Pool[Row], flight: Flight) -> None:
        self._rows = rows
        self._answers = iter(flight.answers)
        self._read: dict[int, int] = {}  # the row that each order in the use case's hands was read from
        self.fired: list[Fired] = []
        self.stopped: Step | None = None
        self.fault = ""

    @property
    def payments(self) -> _Run:
        return self

    def _ask(self, step: Step) -> Any:
        if self.stopped is None:
            answer = next(self._answers, None)
            if answer is not None:
                if step.kind != "read":
                    self.fired.clear()
                if isinstance(answer, str) and answer in _PROBLEMS:
                    raise _PROBLEMS[answer]()
                return answer
            self.stopped = step
        # Also whatever cleans up on the way out gets no further.
        raise _Stopped

    def fails(self, how: str) -> None:
        self.fault = self.fault or how

    def logged(self, message: str, caught: BaseException | None) -> None:
        if not isinstance(caught, MethodRefused):
            self.fails(f"{message}: {caught!r}")

    # ------------------------------------------------------------------ tables

    def order(self) -> Order | None:
        number = self._ask(Step("read"))
        return self._handed(number) if number >= 0 else None

    def _handed(self, number: int) -> Order:
        order = self._rows[number].order
        self._read[id(order)] = number
        return order

    def write(self, before: Order, change: Change) -> Order:
        number = self._read[id(before)]
        posts = sorted((*self._rows[number].posts, *change.entries), key=lambda post: (post[0], post[2]))
        after = self._rows.number(Row(abstract(change.after), tuple(posts)))
        self._ask(Step("write", (number, after), change.claims, change.releases, tuple(self.fired)))
        return self._handed(after)

    # ------------------------------------------------------------------ the provider

    def methods(self, currency: str, client: str) -> list[str]:
        return ["alipay", "wechat_pay", "card"]

    def create_intent(self, request: IntentRequest) -> Intent:
        return self._intent(self._ask(Step("create", (request.key, request.attempt_id, request.method))))

    def fetch_intent(self, intent_id: str) -> Intent:
        return self._intent(self._ask(Step("fetch", (intent_id,))))

    def cancel_intent(self, intent_id: str) -> Intent:
        return self._intent(self._ask(Step("cancel", (intent_id,))))

    def _intent(self, answer: tuple[int, IntentAt]) -> Intent:
        return intent_said(*answer)

    def refund(self, *, intent_id: str, amount: Money, order_id: str, refund_id: str) -> Refund:
        return refund_said(*self._ask(Step("refund", (intent_id, amount.amount_minor, refund_id))))

    def fetch_refund(self, provider_id: str) -> Refund:
        return refund_said(*self._ask(Step("fetch_refund", (provider_id,))))
