"""Menus of the demo city: beauty, nails, massage."""

from __future__ import annotations

from chalicelib.catalog.bundles import AT_MOST
from chalicelib.catalog.usage import Usage
from infra.ops.demo_city_menus import SPRING_FESTIVAL, TEST, Choice, Dish, Extra, Menu, Part, Role

_BEAUTICIAN = Role(("美容师", "Beautician"))

BEAUTY = Menu(
    category="beauty",
    chair=("号床", "Bed"),
    dishes=(
        Dish(
            "cleanse",
            ("小气泡清洁", "Bubble cleansing facial"),
            (98, 168, 298),
            60,
            ("卸妆、导出、补水面膜。", "Make-up removal, extraction and a hydrating mask."),
            after_minutes=10,
            extras=(Extra("eye", ("加眼部护理", "With eye care"), (48, 88, 128), 15),),
            rules=(TEST,),
            chair=True,
        ),
        Dish(
            "hydrate",
            ("深层补水护理", "Deep hydration facial"),
            (168, 298, 580),
            90,
            ("清洁、精华导入、肩颈放松。", "Cleansing, serum infusion, a short shoulder massage."),
            after_minutes=10,
            lead_minutes=60,
            rules=(TEST,),
            chair=True,
            was=(198, 358, 680),
        ),
        Dish(
            "set",
            ("焕肤套餐", "Fresh skin set"),
            (218, 398, 788),
            120,
            ("清洁打底，再从两项护理里选一项，送一件小东西。", "A cleanse, one of two treatments, and a little extra."),
            after_minutes=10,
            lead_minutes=60,
            rules=(TEST,),
            chair=True,
            bundle=(
                Choice(
                    ("必含", "Always"),
                    (
                        Part(("小气泡清洁", "Bubble cleansing facial"), (98, 168, 298)),
                        Part(("肩颈放松 10 分钟", "Ten minutes for the shoulders"), (20, 40, 60)),
                    ),
                    2,
                ),
                Choice(
                    ("护理二选一", "One of two treatments"),
                    (
                        Part(("深层补水护理", "Deep hydration facial"), (168, 298, 580)),
                        Part(("舒缓修护", "Soothing repair"), (178, 318, 620)),
                    ),
                    1,
                ),
                Choice(
                    ("小心意，最多选一", "A little extra, at most one"),
                    (
                        Part(("补水面膜 2 片", "Two hydrating masks"), (18, 28, 58), 2),
                        Part(("修眉", "Brows plucked"), (38, 68, 128)),
                    ),
                    1,
                    AT_MOST,
                ),
            ),
            usage=Usage(
                valid_days=90,
                blackout=SPRING_FESTIVAL,
                weekly=dict.fromkeys(range(5), ((600, 1080),)),
                per_visit=1,
                stackable=False,
                reservation=True,
            ),
        ),
        Dish(
            "brow",
            ("眉形设计与修眉", "Brow design"),
            (38, 68, 128),
            30,
            ("量脸定眉，线绞或镊修。", "Measured to your face, threaded or plucked."),
        ),
        Dish(
            "lash",
            ("自然款睫毛嫁接", "Natural lash extensions"),
            (128, 198, 328),
            90,
            ("单根嫁接，送睫毛刷。", "One by one, with a brush to take home."),
            category="nails",
            after_minutes=5,
        ),
        Dish(
            "bride",
            ("新娘妆", "Bridal make-up"),
            (0, 980, 1880),
            120,
            ("试妆一次，婚礼当天跟妆另议。", "With one trial; the wedding day itself is arranged apart."),
            lead_minutes=2880,
            on_request=True,
            from_tier=1,
        ),
    ),
    teams={
        2: (Role(("高级美容师", "Senior beautician"), yuan=(10, 30, 60)), _BEAUTICIAN),
        3: (
            Role(("美容总监", "Beauty director"), yuan=(20, 50, 120)),
            _BEAUTICIAN,
            Role(("助理美容师", "Junior beautician"), only=("cleanse", "brow")),
        ),
        4: (
            Role(("美容总监", "Beauty director"), yuan=(20, 50, 120)),
            _BEAUTICIAN,
            Role(("美睫师", "Lash artist"), only=("lash", "brow")),
            Role(("化妆师", "Make-up artist"), only=("bride", "brow")),
        ),
    },
)

_REMOVE = Extra("remove", ("需要卸甲", "Old gel removed"), (20, 30, 40), 15)

NAILS = Menu(
    category="nails",
    chair=("号台", "Table"),
    dishes=(
        Dish(
            "plain",
            ("纯色美甲", "Single-colour gel"),
            (78, 128, 198),
            60,
            ("修型、死皮处理、日式甲油胶。", "Shaping, cuticle care and Japanese gel."),
            extras=(_REMOVE,),
        ),
        Dish(
            "art",
            ("款式美甲", "Nail art"),
            (138, 228, 388),
            90,
            ("法式、猫眼、手绘，图样可自带。", "French, cat's eye, hand-painted; bring a picture if you like."),
            extras=(_REMOVE, Extra("longer", ("加延长甲", "With extensions"), (80, 120, 180), 45)),
        ),
        Dish(
            "hand", ("手部护理", "Hand care"), (68, 98, 158), 45, ("去角质、手膜、按摩。", "Scrub, mask and massage.")
        ),
        Dish(
            "lash",
            ("美睫嫁接", "Lash extensions"),
            (118, 188, 298),
            90,
            ("自然、浓密两款可选。", "Natural or full."),
            after_minutes=5,
        ),
    ),
    teams={
        2: (
            Role(("店长美甲师", "Head nail artist"), yuan=(10, 20, 50)),
            Role(("美甲师", "Nail artist"), only=("plain", "art", "hand")),
        ),
        3: (
            Role(("店长美甲师", "Head nail artist"), yuan=(10, 20, 50)),
            Role(("美甲师", "Nail artist"), only=("plain", "art", "hand")),
            Role(("美睫师", "Lash artist"), only=("lash",)),
        ),
    },
)

_LONGER = Extra("half", ("加钟 30 分钟", "Half an hour more"), (49, 84, 148), 30)

MASSAGE = Menu(
    category="massage",
    chair=("号房", "Room"),
    dishes=(
        Dish(
            "foot",
            ("足疗", "Foot massage"),
            (98, 168, 298),
            60,
            ("草药泡脚、足底按摩、肩颈放松。", "Herbal soak, foot massage and a little for the shoulders."),
            after_minutes=10,
            lead_minutes=20,
            extras=(_LONGER,),
            chair=True,
        ),
        Dish(
            "body",
            ("全身推拿", "Full-body tuina"),
            (138, 228, 398),
            60,
            ("传统中式推拿，可指定力度。", "Traditional Chinese massage, as firm as you like."),
            after_minutes=10,
            lead_minutes=20,
            extras=(_LONGER,),
            chair=True,
        ),
        Dish(
            "neck",
            ("肩颈舒缓", "Neck and shoulders"),
            (78, 128, 218),
            45,
            ("久坐办公族的午休时间。", "A lunch break for people who sit all day."),
            after_minutes=5,
            lead_minutes=20,
            chair=True,
        ),
        Dish(
            "oil",
            ("精油 SPA", "Aromatherapy spa"),
            (0, 368, 688),
            90,
            ("独立房间，可淋浴，四款精油任选。", "A room of your own with a shower, and a choice of four oils."),
            after_minutes=20,
            lead_minutes=60,
            chair=True,
            from_tier=1,
        ),
    ),
    teams={
        3: (
            Role(("资深技师", "Senior therapist"), yuan=(20, 30, 60)),
            Role(("技师", "Therapist")),
            Role(("技师", "Therapist")),
        ),
        4: (
            Role(("资深技师", "Senior therapist"), yuan=(20, 30, 60)),
            Role(("技师", "Therapist")),
            Role(("技师", "Therapist")),
            Role(("足疗技师", "Foot therapist"), only=("foot", "neck")),
        ),
        5: (
            Role(("资深技师", "Senior therapist"), yuan=(20, 30, 60)),
            Role(("技师", "Therapist")),
            Role(("技师", "Therapist")),
            Role(("技师", "Therapist")),
            Role(("足疗技师", "Foot therapist"), only=("foot", "neck")),
        ),
    },
)
