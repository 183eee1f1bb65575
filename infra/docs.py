"""The documents that are read off the code: access patterns, states, errors and the API document.

`python -m infra.docs` writes them; a test compares what is committed.
"""

from __future__ import annotations

import ast
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from pathlib import Path

import chalicelib
from chalicelib.kernel.errors import all_problems
from chalicelib.kernel.states import MACHINES, StateMachine
from chalicelib.web import openapi, problems
from chalicelib.web.application import PATHS_FILE
from infra import declare
from infra.imports import ROOT, tree_of

DOCS = ROOT / "docs"
COMMAND = "make openapi"
_HEAD = f"<!-- Generated from the code by `{COMMAND}`. Change the code, not this file. -->\n"
_NUMBER = re.compile(r"\bA(\d+)([a-z]?)\b")


@dataclass(frozen=True, order=True)
class Pattern:
    """One function that asks a table, by the number of the access pattern that it is or is part of."""

    number: int
    letter: str
    module: str
    line: int
    function: str
    tables: str
    says: str

    @property
    def name(self) -> str:
        return f"A{self.number}{self.letter}"


def access_patterns() -> list[Pattern]:
    """Every numbered docstring of the modules that declare rows. The first number in a docstring is its own."""
    shorts: dict[str, list[str]] = {}
    for table in declare.tables():
        for module in table.modules:
            shorts.setdefault(module, []).append(table.short)
    return sorted(
        pattern for module, names in shorts.items() for pattern in _patterns_of(module, ", ".join(sorted(names)))
    )


def _patterns_of(module: str, tables: str) -> Iterator[Pattern]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = " ".join((ast.get_docstring(node) or "").split())
            own = _NUMBER.search(text)
            if own:
                yield Pattern(int(own[1]), own[2], module, node.lineno, node.name, tables, _sentence(text, own))


def _sentence(text: str, own: re.Match[str]) -> str:
    """What a docstring says right after its number, otherwise before it, in one sentence without a full stop."""
    after = text[own.end() :].lstrip(" :.,=)")
    chosen = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", after)[0] if after else text[: own.start()].rstrip(" (")
    return chosen.rstrip(".") if chosen.startswith("pk ") else (chosen[:1].upper() + chosen[1:]).rstrip(".")


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def access_patterns_page() -> str:
    rows = []
    for (name, tables), group in groupby(access_patterns(), key=lambda each: (each.name, each.tables)):
        ways = list(group)
        says = ". ".join(dict.fromkeys(way.says for way in ways if way.says))
        where = f"`{ways[0].module}`: " + ", ".join(f"`{way.function}`" for way in ways)
        rows.append((name, tables, says, where))
    return (
        f"{_HEAD}\n# Access patterns\n\n"
        "How the tables are asked, each way with its number. The functions named are the only places that do it.\n\n"
        + _table(("", "table", "what", "where"), iter(rows))
    )


def states_page() -> str:
    """Every state machine as a table and a picture."""
    parts = [f"{_HEAD}\n# States\n\nThe tables that the code executes. A write repeats the `from` in its condition.\n"]
    parts += [_machine(MACHINES[name]) for name in sorted(MACHINES)]
    return "\n".join(parts)


def _machine(machine: StateMachine) -> str:
    moves = [(state, event, target) for state, row in machine.table.items() for event, target in row.items()]
    rows = (
        (state, event, f"{target} (final)" if machine.terminal(target) else target) for state, event, target in moves
    )
    picture = [f"  [*] --> {machine.initial}"]
    picture += [f"  {state} --> {target}: {event}" for state, event, target in moves]
    picture += [f"  {state} --> [*]" for state in machine.states if machine.terminal(state)]
    return "\n".join(
        [
            f"## {machine.name}\n",
            _table(("from", "event", "to"), rows),
            "```mermaid\nstateDiagram-v2",
            *picture,
            "```\n",
        ]
    )


def errors_page() -> str:
    """Every code that a problem document can carry, with its words. Raises LookupError for one without words."""
    words = {language: problems.catalogue(language)["problems"] for language in problems.LANGUAGES}
    found = {(p.status, p.code) for p in all_problems() if p.__module__.startswith("chalicelib.")}
    for language, known in words.items():
        silent = sorted(code for _, code in found if code not in known)
        if silent:
            raise LookupError(f"no words in locales/{language} for: {', '.join(silent)}")
    rows = (
        (f"`{code}`", str(status), *(": ".join(words[language][code]) for language in problems.LANGUAGES))
        for status, code in sorted(found)
    )
    return (
        f"{_HEAD}\n# Errors\n\n"
        "Every error is `application/problem+json`; `code` is stable, the words follow `Accept-Language`.\n\n"
        + _table(("code", "status", *problems.LANGUAGES), rows)
    )


def api_document() -> str:
    return json.dumps(openapi.build(), ensure_ascii=False, indent=1) + "\n"


def import_all() -> None:
    """Loads every module, so that each machine, problem and operation has been declared."""
    for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
        import_module(module.name)
    import_module("app")


def files() -> dict[Path, str]:
    """Every generated document and its text. What was declared outside `chalicelib` must not have been imported."""
    import_all()
    return {
        DOCS / "access-patterns.md": access_patterns_page(),
        DOCS / "states.md": states_page(),
        DOCS / "errors.md": errors_page(),
        DOCS / "openapi.json": api_document(),
        PATHS_FILE: json.dumps(declare.route_modules(), indent=1) + "\n",
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
