"""The bill of a run, with amounts that can be reckoned by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.bill import LOOK, PRICES, SEARCH, Bill, bill


def billed(before: int, after: int, paid: int = 10, architecture: str = "x86_64") -> Bill:
    return bill(
        report(before),
        report(after),
        paid,
        memory_mb={"api_handler": 1024, "notify": 512, "sweep": 512},
        api="api_handler",
        schedules=["sweep"],
        architecture=architecture,
    )


def used(invocations: int, ms: int, read: float = 0.0, write: float = 0.0) -> dict[str, float]:
    return {"invocations": invocations, "ms": ms, "cpu_ms": 0.0, "read_units": read, "write_units": write}


def report(scale: int) -> dict[str, Any]:
    """What ten bookings and a hundred searches would use, `scale` times."""
    operations = {
        SEARCH: used(100 * scale, 400 * scale, read=5.0 * scale),
        "POST /v1/quotes": used(11 * scale, 110 * scale, read=20.0 * scale),
        "POST /v1/orders": used(10 * scale, 200 * scale, write=80.0 * scale),
        LOOK: used(40 * scale, 160 * scale, read=40.0 * scale),
        "POST /v1/auth/sessions/refresh": used(5 * scale, 5000 * scale, write=50.0 * scale),
    }
    functions = {
        "api_handler": used(166 * scale, 5870 * scale),
        "notify": used(10 * scale, 300 * scale, write=10.0 * scale),
        "sweep": used(99 * scale, 9000 * scale, write=99.0 * scale),
    }
    requests = {"SendMessage": 10 * scale, "ReceiveMessage": 10 * scale, "GetQueueUrl": 7 * scale}
    return {"operations": operations, "functions": functions, "sqs": {"requests": requests}}


def test_one_booking_is_its_operations_and_its_consumers() -> None:
    """Signing in and the schedules are not a booking's; of its looks at the order one counts."""
    found = billed(1, 2)
    assert found.looks == 4
    assert found.booking.write_units == pytest.approx(8 + 1)
    assert found.booking.read_units == pytest.approx(2 + 1)
    assert found.booking.gateway_calls == pytest.approx(1.1 + 1 + 1)
    assert found.booking.invocations == pytest.approx(1.1 + 1 + 1 + 1)
    assert found.booking.gb_seconds == pytest.approx(0.011 + 0.020 + 0.004 + 0.030 / 2)
    assert found.booking.sqs_requests == pytest.approx(2)
    assert vars(found.search) == pytest.approx(
        {
            "gateway_calls": 1,
            "invocations": 1,
            "gb_seconds": 0.004,
            "read_units": 0.05,
            "write_units": 0,
            "sqs_requests": 0,
        }
    )


def test_the_bill_is_a_thousand_bookings_with_fifty_searches_each() -> None:
    found = billed(1, 2, architecture="arm64")
    parts = {
        "gateway_calls": (3.1 * 1_000 + 50_000) * 3.50e-6,
        "invocations": (4.1 * 1_000 + 50_000) * 0.20e-6,
        "gb_seconds": (0.050 * 1_000 + 0.004 * 50_000) * 0.0000133334,
        "read_units": (3 * 1_000 + 0.05 * 50_000) * 0.125e-6,
        "write_units": 9 * 1_000 * 0.625e-6,
        "sqs_requests": 2 * 1_000 * 0.40e-6,
    }
    assert found.usd_by_part == pytest.approx(parts)
    assert found.usd == pytest.approx(sum(parts.values()))
    assert found.usd_without_gateway == pytest.approx(sum(parts.values()) - parts["gateway_calls"])


def test_what_runs_by_the_clock_is_told_apart() -> None:
    """The whole of it in the run, not a booking's part."""
    expected = 99 * 0.20e-6 + 9.0 / 2 * 0.0000166667 + 99 * 0.625e-6
    assert billed(1, 2).schedules_usd == pytest.approx(expected)


def test_what_was_used_before_the_run_is_not_on_its_bill() -> None:
    early = billed(0, 1)
    late = billed(7, 8)
    assert late.usd_by_part == pytest.approx(early.usd_by_part)


def test_a_run_without_a_booking_has_a_bill_all_the_same() -> None:
    assert billed(1, 1, paid=0).usd == 0


def test_both_architectures_have_a_price() -> None:
    """The one that the functions are deployed on is among them."""
    from infra.functions import ARCHITECTURE

    assert PRICES["lambda_gb_second_arm64"] < PRICES["lambda_gb_second_x86_64"]
    assert f"lambda_gb_second_{ARCHITECTURE}" in PRICES
