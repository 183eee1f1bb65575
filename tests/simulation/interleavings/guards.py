"""The conditional writes of the product: found in its text, and seen on the wire with what became of them."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from chalicelib.runtime.settings import settings
from chalicelib.runtime.transaction import Transaction
from tests.engine import ROOT
from tests.simulation.wire import Answer

_PRODUCT = ROOT / "chalicelib"
# What stands between a table's function and the wire, and asks for nothing by itself.
_PASSING = {_PRODUCT / "runtime" / name for name in ("transaction.py", "dynamo.py", "aws.py")}
_SINGLE = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
PASSED, REFUSED = "passed", "refused"
# Guards that no two workers of the product can make each other fail at, by who asks and how.
EXPLAINED = {
    ("identity/tables.add_account", "Put"): "a new account has a random id of 128 bits: only the same id twice fails",
    (
        "runtime/audit.append",
        "ConditionCheck",
    ): "no function changes an entry of the log: only a forger's hand fails it",
}


@dataclass(frozen=True, order=True)
class Place:
    """A line of the product in which a conditional write is asked for."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, order=True)
class Guard:
    """One conditional write. `where` is the function that asks for it, as `orders/tables.save`; where a helper of its
    module words the condition, that stands behind it: `catalog/tables.put_shop/_put`."""

    table: str
    where: str
    kind: str
    condition: str

    def __str__(self) -> str:
        return f"{self.where} {self.kind} {self.table}: {self.condition}"


# ---------------------------------------------------------------------------------------------- seen on the wire


class Watch:
    """Remembers of every conditional write that passes the wire whether its condition held, by guard; and which lines
    of the product asked for it."""

    def __init__(self) -> None:
        self.met: dict[Guard, Counter[str]] = defaultdict(Counter)
        self.by_case: dict[Guard, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self.places: dict[Guard, set[Place]] = defaultdict(set)
        self.case = ""
        self._asked: dict[str, tuple[str, Place]] = {}
        self._look_on()

    def _look_on(self) -> None:
        """A transaction is sent by whoever commits it, so who asked for a write is noted when it is added."""
        add = Transaction._add

        def noted(transaction: Transaction, kind: str, arguments: dict[str, Any], otherwise: Any) -> None:
            add(transaction, kind, arguments, otherwise)
            if "ConditionExpression" in arguments:
                self._asked[_text(kind, arguments)] = _asker(sys._getframe(1))

        Transaction._add = noted  # type: ignore[method-assign]  # around it

    def forget(self) -> None:
        """Who asked for writes that have been sent by now."""
        self._asked.clear()

    def observe(self, operation: str, body: bytes, answer: Answer) -> None:
        """For `Wire.observers`."""
        asked, outcomes = conditional(operation, body), _outcomes(operation, body, answer)
        for (kind, arguments), outcome in zip(asked, outcomes, strict=True):
            where, place = self._asked.get(_text(kind, arguments)) or _asker(sys._getframe(1))
            table = arguments["TableName"].removeprefix(settings().table_prefix)
            guard = Guard(table, where, kind, _said(arguments))
            self.places[guard].add(place)
            if outcome:
                self.met[guard][outcome] += 1
                self.by_case[guard][self.case][outcome] += 1


def conditional(operation: str, body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The conditional writes of a request: kind and arguments of each."""
    return [(kind, arguments) for kind, arguments in _writes(operation, body) if "ConditionExpression" in arguments]


def _writes(operation: str, body: bytes) -> list[tuple[str, dict[str, Any]]]:
    if operation in _SINGLE:
        return [(_SINGLE[operation], json.loads(body))]
    if operation != "TransactWriteItems":
        return []
    return [(kind, arguments) for item in json.loads(body)["TransactItems"] for kind, arguments in item.items()]


def _outcomes(operation: str, body: bytes, answer: Answer) -> list[str]:
    """What became of each conditional write; "" when nobody can say, because something else was in the way."""
    writes = _writes(operation, body)
    if answer.status_code == 200:
        found = [PASSED] * len(writes)
    else:
        told = json.loads(answer.content)
        if "CancellationReasons" in told:
            codes = [str(reason.get("Code")) for reason in told["CancellationReasons"]]
        else:
            codes = [str(told.get("__type", "")).rpartition("#")[2].removesuffix("Exception")] * len(writes)
        found = [REFUSED if code == "ConditionalCheckFailed" else "" for code in codes]
    return [one for one, (_, arguments) in zip(found, writes, strict=True) if "ConditionExpression" in arguments]


def _text(kind: str, arguments: dict[str, Any]) -> str:
    said = {name: value for name, value in arguments.items() if name != "ReturnConsumedCapacity"}
    return json.dumps([kind, said], sort_keys=True)


@lru_cache(maxsize=10_000)
def _module(file: str) -> str:
    """The product's module that a file is, as `orders/tables`; "" for the machinery and for what is not the product."""
    path = Path(file)
    if _PRODUCT not in path.parents or path in _PASSING:
        return ""
    return str(path.relative_to(_PRODUCT).with_suffix(""))


def _asker(frame: FrameType | None) -> tuple[str, Place]:
    """The innermost line of the product above the machinery, and the function that it belongs to."""
    asks: FrameType | None = None
    while frame is not None:
        code = frame.f_code
        if _module(code.co_filename):
            asks = asks or frame
            if code.co_filename == asks.f_code.co_filename and not code.co_name.startswith(("_", "<")):
                break
        frame = frame.f_back
    if asks is None:
        raise LookupError("a conditional write that nobody of the product asks for")
    file, inner = asks.f_code.co_filename, asks.f_code.co_name
    outer = frame.f_code.co_name if frame is not None else inner
    where = f"{_module(file)}.{outer}" if outer == inner else f"{_module(file)}.{outer}/{inner}"
    return where, Place(Path(file), asks.f_lineno)


def _said(arguments: dict[str, Any]) -> str:
    """The condition with attributes by name, without values, each repetition once."""
    names = arguments.get("ExpressionAttributeNames", {})
    text = str(arguments["ConditionExpression"])
    text = re.sub(r"#\w+", lambda found: names[found[0]], text)
    text = re.sub(r":\w+", "?", text)
    text = re.sub(r"\bb\d+\b", "b…", text)
    text = re.sub(r"(contains\(q, \?\))( OR \1)*", "contains(q, …)", text)
    text = re.sub(r"(b… = \?)( AND \1)*", r"\1", text)
    return text.replace("exists (", "exists(")


# ---------------------------------------------------------------------------------------------- found in the text


@lru_cache(maxsize=1)
def written() -> dict[Place, int]:
    """Every conditional write in the product's text: where its call begins, and the line on which it ends.

    A transaction is called `tx` wherever something is added to it; a row of PynamoDB's is updated, saved or deleted
    with its condition as an argument.
    """
    found = {}
    for file in sorted(_PRODUCT.rglob("*.py")):
        if file not in _PASSING:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and _is_conditional(node):
                    found[Place(file, node.lineno)] = node.end_lineno or node.lineno
    return found


def _is_conditional(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    method, given = call.func.attr, len(call.args)
    named = any(keyword.arg == "condition" for keyword in call.keywords)
    if isinstance(call.func.value, ast.Name) and call.func.value.id == "tx":
        needed = {"put_new": 0, "check": 0, "raw": 0, "put": 2, "delete": 2, "update": 3}.get(method)
        return needed is not None and (given >= needed or named)
    of_a_row = method == "update" and bool(call.args) and isinstance(call.args[0], ast.List)
    return (of_a_row and given >= 2) or (method in ("update", "save", "delete") and named)


def unseen(places: set[Place]) -> Iterator[Place]:
    """Conditional writes of the text that stand among none of these places."""
    for begin, last_line in written().items():
        if not any(one.file == begin.file and begin.line <= one.line <= last_line for one in places):
            yield begin


def uncovered(watch: Watch) -> list[str]:
    """Guards that no case has seen both passing and refused, and conditional writes that no case has met."""
    found = [f"{place}: no case meets this conditional write" for place in sorted(unseen(_places(watch)))]
    for guard, met in sorted(watch.met.items()):
        for outcome in (PASSED, REFUSED):
            if not met[outcome] and (outcome == PASSED or (guard.where, guard.kind) not in EXPLAINED):
                found.append(f"{guard}: no case has seen it {outcome}")
    explained = {(guard.where, guard.kind) for guard in watch.met if not watch.met[guard][REFUSED]}
    return found + [f"{' '.join(one)}: is explained, and need not be" for one in EXPLAINED.keys() - explained]


def _places(watch: Watch) -> set[Place]:
    return {place for places in watch.places.values() for place in places}
