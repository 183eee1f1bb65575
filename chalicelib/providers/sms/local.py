"""Text messages on one machine: kept in an SQLite file that the inbox page reads, sent to nobody."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypedDict

from chalicelib.runtime import clock
from chalicelib.runtime.settings import settings

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    dedupe_key TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    text TEXT NOT NULL,
    template TEXT NOT NULL,
    sent_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_recipient ON messages (recipient, id);
"""
_BUSY_SECONDS = 5.0


class Message(TypedDict):
    """One message; `sent_at` is UTC with milliseconds, `to` is E.164."""

    to: str
    text: str
    sent_at: str
    template: str


class Inbox:
    """Stands in for an SMS provider. Several threads and processes may use the same file at once."""

    def __init__(self, path: str | None = None) -> None:
        """`path` defaults to the setting `sms_inbox`; the file is made on the first use."""
        self._path = Path(path or settings().sms_inbox)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        """Keep a message and return its id; a second call with the same `dedupe_key` returns the first one's."""
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO messages (dedupe_key, recipient, text, template, sent_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (dedupe_key) DO NOTHING",
                (dedupe_key, to, text, template, str(clock.now())),
            )
            (number,) = connection.execute("SELECT id FROM messages WHERE dedupe_key = ?", (dedupe_key,)).fetchone()
        return f"sms_local_{number}"

    def list(self, phone: str | None = None, limit: int = 100) -> list[Message]:
        """Return the newest messages first, of one E.164 `phone` or of all."""
        query = "SELECT recipient, text, sent_at, template FROM messages"
        order = " ORDER BY id DESC LIMIT ?"
        with self._connection() as connection:
            if phone is None:
                rows = connection.execute(query + order, (limit,)).fetchall()
            else:
                rows = connection.execute(query + " WHERE recipient = ?" + order, (phone, limit)).fetchall()
        return [Message(to=to, text=text, sent_at=sent_at, template=template) for to, text, sent_at, template in rows]

    def count(self) -> int:
        """Return how many messages were ever kept."""
        with self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM messages").fetchone()[0])

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose changes are committed at the end; one per call, so that threads share nothing."""
        with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as connection, connection:
            yield connection
