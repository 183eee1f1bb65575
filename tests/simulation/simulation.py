"""One process's simulated world, and in it one run after the other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.simulation import environment  # isort: skip  # before anything of the product

import stripe
from stripe import StripeClient  # noqa: F401  # loaded now, so that no run pays for it

from chalicelib.kernel.instant import Instant
from chalicelib.runtime import aws, dynamo, outbox, resources
from chalicelib.search import cities
from infra.local.stripe_server.engine import StripeEngine
from tests.builders import salons
from tests.simulation import clockwork, files, provider
from tests.simulation.apps import App
from tests.simulation.baton import Baton, Lock
from tests.simulation.files import Files
from tests.simulation.functions import Functions
from tests.simulation.phones import Phones
from tests.simulation.plan import Plan
from tests.simulation.store import Store
from tests.simulation.wire import DatabaseSession, QueueSession, Wire

BEGIN = Instant.parse("2026-11-20T02:00:00Z")  # ten in the morning in Shanghai
TICK_SECONDS = 60


class Unsigned:
    """Signs nothing: nobody on this line checks a signature, and a signature takes a fifth of a call's time."""

    def __init__(self, *_: object) -> None: ...

    def add_auth(self, request: object) -> None: ...


class World:
    """What lives as long as the process: the engine, the clients over the wire, time and chance. `run` is the present
    run; the product reaches it through here."""

    def __init__(self) -> None:
        self.store = Store()
        self.run: Run | None = None
        self._chance = environment.Chance()
        environment.virtual_time(self._sleep, self._now_ms)
        aws.SigV4Auth = Unsigned  # type: ignore[misc,assignment]  # in its place
        dynamo.client()._http = DatabaseSession(lambda: self.present.wire, self.store)  # type: ignore[assignment]  # in its place
        resources.sqs()._http = QueueSession(lambda: self.present.wire, self._take)  # type: ignore[assignment]  # in its place
        stripe.RequestsClient = lambda **_: provider.ProviderLine(  # type: ignore[assignment,misc]  # in its place
            lambda: self.present.wire, lambda: self.present.provider
        )
        outbox.SHARDS = 2  # more find nothing more
        Phones.wire = staticmethod(lambda: self.present.wire)
        Files.wire = staticmethod(lambda: self.present.wire)
        cities.begin = self._beside
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("chalicelib"):
                for name, value in list(vars(module).items()):
                    if isinstance(value, type(threading.Lock())):
                        setattr(module, name, Lock(lambda: self.present.baton))

    @property
    def present(self) -> Run:
        assert self.run is not None
        return self.run

    def begin(self, plan: Plan, *, empty: bool = True) -> Run:
        """A new run, in empty tables or in those that the run before it leaves."""
        self._chance.begin(f"{plan.journey}/{plan.seed}")
        forget()
        Phones.received.clear()
        if empty:
            self.store.begin()
            files.remove(environment.FILES)
        self.run = Run(plan, self.store)
        return self.run

    def end(self) -> None:
        self.store.end()
        environment.remove()

    def _take(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        return self.present.functions.take(operation, asked)

    def _beside(self, name: str, work: Callable[[], None]) -> None:
        """What a process does beside its requests is a task of its own, and may die like any other."""
        self.present.baton.spawn(name, lambda: self.present.functions.invoke(work))

    def _sleep(self, seconds: float) -> None:
        if self.run is not None and self.run.baton.running is not None:
            self.run.baton.sleep(int(seconds * 1000))

    def _now_ms(self) -> int:
        task = self.present.baton.running
        return self.present.baton.now_ms + (task.skew_ms if task else 0)


def forget() -> None:
    """A process that begins knows nothing of the tables."""
    from chalicelib.catalog import pages
    from chalicelib.catalog import service as catalog
    from chalicelib.search import affinity, cities, news
    from chalicelib.web import rate

    for known in (
        catalog._versions,
        catalog._places,
        pages._pages,
        affinity._members,
        cities._cities,
        news.just_told,
        rate._leases,
    ):
        known.clear()
    resources._urls.clear()
    dynamo.connection()._tables.clear()
    for row in _rows(dynamo.Row):
        row._connection = None
    for client in (dynamo.client(), resources.sqs()):
        client._quota = type(client._quota)()


def _rows(row: type[dynamo.Row]) -> Iterator[type[dynamo.Row]]:
    for kind in row.__subclasses__():
        yield kind
        yield from _rows(kind)


class Run:
    """One run: who takes part, the clock they share, and everything between them and the outside.

    A journey's `begin(run)` lets people take part by `run.goes`; what else it may use is all here.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan = plan
        self.store = store
        self.baton = Baton(plan.seed, BEGIN.ms)
        self.wire = Wire(self.baton, plan)
        self.functions: Functions
        self.provider: StripeEngine = provider.opened(lambda: self.baton.now_ms, self._wake)
        self.functions = Functions(self.baton, self.wire, plan, self.provider, forget)
        self.apps: list[App] = []
        self._people = 0

    def _wake(self) -> None:
        self.functions.post()

    @property
    def now(self) -> Instant:
        """True time."""
        return Instant(self.baton.now_ms)

    # Who takes part

    def salon(self, **changed: Any) -> salons.Salon:
        """A shop with its staff and one offer, see `tests.builders.salons`."""
        return salons.salon(**changed)

    def app_of(self, person: Any) -> App:
        """The app on somebody's phone, which tries again whatever fails."""
        app = App(self, person)
        self.apps.append(app)
        return app

    def goes(self, name: str, story: Callable[[], object], after_seconds: int = 0) -> None:
        """Somebody does something, in their own time."""
        self._people += 1

        def lives() -> None:
            try:
                story()
            finally:
                self._people -= 1

        self.baton.spawn(name, lives, after_seconds * 1000)

    def waits(self, seconds: float) -> None:
        """Whoever calls it does nothing for so long."""
        self.baton.sleep(int(seconds * 1000))

    def waits_about(self, seconds: int) -> None:
        """As `waits`, for as long as the seed says: mostly shorter, sometimes much longer."""
        self.waits(self.baton.choose.expovariate(1 / seconds))

    def waits_until(self, instant: Instant) -> None:
        self.waits(max(0, instant.since(self.now)) / 1000)

    # What goes on by itself

    def ticks(self, *names: str, every_seconds: int = TICK_SECONDS) -> None:
        """Schedules that run as long as people are about."""

        def clock() -> None:
            while self._people:
                self.waits(every_seconds)
                for name in names:
                    if clockwork.goes_off(self, name):
                        self.baton.spawn(name, lambda one=name: self.functions.schedule(one))

        self.baton.spawn("clock", clock)

    def comes_to_rest(self, minutes: tuple[int, ...] = (2, 3, 16, 17, 40, 200)) -> None:
        """Nothing goes wrong any more, and everything runs its course: the minute's schedules after so many minutes."""
        self.wire.disturbed = self.functions.messages.disturbed = False
        for wait in minutes:
            self.baton.now_ms += wait * 60_000
            for name in ("relay_outbox", "sweep"):
                if clockwork.goes_off(self, name):
                    self.baton.spawn(name, lambda one=name: self.functions.schedule(one))
                    self.baton.run()
