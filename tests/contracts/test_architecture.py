"""The rules of the house that a linter cannot say: what each file of a slice may know, and what a start may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from chalicelib.web.router import OPERATIONS
from infra import declare
from infra.imports import ROOT, imports_of, module_of, modules, path_of, reached_from, tree_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
HOUSE = {"kernel", "runtime", "web", "providers", "wiring"}

SHIPPED = modules("chalicelib")
MODELS = [name for name in SHIPPED if name.endswith(".model")]
CODE = sorted(path for folder in ("chalicelib", "infra") for path in (ROOT / folder).rglob("*.py"))

# What a file of a slice must not import, by its name; kernel, and everything that is not named here, it may.
FORBIDDEN = {
    "tables": {"chalice", "pydantic", "chalicelib.web", "chalicelib.providers"},
    "schemas": {"chalice", "pynamodb", "botocore", "boto3", "chalicelib.runtime.dynamo"},
    "service": {"chalice", "pydantic", "pynamodb", "botocore", "boto3", "chalicelib.runtime.dynamo"},
    "routes": {"pynamodb", "botocore", "boto3", "chalicelib.runtime.dynamo", "chalicelib.runtime.transaction"},
    "handlers": {"pydantic", "pynamodb", "botocore", "boto3", "chalicelib.runtime.dynamo", "chalicelib.web"},
}


def outside(module: str) -> set[str]:
    """The libraries that a module imports, by their first name."""
    return {name.partition(".")[0] for name in imports_of(module) if path_of(name) is None} - {"chalicelib"}


def slice_of(module: str) -> str:
    """`orders` of `chalicelib.orders.model`; empty for the house."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 and parts[1] not in HOUSE else ""


def run_fresh(code: str, *arguments: str) -> str:
    """What a new interpreter prints. Its environment is that of the tests, so that tables have their names."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_slices_import_downward_only() -> None:
    """The contracts in pyproject.toml hold."""
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


def test_the_kernel_needs_the_standard_library_and_phone_numbers_only() -> None:
    """What is pure stays pure."""
    found = {name for module in SHIPPED if module.startswith("chalicelib.kernel") for name in outside(module)}
    assert found - sys.stdlib_module_names <= {"phonenumbers"}


@pytest.mark.parametrize("model", MODELS)
def test_a_model_leads_to_kernel_and_models_only(model: str) -> None:
    """Decisions can be taken without a store, a network, a clock or a framework, whatever a model imports in turn.
    The ports are words only, and may be used."""
    reached = reached_from(model) - {"chalicelib.providers.ports"}
    assert not {name for name in reached if name.split(".")[1] in HOUSE - {"kernel"}}
    assert {name for module in reached for name in outside(module)} - sys.stdlib_module_names <= {"phonenumbers"}


@pytest.mark.parametrize("kind", sorted(FORBIDDEN))
def test_each_file_of_a_slice_keeps_to_its_part(kind: str) -> None:
    """Storage, presentation and the framework stand in different files."""
    found = {
        f"{module} -> {name}"
        for module in SHIPPED
        if slice_of(module) and module.endswith(f".{kind}")
        for name in imports_of(module)
        for forbidden in FORBIDDEN[kind]
        if name == forbidden or name.startswith(f"{forbidden}.")
    }
    assert not found


def test_a_slice_asks_its_neighbours_service_never_their_tables() -> None:
    """Rows stay in the slice that owns them."""
    found = {
        f"{module} -> {name}"
        for module in SHIPPED
        for name in imports_of(module)
        if slice_of(name) and name.rpartition(".")[2] == "tables" and slice_of(module) != slice_of(name)
    }
    assert not found


def test_nobody_imports_an_adapter() -> None:
    """Adapters are chosen by a setting: `wiring` loads them by name, and only an adapter knows its neighbours."""
    found = {
        f"{module} -> {name}"
        for module in SHIPPED
        for name in imports_of(module)
        if name.startswith("chalicelib.providers.") and name != "chalicelib.providers.ports"
        if module.rpartition(".")[0] != name.rpartition(".")[0]
    }
    assert not found


def test_one_adapter_alone_knows_stripe() -> None:
    """Nothing of a provider leaks past its port."""
    assert [module for module in SHIPPED if "stripe" in outside(module)] == ["chalicelib.providers.payments.stripe"]


HEAVY = ("stripe", "boto3", "numpy", "cryptography", "segno", "fpdf")


def test_no_file_and_no_function_grows_too_long() -> None:
    """A file is read in one go, a function is seen at once."""
    long = [f"{path.relative_to(ROOT)}: {lines}" for path in CODE if (lines := _lines(path)) > MAX_FILE_LINES]
    for path in CODE:
        for node in ast.walk(tree_of(module_of(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not long


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_every_route_declares_who_may_call_it() -> None:
    """Deny by default: there is no way to the app but an Operation, each has a rule, and none is left unregistered."""
    from app import app

    for module in SHIPPED:
        if module.endswith(".routes"):
            import_module(module)
    served = {(method, path) for path, methods in app.routes.items() for method in methods}
    declared = {(operation.method, operation.path) for operation in OPERATIONS}
    assert served == declared
    assert all(operation.allow.kind for operation in OPERATIONS)


def test_each_operation_has_a_name_of_its_own() -> None:
    """The name becomes the operationId that generated clients call."""
    import_module("app")
    names = [operation.name for operation in OPERATIONS]
    assert len(names) == len(set(names))


def test_each_consumer_and_schedule_is_registered_once() -> None:
    """A schedule that is packaged twice settles twice, and a Blueprint that nobody registers never runs."""
    events = [function.handler for function in declare.stack().functions if function.handler != "app.app"]
    assert sorted(events) == sorted(_decorated())


def _decorated() -> list[str]:
    """Every function of ours under a Chalice event decorator, found in the source."""
    return [
        f"{module}.{node.name}"
        for module in SHIPPED
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in {"on_sqs_message", "schedule"}
        and isinstance(decorator.func.value, ast.Name)
        and decorator.func.value.id == "blueprint"
    ]


_LOAD = """
import importlib, sys
loaded = importlib.import_module(sys.argv[1])
assert all(callable(getattr(loaded, name)) for name in sys.argv[2].split(","))
print(*[name for name in ["app", *sys.argv[3:]] if name in sys.modules])
"""


def test_every_handler_loads_without_the_app() -> None:
    """Lambda loads a queue's or a schedule's handler by its name and never imports app.py."""
    handlers: dict[str, list[str]] = defaultdict(list)
    for function in declare.stack().functions:
        if function.module != "app":
            handlers[function.module].append(function.handler.rpartition(".")[2])
    assert handlers
    with ThreadPoolExecutor(2) as pool:
        printed = pool.map(lambda module: run_fresh(_LOAD, module, ",".join(handlers[module]), *HEAVY), handlers)
    assert {module: text.split() for module, text in zip(handlers, printed, strict=True) if text.split()} == {}
