"""The real database engine for tests: dynoxide in memory on a free port, and helpers to look at whole tables."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary() -> Path:
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    return ROOT / "node_modules" / "@dynoxide" / f"{platform.system().lower()}-{machine}" / "dynoxide"


def start() -> tuple[subprocess.Popen[bytes], int]:
    """A fresh engine in memory. The caller ends it."""
    port = free_port()
    process = subprocess.Popen(
        [str(binary()), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = monotonic() + 10
    while monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        sleep(0.01)
    process.kill()
    raise RuntimeError("the database engine did not start")


def use(port: int) -> None:
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{port}"


@lru_cache(maxsize=1)
def admin() -> Any:
    """botocore's own client of the engine: for tables, and to look at rows by another way than the code under test."""
    from botocore.session import get_session

    return get_session().create_client("dynamodb")


def scan(table: str) -> Iterator[dict[str, Any]]:
    """Every item of a table, read strongly."""
    for page in admin().get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from page["Items"]


def create_tables() -> None:
    from infra.declare import tables

    for table in tables():
        admin().create_table(**table.create_arguments())


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every item of every table, in key order."""
    from infra.declare import tables

    return {
        table.name: sorted(scan(table.name), key=lambda item: (item["pk"]["S"], item["sk"]["S"])) for table in tables()
    }


def digest(*, without: tuple[str, ...] = ("rate_windows",)) -> str:
    """One hash over all tables. Rate windows count refused requests too, so they stand apart."""
    content = {name: rows for name, rows in everything().items() if not name.endswith(without)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
