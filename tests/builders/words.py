"""Names and tokens that meet often, and what the contract says of them, written without a line of the product's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from hypothesis import strategies as st

# Characters whose readings overlap, begin alike, split in two ways, or are several; and some without a reading.
SPOKEN: Mapping[str, tuple[str, ...]] = {
    "发": ("fa",),
    "法": ("fa",),
    "理": ("li",),
    "里": ("li",),
    "连": ("lian",),
    "西": ("xi",),
    "安": ("an",),
    "先": ("xian",),
    "行": ("hang", "heng", "xing"),
    "长": ("chang", "zhang"),
    "乐": ("lao", "le", "yue"),
    "女": ("nv",),
    "鹅": ("e",),
    "店": ("dian",),
    "儿": ("er",),
    "国": ("guo",),
    "ж": (),
    "か": (),
    "٣": (),
}
# What has to be folded, and to what; what stands between runs; emoji and marks that are nothing.
FOLDED = {"Ａ": "a", "é": "e", "Ñ": "n", "ß": "ss", "Ж": "ж", "Ⅳ": "iv", "\ufe0f": ""}
BETWEEN = (" ", "·", "（", "）", "-", "_", "\n", "\x00", "💇", "\ufe0f")

_letters = st.sampled_from("lifaxnehgs1")
_parts = st.one_of(
    st.text(st.sampled_from([*SPOKEN]), min_size=1, max_size=4),
    st.text(_letters, min_size=1, max_size=6),
    st.sampled_from([*FOLDED, "lifa", "xian", "LIFA", "fali"]),
    st.sampled_from(BETWEEN),
)
names = st.lists(_parts, min_size=1, max_size=4).map("".join)
shops = st.lists(names, max_size=3)


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """Characters as somebody types them: in full, begun, or by their initials."""
    syllables = [
        draw(st.sampled_from(SPOKEN[one]))
        for one in draw(st.text(st.sampled_from("发理连西安先行长乐女鹅"), max_size=5))
    ]
    if draw(st.booleans()):
        return "".join(syllable[0] for syllable in syllables)
    whole = "".join(syllables)
    return whole[: len(whole) - draw(st.integers(0, 3))]


queries = st.one_of(
    names, spellings(), st.text(_letters, max_size=7), st.lists(st.one_of(names, spellings()), max_size=3).map(" ".join)
)


def folded(text: str) -> str:
    return "".join(FOLDED.get(one, one.lower()) for one in text)


def runs(text: str) -> list[tuple[bool, str]]:
    """Whether it is Latin, and the run."""
    spoken = "".join(SPOKEN)
    return [(found.isascii(), found) for found in re.findall(f"[a-z0-9]+|[{spoken}]+", folded(text))]


def fits(q: str, shop: Sequence[str]) -> bool:
    """Whether a shop of these names is found by a query."""
    asked = runs(q)
    if not asked:
        return not q.split()
    return all(any(_fits(token, run) for name in shop for run in runs(name)) for token in asked)


def _fits(token: tuple[bool, str], run: tuple[bool, str]) -> bool:
    (is_latin, wanted), (in_latin, text) = token, run
    if not is_latin:
        return not in_latin and text.find(wanted) >= 0
    if in_latin:
        return re.match(wanted, text) is not None or (len(wanted) >= 4 and distance(wanted, text) == 1)
    parts = [text[begin:end] for begin in range(len(text)) for end in range(begin + 1, len(text) + 1)]
    return any(_spells(wanted, [SPOKEN[one] for one in part]) for part in parts)


def _spells(wanted: str, readings: Iterable[tuple[str, ...]]) -> bool:
    for chosen in product(*readings):
        if len(chosen) > 1 and wanted == "".join(syllable[0] for syllable in chosen):
            return True
        *whole, last = chosen
        begun = last[0] + "".join(f"(?:{letter}" for letter in last[1:]) + ")?" * len(last[1:])
        if re.fullmatch("".join(whole) + begun, wanted):
            return True
    return False


def distance(a: str, b: str) -> int:
    """How many edits lie between two words, a swap of neighbours being one."""
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a, start=1):
        row = [i]
        for j, y in enumerate(b, start=1):
            row.append(min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                row[j] = min(row[j], rows[i - 2][j - 2] + 1)
        rows.append(row)
    return rows[-1][-1]
