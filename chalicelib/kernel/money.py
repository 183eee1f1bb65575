"""Money as integers of minor units, and the only three ways it is ever divided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# ISO 4217 exponents of the currencies that Linli accepts: how many decimals one major unit has.
EXPONENTS = {"CNY": 2, "USD": 2, "EUR": 2, "GBP": 2, "HKD": 2, "SGD": 2, "AUD": 2, "JPY": 0, "KRW": 0, "KWD": 3}

BPS = 10_000
MAX_AMOUNT_MINOR = 99_999_999  # Stripe takes at most eight digits


def half_up(numerator: int, denominator: int) -> int:
    """numerator ÷ denominator, rounded half away from zero. Raises ValueError unless denominator > 0."""
    if denominator <= 0:
        raise ValueError("denominator must be positive")
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def share_bps(amount_minor: int, rate_bps: int) -> int:
    """The part of an amount at a rate in basis points, rounded half up."""
    return half_up(amount_minor * rate_bps, BPS)


@dataclass(frozen=True, order=False)
class Money:
    """An amount in minor units of one currency. Never a float; currencies never mix."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.amount_minor) is not int:
            raise TypeError(f"amount_minor must be an int, not {type(self.amount_minor).__name__}")
        if self.currency not in EXPONENTS:
            raise ValueError(f"unknown currency {self.currency!r}")

    def _same(self, other: Money) -> int:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix")
        return other.amount_minor

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount_minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.amount_minor <= self._same(other)

    def times(self, count: int) -> Money:
        return Money(self.amount_minor * count, self.currency)

    def share(self, rate_bps: int) -> Money:
        return Money(share_bps(self.amount_minor, rate_bps), self.currency)

    def allocate(self, weights: Sequence[int]) -> tuple[Money, ...]:
        """Split by integer weights so that the parts add up exactly (largest remainder, ties to the earlier part).

        Raises ValueError when a weight is negative or all are zero.
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError("weights must be non-negative and not all zero")
        sign = -1 if self.amount_minor < 0 else 1
        size = abs(self.amount_minor)
        parts = [size * weight // total for weight in weights]
        left = size - sum(parts)
        by_remainder = sorted(range(len(weights)), key=lambda i: (-(size * weights[i] % total), i))
        for i in by_remainder[:left]:
            parts[i] += 1
        return tuple(Money(sign * part, self.currency) for part in parts)

    def text(self) -> str:
        """Human text with the currency's decimals, for example `128.00 CNY`."""
        exponent = EXPONENTS[self.currency]
        sign = "-" if self.amount_minor < 0 else ""
        digits = str(abs(self.amount_minor)).rjust(exponent + 1, "0")
        major, minor = (digits[:-exponent], "." + digits[-exponent:]) if exponent else (digits, "")
        return f"{sign}{major}{minor} {self.currency}"


def zero(currency: str) -> Money:
    return Money(0, currency)
