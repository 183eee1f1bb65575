"""What a warm query costs the processor: 20 rows through our client, against PynamoDB with botocore's.

Both ask the local engine, in turn, in one process; what is counted is this process's CPU, so the engine's own work does
not show. `call` is the client alone, `rows` with PynamoDB making model objects of the answer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import harness
from infra.local import engines
from infra.local.processes import LOOPBACK, Children, free_ports

QUICK = ("--rounds", "20")
ROWS = 20
CALLS = 50


def cpu_ms(act: Callable[[], Any]) -> float:
    """Milliseconds of CPU for one call, over so many that the clock's grain does not matter."""
    begun = time.process_time()
    for _ in range(CALLS):
        act()
    return (time.process_time() - begun) * 1000 / CALLS


def contestants() -> dict[str, Callable[[], Any]]:
    """The same query four ways; the table is made and filled."""
    from pynamodb.attributes import UnicodeAttribute
    from pynamodb.models import Model

    from chalicelib.runtime import dynamo
    from chalicelib.runtime.dynamo import IntegerAttribute, PackedAttribute
    from chalicelib.runtime.jobs import JobRow

    class Plain(Model):
        """The same row without our client."""

        class Meta:
            table_name = JobRow.Meta.table_name
            region = "us-east-1"
            host = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]

        pk = UnicodeAttribute(hash_key=True)
        sk = UnicodeAttribute(range_key=True)
        until = IntegerAttribute(attr_name="u", null=True)
        value = PackedAttribute(attr_name="d", null=True)

    Plain.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    for number in range(ROWS):
        JobRow("warm", f"{number:03}", until=number, value={"text": "x" * 100}).save()
    asked = {
        "TableName": JobRow.Meta.table_name,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "warm"}},
    }
    plain = Plain._get_connection().connection.client
    return {
        "our rows": lambda: list(JobRow.query("warm")),
        "plain rows": lambda: list(Plain.query("warm")),
        "our call": lambda: dynamo.client().call("Query", asked),
        "plain call": lambda: plain._make_api_call("Query", asked),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench warm_query", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help=f"rounds of {CALLS} calls of each kind")
    asked = parser.parse_args(arguments)
    binary = engines.find_dynoxide()
    if binary is None:
        raise SystemExit("the local database engine is not installed: run `make start` once")
    (port,) = free_ports(1)
    os.environ |= {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with tempfile.TemporaryDirectory(prefix="linli-warm-") as folder:
        children = Children(Path(folder))
        try:
            engines.wait_for_dynoxide(engines.start_dynoxide(children, binary, port, None), port)
            kinds = contestants()
            for act in kinds.values():
                cpu_ms(act)
            taken: dict[str, list[float]] = {name: [] for name in kinds}
            with harness.progress("warm query", asked.rounds) as bar:
                for number in range(asked.rounds):
                    for name, act in kinds.items():
                        taken[name].append(cpu_ms(act))
                    bar(number + 1)
        finally:
            children.stop()
    medians = {name: statistics.median(each) for name, each in taken.items()}
    for name, each in medians.items():
        harness.say(f"{name:<12}{each:>8.3f} ms CPU a query of {ROWS} rows")
    figures = {
        "cpu_ratio_rows": medians["plain rows"] / medians["our rows"],
        "cpu_ratio_call": medians["plain call"] / medians["our call"],
        "our_rows_ms": medians["our rows"],
    }
    harness.finish("warm_query", figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
