"""The audit log: what people and tools with power did, in one chain that can only grow.

Each entry names the hash of the one before it, and its place is its key: two writers who saw the same last entry want
the same key, and one of them is second. There is no row that says where the log ends, because such a row would have to
be changed, and functions may not change or remove anything here. What nobody can see from inside, an end that was cut
off or a chain that was written anew, the anchors show: every day the head is written into the file store, once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from pynamodb.attributes import UnicodeAttribute

from chalicelib.kernel.errors import Conflict, Unavailable
from chalicelib.kernel.instant import Instant
from chalicelib.runtime.dynamo import IntegerAttribute, Row, table_name
from chalicelib.runtime.transaction import Transaction

if TYPE_CHECKING:
    from chalicelib.providers.ports import FileStore

LOG = "log"
ANCHORS = "audit/anchors/"
MAX_TEXT = 500
_PLACE = re.compile(r"\d{12}", re.ASCII)
_TRIES = 16


class AuditRow(Row):
    """pk `log`, sk the sequence in twelve digits, from 1 on. A90."""

    class Meta:
        table_name = table_name("audit")

    at = IntegerAttribute(attr_name="t")
    actor = UnicodeAttribute(attr_name="by")
    address = UnicodeAttribute(attr_name="ip", null=True)
    act = UnicodeAttribute(attr_name="ac")
    subject = UnicodeAttribute(attr_name="su")
    reason = UnicodeAttribute(attr_name="re", null=True)
    before = UnicodeAttribute(attr_name="b", null=True)
    after = UnicodeAttribute(attr_name="a", null=True)
    previous_hash = UnicodeAttribute(attr_name="ph", null=True)
    hash = UnicodeAttribute(attr_name="h")


class _HeadMoved(Conflict):
    """Somebody else wrote the next entry first."""

    code = "audit_head_moved"


@dataclass(frozen=True)
class Act:
    """What is to be noted. `actor` is an account id, or who ran a tool; `address` where from. `before` and `after` are
    `digest`s of what the act changed, "" where there is nothing to compare. No personal data: an entry is for ever."""

    actor: str
    act: str
    subject: str
    address: str = ""
    reason: str = ""
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Entry:
    """One act as it stands in the log, with the hash over it and over `previous_hash`."""

    sequence: int
    at: Instant
    actor: str
    address: str
    act: str
    subject: str
    before: str
    after: str
    reason: str
    previous_hash: str
    hash: str = ""

    def said(self) -> dict[str, Any]:
        """Everything by name, as plain values in the order of the fields."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return named | {"at": str(self.at)}


@dataclass(frozen=True)
class Head:
    """Where the log ends; sequence 0 is an empty one."""

    sequence: int = 0
    hash: str = ""


@dataclass(frozen=True)
class Anchor:
    """What the head was on a day, as the file store keeps it."""

    key: str
    head: Head


def digest(value: Any) -> str:
    """SHA-256 in hex of plain data, the same for the same content."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(entry: Entry) -> str:
    return digest([value for name, value in entry.said().items() if name != "hash"])


# ---------------------------------------------------------------------------------------------- writing


def append(act: Act, now: Instant, beside: Callable[[Transaction], None] | None = None) -> Entry:
    """Writes the act at the end of the log. `beside` adds the change itself to the same transaction, so that neither
    stands without the other; it is called again when another writer was faster.

    Raises what the change's own conditions mean, and Unavailable when other writers do not let it through.
    """
    for _ in range(_TRIES):
        last = head()
        entry = _entry_after(last, act, now)
        tx = Transaction()
        if last.sequence:
            # The entry before must still be what this one names.
            tx.check(AuditRow(LOG, _place(last.sequence)), AuditRow.hash == last.hash, _HeadMoved())
        tx.put_new(_row(entry), _HeadMoved())
        if beside:
            beside(tx)
        try:
            tx.commit()
        except _HeadMoved:
            continue
        return entry
    raise Unavailable(retry_after_seconds=1)


def _entry_after(last: Head, act: Act, now: Instant) -> Entry:
    texts = {field.name: str(getattr(act, field.name))[:MAX_TEXT] for field in fields(act)}
    entry = Entry(sequence=last.sequence + 1, at=now, previous_hash=last.hash, **texts)
    return replace(entry, hash=_hash(entry))


def _place(sequence: int) -> str:
    return f"{sequence:012d}"


def _row(entry: Entry) -> AuditRow:
    return AuditRow(
        LOG,
        _place(entry.sequence),
        at=entry.at.ms,
        actor=entry.actor,
        address=entry.address or None,
        act=entry.act,
        subject=entry.subject,
        reason=entry.reason or None,
        before=entry.before or None,
        after=entry.after or None,
        previous_hash=entry.previous_hash or None,
        hash=entry.hash,
    )


def _entry(row: AuditRow) -> Entry:
    return Entry(
        sequence=int(row.sk) if _PLACE.fullmatch(row.sk) else 0,
        at=Instant(row.at),
        actor=row.actor,
        address=row.address or "",
        act=row.act,
        subject=row.subject,
        before=row.before or "",
        after=row.after or "",
        reason=row.reason or "",
        previous_hash=row.previous_hash or "",
        hash=row.hash,
    )


# ---------------------------------------------------------------------------------------------- reading


def head() -> Head:
    """A90 the last entry, strongly."""
    for row in AuditRow.query(LOG, scan_index_forward=False, page_size=1, consistent_read=True):
        if _PLACE.fullmatch(row.sk):  # what somebody put beside the sequence is for `failures` to find
            return Head(int(row.sk), row.hash)
    return Head()


def entries(since: Instant | None = None, until: Instant | None = None) -> Iterator[Entry]:
    """A91 every entry of [since, until) in the order of the log, strongly. The log is short: it is read whole."""
    for row in AuditRow.query(LOG, consistent_read=True):
        entry = _entry(row)
        if (since is None or since <= entry.at) and (until is None or entry.at < until):
            yield entry


# ---------------------------------------------------------------------------------------------- anchors


def anchor(files: FileStore, now: Instant) -> dict[str, int]:
    """Writes the head into the file store, under the day. A second run of a day finds the first one's file and leaves
    it. Returns the head's sequence, and whether this run wrote it."""
    last = head()
    said = {"sequence": last.sequence, "hash": last.hash, "at": str(now)}
    wrote = files.put_new(f"{ANCHORS}{str(now)[:10]}.json", json.dumps(said).encode())
    return {"sequence": last.sequence, "anchored": int(wrote)}


def anchors(files: FileStore) -> Iterator[Anchor]:
    """Every anchor, oldest first. One that cannot be read has sequence -1."""
    for key in files.list(ANCHORS):
        try:
            said = json.loads(files.get(key))
            yield Anchor(key, Head(int(said["sequence"]), str(said["hash"])))
        except (KeyError, TypeError, ValueError):
            yield Anchor(key, Head(-1))


def failures(log: Iterable[Entry], anchored: Iterable[Anchor]) -> list[str]:
    """What is wrong with the log: an entry that says something else than was hashed, one that is missing, one that
    follows another entry than the one before it, an end that is cut off. Empty when it holds."""
    found: list[str] = []
    hashes: dict[int, str] = {0: ""}
    last = 0
    for entry in log:
        if entry.sequence < 1:
            found.append(f"an entry of {entry.at} by {entry.actor} stands outside the sequence: the log forks")
            continue
        if entry.sequence > last + 1:
            missing = (
                f"entry {last + 1} is" if entry.sequence == last + 2 else f"{last + 1} to {entry.sequence - 1} are"
            )
            found.append(f"{missing} missing")
        elif entry.previous_hash != hashes[last]:
            found.append(f"entry {entry.sequence} does not follow entry {last}: the log forks there")
        if _hash(entry) != entry.hash:
            found.append(f"entry {entry.sequence} was changed: it is not what was hashed")
        hashes[entry.sequence] = entry.hash
        last = entry.sequence
    for each in anchored:
        known = hashes.get(each.head.sequence)
        if each.head.sequence < 0:
            found.append(f"the anchor {each.key} cannot be read")
        elif each.head.sequence > last:
            found.append(f"the log ends at {last}: entries up to {each.head.sequence} were there at {each.key}")
        elif known is not None and known != each.head.hash:
            found.append(f"entry {each.head.sequence} is not the one that was there at {each.key}")
    return found
