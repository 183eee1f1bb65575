"""State machines as one table each. The write that moves a state repeats the table's `from` in its condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.kernel.errors import InvalidTransition

MACHINES: dict[str, StateMachine] = {}


@dataclass(frozen=True)
class StateMachine:
    """`table[state][event]` is the next state. A state without events is terminal."""

    name: str
    initial: str
    table: Mapping[str, Mapping[str, str]]
    states: tuple[str, ...] = field(init=False)
    events: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        states = dict.fromkeys(self.table)
        events: dict[str, None] = {}
        for moves in self.table.values():
            events.update(dict.fromkeys(moves))
            for target in moves.values():
                if target not in states:
                    raise ValueError(f"{self.name}: {target!r} has no row of its own")
        if self.initial not in states:
            raise ValueError(f"{self.name}: initial state {self.initial!r} is not in the table")
        object.__setattr__(self, "states", tuple(states))
        object.__setattr__(self, "events", tuple(events))
        MACHINES[self.name] = self

    def fire(self, state: str, event: str) -> str:
        """The next state. Raises InvalidTransition when the table has no such row."""
        moves = self.table[state]
        if event not in moves:
            raise InvalidTransition(from_state=state, to=event, allowed=sorted(moves))
        return moves[event]

    def can(self, state: str, event: str) -> bool:
        return event in self.table[state]

    def terminal(self, state: str) -> bool:
        return not self.table[state]
