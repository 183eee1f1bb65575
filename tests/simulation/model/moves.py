"""The table of what can happen to one buyer, and what its steps do at the edges. A test replaces single entries of it.

A move is a function (scene) → outcomes; outcomes that change nothing are dropped by the search.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chalicelib.booking.model import SLOT
from chalicelib.fulfilment import service as fulfilment
from chalicelib.orders import ending, paying, tables
from chalicelib.orders.model import Order
from chalicelib.providers.ports import ProviderEvent
from chalicelib.runtime.context import Context
from tests.simulation.model.replay import CHANGED, DOWN, NOT_HELD, REFUSED, TAKEN, Replayer, Step, UseCase
from tests.simulation.model.world import (
    FREE,
    MINE,
    Buyer,
    Flight,
    IntentAt,
    RefundAt,
    Row,
    World,
    calendar_after,
    intent_said,
    placed,
    refund_said,
    unit_of,
)

PAYABLE = ("requires_action", "failed")
WRONG = 5  # minor units: less than anything costs


class Outcome(NamedTuple):
    """The buyer afterwards; `claims` or `releases` is the unit that goes with it, -1 for none. `fault`: the code broke.
    `cost` comes to that of the move."""

    label: str
    buyer: Buyer
    claims: int = -1
    releases: int = -1
    fault: str = ""
    cost: int = 0


class Scene(NamedTuple):
    """One buyer as a move meets it. `units` are the calendar's as it sees them."""

    world: World
    rules: Rules
    replayer: Replayer
    buyer: Buyer
    phase: int
    units: tuple[str, ...]

    @property
    def row(self) -> Row:
        return self.replayer.rows[self.buyer.row]


Move = Callable[[Scene], Iterable[Outcome]]


# ---------------------------------------------------------------------------------------------- use cases


def _order(order_id: str) -> Order:
    found = tables.order(order_id)
    assert found is not None
    return found


def _open(ctx: Context, order_id: str, mark: str) -> object:
    return paying.open_attempt(
        ctx, _order(order_id), method=mark, client="web", charge_id=None, return_url=None, mark=mark * 8
    )


def _told(ctx: Context, order_id: str, about: tuple[str, int, Any, str]) -> object:
    kind, number, thing, state = about
    if kind == "intent":
        return paying.apply_event(ctx, ProviderEvent("evt", state, ctx.now, intent=intent_said(number, thing, state)))
    return paying.apply_event(ctx, ProviderEvent("evt", state, ctx.now, refund=refund_said(number, thing, state)))


USE_CASES: dict[str, UseCase] = {
    "opens a payment": _open,
    "cancels": lambda ctx, order_id, by: ending.cancel(ctx, _order(order_id), by),
    "declines": lambda ctx, order_id, _: ending.decline(ctx, order_id, "merchant"),
    "accepts": lambda ctx, order_id, _: ending.accept(ctx, order_id),
    "the sweep looks": lambda ctx, order_id, _: ending.sweep_one(ctx, order_id),
    "the refund queue asks": lambda ctx, order_id, _: paying.drive_refunds(ctx, order_id),
    "told": _told,
    "serves": fulfilment.step,
    "reports a no-show": lambda ctx, order_id, _: fulfilment.no_show(ctx, order_id),
}


def starting(name: str, *abouts: Hashable) -> Move:
    """A use case begins and takes its first step."""

    def move(scene: Scene) -> Iterator[Outcome]:
        for about in abouts:
            yield from _begun(scene, name, about)

    return move


def _begun(scene: Scene, name: str, about: Hashable) -> Iterator[Outcome]:
    if scene.buyer.row < 0:
        return
    flight = Flight(name, about, scene.phase, ())
    end = _idle(scene, scene.buyer, flight)
    if end is None or end.fault:
        yield from stepped(scene, scene.buyer, flight, f"{name} {about}" if isinstance(about, str) else name)


def _facts(scene: Scene) -> Iterator[Outcome]:
    """Every fact that ever was under way, as often as anybody likes. What it says is all that it carries."""
    told = [
        ("intent", n, _bare(one, state), state) for n, one in enumerate(scene.buyer.intents, 1) for state in one.told
    ]
    told += [
        ("refund", n, _bare_refund(one), state) for n, one in enumerate(scene.buyer.refunds, 1) for state in one.told
    ]
    for kind, number, bare, state in sorted(told):
        about = (kind, number, bare._replace(state=state), state)
        for outcome in _begun(scene, "told", about):
            yield outcome._replace(label=f"told that {kind} {number} is {state}{outcome.label[4:]}")


def _goes_on(scene: Scene) -> Iterator[Outcome]:
    for flight in dict.fromkeys(scene.buyer.flights):
        step = scene.replayer.next_step(flight)
        yield from stepped(scene, _without(scene.buyer, flight), flight, f"{flight.name}: {step.kind}")


def _crashes(scene: Scene) -> Iterator[Outcome]:
    for flight in dict.fromkeys(scene.buyer.flights):
        yield Outcome(f"{flight.name}: crash", _without(scene.buyer, flight))


def _without(buyer: Buyer, flight: Flight) -> Buyer:
    left = list(buyer.flights)
    left.remove(flight)
    return buyer._replace(flights=tuple(left))


# ---------------------------------------------------------------------------------------------- steps


def stepped(scene: Scene, buyer: Buyer, flight: Flight, label: str) -> Iterator[Outcome]:
    """What a use case does next. In a fine world one step, up to something that others can see; a read goes together
    with the write that repeats it in its condition. In a coarse world all of it, or all up to a crash."""
    step = scene.replayer.next_step(flight)
    for answer, after, claims, releases, told in EDGES[step.kind](scene, buyer, step) if step.kind != "done" else ():
        going = flight._replace(answers=(*flight.answers, answer))
        label_so_far = label + told
        end = _idle(scene, after, going)
        seen = after != buyer or step.kind not in ("read", "write")
        if end is not None:
            yield Outcome(label_so_far, after, claims, releases, end.fault)
        elif not seen and (not scene.world.fine or _repeats(scene.replayer.next_step(going), answer)):
            yield from stepped(scene, after, going, label_so_far)
        elif scene.world.fine:
            flights = (*after.flights, going)
            flights = tuple(sorted(flights, key=repr)) if len(flights) > 1 else flights
            yield Outcome(label_so_far, after._replace(flights=flights), claims, releases)
        else:
            if "crashes" not in scene.world.shut:
                yield Outcome(f"{label_so_far}, crash", after, claims, releases, cost=1)
            there = scene._replace(buyer=after, units=calendar_after(scene.units, claims, releases))
            for then in stepped(there, after, going, label_so_far):
                yield then._replace(claims=max(claims, then.claims), releases=max(releases, then.releases))


def _repeats(following: Step, read: Hashable) -> bool:
    return following.kind == "write" and following.about[0] == read


def _idle(scene: Scene, buyer: Buyer, flight: Flight) -> Step | None:
    """The end of a use case that only reads from here on if it is left alone: it is not begun, or it is over. Begun
    later, or begun again, it does what it would have done."""
    step = scene.replayer.next_step(flight)
    while step.kind == "read" or (step.kind == "write" and step.about == (buyer.row, buyer.row)):
        flight = flight._replace(answers=(*flight.answers, buyer.row if step.kind == "read" else "written"))
        step = scene.replayer.next_step(flight)
    return step if step.kind == "done" else None


Answered = tuple[Any, Buyer, int, int, str]
"""What the use case is answered, the buyer afterwards, the unit claimed, the unit released, a word for the path."""
Edge = Callable[[Scene, Buyer, Step], Iterator[Answered]]


def _read(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    yield buyer.row, buyer, -1, -1, ""


def _write(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    before, number = step.about
    assert isinstance(number, int)
    order = scene.replayer.rows[number].order
    unit = unit_of(order)
    if not scene.rules.unmoved(before, buyer.row):
        yield CHANGED, buyer, -1, -1, " (changed meanwhile)"
    elif step.claims and not scene.rules.claimable(scene.units[unit]):
        yield TAKEN, buyer, -1, -1, " (its place is taken)"
    elif step.releases and not scene.rules.releasable(scene.units[unit]):
        yield NOT_HELD, buyer, -1, -1, " (its place is not its own)"
    else:
        scene.rules.written.update(step.fired)
        if step.releases:
            scene.rules.written.add((SLOT.name, SLOT.initial, "release"))
        after = buyer._replace(row=number)
        yield "written", after, unit if step.claims else -1, unit if step.releases else -1, f" → {order.state}"


def _create(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    key, attempt_id, method = step.about
    for number, intent in enumerate(buyer.intents, 1):
        if intent.key == key:
            # An idempotency key answers what it answered the first time, whatever has happened since.
            yield (number, _bare(intent, intent.first)), buyer, -1, -1, ""
            return
    if len(buyer.intents) == scene.world.intents:
        yield DOWN, buyer, -1, -1, " (enough of them)"
        return
    for state in ("requires_action", "succeeded")[: 1 if "pays at once" in scene.world.shut else 2]:
        received = scene.row.order.total_minor if state == "succeeded" else 0
        made = IntentAt(str(key), str(attempt_id), str(method), state, state, received, _told_too(scene, state))
        after = buyer._replace(intents=(*buyer.intents, made))
        yield (len(after.intents), _bare(made, state)), after, -1, -1, f" ({state})"


def _bare(intent: IntentAt, state: str) -> IntentAt:
    """What an answer tells of an intent."""
    received = intent.received if state == "succeeded" else 0
    return intent._replace(key="", first="", state=state, received=received, told=frozenset())


def _fetch(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    number = _number(step)
    intent = buyer.intents[number - 1]
    yield (number, _bare(intent, intent.state)), buyer, -1, -1, ""


def _cancel(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    number = _number(step)
    intent = buyer.intents[number - 1]
    ended = intent_moved(scene, intent, "canceled") if intent.state in PAYABLE else intent
    after = with_intent(buyer, number, ended)
    yield (number, _bare(ended, ended.state)), after, -1, -1, ""
    if "silence" not in scene.world.shut:
        yield DOWN, buyer._replace(silent=True), -1, -1, " (no answer)"
        yield DOWN, after, -1, -1, " (the answer is lost)"


def _refund(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    intent_id, amount, key = step.about
    found = [n for n, one in enumerate(buyer.refunds, 1) if scene.rules.same_refund(one.key, str(key))]
    if found:
        yield (found[0], _bare_refund(buyer.refunds[found[0] - 1])), buyer, -1, -1, ""
        return
    for state in ("processing", "succeeded"):
        made = RefundAt(str(key), str(intent_id), int(str(amount)), state, _told_too(scene, state))
        after = buyer._replace(refunds=(*buyer.refunds, made))
        yield (len(after.refunds), _bare_refund(made)), after, -1, -1, f" ({state})"
    if "refused" not in scene.world.shut and _tries(str(key)) < scene.world.tries:
        yield REFUSED, buyer, -1, -1, " (refused)"


def _tries(key: str) -> int:
    """Which try of a refund this is, from 1."""
    return int(key.rpartition(".")[2]) + 1


def _bare_refund(refund: RefundAt) -> RefundAt:
    return refund._replace(told=frozenset())


def _fetch_refund(scene: Scene, buyer: Buyer, step: Step) -> Iterator[Answered]:
    yield (number := _number(step), _bare_refund(buyer.refunds[number - 1])), buyer, -1, -1, ""


def _number(step: Step) -> int:
    return int(str(step.about[0]).rpartition("_")[2])


EDGES: dict[str, Edge] = {
    "read": _read,
    "write": _write,
    "create": _create,
    "fetch": _fetch,
    "cancel": _cancel,
    "refund": _refund,
    "fetch_refund": _fetch_refund,
}


# ---------------------------------------------------------------------------------------------- buyers and provider


def _places(scene: Scene) -> Iterator[Outcome]:
    """Takes the first free unit; one that was seen free and is taken by now is tried, too."""
    if scene.buyer.row >= 0 or scene.phase > scene.world.holds_until:
        return
    for unit, seen in enumerate(scene.units):
        for kind in scene.world.kinds:
            if scene.rules.claimable(seen):
                order = placed(kind, unit, scene.phase)
                row = scene.replayer.rows.number(Row(order, ()))
                yield Outcome(f"places an order ({kind}) of unit {unit}", scene.buyer._replace(row=row), claims=unit)
        if seen == FREE:
            return


def intent_moved(scene: Scene, intent: IntentAt, state: str, received: int = 0) -> IntentAt:
    return intent._replace(state=state, received=received, told=intent.told | _told_too(scene, state))


def _told_too(scene: Scene, state: str) -> frozenset[str]:
    """The fact that is on its way now; in a world without facts nobody sends any."""
    return frozenset() if "facts" in scene.world.shut else frozenset([state])


def with_intent(buyer: Buyer, number: int, intent: IntentAt) -> Buyer:
    return buyer._replace(intents=(*buyer.intents[: number - 1], intent, *buyer.intents[number:]))


def payer(verb: str, state: str, from_states: tuple[str, ...], *, wrong: bool = False) -> Move:
    """Something happens to an intent at the provider."""

    def move(scene: Scene) -> Iterator[Outcome]:
        for number, intent in enumerate(scene.buyer.intents, 1):
            if intent.state in from_states:
                received = 0 if state != "succeeded" else WRONG if wrong else scene.row.order.total_minor
                after = intent_moved(scene, intent, state, received)
                yield Outcome(f"{verb} intent {number}", with_intent(scene.buyer, number, after))

    return move


def refunding(verb: str, state: str, from_states: tuple[str, ...]) -> Move:
    def move(scene: Scene) -> Iterator[Outcome]:
        for number, refund in enumerate(scene.buyer.refunds, 1):
            if refund.state in from_states and (state != "failed" or _tries(refund.key) < scene.world.tries):
                after = refund._replace(state=state, told=refund.told | _told_too(scene, state))
                refunds = (*scene.buyer.refunds[: number - 1], after, *scene.buyer.refunds[number:])
                yield Outcome(f"{verb} refund {number}", scene.buyer._replace(refunds=refunds))

    return move


# Name: (cost, fair, move). Fair is what happens by itself some day; the other moves may happen or not. A path of a
# world with a budget may cost no more than that.
MOVES: dict[str, tuple[int, bool, Move]] = {
    "places": (0, False, _places),
    "opens": (0, False, lambda scene: starting("opens a payment", scene.world.marks[0])(scene)),
    "opens another": (1, False, lambda scene: starting("opens a payment", *scene.world.marks[1:])(scene)),
    "pays": (0, False, payer("the payer pays", "succeeded", PAYABLE)),
    "pays a wrong amount": (1, False, payer("the payer pays a wrong amount on", "succeeded", PAYABLE, wrong=True)),
    "fails": (1, False, payer("the payer fails on", "failed", ("requires_action",))),
    "waits": (1, False, payer("money is moving on", "processing", PAYABLE)),
    "lands": (0, True, payer("money lands on", "succeeded", ("processing",))),
    "bounces": (0, True, payer("money did not move on", "failed", ("processing",))),
    "facts": (0, True, _facts),
    "sweep": (0, True, starting("the sweep looks", None)),
    "refunds": (0, True, starting("the refund queue asks", None)),
    "refund succeeds": (0, True, refunding("the provider has paid", "succeeded", ("processing",))),
    "refund fails": (1, False, refunding("the provider fails", "failed", ("processing",))),
    "refund returns": (1, False, refunding("the bank sends back", "failed", ("succeeded",))),
    "cancels": (1, False, starting("cancels", "customer")),
    "merchant cancels": (1, False, starting("cancels", "merchant")),
    "operator cancels": (1, False, starting("cancels", "operator")),
    "declines": (1, False, starting("declines", None)),
    "accepts": (0, False, starting("accepts", None)),
    "serves": (0, False, starting("serves", "check_in", "start", "finish")),
    "no-show": (1, False, starting("reports a no-show", None)),
    "goes on": (0, True, _goes_on),
    "crashes": (1, False, _crashes),
}


@dataclass
class Rules:
    """The moves, the use cases and the conditions of writes, as tables; a test breaks one of them."""

    moves: Mapping[str, tuple[int, bool, Move]] = field(default_factory=lambda: dict(MOVES))
    use_cases: Mapping[str, UseCase] = field(default_factory=lambda: dict(USE_CASES))
    unmoved: Callable[[Any, Any], bool] = lambda read, stands: read == stands
    claimable: Callable[[str], bool] = lambda seen: seen == FREE
    releasable: Callable[[str], bool] = lambda seen: seen == MINE
    same_refund: Callable[[str, str], bool] = lambda known, asked: known == asked
    written: set[tuple[str, str, str]] = field(default_factory=set)
