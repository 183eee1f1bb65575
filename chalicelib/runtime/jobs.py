"""What scheduled functions remember: a lease, so that two runs do not overlap, and a cursor, so that none starts over.

Every effect of a job is conditional by itself; the lease saves work, it guards nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.instant import Instant
from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute, Row, table_name
from chalicelib.runtime.transaction import Transaction


class JobRow(Row):
    """pk the job's name, sk `lease` | `cursor` | `last_ok`. A35."""

    class Meta:
        table_name = table_name("jobs")

    until = IntegerAttribute(attr_name="u", null=True)
    value = PackedAttribute(attr_name="d", null=True)


class LeaseTaken(Conflict):
    """Another run of the same job is under way."""

    code = "job_running"


def take_lease(job: str, now: Instant, seconds: int) -> None:
    """Raises LeaseTaken while another run holds it. It ends by itself after `seconds`."""
    tx = Transaction()
    free = JobRow.pk.does_not_exist() | (JobRow.until <= now.ms)
    tx.put(JobRow(job, "lease", until=now.plus(seconds=seconds).ms), free, LeaseTaken())
    tx.commit()


def end_lease(job: str, now: Instant) -> None:
    JobRow(job, "lease", until=now.ms).save()


def cursor(job: str) -> dict[str, int | str]:
    for row in JobRow.query(job, JobRow.sk == "cursor", consistent_read=True):
        return dict(row.value)
    return {}


def save_cursor(job: str, value: dict[str, int | str]) -> None:
    JobRow(job, "cursor", value=value).save()


def note_ok(job: str, now: Instant) -> None:
    """When the job last ended well; an alarm watches its age."""
    JobRow(job, "last_ok", until=now.ms).save()


def last_ok(names: Iterable[str]) -> dict[str, Instant]:
    """A35: when each of these jobs last ended well; those that never did are left out."""
    rows = JobRow.batch_get([(name, "last_ok") for name in names])
    return {row.pk: Instant(row.until) for row in rows if row.until is not None}
