"""A page of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

MAX_LIMIT = 100
DEFAULT_LIMIT = 20


@dataclass(frozen=True)
class Page(Generic[T]):
    """Items in order, and where to go on: a plain key that the web layer signs, or None at the end."""

    items: Sequence[T]
    next_key: str | None = None

    def map(self, present: Callable[[T], U]) -> Page[U]:
        return Page([present(item) for item in self.items], self.next_key)
