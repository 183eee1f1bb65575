"""`linli audit verify` and `linli export audit`: whatever is changed behind the application's back is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chalicelib import wiring
from chalicelib.kernel import ids
from chalicelib.ledger import service as ledger
from chalicelib.ledger.tables import JournalRow
from chalicelib.orders.tables import OrderRow
from chalicelib.runtime import audit
from chalicelib.runtime.audit import Act, AuditRow
from infra.ops import cli
from tests import world
from tests.builders import orders as build
from tests.builders.orders import Visit
from tests.slices.commands import ANY, answer, refusal


@pytest.fixture
def visit() -> Visit:
    return build.paid()


@pytest.fixture
def own_log() -> Iterator[None]:
    """A log without what other tests broke, and no anchors of it."""
    for row in AuditRow.query(audit.LOG, consistent_read=True):
        row.delete()
    world.advance(days=1)
    yield
    for row in AuditRow.query(audit.LOG, consistent_read=True):
        row.delete()


def broken(*arguments: str, subject: str) -> list[str]:
    """What verify names of one subject: other tests leave things broken on purpose."""
    found = answer("audit", "verify", *arguments, code=ANY)
    return [row["broken"] for row in found["items"] if row["subject"] == subject]


@contextmanager
def tampered(visit: Visit) -> Iterator[tuple[JournalRow, OrderRow]]:
    """The one entry and the row of an order, for a test to do with as it likes; afterwards they are what they were."""
    keys = ids.split(visit.id)

    def read() -> tuple[JournalRow, OrderRow]:
        (entry,) = JournalRow.query(visit.id, consistent_read=True)
        return entry, OrderRow.get(*keys, consistent_read=True)

    before = read()
    try:
        yield read()
    finally:
        for row in before:
            row.save()


def test_sound_books_are_sound(visit: Visit) -> None:
    """Over everything, and over a window that has the order's entries in it."""
    assert broken(subject=visit.id) == []
    today = str(world.now())[:10]
    found = answer("audit", "verify", "--since", today, code=ANY)
    assert found["subjects"] >= 1
    assert visit.id not in [row["subject"] for row in found["items"]]


def test_an_amount_that_was_changed_is_named(visit: Visit) -> None:
    """The entry by its id; and the equation does not hold any more."""
    (entry,) = ledger.entries_of(visit.id)
    today, tomorrow = str(entry.at)[:10], str(entry.at.plus(days=1))[:10]
    with tampered(visit) as (row, _):
        row.update([JournalRow.legs.set({account: amount * 2 for account, amount in row.legs.items()})])
        said = broken(subject=visit.id)
        assert f"{entry.id}: the content is not what was hashed" in said
        assert any(text.startswith("equation:") for text in said)
        assert broken("--since", today, subject=visit.id) == said
        assert broken("--until", tomorrow, subject=visit.id) == said
        assert broken("--since", "2026-01-01", "--until", "2026-01-02", subject=visit.id) == []
    assert broken(subject=visit.id) == []


def test_an_entry_that_was_removed_is_named(visit: Visit) -> None:
    """Also when it was the only one, so that the journal has nothing left of the order."""
    with tampered(visit) as (row, _):
        row.delete()
        said = broken(subject=visit.id)
    assert "the order's row names another head of the chain" in said
    assert any(text.startswith("equation:") for text in said)


def test_entries_of_an_order_that_is_gone_are_named(visit: Visit) -> None:
    """Money without an order."""
    (entry,) = ledger.entries_of(visit.id)
    with tampered(visit) as (_, row):
        row.delete()
        assert broken(subject=visit.id) == [f"{entry.id}: there is no such order"]


def test_a_row_that_cannot_be_read_is_named_and_the_others_are_looked_at(visit: Visit) -> None:
    """Written by hand, without half of what an order is."""
    other = build.paid()
    with tampered(other) as (_, row):
        row.update([OrderRow.data.set({"cu": "CNY"})])
        assert [text[:18] for text in broken(subject=other.id)] == ["it cannot be read:"]
        assert broken(subject=visit.id) == []


def test_an_audit_log_that_was_tampered_with_is_named(own_log: None) -> None:
    """A changed entry, and an end that was cut off since the anchor."""
    for i in range(3):
        audit.append(Act("ada", "test", str(i)), world.now())
    audit.anchor(wiring.ports().files, world.now())
    found = answer("audit", "verify", "--only-log", code=ANY)
    assert found["audit_entries"] == 3
    assert [row for row in found["items"] if str(world.now())[:10] in row["broken"]] == []
    AuditRow(audit.LOG, "000000000001").update([AuditRow.reason.set("another")])
    AuditRow(audit.LOG, "000000000003").delete()
    said = [row["broken"] for row in answer("audit", "verify", "--only-log", code=1)["items"]]
    assert "entry 1 was changed: it is not what was hashed" in said
    assert f"the log ends at 2: entries up to 3 were there at audit/anchors/{str(world.now())[:10]}.json" in said


def test_the_audit_log_is_exported_line_by_line(own_log: None, tmp_path: Path) -> None:
    """Everything that an entry says, in order; a window takes its days only."""
    entries = [audit.append(Act("ada", "test", str(i), "here", "why"), world.now().plus(days=i)) for i in range(2)]
    path = tmp_path / "audit.jsonl"
    assert answer("export", "audit", "-o", str(path)) == {"entries": 2}
    assert [json.loads(line) for line in path.read_text().splitlines()] == [entry.said() for entry in entries]
    second = str(entries[1].at)[:10]
    assert answer("export", "audit", "--since", second, "-o", str(path)) == {"entries": 1}
    assert "is not before" in refusal("export", "audit", "--since", second, "--until", second, code=2)
    lines = CliRunner().invoke(cli.app, ["export", "audit"]).stdout.splitlines()
    assert [json.loads(line)["subject"] for line in lines] == ["0", "1"]
