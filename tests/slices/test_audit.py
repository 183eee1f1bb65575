"""The audit log: it only grows, nobody can fork it, and whatever is done to it is found."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.instant import Instant
from chalicelib.providers.files.local import Directory
from chalicelib.runtime import audit, jobs
from chalicelib.runtime.audit import Act, AuditRow
from chalicelib.runtime.transaction import Transaction
from tests.races.together import at_once

NOW = Instant.parse("2026-11-22T10:00:00.000Z")


@pytest.fixture(autouse=True)
def empty_log() -> Iterator[None]:
    """Every test has a log of its own: what one of them breaks on purpose is not for the next."""
    _clear()
    yield
    _clear()


def _clear() -> None:
    for row in AuditRow.query(audit.LOG, consistent_read=True):
        row.delete()


@pytest.fixture
def files(tmp_path: Path) -> Directory:
    return Directory(str(tmp_path))


def grown(count: int) -> list[audit.Entry]:
    """A log with so many entries, written as tools write them."""
    acts = [Act("ops", "dead.replay", f"queue {i}", reason="a consumer was repaired") for i in range(count)]
    return [audit.append(act, NOW.plus(minutes=i)) for i, act in enumerate(acts)]


def faults(files: Directory | None = None) -> list[str]:
    return audit.failures(audit.entries(), audit.anchors(files) if files else [])


def forged(entry: audit.Entry, **changed: str) -> AuditRow:
    """A row that says something else than the entry, with the hash that fits it."""
    said = {**{name: getattr(entry, name) for name in entry.said()}, **changed}
    made = audit.Entry(**said)
    return audit._row(audit.replace(made, hash=audit._hash(made)))


def test_each_entry_follows_the_one_before_it(files: Directory) -> None:
    """Sequence, chain and anchor agree, and what was said is what is read."""
    first, second, third = grown(3)
    audit.anchor(files, NOW)
    assert [entry.sequence for entry in (first, second, third)] == [1, 2, 3]
    assert (first.previous_hash, second.previous_hash, third.previous_hash) == ("", first.hash, second.hash)
    assert list(audit.entries()) == [first, second, third]
    assert [entry.sequence for entry in audit.entries(NOW.plus(minutes=1), NOW.plus(minutes=2))] == [2]
    assert audit.head() == audit.Head(3, third.hash)
    assert faults(files) == []


def test_an_entry_that_was_changed_is_found() -> None:
    """Another actor in the second of three entries, under the hash of before."""
    grown(3)
    AuditRow(audit.LOG, "000000000002").update([AuditRow.actor.set("somebody else")])
    assert faults() == ["entry 2 was changed: it is not what was hashed"]


def test_an_entry_that_was_changed_together_with_its_hash_is_found() -> None:
    """The next one still names the hash of before."""
    _, second, _ = grown(3)
    forged(second, actor="somebody else").save()
    assert faults() == ["entry 3 does not follow entry 2: the log forks there"]


def test_an_entry_that_was_removed_is_found() -> None:
    """In the middle, and at the beginning."""
    grown(4)
    AuditRow(audit.LOG, "000000000003").delete()
    assert faults() == ["entry 3 is missing"]
    AuditRow(audit.LOG, "000000000001").delete()
    AuditRow(audit.LOG, "000000000002").delete()
    assert faults() == ["1 to 3 are missing"]


def test_an_end_that_was_cut_off_is_found_by_the_anchor(files: Directory) -> None:
    """What is left is a sound chain; only the file says that there was more. An empty log is the extreme of it."""
    grown(3)
    audit.anchor(files, NOW)
    AuditRow(audit.LOG, "000000000003").delete()
    assert faults() == []
    assert faults(files) == ["the log ends at 2: entries up to 3 were there at audit/anchors/2026-11-22.json"]
    _clear()
    assert faults(files) == ["the log ends at 0: entries up to 3 were there at audit/anchors/2026-11-22.json"]


def test_a_log_that_was_written_anew_is_found_by_the_anchor(files: Directory) -> None:
    """Every hash fits every other: it is simply another log."""
    grown(2)
    audit.anchor(files, NOW)
    _clear()
    audit.append(Act("ops", "other", "things"), NOW)
    audit.append(Act("ops", "other", "things"), NOW)
    assert faults() == []
    assert faults(files) == ["entry 2 is not the one that was there at audit/anchors/2026-11-22.json"]


def test_an_entry_beside_the_sequence_is_a_fork(files: Directory) -> None:
    """It is named, and it does not keep anybody from writing on."""
    first, second = grown(2)
    row = forged(second, actor="somebody else")
    row.sk = "000000000002x"
    row.save()
    assert faults() == [f"an entry of {second.at} by somebody else stands outside the sequence: the log forks"]
    assert audit.append(Act("ops", "goes", "on"), NOW).sequence == 3
    assert first.sequence == 1


def test_an_anchor_is_written_once_a_day(files: Directory) -> None:
    """A second run finds the first one's file; one that somebody broke is named."""
    grown(1)
    assert audit.anchor(files, NOW) == {"sequence": 1, "anchored": 1}
    grown(1)
    assert audit.anchor(files, NOW.plus(hours=1)) == {"sequence": 2, "anchored": 0}
    assert [each.head.sequence for each in audit.anchors(files)] == [1]
    assert audit.anchor(files, NOW.plus(days=1)) == {"sequence": 2, "anchored": 1}
    files.put_new(f"{audit.ANCHORS}2026-11-30.json", b"{}")
    assert faults(files) == ["the anchor audit/anchors/2026-11-30.json cannot be read"]


def test_writers_at_the_same_moment_make_one_chain() -> None:
    """Eight writers with six entries each: 48 entries, no gap, no fork, and each stands once."""
    marks = [secrets.token_hex(4) for _ in range(8)]
    at_once([lambda mark=mark: [audit.append(Act(mark, "race", str(i)), NOW) for i in range(6)] for mark in marks])
    found = list(audit.entries())
    assert faults() == []
    assert sorted((entry.actor, entry.subject) for entry in found) == sorted(
        (mark, str(i)) for mark in marks for i in range(6)
    )


def test_what_stands_beside_an_entry_stands_with_it_or_not_at_all() -> None:
    """A change whose condition fails leaves no entry; one that holds leaves both."""
    name = f"job-{secrets.token_hex(4)}"

    def change(tx: Transaction) -> None:
        tx.put_new(jobs.JobRow(name, "cursor", value={"n": 1}), Conflict())

    audit.append(Act("ops", "change", name), NOW, beside=change)
    assert jobs.cursor(name) == {"n": 1}
    with pytest.raises(Conflict):
        audit.append(Act("ops", "change", name), NOW, beside=change)
    assert audit.head().sequence == 1
