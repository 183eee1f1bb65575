"""`python -m bench`: all quick benchmarks; `python -m bench NAME [arguments]`: one."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType

import bench


def benchmarks() -> dict[str, ModuleType]:
    """Every module of the package that has a `main`, by name."""
    names = sorted(each.name for each in pkgutil.iter_modules(bench.__path__) if not each.name.startswith("_"))
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "main")}


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit status is the worst one."""
    known = benchmarks()
    if not arguments:
        return max((int(each.main(list(each.QUICK))) for each in known.values() if hasattr(each, "QUICK")), default=0)
    if arguments[0] not in known:
        print(f"bench: there is no {arguments[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    return int(known[arguments[0]].main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
