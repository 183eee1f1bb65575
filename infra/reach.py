"""What a function can come to, read from the source: definitions, not modules. A module is imported for one of its
names; what counts are the functions and classes that are reached from there, and what they do with tables.

It over-estimates where it cannot know: a class counts with all its methods, a verb with all rows that its function
names. It cannot see what is called by a text or through a register that decorators fill; what ships has none such but
the app's, whose views are given as roots. `tests/allowed.py` compares with what the tests really ask of DynamoDB.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from chalicelib.providers.ports import Ports
from infra.imports import imported_by, path_of, tree_of

PORTS = frozenset(name for name in vars(Ports) if not name.startswith("_"))
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Place:
    """A definition of a module, `Class.method`, or without a name what the module does when it is imported."""

    module: str
    name: str = ""


@dataclass(frozen=True)
class Part:
    """One place's own text and what it leads to. `ports` are those it uses, with the method, or "" for all of them."""

    place: Place
    nodes: tuple[ast.AST, ...]
    leads_to: frozenset[Place]
    ports: frozenset[tuple[str, str]]


@dataclass
class _Names:
    """What the names of a module mean: its own definitions, and what it imports."""

    own: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, Place] = field(default_factory=dict)
    body: list[ast.AST] = field(default_factory=list)


@lru_cache(maxsize=1024)
def _names(module: str) -> _Names:
    found = _Names()
    for node in tree_of(module).body:
        if isinstance(node, _DEFINITION):
            found.own[node.name] = node
            if isinstance(node, ast.ClassDef):
                found.own |= {f"{node.name}.{each.name}": each for each in node.body if isinstance(each, _DEFINITION)}
        else:
            found.body.append(node)
    found.imported = _imports(found.body, module)
    return found


def _imports(nodes: Iterable[ast.AST], module: str) -> dict[str, Place]:
    """The names that imports anywhere in these nodes make, but for those that only the type checker sees."""
    found = {}
    for name, source, member in imported_by(nodes, module):
        # `import a.b` makes the name a.
        base = name if not member and source.startswith(f"{name}.") else source
        inner = f"{base}.{member}" if member else base
        if path_of(inner) is not None:
            found[name] = Place(inner)
        elif path_of(base) is not None:
            found[name] = Place(base, member)
    return found


@lru_cache(maxsize=8192)
def part(place: Place) -> Part:
    """Follows one place a single step."""
    names = _names(place.module)
    if place.name and place.name not in names.own:
        # Assigned, or imported by the module from elsewhere.
        target = names.imported.get(place.name)
        leads = {target} if target else set()
        return Part(place, (), frozenset(leads | {Place(place.module)}), frozenset())
    nodes = (names.own[place.name],) if place.name else tuple(names.body)
    local = _imports(nodes, place.module) if place.name else {}
    leads = {Place(target.module) for target in (local if place.name else names.imported).values()}
    leads |= set(_mentioned(nodes, place, {**names.imported, **local}, names))
    if place.name:
        leads.add(Place(place.module))
    return Part(place, nodes, frozenset(leads - {place}), frozenset(_ports(nodes)))


def _mentioned(nodes: Iterable[ast.AST], place: Place, imported: dict[str, Place], names: _Names) -> Iterator[Place]:
    inside = place.name.partition(".")[0] if "." in place.name else ""
    for node in _walk(nodes):
        chain = _chain(node)
        if not chain:
            continue
        if inside and chain[0] == "self" and len(chain) > 1 and f"{inside}.{chain[1]}" in names.own:
            yield Place(place.module, f"{inside}.{chain[1]}")
        if chain[0] in imported:
            yield _resolved(imported[chain[0]], chain[1:])
        elif chain[0] in names.own:
            yield Place(place.module, chain[0])


def _resolved(target: Place, rest: list[str]) -> Place:
    """Where `module.name` or `package.module.name` leads."""
    while not target.name and rest:
        inner = f"{target.module}.{rest[0]}"
        target = Place(inner) if path_of(inner) is not None else Place(target.module, rest[0])
        rest = rest[1:]
    return target


def _walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes, but for the annotations of functions, which nothing evaluates."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        skipped: set[int] = set()
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            skipped = {id(each.annotation) for each in every if each is not None} | {id(node.returns)}
            waiting += [each for each in (*arguments.defaults, *arguments.kw_defaults) if each is not None]
            waiting += [*node.body, *node.decorator_list]
            continue
        waiting += [child for child in ast.iter_child_nodes(node) if id(child) not in skipped]


def _chain(node: ast.AST) -> list[str]:
    """`a.b.c` as a list; nothing for what does not begin with a name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else []


def _ports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """`ctx.ports.sms.send`, `wiring.ports().secrets`: the port, and the method that is asked of it at once."""
    taken: set[int] = set()
    for node in _walk(nodes):
        if isinstance(node, ast.Attribute):
            if _is_port(node.value):
                taken.add(id(node.value))
                yield node.value.attr, node.attr  # type: ignore[attr-defined]  # _is_port says that it is an attribute
            elif _is_port(node) and id(node) not in taken:
                yield node.attr, ""


def _is_port(node: ast.AST) -> bool:
    if not isinstance(node, ast.Attribute) or node.attr not in PORTS:
        return False
    inner = node.value.func if isinstance(node.value, ast.Call) else node.value
    return getattr(inner, "attr", getattr(inner, "id", "")) == "ports"


def follow(
    roots: Iterable[Place], adapters: dict[str, Place], cut: frozenset[Place] = frozenset()
) -> dict[Place, Part]:
    """Everything that the roots lead to. `adapters` are the classes behind the ports; what is `cut` is not entered."""
    found: dict[Place, Part] = {}
    waiting = list(roots)
    while waiting:
        place = waiting.pop()
        if place in found or place in cut or path_of(place.module) is None:
            continue
        here = found[place] = part(place)
        waiting += here.leads_to
        for port, method in here.ports:
            waiting += _of_adapter(adapters[port], method)
    return found


def _of_adapter(adapter: Place, asked: str) -> list[Place]:
    """What one use of a port comes to: a method with what makes the adapter, nothing for a plain value, and the whole
    class where the port is handed on."""
    names = _names(adapter.module)
    if f"{adapter.name}.{asked}" in names.own:
        own = [f"{adapter.name}.{name}" for name in ("__init__", asked)]
        return [Place(adapter.module), *(Place(adapter.module, name) for name in own if name in names.own)]
    body = getattr(names.own[adapter.name], "body", [])
    values = {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    values |= {node.target.id for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    return [Place(adapter.module)] if asked in values else [adapter]


# ---------------------------------------------------------------------------------------------- tables

# What the methods of rows and of transactions come to, in DynamoDB's words.
_READS = {"get": "GetItem", "query": "Query", "count": "Query", "batch_get": "BatchGetItem", "scan": "Scan"}
_WRITES = {
    "put": "PutItem",
    "put_new": "PutItem",
    "save": "PutItem",
    "update": "UpdateItem",
    "delete": "DeleteItem",
    "check": "ConditionCheckItem",
}
_KINDS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
VERBS = frozenset({*_READS.values(), *_WRITES.values()})


@dataclass(frozen=True)
class Use:
    """A verb on a row's table, or on one of its indexes."""

    row: Place
    verb: str
    index: str = ""


def uses(reached: dict[Place, Part], rows: dict[Place, Any]) -> set[Use]:
    """What the reached places do with tables. `rows` are the row classes by where they stand."""
    found: set[Use] = set()
    for here in reached.values():
        if here.place in rows:
            continue  # what a row's class declares is no use of it
        named = {place for place in here.leads_to if place in rows}
        for node in _walk(here.nodes):
            if isinstance(node, ast.Call):
                found |= set(_of_call(node, here, named, rows))
    return found


def _of_call(node: ast.Call, here: Part, named: set[Place], rows: dict[Place, Any]) -> Iterator[Use]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    chain = _chain(node.func)
    direct = [row for row in named if len(chain) > 1 and row.name == chain[0]]
    if direct and name in _READS:
        index = chain[1] if len(chain) > 2 else ""
        yield Use(direct[0], _READS[name], index)
    elif name in _WRITES:
        yield from (Use(row, _WRITES[name]) for row in named | _through_helpers(here, rows))
    elif name in ("raw", "call", "get_paginator") or (name in _READS and "client()" in ast.unparse(node.func)):
        for verb in _said(node, name):
            yield from (Use(row, verb) for row in named | _through_helpers(here, rows))
    else:
        # A row's class that is handed to a helper is read by it.
        given = {each.id for each in node.args if isinstance(each, ast.Name)}
        yield from (Use(row, "Query") for row in named if row.name in given)


def _said(node: ast.Call, name: str) -> set[str]:
    """The verbs of a call in DynamoDB's own words; all writes where it does not say which."""
    if name in _READS:
        return {_READS[name]}
    first = node.args[0] if node.args else None
    word = first.value if isinstance(first, ast.Constant) else ""
    if name == "raw":
        return {_KINDS[word]} if word in _KINDS else set(_KINDS.values())
    return {str(word).capitalize() if name == "get_paginator" else str(word)} & VERBS


def _through_helpers(here: Part, rows: dict[Place, Any]) -> set[Place]:
    """Rows that functions of the same module, called from here, make: `tx.put(_row(order))`."""
    found, seen, waiting = set(), set(), [place for place in here.leads_to if place.module == here.place.module]
    while waiting:
        place = waiting.pop()
        if place in seen or not place.name:
            continue
        seen.add(place)
        if place in rows:
            found.add(place)
        else:
            waiting += [each for each in part(place).leads_to if each.module == here.place.module]
    return found
