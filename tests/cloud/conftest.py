"""One deployment for all tests of this folder: it takes longer than they do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.processes import Children
from tests.cloud.deployed import Deployed


@pytest.fixture(scope="session", autouse=True)
def tables() -> None:
    """The local tables and moto's queues of the other tests are of no use here."""


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The stage, up and seeded; afterwards no process and no file of it is left."""
    with tempfile.TemporaryDirectory(prefix="linli-cloud-") as place:
        data = Path(place)
        children = Children(data / "logs")
        try:
            yield Deployed(children, data)
        finally:
            children.stop()
