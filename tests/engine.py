"""The real database engine for tests: dynoxide in memory on a free port, and helpers to look at whole tables."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
import subprocess
import time
from pathlib import Path
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
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.01)
    process.kill()
    raise RuntimeError("the database engine did not start")


def use(port: int) -> None:
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{port}"


def create_tables() -> None:
    from chalicelib.runtime import dynamo
    from infra.declare import tables

    for table in tables():
        dynamo.client().create_table(**table.create_arguments())


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every item of every table, in key order."""
    from chalicelib.runtime import dynamo
    from infra.declare import tables

    found: dict[str, list[dict[str, Any]]] = {}
    for table in tables():
        items: list[dict[str, Any]] = []
        for page in dynamo.client().get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True):
            items.extend(page["Items"])
        found[table.name] = sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    return found


def digest(*, without: tuple[str, ...] = ("rate_windows",)) -> str:
    """One hash over all tables. Rate windows count refused requests too, so they stand apart."""
    content = {name: rows for name, rows in everything().items() if not name.endswith(without)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
