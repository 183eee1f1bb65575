"""Which module imports which, read from the source: what a function can reach, and what a layer may not."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


def path_of(module: str) -> Path | None:
    """The file of a module of this repository, or None for anything else."""
    plain = ROOT.joinpath(*module.split("."))
    for path in (plain.with_suffix(".py"), plain / "__init__.py"):
        if path.is_file():
            return path
    return None


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(package: str) -> list[str]:
    """Every module of a package of this repository, by name."""
    return sorted(module_of(path) for path in (ROOT / package).rglob("*.py"))


@lru_cache(maxsize=1024)
def tree_of(module: str) -> ast.Module:
    """The syntax tree of one of our modules."""
    path = path_of(module)
    if path is None:
        raise ValueError(f"{module} is not a module of this repository")
    return ast.parse(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=1024)
def imports_of(module: str) -> frozenset[str]:
    """What a module imports anywhere in it, also inside functions; imports for the type checker alone do not count.

    `from a import b` is `a.b` where that is a module of ours, otherwise `a`.
    """
    found: set[str] = set()
    for _, base, member in imported_by([tree_of(module)], module):
        inner = f"{base}.{member}"
        found.add(inner if member and path_of(inner) is not None else base)
    return frozenset(found)


def imported_by(nodes: Iterable[ast.AST], module: str) -> Iterator[tuple[str, str, str]]:
    """The imports anywhere in these nodes of a module: the name that each makes there, the module it comes from, and
    which of that module's names it is, if it is one. Imports for the type checker alone do not count."""
    every = [node for top in nodes for node in ast.walk(top)]
    hidden = {
        id(inner)
        for node in every
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in every:
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            # `import a.b` makes the name a; what follows it in the text says which module is meant.
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module)
            for alias in node.names:
                yield alias.asname or alias.name, base, alias.name


def _base(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    path = path_of(module)
    package = module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]
    return importlib.util.resolve_name("." * node.level + (node.module or ""), package)


def reached_from(module: str) -> set[str]:
    """Our modules that one leads to, itself included."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or path_of(name) is None:
            continue
        found.add(name)
        waiting.extend(imports_of(name))
    return found
