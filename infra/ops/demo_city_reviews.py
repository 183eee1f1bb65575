"""What people say of the shops of the demo city. Invented, marked as imported, and the same at each seeding but for
their days, which are reckoned back from the day of the seeding."""

from __future__ import annotations

from math import isqrt
from typing import Protocol

from chalicelib.catalog.model import ShopPage
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.reviews.importing import Imported
from chalicelib.reviews.model import Scores

_AUTHORS = "林陈王李张刘杨赵黄周吴徐孙马朱胡郭何高罗ALMJSK"
_FIVE, _FOUR, _LESS = 0, 1, 2

# By category: what the pleased say, what those say who miss a little, and the others.
_WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "hair": (
        (
            "先聊了十分钟才动剪刀，剪完自己在家也能打理。",
            "第三次来了，每次都按脸型调整，很稳。",
            "Listened first, cut second. Exactly what I asked for.",
            "洗头手法特别舒服，差点睡着。",
            "发色比预想的还自然，掉色也慢。",
        ),
        ("剪得不错，就是周末要等一会儿。", "Good cut, a little loud on a Saturday.", "整体满意，吹风可以再仔细些。"),
        ("约好的时间还是等了二十分钟。", "比上次短了一截，沟通还可以更细。"),
    ),
    "beauty": (
        (
            "皮肤状态讲得很清楚，不推销。",
            "做完第二天妆特别服帖。",
            "Calm room, gentle hands, no sales talk.",
            "手法轻，中间睡着了。",
        ),
        ("效果可以，房间稍微有点冷。", "Nice treatment, the changing room is small."),
        ("中途被问了两次办卡。",),
    ),
    "nails": (
        ("款式图一比一还原，边缘很干净。", "三周了一点没翘。", "Neat work, and quick.", "老师会提醒卸甲间隔，很专业。"),
        ("做得好看，时间比写的久了一点。", "颜色选择很多，位子有点挤。"),
        ("有一个指甲第二天就起翘了。",),
    ),
    "massage": (
        (
            "力度问得很仔细，肩颈松了一大半。",
            "技师手很稳，穴位找得准。",
            "Slept like a stone afterwards.",
            "泡脚水温一直有人照看。",
        ),
        ("手法不错，隔壁房间说话有点响。", "Good pressure, the room could be warmer."),
        ("提前十分钟就结束了。",),
    ),
    "fitness": (
        (
            "动作纠得很细，第二天酸的位置都对。",
            "教练会看体测数据调整计划。",
            "Patient coach, clear goals.",
            "器械新，人不多。",
        ),
        ("课不错，淋浴间少了点。", "Good session, hard to find the entrance."),
        ("临时换了教练，没有提前说。",),
    ),
    "pet": (
        (
            "狗子紧张，姐姐一直慢慢哄，洗得很香。",
            "造型剪得圆滚滚，太可爱了。",
            "They sent a picture half way through. Sweet.",
            "耳朵和脚底毛都处理得干净。",
        ),
        ("洗得干净，接的时候等了一会儿。", "Lovely groom, parking is difficult."),
        ("烘得不够干，回家又吹了一遍。",),
    ),
    "photo": (
        (
            "会教表情，十分钟就拍到满意的。",
            "修图自然，还是我自己。",
            "Quick, friendly, ready the same day.",
            "妆发清爽，证件照一次过。",
        ),
        ("拍得好，选片的时间有点赶。", "Good light, the studio is small."),
        ("底片只给了一半。",),
    ),
}


class Visited(Protocol):
    """What a line of the demo's shops says of its reviews: `rating` is the mean that they come near, in hundredths, and
    their number grows with the root of `ratings`."""

    @property
    def slug(self) -> str: ...
    @property
    def rating(self) -> int: ...
    @property
    def ratings(self) -> int: ...


def reviews_of(place: Visited, page: ShopPage, now: Instant) -> list[Imported]:
    """Some five to twenty reviews of a shop, all of them before now."""
    words = _WORDS[page.shop.category]
    count = 4 + isqrt(place.ratings) // 3
    made = []
    for number, scores in enumerate(_scores(place, count)):
        mood = _FIVE if scores.total >= 14 else _FOUR if scores.total >= 12 else _LESS
        offer = page.offers[number % len(page.offers)]
        made.append(
            Imported(
                key=str(number),
                author=_pick(_AUTHORS, place.slug, number, "author"),
                scores=scores,
                text=_pick(words[mood], place.slug, number, "text") if number % 4 else "",
                offer_name=offer.name,
                created_at=now.plus(days=-9 * number - _chance(place.slug, number, "day") % 9 - 1),
            )
        )
    return made


def _scores(place: Visited, count: int) -> list[Scores]:
    """Fives, less as many points as the mean asks for; some people take away more of them than others."""
    given = [[5, 5, 5] for _ in range(count)]
    points = [
        (number, dimension, turn)
        for number in range(count)
        for dimension in range(3)
        for turn in range(3 if number % 5 == 2 else 1)
    ]
    points.sort(key=lambda point: _chance(place.slug, *point))
    missing = 15 * count - round(place.rating * 3 * count / 100)
    for number, dimension, _ in points[:missing]:
        given[number][dimension] -= 1
    return [Scores(*each) for each in given]


def _chance(*parts: object) -> int:
    """The same for the same parts."""
    return int.from_bytes(ids.digest(*map(str, parts), length=8).encode(), "big")


def _pick(choices: str | tuple[str, ...], *parts: object) -> str:
    return choices[_chance(*parts) % len(choices)]
