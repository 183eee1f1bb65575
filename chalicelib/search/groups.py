"""The classes of shops that are of the same categories and priced in the same currency, by number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from chalicelib.search.rows import Array, Flags

Group = tuple[frozenset[str], str]
"""The categories of a shop and the currency of its prices."""

Memberships = tuple[list[str], Array, Array]


class Groups:
    """Grows by `number`, and forgets nothing."""

    def __init__(self, known: Iterable[Group]) -> None:
        self.all: list[Group] = []
        self.currencies: list[str] = []
        self._of: dict[str, list[int]] = {}
        self._numbers: dict[Group, int] = {}
        self._memberships: Memberships | None = None
        for group in known:
            self.number(group)

    def number(self, group: Group) -> int:
        found = self._numbers.get(group)
        if found is None:
            found = self._numbers[group] = len(self.all)
            self.all.append(group)
            self._memberships = None
            if group[1] not in self.currencies:
                self.currencies.append(group[1])
            for category in group[0]:
                self._of.setdefault(category, []).append(found)
        return found

    @property
    def memberships(self) -> Memberships:
        """The categories, and two columns that pair each group with each of its categories, all by number."""
        if self._memberships is None:
            codes = list(self._of)
            of_group = [group for groups in self._of.values() for group in groups]
            category = np.repeat(np.arange(len(codes)), [len(groups) for groups in self._of.values()])
            self._memberships = codes, np.array(of_group, np.int64), category
        return self._memberships

    def having(self, category: str) -> Flags:
        """Which groups have a category."""
        found = np.zeros(len(self.all), np.bool_)
        found[self._of.get(category, [])] = True
        return found

    def best(self, values: Mapping[str, int]) -> Array:
        """Of each group the best value of its categories, as float32; 0 for one that has none."""
        best = np.zeros(len(self.all), np.float32)
        for category, value in values.items():
            of = self._of.get(category, [])
            best[of] = np.maximum(best[of], np.float32(value))
        return best
