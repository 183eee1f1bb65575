"""Everybody is asked the same questions in turn, in one run; what they took, and whether they were right."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench._search.brute import Brute, Expected
from bench._search.geosearch import GeoSearch
from bench._search.ours import Ours, counts_of, same
from bench._search.postgis import Postgis, facets_of, ids_of
from bench._search.questions import Question
from bench.harness import progress, say
from bench.samples import percentile
from chalicelib.search.model import SearchPage

Counts = tuple[dict[str, dict[Any, int]] | None, int | None]
OURS, POSTGIS, NEAREST, BEST, REDIS = "ours", "postgis", "postgis_knn", "postgis_best", "redis"
_TOLD = 5


class Peer(Protocol):
    """Somebody who answers. Only `ask` is timed."""

    def can(self, question: Question) -> bool: ...
    def ready(self, question: Question) -> Any: ...
    def ask(self, ready: Any) -> Any: ...
    def read(self, answer: Any, question: Question) -> tuple[list[str], Counts]: ...


@dataclass(frozen=True)
class OurPeer:
    ours: Ours

    def can(self, _: Question) -> bool:
        return True

    def ready(self, question: Question) -> Any:
        return self.ours.ready(question)

    def ask(self, ready: Any) -> Any:
        return self.ours.ask(ready)

    def read(self, answer: SearchPage, _: Question) -> tuple[list[str], Counts]:
        return [hit.card.id for hit in answer.hits], (counts_of(answer.facets), answer.total)


@dataclass(frozen=True)
class PostgisPeer:
    """`tuning`: see `statements.TUNINGS`."""

    server: Postgis
    tuning: str

    def can(self, question: Question) -> bool:
        return self.server.can(question)

    def ready(self, question: Question) -> Any:
        return self.server.ready(question, self.tuning)

    def ask(self, ready: Any) -> Any:
        return self.server.ask(ready)

    def read(self, answer: Any, question: Question) -> tuple[list[str], Counts]:
        facets = question.query.facets
        return ids_of(answer, facets=facets), facets_of(answer) if facets else (None, None)


@dataclass(frozen=True)
class RedisPeer:
    server: GeoSearch

    def can(self, question: Question) -> bool:
        return self.server.can(question)

    def ready(self, question: Question) -> Any:
        return question

    def ask(self, ready: Any) -> Any:
        return self.server.ask(ready)

    def read(self, answer: list[str], _: Question) -> tuple[list[str], Counts]:
        return answer, (None, None)


@dataclass
class Times:
    """Milliseconds by peer, then by (kind, with facets); the questions of a peer are a part of ours."""

    taken: dict[str, dict[tuple[str, bool], list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    right: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))

    def all(self, peer: str, *, facets: bool, like: str) -> list[float]:
        """What a peer took for the kinds that `like` can answer too."""
        return [
            ms for key, times in self.taken[peer].items() if key[1] == facets and self.taken[like][key] for ms in times
        ]

    def p50(self, peer: str, key: tuple[str, bool]) -> float | None:
        times = self.taken[peer].get(key)
        return percentile(times, 0.5) if times else None

    def ratio(self, peer: str, *, facets: bool) -> float | None:
        """The peer's median over ours, on the same questions."""
        theirs = self.all(peer, facets=facets, like=peer)
        return percentile(theirs, 0.5) / percentile(self.all(OURS, facets=facets, like=peer), 0.5) if theirs else None

    def share_right(self, peer: str) -> float | None:
        said = self.right[peer]
        return sum(said) / len(said) if said else None


def contest(peers: dict[str, Peer], questions: Sequence[Question], brute: Brute, title: str) -> Times:
    """Ask every question of everybody, one after the other; who begins changes with each question."""
    times = Times()
    names = list(peers)
    with progress(title, len(questions)) as bar:
        for number, question in enumerate(questions):
            expected = brute.answer(question)
            if question.page > len(expected.pages):
                continue  # a place with fewer shops than that has no such page
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                peer = peers[name]
                if not peer.can(question):
                    continue
                ready = peer.ready(question)
                begun = time.perf_counter()
                answer = peer.ask(ready)
                took = (time.perf_counter() - begun) * 1000
                times.taken[name][question.kind, question.query.facets].append(took)
                times.right[name].append(_is_right(peer.read(answer, question), expected, question))
            bar(number + 1, question.kind)
    return times


def _is_right(said: tuple[list[str], Counts], expected: Expected, question: Question) -> bool:
    ids, counts = said
    return ids == expected.pages[question.page - 1] and counts == (expected.facets, expected.total)


def exact_share(ours: Ours, questions: Sequence[Question], brute: Brute) -> float:
    """Which part of the answers are the brute force's: every page in order, facets, total, what to do without."""
    right = 0
    with progress("exactness", len(questions)) as bar:
        for number, question in enumerate(questions):
            found, expected = ours.answer(question), brute.answer(question)
            if same(found, expected):
                right += 1
            elif number + 1 - right <= _TOLD:
                say(f"DIFFERS: {question}\n  found    {found}\n  expected {expected}")
            bar(number + 1, f"{number + 1 - right} differ")
    return right / len(questions)


def tell(times: Times) -> dict[str, dict[str, float]]:
    """A line for each kind; the same as figures: p50 and p95 of ours, p50 of the others, in milliseconds."""
    found: dict[str, dict[str, float]] = {}
    say(
        f"  {'milliseconds':<40}{'ours p50':>9}{'p95':>9}"
        + "".join(f"{name:>10}{'ratio':>8}" for name in ("PostGIS", "knn", "best", "Redis"))
    )
    for key, taken in times.taken[OURS].items():
        own = percentile(taken, 0.5)
        each: dict[str, float] = {"p50_ms": own, "p95_ms": percentile(taken, 0.95)}
        line = f"  {key[0] + (' + facets' if key[1] else ''):<40}{own:>9.3f}{each['p95_ms']:>9.3f}"
        for peer in (POSTGIS, NEAREST, BEST, REDIS):
            theirs = times.p50(peer, key)
            if theirs is None:
                line += f"{'–':>10}{'':>8}"
            else:
                each[f"{peer}_p50_ms"] = theirs
                line += f"{theirs:>10.3f}{theirs / own:>8.1f}"
        say(line)
        found[key[0] + ("_facets" if key[1] else "")] = each
    return found
