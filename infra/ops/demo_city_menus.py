"""What a menu is, and those of the hairdressers. Prices are yuan for the three tiers of shops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from chalicelib.catalog.bundles import EXACTLY
from chalicelib.catalog.usage import Usage

Words = tuple[str, str]
Yuan = tuple[int, int, int]

SPRING_FESTIVAL = tuple(date(2027, 2, day) for day in (6, 7, 8))


@dataclass(frozen=True)
class Extra:
    """An option of an offer."""

    slug: str
    name: Words
    yuan: Yuan
    minutes: int = 0
    group: str = ""


@dataclass(frozen=True)
class Part:
    """An item of a bundle; `yuan` is what its whole quantity costs alone."""

    name: Words
    yuan: Yuan
    quantity: int = 1


@dataclass(frozen=True)
class Choice:
    """A group of a bundle: `choose` of the parts."""

    name: Words
    parts: tuple[Part, ...]
    choose: int
    rule: str = EXACTLY


@dataclass(frozen=True)
class Dish:
    """An offer of a menu. Shops below `from_tier` do not have it. `was` is what it cost until the seeding."""

    slug: str
    name: Words
    yuan: Yuan
    minutes: int
    words: Words
    step_minutes: int = 30
    after_minutes: int = 0
    lead_minutes: int = 30
    extras: tuple[Extra, ...] = ()
    rules: tuple[Words, ...] = ()
    category: str = ""
    chair: bool = False
    on_request: bool = False
    from_tier: int = 0
    was: Yuan | None = None
    bundle: tuple[Choice, ...] = ()
    usage: Usage = field(default_factory=Usage)

    def fits(self, tier: int) -> bool:
        return tier >= self.from_tier


@dataclass(frozen=True)
class Role:
    """A place in a team. `only` names the dishes it can do, empty all; `yuan` is what it costs on top."""

    title: Words
    only: tuple[str, ...] = ()
    yuan: Yuan = (0, 0, 0)

    def can(self, slug: str) -> bool:
        return not self.only or slug in self.only


@dataclass(frozen=True)
class Menu:
    """`teams` by size; `chair` is what a chair is called."""

    category: str
    chair: Words
    dishes: tuple[Dish, ...]
    teams: Mapping[int, tuple[Role, ...]]


_LENGTH = (
    Extra("mid", ("中长发（过肩）", "Shoulder length"), (30, 80, 160), 15, "length"),
    Extra("long", ("长发（过胸）", "Long hair"), (60, 160, 320), 30, "length"),
)
_SCALP = Extra("scalp", ("加头皮清洁", "With scalp cleansing"), (38, 68, 128), 15)
_ON_TIME: Words = ("迟到 15 分钟以上可能需要改约", "If you are over 15 minutes late we may have to rebook")
TEST: Words = ("敏感肤质请提前告知", "Please tell us about allergies in advance")

_DIRECTOR = Role(("技术总监", "Art director"), yuan=(20, 60, 180))
_SENIOR = Role(("首席发型师", "Senior stylist"), yuan=(10, 30, 80))
_STYLIST = Role(("发型师", "Stylist"))
_JUNIOR = Role(("助理发型师", "Junior stylist"), only=("cut", "style", "care", "men"))

HAIR = Menu(
    category="hair",
    chair=("号染烫位", "Colour chair"),
    dishes=(
        Dish(
            "cut",
            ("洗剪吹", "Wash, cut and blow-dry"),
            (58, 128, 288),
            60,
            (
                "含洗发、剪发与吹风造型，剪前沟通发质与脸型。",
                "Wash, cut and styling, after a talk about hair and face shape.",
            ),
            extras=(_SCALP,),
            rules=(_ON_TIME,),
        ),
        Dish(
            "men",
            ("男士精剪", "Men's cut"),
            (48, 98, 198),
            45,
            ("推剪、修鬓角、洗发吹干。", "Clipper and scissor cut, wash and dry."),
            rules=(_ON_TIME,),
        ),
        Dish(
            "style",
            ("洗吹造型", "Wash and style"),
            (38, 78, 168),
            45,
            ("日常或聚会造型，可选大卷、直发。", "Curls or straight, for every day or an evening out."),
        ),
        Dish(
            "colour",
            ("全头染发", "Full colour"),
            (198, 398, 880),
            120,
            ("植物系染膏，含洗护与吹干；漂发另计。", "Gentle colour, with wash and dry; bleaching is extra."),
            after_minutes=10,
            lead_minutes=120,
            extras=(*_LENGTH, _SCALP),
            rules=(TEST, _ON_TIME),
            chair=True,
        ),
        Dish(
            "perm",
            ("烫发", "Perm"),
            (228, 468, 980),
            150,
            ("纹理烫、羊毛卷、法式卷任选，含剪发。", "Textured, woolly or French waves, cut included."),
            after_minutes=10,
            lead_minutes=120,
            extras=_LENGTH,
            rules=(TEST, _ON_TIME),
            chair=True,
        ),
        Dish(
            "care",
            ("深层护理", "Deep treatment"),
            (88, 198, 398),
            45,
            ("针对染烫受损发质，蒸汽导入。", "Steam treatment for coloured and permed hair."),
        ),
        Dish(
            "design",
            ("漂染设计", "Bleach and colour design"),
            (0, 0, 1680),
            240,
            (
                "多段漂色与挑染，需总监面谈后确认档期。",
                "Several bleaches and highlights; the director confirms after a talk.",
            ),
            after_minutes=15,
            lead_minutes=1440,
            rules=(TEST,),
            chair=True,
            on_request=True,
            from_tier=2,
        ),
    ),
    teams={
        2: (_SENIOR, _STYLIST),
        3: (_DIRECTOR, _STYLIST, _JUNIOR),
        4: (_DIRECTOR, _SENIOR, _STYLIST, _JUNIOR),
        5: (_DIRECTOR, _SENIOR, _STYLIST, _STYLIST, _JUNIOR),
    },
)

_BARBER = Role(("理发师", "Barber"))
_MASTER_BARBER = Role(("主理人", "Owner and barber"), yuan=(10, 40, 80))

BARBER = Menu(
    category="hair",
    chair=("号椅", "Chair"),
    dishes=(
        Dish(
            "fade",
            ("渐变油头", "Fade and pompadour"),
            (78, 168, 258),
            50,
            ("手推渐变、造型上油，送热毛巾。", "Hand-blended fade, pomade, hot towel."),
            step_minutes=10,
            chair=True,
            rules=(_ON_TIME,),
        ),
        Dish(
            "cut",
            ("男士剪发", "Haircut"),
            (58, 128, 198),
            40,
            ("剪发、洗头、吹干。", "Cut, wash and dry."),
            step_minutes=20,
            chair=True,
        ),
        Dish(
            "shave",
            ("热毛巾修面", "Hot-towel shave"),
            (48, 98, 158),
            30,
            ("三道热毛巾，直剃刀修面。", "Three hot towels and a straight razor."),
            chair=True,
        ),
        Dish(
            "both",
            ("剪发修面套餐", "Cut and shave"),
            (98, 208, 328),
            70,
            ("从头到下巴，一次理清。", "From crown to chin in one sitting."),
            step_minutes=10,
            chair=True,
        ),
    ),
    teams={
        2: (_MASTER_BARBER, _BARBER),
        3: (_MASTER_BARBER, _BARBER, _BARBER),
        4: (_MASTER_BARBER, _BARBER, _BARBER, _BARBER),
    },
)

OLD_BARBER = Menu(
    category="hair",
    chair=("号椅", "Chair"),
    dishes=(
        Dish(
            "cut",
            ("剪发", "Haircut"),
            (25, 35, 45),
            30,
            ("老师傅手艺，街坊价。", "An old master's hands at a neighbour's price."),
            step_minutes=15,
            lead_minutes=15,
        ),
        Dish(
            "wash",
            ("洗头", "Hair wash"),
            (15, 20, 25),
            20,
            ("坐着洗，肩颈捏两下。", "Washed sitting up, shoulders squeezed."),
            10,
            0,
            15,
        ),
        Dish(
            "shave",
            ("修面掏耳", "Shave and ear care"),
            (30, 40, 50),
            30,
            ("剃刀、热毛巾、采耳。", "Razor, hot towel, ear picking."),
            15,
            0,
            15,
        ),
        Dish(
            "perm",
            ("老式烫发", "Old-school perm"),
            (128, 158, 188),
            120,
            ("阿姨们喜欢的卷。", "The curls that aunties love."),
            lead_minutes=60,
        ),
    ),
    teams={2: (Role(("老师傅", "Master")), Role(("师傅", "Barber")))},
)
