"""The database of one worker: the local engine in memory, with tables of its own for each run, and, for reads that are
allowed to be old, a second engine that follows the first with a delay."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any

from infra.declare import tables
from tests import engine

_WRITES = {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"}
# The engine checks the form of a signature and not the signature.
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=simulation/20261122/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "X-Amz-Date": "20261122T000000Z",
}


class Engine:
    """One process of the local engine, called over a connection that stays open."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._line: HTTPConnection | None = None

    def begin(self) -> None:
        """Empty tables. A fresh process is as quick as emptying the old one."""
        self.end()
        self._process, port = engine.start()
        self._line = HTTPConnection("127.0.0.1", port)
        for table in tables():
            status, content = self.send("CreateTable", json.dumps(table.create_arguments()).encode())
            assert status == 200, content

    def end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._line = None

    def send(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Status and content, as the engine answers."""
        assert self._line is not None
        self._line.request("POST", "/", body, {**_HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"})
        answer = self._line.getresponse()
        return answer.status, answer.read()


@dataclass
class Store:
    """Writes go to the first engine; the second hears of them when an old answer is asked for, and only of those that
    are old enough. Its answers are thus what every reader may have seen: the tables as they stood at one moment."""

    first: Engine = field(default_factory=Engine)
    second: Engine = field(default_factory=Engine)
    _unheard: list[tuple[int, str, bytes]] = field(default_factory=list)
    _follows: bool = False

    def begin(self) -> None:
        self._unheard.clear()
        self._follows = False
        self.first.begin()

    def end(self) -> None:
        self.first.end()
        self.second.end()

    def send(self, operation: str, body: bytes, now_ms: int) -> tuple[int, bytes]:
        if operation in _WRITES:
            self._unheard.append((now_ms, operation, body))
        return self.first.send(operation, body)

    def send_old(self, operation: str, body: bytes, as_of_ms: int) -> tuple[int, bytes]:
        """A read, answered as of an earlier moment, or a later one that was already answered so."""
        if not self._follows:
            self.second.begin()
            self._follows = True
        while self._unheard and self._unheard[0][0] <= as_of_ms:
            _, told, written = self._unheard.pop(0)
            self.second.send(told, written)
        return self.second.send(operation, body)

    def scan(self, table: str) -> list[dict[str, Any]]:
        """Every item, read strongly, in key order."""
        asked: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        items: list[dict[str, Any]] = []
        while True:
            status, content = self.first.send("Scan", json.dumps(asked).encode())
            assert status == 200, content
            page = json.loads(content)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]
