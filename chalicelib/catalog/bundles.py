"""What a bundle (套餐) holds: groups of items, of each of which the customer chooses some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.kernel.money import Money

EXACTLY, AT_MOST = "exactly", "at_most"
RULES = (EXACTLY, AT_MOST)


@dataclass(frozen=True)
class BundleItem:
    """`value` is what the whole quantity of it costs when it is bought alone."""

    name: Mapping[str, str]
    quantity: int
    value: Money


@dataclass(frozen=True)
class BundleGroup:
    """The customer has `choose` of the items, or as many at the most; all of them where it is their number."""

    name: Mapping[str, str]
    items: tuple[BundleItem, ...]
    choose: int
    rule: str = EXACTLY


@dataclass(frozen=True)
class Worth:
    """What a bundle's items cost alone, by the cheapest choice of `choose` items in each group and by the dearest."""

    least: Money
    most: Money


def worth(groups: Sequence[BundleGroup], currency: str) -> Worth:
    least = most = 0
    for group in groups:
        values = sorted(item.value.amount_minor for item in group.items)
        least += sum(values[: group.choose])
        most += sum(values[len(values) - group.choose :])
    return Worth(Money(least, currency), Money(most, currency))
