"""`make package`: builds what is deployed, `build/package/<stage>/`: a template for the base and for each surface, and
one `deployment.zip` for all of them: the code is the same, only what it is told differs.

Chalice packages a clean copy of the app; then the zip is written anew without what is never used, in one order and with
one date, so that the same code gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from chalicelib.web.application import SURFACES
from infra import base, cloud, functions
from infra.declare import Stack, stack
from infra.functions import ARCHITECTURE, STAGES, Stage, chalice_stage, stage_of
from infra.imports import ROOT
from infra.names import BASE
from infra.ops import bundle

ZIPPED_LIMIT_MB = 26
"""Ours: a start loads the zip first, and a person who deploys uploads it. Half of it is for the index of search: numpy,
most of which is the OpenBLAS that its core is linked with, and the readings of characters (docs/decisions/0015)."""
UNPACKED_LIMIT_MB = 250  # Lambda's
_MB = 1_000_000


class PackageError(Exception):
    """The package would not run; the message is one line for the person who builds it."""


@dataclass(frozen=True)
class Package:
    """What was built for a stage, with the zip's sizes in bytes. `templates` has `base` and every surface."""

    stage: str
    architecture: str
    templates: Mapping[str, Path]
    zip_file: Path
    zipped_bytes: int
    unpacked_bytes: int


def build(
    found: Stack, stage: Stage, target: Path, *, libraries: bool = True, architecture: str = ARCHITECTURE
) -> Package:
    """Packages one stage into `target`, which is emptied first. Without `libraries` the zip holds our own code only:
    the templates are the same, and nothing is downloaded. Raises PackageError."""
    shutil.rmtree(target, ignore_errors=True)
    source = target / "source"
    _copy_source(source, found, architecture)
    templates = {BASE: target / f"{BASE}.json"}
    templates[BASE].write_text(_text(base.template(found, stage)), encoding="utf-8")
    # The libraries are put together once: the code of all surfaces is the same.
    first, *others = SURFACES
    _require(source, libraries=libraries)
    made = _run_chalice(source, found, stage, [first] if libraries else list(SURFACES))
    if libraries:
        _require(source, libraries=False)
        made |= _run_chalice(source, found, stage, others)
    for surface, folder in made.items():
        templates[surface] = target / f"{surface}.json"
        (folder / "sam.json").rename(templates[surface])
    zip_file = (made[first] / "deployment.zip").rename(target / "deployment.zip")
    shutil.rmtree(source)
    if libraries:
        _refuse_missing(zip_file)
    unpacked_bytes = bundle.rewrite(zip_file, bundle.loaded_by(entries(found)))
    zipped_bytes = zip_file.stat().st_size
    for size, limit, says in (
        (zipped_bytes, ZIPPED_LIMIT_MB, "zipped, more than we allow ourselves"),
        (unpacked_bytes, UNPACKED_LIMIT_MB, "unpacked, more than Lambda takes"),
    ):
        if size > limit * _MB:
            raise PackageError(f"{size / _MB:.2f} MB {says}, {limit}")
    return Package(stage.name, architecture, templates, zip_file, zipped_bytes, unpacked_bytes)


def _text(template: dict[str, object]) -> str:
    return json.dumps(template, ensure_ascii=False, indent=2) + "\n"


def _copy_source(source: Path, found: Stack, architecture: str) -> None:
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "chalicelib", source / "chalicelib", ignore=ignore)
    shutil.copy(ROOT / "app.py", source / "app.py")
    for path, text in functions.files(found, architecture).items():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")


def _require(source: Path, *, libraries: bool) -> None:
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8") if libraries else ""
    if libraries:
        wanted += f"-c {ROOT / 'constraints.txt'}\n"
    (source / "requirements.txt").write_text(wanted, encoding="utf-8")


# Chalice packages one stage in a process; a copy of a process that has loaded it is quicker than a new one.
_CHALICE = """
import json, os, sys
import boto3, pydantic, pynamodb.models
from chalice.cli import main
for arguments in json.loads(sys.argv[1]):
    copy = os.fork()
    if not copy:
        sys.argv[1:] = arguments
        sys.exit(main())
    ended = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    if ended:
        sys.exit(ended)
"""


def _run_chalice(source: Path, found: Stack, stage: Stage, surfaces: list[str]) -> dict[str, Path]:
    """Returns the folder of each surface with `sam.json` and `deployment.zip`. The region decides only the partition's
    names; the template says which region it is by reference."""
    made, commands = {}, []
    for surface in surfaces:
        merge, made[surface] = source / f"{surface}.json", source / "made" / surface
        merge.write_text(_text(cloud.merge_template(found, stage, surface)), encoding="utf-8")
        options = ["--stage", chalice_stage(stage, surface), "--merge-template", str(merge)]
        commands.append(["package", *options, str(made[surface])])
    environment = {name: text for name, text in os.environ.items() if not name.startswith("LINLI_")}
    environment.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    run = subprocess.run(
        [sys.executable, "-c", _CHALICE, json.dumps(commands)],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # Chalice answers 0 when a library has no wheel for Lambda, and says so in its output only.
    if run.returncode or "Could not install dependencies" in run.stdout:
        raise PackageError(f"chalice package failed:\n{run.stdout}{run.stderr}")
    return made


def _refuse_missing(zip_file: Path) -> None:
    with ZipFile(zip_file) as opened:
        there = {_normal(name.partition("-")[0]) for name in opened.namelist() if ".dist-info/" in name}
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = {_normal(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    if not wanted <= there:
        raise PackageError(f"not in the package: {', '.join(sorted(wanted - there))}")


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# Everything that a deployed function may come to, done once without a network: each entry, a client of each service, a
# request of Stripe's SDK up to the wire, and what the libraries hide behind their first use.
_PROBE = """
import importlib, json, sys, time
begun = time.perf_counter()
sys.path.insert(0, sys.argv[1])
asked = json.loads(sys.argv[2])
for name in asked["modules"]:
    importlib.import_module(name)
sys.modules["app"].app.load_everything()
for name in asked["handlers"]:
    module, _, function = name.rpartition(".")
    assert callable(getattr(sys.modules[module], function))
import boto3, stripe, jwt, phonenumbers, zoneinfo
for name in asked["services"]:
    boto3.client(name, region_name="us-east-1")
took = time.perf_counter() - begun
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
key = AESGCM.generate_key(bit_length=256)
assert AESGCM(key).decrypt(b"0" * 12, AESGCM(key).encrypt(b"0" * 12, b"text", b""), b"") == b"text"
assert jwt.decode(jwt.encode({"sub": "a"}, "k" * 32, "HS256"), "k" * 32, ["HS256"]) == {"sub": "a"}
assert phonenumbers.is_valid_number(phonenumbers.parse("+8613800138000"))
assert str(zoneinfo.ZoneInfo("Asia/Shanghai")) == "Asia/Shanghai"
class Wire(stripe.HTTPClient):
    name = "probe"
    def request(self, method, url, headers, post_data=None, **_):
        return json.dumps(asked["answers"][url.partition("/v1/")[2].partition("?")[0]]), 200, {}
client = stripe.StripeClient("sk_test_0", http_client=Wire())
intent = {"id": "pi_1", "object": "payment_intent", "latest_charge": {"id": "ch_1", "object": "charge"}}
event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": intent}}
asked["answers"] = {
    "payment_intents": intent,
    "balance": {"object": "balance"},
    "refunds": {"id": "re_1", "object": "refund"},
    "events": {"object": "list", "data": [event], "has_more": False, "url": "/v1/events"},
    "balance_transactions": {
        "object": "list", "data": [{"id": "txn_1", "object": "balance_transaction"}], "has_more": False,
        "url": "/v1/balance_transactions",
    },
}
assert client.v1.payment_intents.create({"amount": 100, "currency": "cny"}).to_dict()["id"] == "pi_1"
assert client.v1.balance.retrieve().object == "balance"
assert client.v1.refunds.create({"payment_intent": "pi_1"}).to_dict()["id"] == "re_1"
assert [each.id for each in client.v1.events.list({"limit": 1}).auto_paging_iter()] == ["evt_1"]
assert [each.id for each in client.v1.balance_transactions.list({"limit": 1}).auto_paging_iter()] == ["txn_1"]
stamp = str(int(time.time()))
import hmac
signature = hmac.new(b"whsec_0", f"{stamp}.{json.dumps(event)}".encode(), "sha256").hexdigest()
assert stripe.Webhook.construct_event(json.dumps(event), f"t={stamp},v1={signature}", "whsec_0").id == "evt_1"
stripe.RequestsClient(timeout=(3, 8))
assert "numpy" not in sys.modules, "a start loads numpy"
import datetime, pathlib, tempfile
from chalicelib.catalog.hours import every_day
from chalicelib.catalog.model import City, Offer, Shop, ShopPage
from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point
from chalicelib.kernel.instant import Instant
from chalicelib.kernel.money import Money
from chalicelib.search import building, model
from chalicelib.search.base import open_base
from chalicelib.search.engine import Engine
now, here = Instant(1_800_000_000_000), Point(31.23, 121.47)
def page(number, name):
    place = Point(here.lat + number / 1000, here.lng)
    shop = Shop(
        ids.derived("shp", "probe", str(number)), "mch_1", "sha", {"zh-CN": name}, "hair", {"zh-CN": "1"}, place,
        "Asia/Shanghai", every_day((0, 1440)), "CNY", now,
    )
    offer = Offer("ofr_1", shop.id, "mch_1", {"zh-CN": "\u6d17\u526a\u5439"}, Money(9900, "CNY"), 60, "voucher")
    return ShopPage(shop, (offer,), ())
entries = [model.Entry.of(page(number, name)) for number, name in enumerate(("\u7406\u53d1\u5e97", "Massage Palace"))]
city = City("sha", {"zh-CN": "\u4e0a\u6d77"}, here, 50_000, "Asia/Shanghai", "CNY")
with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "base"
    building.build(path, city, 1, entries, [], now)
    index = Engine(open_base(path))
    for words, found in (("lifa", 0), ("lf", 0), ("\u53d1\u5e97", 0), ("masage", 1), ("palace", 1), ("", 0)):
        query = model.SearchQuery(origin=here, q=words, open_now=True, facets=True, total=True)
        hits = [hit.card.id for hit in index.find(query, now).hits]
        assert hits[:1] == [entries[found].id] and len(hits) == (1 if words else 2), (words, hits)
        day = model.SearchQuery(origin=here, q=words, bookable_on=datetime.date(2027, 1, 16), sort="distance")
        index.find(day, now)
assert not [name for name in sys.modules if name.partition(".")[0] in ("pip", "setuptools", "pytest", "infra")]
print(round(took * 1000))
"""


def machine() -> str:
    """This machine's architecture in Lambda's words."""
    return {"aarch64": "arm64"}.get(platform.machine(), platform.machine())


def probe(package: Package, found: Stack) -> int | None:
    """Loads every entry from the package alone and uses what they are made of. Returns the milliseconds of loading, or
    None where this machine is not of the package's kind. Raises PackageError."""
    if (platform.system(), machine()) != ("Linux", package.architecture):
        return None
    handlers = [function.handler for function in found.functions]
    asked = json.dumps(
        {"modules": sorted(set(entries(found))), "handlers": handlers, "services": sorted(bundle.SERVICES)}
    )
    with tempfile.TemporaryDirectory(prefix="linli-package-") as place:
        with ZipFile(package.zip_file) as opened:
            opened.extractall(place)
        run = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", _PROBE, place, asked],
            cwd=place,
            env={**functions.SETTINGS, **stage_of(package.stage).settings("all")},
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise PackageError(f"the package does not load:\n{run.stderr}")
    return int(run.stdout)


def entries(found: Stack) -> list[str]:
    """The modules that Lambda loads, and the adapters that they load by name."""
    adapters = [text.partition(":")[0] for text in functions.SETTINGS.values() if text.startswith("chalicelib.")]
    return ["app", *(function.module for function in found.functions), *adapters]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make package", description=__doc__)
    parser.add_argument("--stage", choices=[stage.name for stage in STAGES], default="prod")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "package")
    chosen = parser.parse_args(arguments)
    stage = stage_of(chosen.stage)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    found = stack()
    say(f"{stage.name}: {len(found.functions)} functions, {len(found.tables)} tables, {len(found.queues)} queues")
    say("packaging with chalice; the libraries come from the package index")
    try:
        package = build(found, stage, chosen.output / stage.name)
        say("loading every entry from the package alone")
        took_ms = probe(package, found)
    except PackageError as error:
        raise SystemExit(f"linli: {error}") from error
    say(
        f"not loaded here: it is built for {ARCHITECTURE}, and this machine is {platform.machine()}"
        if took_ms is None
        else f"loaded in {took_ms} ms"
    )
    say(f"{package.zip_file}: {package.zipped_bytes / _MB:.1f} MB, {package.unpacked_bytes / _MB:.1f} MB unpacked")


if __name__ == "__main__":
    main()
