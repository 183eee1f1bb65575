"""What a run would have cost on AWS, from what `/local/usage` counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# US$, us-east-1, on demand, the first tier, without the free tier, as of November 2026. Sources:
# aws.amazon.com/dynamodb/pricing/on-demand, aws.amazon.com/lambda/pricing, aws.amazon.com/sqs/pricing (standard),
# aws.amazon.com/api-gateway/pricing (REST).
PRICES = {
    "dynamodb_write_unit": 0.625e-6,
    "dynamodb_read_unit": 0.125e-6,
    "lambda_request": 0.20e-6,
    "lambda_gb_second_x86_64": 0.0000166667,
    "lambda_gb_second_arm64": 0.0000133334,
    "sqs_request": 0.40e-6,
    "gateway_rest_call": 3.50e-6,
}

SEARCHES_PER_BOOKING = 50
BOOKINGS = 1_000
SEARCH = "GET /v1/search"
LOOK = "GET /v1/orders/{order_id}"
BOOKING = (
    "POST /v1/quotes",
    "POST /v1/orders",
    "POST /v1/orders/{order_id}/payments",
    LOOK,
    "POST /webhooks/stripe",
)
"""What one booking asks of the API, quote to confirmed. Signing in and looking for a free start are not part of it."""
_BILLED_SQS = ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch")

Usage = Mapping[str, Any]


@dataclass
class Amounts:
    """Amounts of what AWS charges for; `gb_seconds` by the functions' memory sizes."""

    gateway_calls: float = 0.0
    invocations: float = 0.0
    gb_seconds: float = 0.0
    read_units: float = 0.0
    write_units: float = 0.0
    sqs_requests: float = 0.0

    def add(self, other: Amounts, times: float = 1.0) -> None:
        for name, amount in vars(other).items():
            setattr(self, name, getattr(self, name) + times * amount)

    def usd(self, architecture: str) -> dict[str, float]:
        """What each costs, by name."""
        return {
            "gateway_calls": self.gateway_calls * PRICES["gateway_rest_call"],
            "invocations": self.invocations * PRICES["lambda_request"],
            "gb_seconds": self.gb_seconds * PRICES[f"lambda_gb_second_{architecture}"],
            "read_units": self.read_units * PRICES["dynamodb_read_unit"],
            "write_units": self.write_units * PRICES["dynamodb_write_unit"],
            "sqs_requests": self.sqs_requests * PRICES["sqs_request"],
        }


@dataclass(frozen=True)
class Bill:
    """`search` and `booking` are one of each; `looks` is how often a booking's order was read in the run, of which one
    is billed: the run looks again and again to see the confirmation when it comes. `schedules_usd` is what the
    schedules cost in the run: partly the same whether anybody books or not, so it is no part of a booking."""

    search: Amounts
    booking: Amounts
    looks: float
    schedules_usd: float
    architecture: str
    total: Amounts = field(default_factory=Amounts)

    @property
    def usd_by_part(self) -> dict[str, float]:
        """US$ for 1,000 paid bookings with 50 searches each, by what it is spent on."""
        return self.total.usd(self.architecture)

    @property
    def usd(self) -> float:
        return sum(self.usd_by_part.values())

    @property
    def usd_without_gateway(self) -> float:
        return self.usd - self.usd_by_part["gateway_calls"]


def bill(
    before: Usage,
    after: Usage,
    paid: int,
    *,
    memory_mb: Mapping[str, int],
    api: str,
    schedules: Collection[str],
    architecture: str,
) -> Bill:
    """The bill of what was used between two reports of `/local/usage`; `paid` bookings were paid and confirmed then.

    `memory_mb` are the functions' sizes, `api` the name of the one behind the API, `schedules` those that run by the
    clock. SMS and the provider's fees are left out.
    """
    operations = difference(before["operations"], after["operations"])
    functions = difference(before["functions"], after["functions"])
    paid = max(1, paid)
    search = _called(operations.get(SEARCH, {}), memory_mb[api], per=max(1, _invocations(operations.get(SEARCH, {}))))
    booking = Amounts()
    for name in BOOKING:
        used = operations.get(name, {})
        booking.add(_called(used, memory_mb[api], per=max(1, _invocations(used)) if name == LOOK else paid))
    by_the_clock = Amounts()
    for name, used in functions.items():
        if name in schedules:
            by_the_clock.add(_called(used, memory_mb[name], per=1, through_gateway=False))
        elif name != api:
            booking.add(_called(used, memory_mb[name], per=paid, through_gateway=False))
    requests = {
        name: after["sqs"]["requests"].get(name, 0) - before["sqs"]["requests"].get(name, 0) for name in _BILLED_SQS
    }
    booking.sqs_requests = sum(requests.values()) / paid
    total = Amounts()
    total.add(booking, BOOKINGS)
    total.add(search, BOOKINGS * SEARCHES_PER_BOOKING)
    looks = _invocations(operations.get(LOOK, {})) / paid
    return Bill(search, booking, looks, sum(by_the_clock.usd(architecture).values()), architecture, total)


def difference(before: Usage, after: Usage) -> dict[str, dict[str, float]]:
    """What was added to each counter of each name."""
    return {
        name: {counter: value - before.get(name, {}).get(counter, 0) for counter, value in counters.items()}
        for name, counters in after.items()
    }


def _called(used: Mapping[str, float], memory_mb: int, per: float, *, through_gateway: bool = True) -> Amounts:
    calls = _invocations(used)
    return Amounts(
        gateway_calls=calls / per if through_gateway else 0.0,
        invocations=calls / per,
        gb_seconds=used.get("ms", 0) / 1000 * memory_mb / 1024 / per,
        read_units=used.get("read_units", 0) / per,
        write_units=used.get("write_units", 0) / per,
    )


def _invocations(used: Mapping[str, float]) -> float:
    return used.get("invocations", 0)
