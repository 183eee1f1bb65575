"""The zip: what ships, in what form, and that it is the same for the same code."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from infra.imports import modules, tree_of
from infra.ops import bundle, package
from infra.ops.package import Package
from tests.builders.cloud import PROD, build, stack


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(PROD, tmp_path_factory.mktemp("package") / "prod")


def test_the_same_code_gives_the_same_package(built: Package, tmp_path: Path) -> None:
    """A zip whose bytes change without a reason deploys every function again."""
    again = build(PROD, tmp_path / "again")
    assert again.zip_file.read_bytes() == built.zip_file.read_bytes()
    for part, path in again.templates.items():
        assert path.read_text() == built.templates[part].read_text()


def test_our_code_ships_with_its_sources_and_compiled(built: Package) -> None:
    """A stack trace shows the line, and a cold start compiles nothing; the compiled code is that of the source."""
    with ZipFile(built.zip_file) as opened:
        names = set(opened.namelist())
        assert {"app.py", "chalicelib/web/paths.json", "chalicelib/locales/zh-CN/orders.json"} <= names
        for name in ("app.py", "chalicelib/orders/routes.py", "chalicelib/search/engine.py"):
            path = importlib.util.cache_from_source(name)
            assert path in names
            code = opened.read(path)
            assert code[:4] == importlib.util.MAGIC_NUMBER
            assert code[4:8] == b"\1\0\0\0", "known by the source's hash, which is not looked at"
            assert code[8:16] == importlib.util.source_hash(opened.read(name))


def test_a_chalice_of_the_package_is_compiled_alone(built: Package) -> None:
    """A library's source is not needed beside what is loaded."""
    with ZipFile(built.zip_file) as opened:
        assert [name for name in opened.namelist() if name.startswith("chalice/")] == [
            "chalice/__init__.pyc",
            "chalice/app.pyc",
        ]


def test_the_package_holds_exactly_the_services_that_the_code_calls() -> None:
    """botocore's descriptions of all other services are left out."""
    called = set()
    for module in modules("chalicelib"):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "boto3.client":
                called.add(ast.literal_eval(node.args[0]))
    assert called == bundle.SERVICES


def test_the_package_holds_exactly_what_the_code_asks_of_stripe() -> None:
    """The SDK loads the module of a service when it is first asked for: one that is left out fails only then."""
    asked = set()
    for module in modules("chalicelib"):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("client.v1"):
                asked.add(node.attr.removesuffix("s"))
    assert asked == bundle.STRIPE_SERVICES


def test_the_code_asks_nothing_of_the_parts_of_numpy_that_stay_out() -> None:
    """numpy loads them when they are asked for: one that is left out fails only then."""
    asked = set()
    for module in modules("chalicelib"):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np":
                asked.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("numpy."):
                asked.add((node.module or "").split(".")[1])
    assert {"searchsorted", "typing"} <= asked
    assert not asked & bundle.NUMPY_LAZY


def test_numpy_keeps_the_docstrings_without_which_it_does_not_load() -> None:
    """Other libraries lose theirs; assertions go from all of them."""
    source = b'def f():\n    "text"\n    assert 0\n'
    code = {name: bundle.compiled(name, source, own=False) for name in ("numpy/_core/f.py", "stripe/f.py")}
    assert [b"text" in made for made in code.values()] == [True, False]
    assert not any(b"AssertionError" in made for made in code.values())


@pytest.mark.parametrize(
    "name",
    [
        "botocore/data/ssm/2014-11-06/service-2.json.gz",
        "botocore/data/s3/2006-03-01/endpoint-rule-set-1.json.gz",
        "botocore/data/endpoints.json",
        "certifi/cacert.pem",
        "numpy/_core/_multiarray_umath.cpython-311-aarch64-linux-gnu.so",
        "numpy/_core/strings.py",
        "numpy/linalg/lapack_lite.cpython-311-aarch64-linux-gnu.so",
        "numpy/typing/__init__.py",
        "numpy.libs/libscipy_openblas64_-128b20d9.so",
        "phonenumbers/data/region_CN.py",
        "phonenumbers/shortdata/__init__.py",
        "stripe/_payment_intent.py",
        "stripe/data/ca-certificates.crt",
        "stripe/_refund_service.py",
        "stripe/v2/__init__.py",
        "stripe/v2/core/_event.py",
        "pypinyin/phrases_dict.json",
        "pypinyin/pinyin_dict.json",
        "tzdata/zoneinfo/Asia/Shanghai",
        "_cffi_backend.cpython-311-aarch64-linux-gnu.so",
    ],
)
def test_what_is_used_ships(name: str) -> None:
    """A rule that leaves out too much fails in the cloud, at a first use."""
    assert bundle.is_used(name)


@pytest.mark.parametrize(
    "name",
    [
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
        "botocore/data/dynamodb/2011-12-05/service-2.json.gz",
        "botocore/data/sqs/2012-11-05/paginators-1.json",
        "botocore/cacert.pem",
        "bin/f2py",
        "numpy/_core/_multiarray_tests.cpython-311-aarch64-linux-gnu.so",
        "numpy/_core/_simd.cpython-311-aarch64-linux-gnu.so",
        "numpy/_core/include/numpy/arrayobject.h",
        "numpy/_core/lib/libnpymath.a",
        "numpy/_core/tests/test_umath.py",
        "numpy/f2py/crackfortran.py",
        "numpy/lib/tests/data/py2-objarr.npy",
        "numpy/random/_generator.cpython-311-aarch64-linux-gnu.so",
        "numpy/typing/mypy_plugin.py",
        "pypinyin/phrases_dict.py",
        "pydantic/__pycache__/main.cpython-311.pyc",
        "pydantic/v1/main.py",
        "pydantic_core/_pydantic_core.pyi",
        "stripe/params/_account_create_params.py",
        "stripe/_topup_service.py",
        "stripe/issuing/_card.py",
        "stripe/v2/core/_account.py",
        "stripe/v2/billing/_meter_event.py",
        "stripe-16.1.0.dist-info/RECORD",
        "pycparser/c_parser.py",
        "dateutil/zoneinfo/dateutil-zoneinfo.tar.gz",
        "tzdata/zoneinfo/zone1970.tab",
    ],
)
def test_what_is_not_used_stays_out(name: str) -> None:
    assert not bundle.is_used(name)


def test_every_rule_has_a_reason_and_says_something_of_its_own() -> None:
    """A rule that another one covers would stay when its reason is gone."""
    patterns = [pattern for pattern, _ in bundle.LEFT_OUT]
    assert len(set(patterns)) == len(patterns)
    assert all(len(reason) > 10 for _, reason in bundle.LEFT_OUT)
    for pattern in patterns:
        assert not re.fullmatch(pattern, "chalicelib/orders/routes.py")
        assert not re.fullmatch(pattern, "app.py")


def test_what_a_start_loads_is_known() -> None:
    """Every entry and the libraries under it; nothing of the tools."""
    loaded = bundle.loaded_by(package.entries(stack()))
    assert {"app.py", "chalicelib/orders/routes.py", "pydantic/main.py", "stripe/_stripe_client.py"} <= loaded
    assert "numpy/_core/numeric.py" in loaded, "soon after it"
    assert not [name for name in loaded if name.startswith(("infra/", "tests/", "pytest/"))]


def test_a_package_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The limit is ours, and the message says by how much it was missed."""
    monkeypatch.setattr(package, "ZIPPED_LIMIT_MB", 0.1)
    with pytest.raises(package.PackageError, match=r"MB zipped, more than we allow ourselves, 0\.1"):
        build(PROD, tmp_path / "large")
