"""What the zip holds: which files of the libraries ship, and in what form.

Lambda's disk cannot be written to, so Python compiles every source anew at each cold start, and that is more than half
of a start's work (docs/decisions/0015). What a start loads therefore ships compiled: libraries without their sources
and docstrings, our own code, all of it, beside its sources, which stack traces show. Everything else ships as it came,
which is smaller.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from infra.imports import ROOT

# The services that some code of ours makes a client of; a test compares.
SERVICES = frozenset({"s3", "sns", "ssm"})

# What our code asks of Stripe's client, `client.v1.refunds`, by the SDK's names of their modules; a test compares.
STRIPE_SERVICES = frozenset({"balance", "balance_transaction", "event", "payment_intent", "refund"})
_STRIPE_KEPT = "|".join(sorted(STRIPE_SERVICES | {"oauth", "stripe"}))  # the client itself imports the last two

# What numpy loads at its first use, `np.random`; a test compares with what our code asks of it.
NUMPY_LAZY = frozenset({"char", "compat", "core", "fft", "ma", "polynomial", "random", "rec", "strings"})
_NUMPY_LAZY = "|".join(sorted(NUMPY_LAZY))

# What a process comes to soon after its start, beside the first search: numpy and the city's index.
LATER = ("chalicelib.search.building", "chalicelib.search.engine")

# What is left out, each with its reason. The probe loads and uses the rest from the zip alone.
LEFT_OUT: tuple[tuple[str, str], ...] = (
    (r"(.*/)?__pycache__/.*", "made for another place; what ships compiled is compiled here"),
    (r".*\.dist-info/.*", "what pip knows of a library; nothing asks for it at run time"),
    (r".*\.pyi|(.*/)?py\.typed", "for the type checker"),
    (rf"botocore/data/(?!(?:{'|'.join(sorted(SERVICES))})/)[^/]+/.*", "services of AWS that no code of ours calls"),
    (
        r"botocore/data/.*/(?:examples|paginators|waiters)-[^/]*",
        "for methods of clients that no code of ours calls",
    ),
    (r"botocore/cacert\.pem", "botocore takes certifi's where there is one"),
    (r"boto3/(?:data|examples)/.*", "resources, an older interface than clients, and examples"),
    (r"stripe/params/.*", "types of parameters, which Stripe's SDK imports for the type checker alone"),
    (r"stripe/(?!v2/|data/)[a-z_0-9]+/.*", "Stripe's other products; each is loaded when something of it is asked for"),
    (r"stripe/v2/(?!core/(?:__init__|_event)\.py)[^/]+/.*", "version 2 of Stripe's API, but what the client imports"),
    (rf"stripe/_(?!(?:{_STRIPE_KEPT})_service)[a-z_0-9]+_service\.py", "what our code does not ask of Stripe's client"),
    (r"pydantic/(?:v1/.*|mypy\.py)", "pydantic as it was before version 2, and its plugin for the type checker"),
    (r"phonenumbers/shortdata/region_.*", "numbers of emergency services, each country's loaded when it is asked for"),
    (r"(?:cffi|pycparser)/.*", "builds bindings from C; cryptography needs only what was built, _cffi_backend"),
    (r"dateutil/zoneinfo/.*\.tar\.gz", "a second copy of the time zones"),
    (
        r"(?:bin|numpy/(?:_pyinstaller|distutils|doc|f2py|testing))/.*|numpy/typing/mypy_plugin\.py",
        "numpy's tools for those who build with it, and its plugin for the type checker",
    ),
    (
        r"numpy/(?:.*/)?(?:tests/.*|conftest\.py|_[a-z_]*tests\.[^/]*\.so)",
        "tests of numpy, and what is compiled for them",
    ),
    (r"numpy/(?!.*\.(?:pyi?|so)$).*", "headers, and libraries to link with"),
    (rf"numpy/(?:{_NUMPY_LAZY})/.*", "parts of numpy that it loads when they are asked for; no code of ours asks"),
    (r"numpy/_core/_simd\..*", "shows numpy's own tests which instructions it found"),
    (r"pypinyin/(?!(?:pinyin|phrases)_dict\.json).*", "its code: search reads the two dictionaries as files"),
    (r"tzdata/zoneinfo/[^/]+\.(?:zi|tab)", "the sources of the time zones, and tables for people who choose one"),
)
_LEFT_OUT = re.compile("|".join(f"(?:{pattern})" for pattern, _ in LEFT_OUT))
_OURS = ("app.py", "chalicelib/")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def is_used(name: str) -> bool:
    """Tells whether a file of the zip is worth shipping."""
    return _LEFT_OUT.fullmatch(name) is None


def rewrite(zip_file: Path, loaded: frozenset[str]) -> int:
    """Leaves the unused out of a zip and compiles what `loaded` names (paths in the zip), in one order and with one
    date, so that the same code gives the same bytes. Returns the bytes that unpack.

    It runs in a process of its own: how Python writes compiled code down depends on what else the process holds.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-m", "infra.ops.bundle", str(zip_file.resolve())],
        cwd=ROOT,
        env={"PATH": "", "PYTHONHASHSEED": "0"},
        input=json.dumps(sorted(loaded)),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def _rewrite(zip_file: Path, loaded: frozenset[str]) -> int:
    smaller = zip_file.with_suffix(".new")
    unpacked_bytes = 0
    with ZipFile(zip_file) as old, ZipFile(smaller, "w", ZIP_DEFLATED, compresslevel=9) as new:
        for name, content in sorted(_shipped(old, loaded)):
            entry = ZipInfo(name, _DATE)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            new.writestr(entry, content)
            unpacked_bytes += len(content)
    smaller.replace(zip_file)
    return unpacked_bytes


def _shipped(old: ZipFile, loaded: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    for name in filter(is_used, old.namelist()):
        content = old.read(name)
        own = name.startswith(_OURS)
        if own or name not in loaded:
            yield name, content
        if name in loaded or (own and name.endswith(".py")):
            yield _compiled_name(name, own=own), compiled(name, content, own=own)


def _compiled_name(name: str, *, own: bool) -> str:
    if not own:
        return f"{name}c"  # beside nothing: Python takes it for the module itself
    path = PurePosixPath(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc")


def compiled(name: str, source: bytes, *, own: bool) -> bytes:
    """A module's code as Python keeps it, for this very version. Neither a date nor a place of this machine stands in
    it, and Python does not look whether the source is another: nothing changes in a deployed package."""
    # numpy does not load without its docstrings: it gives them to functions that are written in C.
    level = 0 if own else 1 if name.startswith("numpy/") else 2
    code = compile(source, f"/var/task/{name}", "exec", dont_inherit=True, optimize=level)
    flags = (0b01).to_bytes(4, "little")  # known by the source's hash, and not checked
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + marshal.dumps(code)


_LIST = """
import importlib, json, sys
asked = json.loads(sys.argv[1])
for name in [*asked["modules"], *asked["later"]]:
    importlib.import_module(name)
    application = getattr(sys.modules[name], "app", None)
    if hasattr(application, "load_everything"):
        application.load_everything()
import boto3, stripe
for name in asked["services"]:
    boto3.client(name, region_name="us-east-1")
client = stripe.StripeClient("sk_test_0")
for name in ("payment_intents", "refunds", "events", "balance_transactions"):
    getattr(client.v1, name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(modules: Iterable[str]) -> frozenset[str]:
    """The files, as the zip names them, of all modules that a start may load: what importing these leads to in this
    environment, which holds the same versions. It decides only how fast a start is, never whether it works."""
    asked = json.dumps({"modules": sorted(set(modules)), "later": LATER, "services": sorted(SERVICES)})
    run = subprocess.run(
        [sys.executable, "-c", _LIST, asked],
        cwd=ROOT,
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1", "LINLI_STAGE": "package"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = set()
    for name in json.loads(run.stdout):
        path = name.replace(".", "/")
        found |= {f"{path}.py", f"{path}/__init__.py"}
    return frozenset(found)


if __name__ == "__main__":
    print(_rewrite(Path(sys.argv[1]), frozenset(json.load(sys.stdin))))
