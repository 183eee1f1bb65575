"""SQLite rows of the local provider: resources as JSON, deliveries, timers and idempotency keys.

One connection behind one re-entrant lock: writes are serialised, and an answer leaves only after COMMIT. With a WAL
and synchronous=NORMAL a committed row survives `kill -9` of this process (not a power cut, which a laptop's test
provider does not promise).
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created INTEGER NOT NULL,
  type TEXT, parent TEXT, source TEXT, body TEXT NOT NULL, local TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS by_kind ON resources (kind, seq);
CREATE INDEX IF NOT EXISTS by_type ON resources (kind, type, seq);
CREATE INDEX IF NOT EXISTS by_parent ON resources (parent, kind, seq) WHERE parent IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_source ON resources (source, kind, seq) WHERE source IS NOT NULL;
CREATE TABLE IF NOT EXISTS metadata (
  kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, id TEXT NOT NULL,
  PRIMARY KEY (kind, name, value, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS metadata_by_id ON metadata (id);
CREATE TABLE IF NOT EXISTS deliveries (
  id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL, due_at REAL NOT NULL,
  first_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, after INTEGER, state TEXT NOT NULL DEFAULT 'pending');
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due_at, id);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS timers (
  id INTEGER PRIMARY KEY AUTOINCREMENT, due_at REAL NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS timers_due ON timers (due_at, id);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  request_id TEXT NOT NULL, created REAL NOT NULL);
CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (created);
"""


@dataclass(frozen=True)
class Delivery:
    """One webhook to be sent to one endpoint. `first_at` is when it was first due, in seconds."""

    id: int
    event: str
    endpoint: str
    first_at: float
    attempts: int


@dataclass(frozen=True)
class Remembered:
    """What an idempotency key keeps: a fingerprint of the request, and its answer."""

    fingerprint: str
    status: int
    text: str
    request_id: str


@dataclass(frozen=True)
class Page:
    """A page of a listing, newest first, and whether there is more behind it."""

    data: list[Json]
    has_more: bool


class Store:
    """Rows of the provider, in a file or in memory (`path=None`)."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(str(path or ":memory:"), check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; nothing may be called afterwards."""
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, one writer at a time; committed when the block ends, rolled back when it raises."""
        with self.lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def savepoint(self, keep: type[BaseException]) -> Iterator[None]:
        """A part that is undone when it raises, unless the exception is a `keep` whose `keep_writes` is true."""
        self._db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as problem:
            if not (isinstance(problem, keep) and getattr(problem, "keep_writes", False)):
                self._db.execute("ROLLBACK TO part")
            self._db.execute("RELEASE part")
            raise
        self._db.execute("RELEASE part")

    # Resources

    def add(self, body: Json, *, parent: str | None = None, local: Json | None = None) -> None:
        """Insert a new resource; its `object` names the kind."""
        kind = body["object"]
        source = body.get("source") if kind == "balance_transaction" else body.get("charge")
        self._db.execute(
            "INSERT INTO resources (id, kind, created, type, parent, source, body, local) VALUES (?,?,?,?,?,?,?,?)",
            (body["id"], kind, body["created"], body.get("type"), parent, source, _dump(body), _dump(local or {})),
        )
        self._index_metadata(body)

    def save(self, body: Json) -> None:
        """Write a resource again; it must exist."""
        self._db.execute("UPDATE resources SET body = ? WHERE id = ?", (_dump(body), body["id"]))
        self._index_metadata(body)

    def save_local(self, resource_id: str, local: Json) -> None:
        """Write what the server knows about a resource beside Stripe's shape (how the payer will behave)."""
        self._db.execute("UPDATE resources SET local = ? WHERE id = ?", (_dump(local), resource_id))

    def get(self, kind: str, resource_id: str) -> Json | None:
        """A resource by id, or None."""
        with self.lock:
            row = self._db.execute(
                "SELECT body FROM resources WHERE id = ? AND kind = ?", (resource_id, kind)
            ).fetchone()
        return None if row is None else _load(row[0])

    def local(self, resource_id: str) -> Json:
        """The server's own notes about a resource; empty for an unknown id."""
        with self.lock:
            row = self._db.execute("SELECT local FROM resources WHERE id = ?", (resource_id,)).fetchone()
        return {} if row is None else _load(row[0])

    def remove(self, resource_id: str) -> None:
        """Delete a resource."""
        self._db.execute("DELETE FROM resources WHERE id = ?", (resource_id,))
        self._db.execute("DELETE FROM metadata WHERE id = ?", (resource_id,))

    def hide(self, resource_id: str) -> None:
        """Keep a resource out of every answer until `show`."""
        self._db.execute("UPDATE resources SET kind = 'hidden ' || kind WHERE id = ?", (resource_id,))

    def show(self, kind: str, resource_id: str) -> Json | None:
        """Bring a hidden resource back and return it; None when there is none, hidden or not."""
        self._db.execute(
            "UPDATE resources SET kind = ? WHERE id = ? AND kind = ?", (kind, resource_id, f"hidden {kind}")
        )
        return self.get(kind, resource_id)

    def page(
        self,
        kind: str,
        where: Sequence[tuple[str, Any]] = (),
        *,
        limit: int = 10,
        after: str | None = None,
        before: str | None = None,
    ) -> Page:
        """List resources newest first. `where` holds SQL conditions of this package with their parameter.

        `after` and `before` are ids: older than, or newer than, that one (Stripe's starting_after, ending_before).
        """
        terms, values = ["kind = ?"], [kind]
        for term, value in where:
            terms.append(term)
            values.extend(value if isinstance(value, (list, tuple)) else [value])
        if after is not None:
            terms.append("seq < (SELECT seq FROM resources WHERE id = ?)")
            values.append(after)
        if before is not None:
            terms.append("seq > (SELECT seq FROM resources WHERE id = ?)")
            values.append(before)
        order = "ASC" if before is not None else "DESC"
        # The terms are constants of this package; every value is bound.
        query = f"SELECT body FROM resources WHERE {' AND '.join(terms)} ORDER BY seq {order} LIMIT ?"  # noqa: S608
        with self.lock:
            rows = self._db.execute(query, [*values, limit + 1]).fetchall()
        data = [_load(row[0]) for row in rows[:limit]]
        return Page(data if before is None else data[::-1], len(rows) > limit)

    def sums(self, now: int) -> list[tuple[str, bool, int]]:
        """`(currency, available, net)` over all balance transactions, in minor units."""
        with self.lock:
            rows = self._db.execute(
                "SELECT json_extract(body, '$.currency') c, json_extract(body, '$.available_on') <= ? a,"
                " SUM(json_extract(body, '$.net')) FROM resources WHERE kind = 'balance_transaction'"
                " GROUP BY c, a ORDER BY c, a",
                (now,),
            ).fetchall()
        return [(row[0], bool(row[1]), int(row[2])) for row in rows]

    def _index_metadata(self, body: Json) -> None:
        if body["object"] != "payment_intent":
            return
        self._db.execute("DELETE FROM metadata WHERE id = ?", (body["id"],))
        self._db.executemany(
            "INSERT INTO metadata (kind, name, value, id) VALUES (?,?,?,?)",
            [(body["object"], name, value, body["id"]) for name, value in body["metadata"].items()],
        )

    # Timers

    def set_timer(self, due_at: float, action: str, target: str) -> None:
        """Have `action` done to `target` when the server's time reaches `due_at`."""
        self._db.execute("INSERT INTO timers (due_at, action, target) VALUES (?,?,?)", (due_at, action, target))

    def take_timer(self, now: float) -> tuple[str, str] | None:
        """Remove and return the oldest due timer as `(action, target)`."""
        row = self._db.execute(
            "SELECT id, action, target FROM timers WHERE due_at <= ? ORDER BY due_at, id LIMIT 1", (now,)
        ).fetchone()
        if row is None:
            return None
        self._db.execute("DELETE FROM timers WHERE id = ?", (row[0],))
        return row[1], row[2]

    def next_timer(self) -> float | None:
        """When the next timer is due."""
        with self.lock:
            row = self._db.execute("SELECT MIN(due_at) FROM timers").fetchone()
        return None if row[0] is None else float(row[0])

    # Deliveries

    def add_delivery(
        self, event: str, endpoint: str, due_at: float, *, after: int | None = None, state: str = "pending"
    ) -> int:
        """Queue an event for an endpoint; `after` is a delivery that must have been tried before this one."""
        cursor = self._db.execute(
            "INSERT INTO deliveries (event, endpoint, due_at, first_at, after, state) VALUES (?,?,?,?,?,?)",
            (event, endpoint, due_at, due_at, after, state),
        )
        return int(cursor.lastrowid or 0)

    def due_deliveries(self, now: float, limit: int) -> list[Delivery]:
        """Pending deliveries that are due, oldest first."""
        with self.lock:
            rows = self._db.execute(
                "SELECT id, event, endpoint, first_at, attempts FROM deliveries d WHERE state = 'pending'"
                " AND due_at <= ? AND NOT EXISTS (SELECT 1 FROM deliveries p WHERE p.id = d.after"
                " AND p.state = 'pending' AND p.attempts = 0) ORDER BY due_at, id LIMIT ?",
                (now, limit),
            ).fetchall()
        return [Delivery(*row) for row in rows]

    def next_delivery(self) -> float | None:
        """When the next pending delivery is due."""
        with self.lock:
            row = self._db.execute("SELECT MIN(due_at) FROM deliveries WHERE state = 'pending'").fetchone()
        return None if row[0] is None else float(row[0])

    def end_attempt(self, delivery_id: int, state: str, due_at: float) -> None:
        """Count an attempt and set what comes next: `done`, `dead`, or `pending` again at `due_at`."""
        self._db.execute(
            "UPDATE deliveries SET attempts = attempts + 1, state = ?, due_at = ? WHERE id = ?",
            (state, due_at, delivery_id),
        )

    def withdraw_deliveries(self, event: str) -> None:
        """Drop the untried deliveries of an event, because they are queued anew in another order."""
        self._db.execute(
            "UPDATE deliveries SET state = 'withdrawn' WHERE event = ? AND state = 'pending' AND attempts = 0", (event,)
        )

    def undelivered(self, event: str) -> int:
        """How many endpoints have not yet confirmed this event."""
        with self.lock:
            row = self._db.execute(
                "SELECT COUNT(DISTINCT endpoint) FROM deliveries"
                " WHERE event = ? AND state IN ('pending','lost','dead')",
                (event,),
            ).fetchone()
        return int(row[0])

    # Idempotency keys

    def remembered(self, key: str) -> Remembered | None:
        """The answer to an earlier request with this key."""
        row = self._db.execute(
            "SELECT fingerprint, status, body, request_id FROM idempotency WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else Remembered(*row)

    def remember(self, key: str, answer: Remembered, now: float) -> None:
        """Keep an answer under its key."""
        self._db.execute(
            "INSERT INTO idempotency (key, fingerprint, status, body, request_id, created) VALUES (?,?,?,?,?,?)",
            (key, answer.fingerprint, answer.status, answer.text, answer.request_id, now),
        )

    def forget_before(self, instant: float) -> None:
        """Drop idempotency keys older than `instant`."""
        self._db.execute("DELETE FROM idempotency WHERE created < ?", (instant,))


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _load(text: str) -> Json:
    loaded: Json = json.loads(text)
    return loaded
