"""What the published reviews of a shop come to. Slices above count; the catalogue keeps the count and shows it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.kernel.errors import Conflict
from chalicelib.kernel.money import half_up

STARS = (1, 2, 3, 4, 5)


class RatingMoved(Conflict):
    """Somebody wrote the shop's rating since its revision was read: count again. No caller is ever told this."""


@dataclass(frozen=True)
class Rating:
    """`service`, `environment` and `value` are sums of scores from 1 to 5 over `count` reviews; `stars` says how many
    reviews have 1, 2, … 5 stars. `revision` counts the writes."""

    count: int = 0
    service: int = 0
    environment: int = 0
    value: int = 0
    stars: tuple[int, ...] = (0, 0, 0, 0, 0)
    revision: int = 0

    @property
    def sum_centi(self) -> int:
        """The sum of all reviews' means in hundredths of a star: exact until here, and rounded once."""
        return half_up(100 * (self.service + self.environment + self.value), 3)

    def mean_centi(self, dimension: str) -> int | None:
        """The mean of `service`, `environment` or `value` in hundredths; None without a review."""
        return half_up(100 * getattr(self, dimension), self.count) if self.count else None
