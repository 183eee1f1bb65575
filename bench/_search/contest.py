"""Everybody is asked the same questions in one run, block by block; what they took, and whether they were right.

A block is some questions of one kind to one peer, one upon the other as a server under load is asked, begun by others
of the kind that are not timed. The same block then goes to the next. What is expected is worked out before, and answers
are compared with it after the block.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from bench._search.brute import Brute, Expected
from bench._search.geosearch import GeoSearch
from bench._search.ours import Ours, counts_of, hits_of, same
from bench._search.postgis import Postgis, facets_of, ids_of
from bench._search.postgis import hits_of as hits_of_rows
from bench._search.questions import Question
from bench._search.shown import Shown, alike
from bench._search.statements import WHOLE_MANUAL
from bench.harness import progress, say
from bench.samples import percentile
from chalicelib.search.model import SearchPage

OURS, REDIS = "ours", "redis"
POSTGIS, NEAREST_WHOLE, NEAREST, BEST = "postgis", "postgis_knn_whole", "postgis_knn", "postgis_best"
ROUNDS = 2
WARM = 3  # questions before the timed ones of a block
_TOLD = 5

Key = tuple[str, bool]
"""A kind of question, and whether facets and total are wanted."""


class Said(NamedTuple):
    """An answer. Whole hits where the peer gives them."""

    ids: list[str]
    facets: dict[str, dict[Any, int]] | None = None
    total: int | None = None
    hits: list[Shown] | None = None


class Peer(Protocol):
    """Somebody who answers. Only `ask` is timed."""

    def can(self, question: Question) -> bool: ...
    def ready(self, question: Question) -> Any: ...
    def ask(self, ready: Any) -> Any: ...
    def read(self, answer: Any, question: Question) -> Said: ...


@dataclass(frozen=True)
class OurPeer:
    ours: Ours

    def can(self, _: Question) -> bool:
        return True

    def ready(self, question: Question) -> Any:
        return self.ours.ready(question)

    def ask(self, ready: Any) -> Any:
        return self.ours.ask(ready)

    def read(self, answer: tuple[SearchPage, list[tuple[Any, ...]]], _: Question) -> Said:
        page, seen = answer
        hits = hits_of(seen)
        return Said([hit.id for hit in hits], counts_of(page.facets), page.total, hits)


@dataclass(frozen=True)
class PostgisPeer:
    """`level`: see `statements.LEVELS`; with facets that of whole hits by the manual is no other than the first.
    `whole`: whether it gives whole hits."""

    server: Postgis
    level: str
    whole: bool

    def can(self, question: Question) -> bool:
        return self.server.can(question) and not (question.query.facets and self.level == WHOLE_MANUAL)

    def ready(self, question: Question) -> Any:
        return self.server.ready(question, self.level)

    def ask(self, ready: Any) -> Any:
        return self.server.ask(ready)

    def read(self, answer: Any, question: Question) -> Said:
        facets = question.query.facets
        hits = hits_of_rows(answer, facets=facets) if self.whole else None
        ids = [hit.id for hit in hits] if hits is not None else ids_of(answer, facets=facets)
        counts, total = facets_of(answer) if facets else (None, None)
        return Said(ids, counts, total, hits)


@dataclass(frozen=True)
class RedisPeer:
    server: GeoSearch

    def can(self, question: Question) -> bool:
        return self.server.can(question)

    def ready(self, question: Question) -> Any:
        return question

    def ask(self, ready: Any) -> Any:
        return self.server.ask(ready)

    def read(self, answer: list[str], _: Question) -> Said:
        return Said(answer)


@dataclass(frozen=True)
class Asked:
    """A question that is timed, with its answer."""

    question: Question
    expected: Expected
    hits: list[Shown]


@dataclass(frozen=True)
class Block:
    """Questions of one kind, those that are not timed first."""

    key: Key
    warm: Sequence[Question]
    timed: Sequence[Asked]


@dataclass
class Times:
    """Milliseconds by peer, then by kind; the questions of a peer are a part of ours."""

    taken: dict[str, dict[Key, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    right: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))

    def all(self, peer: str, *, facets: bool, like: str) -> list[float]:
        """What a peer took for the kinds that `like` can answer too."""
        return [
            ms
            for key, times in self.taken[peer].items()
            if key[1] == facets and self.taken[like].get(key)
            for ms in times
        ]

    def ratio(self, peer: str, *, facets: bool) -> float | None:
        """The peer's median over ours, on the same questions."""
        theirs = self.all(peer, facets=facets, like=peer)
        return percentile(theirs, 0.5) / percentile(self.all(OURS, facets=facets, like=peer), 0.5) if theirs else None

    def share_right(self, peer: str) -> float | None:
        said = self.right[peer]
        return sum(said) / len(said) if said else None


def rounds(questions: Sequence[Question], warm: Sequence[Question], brute: Brute) -> list[list[Block]]:
    """The blocks of each round, one for each kind. `warm` are other questions, of which every block has some."""
    by_key: dict[Key, list[Asked]] = defaultdict(list)
    with progress("expected answers", len(questions)) as bar:
        for number, question in enumerate(questions):
            bar(number, question.kind)
            expected = brute.answer(question)
            if question.page <= len(expected.pages):  # a place with fewer shops than that has no such page
                hits = [brute.shown(question.query, shop_id) for shop_id in expected.pages[question.page - 1]]
                by_key[_key(question)].append(Asked(question, expected, hits))
        bar(len(questions), "worked out")
    others: dict[Key, list[Question]] = defaultdict(list)
    for question in warm:
        others[_key(question)].append(question)
    found = []
    for number in range(ROUNDS):
        blocks = [
            Block(key, others[key][number * WARM : (number + 1) * WARM], asked[number::ROUNDS])
            for key, asked in by_key.items()
        ]
        found.append([block for block in blocks if block.timed])
    return [blocks for blocks in found if blocks]


def _key(question: Question) -> Key:
    return question.kind, question.query.facets


def warm_up(peers: dict[str, Peer], questions: Sequence[Question]) -> None:
    """Everybody answers these once, none of which is timed, so that nobody is asked for the first time in the run."""
    with progress("warming up", len(questions)) as bar:
        for number, question in enumerate(questions):
            bar(number, question.kind)
            for peer in peers.values():
                if peer.can(question):
                    peer.ask(peer.ready(question))
        bar(len(questions), "warm")


def contest(peers: dict[str, Peer], planned: Sequence[Sequence[Block]]) -> Times:
    """Ask every block of everybody; who begins changes with each round and each kind."""
    times = Times()
    names = list(peers)
    gc.collect()
    gc.freeze()  # the collector stays on, but for the hundreds of thousands of objects of the city and the brute force
    with progress("asking everybody", sum(map(len, planned)) * len(names)) as bar:
        done = 0
        for number, blocks in enumerate(planned):
            ready = [{name: _ready(peers[name], block) for name in names} for block in blocks]
            for place, (block, prepared) in enumerate(zip(blocks, ready, strict=True)):
                turn = (number * len(names) // len(planned) + place) % len(names)
                for name in names[turn:] + names[:turn]:
                    kind = block.key[0] + " + facets" * block.key[1]
                    bar(done, f"round {number + 1} of {len(planned)}, {kind}, {name}")
                    _ask(name, peers[name], block, prepared[name], times)
                    done += 1
        bar(done, "asked")
    gc.unfreeze()
    return times


def _ready(peer: Peer, block: Block) -> list[Any]:
    """Made for a whole round at once, because pages before the one that is asked for are turned here."""
    if not peer.can(block.timed[0].question):
        return []
    return [peer.ready(question) for question in (*block.warm, *(asked.question for asked in block.timed))]


def _ask(name: str, peer: Peer, block: Block, ready: list[Any], times: Times) -> None:
    if not ready:
        return
    gc.collect()
    for each in ready[: len(block.warm)]:
        peer.ask(each)
    answers, taken = [], []
    for each in ready[len(block.warm) :]:
        begun = time.perf_counter()
        answer = peer.ask(each)
        taken.append((time.perf_counter() - begun) * 1000)
        answers.append(answer)
    times.taken[name][block.key] += taken
    for answer, asked in zip(answers, block.timed, strict=True):
        right = _is_right(peer.read(answer, asked.question), asked)
        times.right[name].append(right)


def _is_right(said: Said, asked: Asked) -> bool:
    expected = asked.expected
    return (
        said.ids == expected.pages[asked.question.page - 1]
        and (said.facets, said.total) == (expected.facets, expected.total)
        and (said.hits is None or alike(said.hits, asked.hits))
    )


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


_HEADS = {POSTGIS: "PostGIS", NEAREST_WHOLE: "knn whole", NEAREST: "knn ids", BEST: "best ids", REDIS: "Redis ids"}


def tell(times: Times) -> dict[str, dict[str, float]]:
    """A line for each kind; the same as figures: p50 and p95 of everybody, in milliseconds."""
    found: dict[str, dict[str, float]] = {}
    say(
        f"  {'milliseconds':<34}{'ours p50':>9}{'p95':>8}"
        + "".join(f"{name + ' p50':>15}{'p95':>8}{'ratio':>7}" for name in _HEADS.values())
    )
    for key, taken in times.taken[OURS].items():
        own = percentile(taken, 0.5)
        each: dict[str, float] = {"p50_ms": own, "p95_ms": percentile(taken, 0.95)}
        line = f"  {key[0] + ' + facets' * key[1]:<34}{own:>9.3f}{each['p95_ms']:>8.3f}"
        for peer in _HEADS:
            theirs = times.taken[peer].get(key)
            if not theirs:
                line += f"{'–':>15}{'':>15}"
                continue
            each[f"{peer}_p50_ms"] = median = percentile(theirs, 0.5)
            each[f"{peer}_p95_ms"] = percentile(theirs, 0.95)
            line += f"{median:>15.3f}{each[f'{peer}_p95_ms']:>8.3f}{median / own:>7.1f}"
        say(line)
        found[key[0] + "_facets" * key[1]] = each
    return found
