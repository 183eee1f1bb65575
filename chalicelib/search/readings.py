"""How characters are read: pinyin without tones, ü as v, several readings where several are common.

The table holds the characters that a city's names use and no others. It is made from the data of `pypinyin`, which are
read as files: importing the package would load four times as much for a segmentation that nothing here asks for.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

_SYLLABLE = re.compile(r"[a-z]+")


class Readings:
    """The common readings of characters. Grows by `add`; what it has said of a character it always says."""

    def __init__(self, table: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """`table` names the syllables of each character; a character without any reads as nothing."""
        self._table = dict(table or {})

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Readings:
        """The table of all characters that the texts use."""
        made = cls()
        made.add(texts)
        return made

    def of(self, character: str) -> tuple[str, ...]:
        """The syllables of a character, in the order of the alphabet; none when it has none or is not known."""
        return self._table.get(character, ())

    def add(self, texts: Iterable[str]) -> None:
        """Learn the characters of texts, folded or not. Cheap when they are known; the first unknown one of a process
        reads the source, a quarter of a second."""
        used: set[str] = set()
        for text in texts:
            used.update(text if text.isascii() else unicodedata.normalize("NFKC", text))
        unknown = {character for character in used - self._table.keys() if not character.isascii()}
        if unknown:
            source = _source()
            self._table.update((character, source.get(character, ())) for character in sorted(unknown))

    def by_syllable(self) -> dict[str, str]:
        """The characters of each syllable, both in order."""
        found: dict[str, list[str]] = defaultdict(list)
        for character in sorted(self._table):
            for syllable in self._table[character]:
                found[syllable].append(character)
        return {syllable: "".join(found[syllable]) for syllable in sorted(found)}

    def dump(self) -> bytes:
        """The table in a compact form: a line for each syllable, and first one for what has none."""
        silent = "".join(sorted(character for character, syllables in self._table.items() if not syllables))
        return "\n".join([silent, *(key + value for key, value in self.by_syllable().items())]).encode("utf-8")

    @classmethod
    def load(cls, dumped: bytes) -> Readings:
        """The table again. Raises ValueError for bytes that are none."""
        silent, *spoken = dumped.decode("utf-8").split("\n")
        table: dict[str, tuple[str, ...]] = dict.fromkeys(silent, ())
        for line in spoken:
            syllable = _SYLLABLE.match(line)
            if syllable is None:
                raise ValueError("not a table of readings")
            for character in line[syllable.end() :]:
                table[character] = (*table.get(character, ()), syllable.group())
        return cls(table)


@dataclass(frozen=True)
class Spelling:
    """All the ways in which a token is spelled by syllables, as one step from each place: `steps[place]` are the
    whole syllables from there after which it goes on, and `ends[place]` is whether one more, whole or not, ends it."""

    steps: tuple[tuple[str, ...], ...]
    ends: tuple[bool, ...]


class Syllables:
    """What tokens are spelled by."""

    def __init__(self, syllables: Iterable[str]) -> None:
        self._whole = frozenset(syllables)
        self._begun = frozenset(one[:length] for one in self._whole for length in range(1, len(one) + 1))
        self._longest = max(map(len, self._whole), default=0)

    def spelling(self, token: str) -> Spelling:
        """In time linear to the token's length, however many ways there are."""
        steps: list[tuple[str, ...]] = [()] * len(token)
        ends = [token[place:] in self._begun for place in range(len(token))]
        for place in reversed(range(len(token))):
            parts = [token[place:end] for end in range(place + 1, min(place + self._longest + 1, len(token)))]
            steps[place] = tuple(
                part for part in parts if part in self._whole and (ends[place + len(part)] or steps[place + len(part)])
            )
        return Spelling(tuple(steps), tuple(ends))


@lru_cache(maxsize=1)
def _source() -> dict[str, tuple[str, ...]]:
    """The common readings of all characters. Common is the first that the dictionary names, and every other that one
    of its 47,000 phrases uses: so 行 is xing, hang and heng, but 家 is not gu."""
    named = cast("dict[str, str]", _data("pinyin_dict.json"))
    plain: dict[str, str] = {}

    def without_tone(syllable: str) -> str:
        if syllable not in plain:
            plain[syllable] = _without_tone(syllable)
        return plain[syllable]

    common = {chr(int(point)): {without_tone(found.split(",")[0])} for point, found in named.items()}
    for phrase, sounds in cast("dict[str, list[list[str]]]", _data("phrases_dict.json")).items():
        for character, sound in zip(phrase, sounds, strict=False):
            if character in common:
                common[character].add(without_tone(sound[0]))
    return {character: tuple(sorted(filter(_SYLLABLE.fullmatch, syllables))) for character, syllables in common.items()}


def _data(name: str) -> object:
    spec = find_spec("pypinyin")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("pypinyin is not installed", name="pypinyin")
    return json.loads((Path(spec.submodule_search_locations[0]) / name).read_text(encoding="utf-8"))


def _without_tone(syllable: str) -> str:
    letters = unicodedata.normalize("NFD", syllable.replace("ɡ", "g")).replace("u\u0308", "v")
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
