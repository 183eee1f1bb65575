"""Menus of the demo city: fitness, pets, photography."""

from __future__ import annotations

from infra.ops.demo_city_menus import Dish, Extra, Menu, Role, Words

FITNESS = Menu(
    category="fitness",
    chair=("号训练区", "Training bay"),
    dishes=(
        Dish(
            "trial",
            ("体态评估体验课", "Posture check and trial"),
            (49, 99, 199),
            45,
            ("体测、动作筛查、训练建议。", "Measurements, movement screening and advice."),
            lead_minutes=60,
        ),
        Dish(
            "personal",
            ("一对一私教", "Personal training"),
            (228, 380, 580),
            60,
            ("增肌、减脂、康复，按目标制定。", "Muscle, weight or recovery, built around your goal."),
            lead_minutes=120,
            chair=True,
        ),
        Dish(
            "pilates",
            ("普拉提私教", "Private Pilates"),
            (268, 420, 680),
            55,
            ("核心床单人课。", "One to one on the reformer."),
            after_minutes=5,
            lead_minutes=120,
        ),
        Dish(
            "stretch",
            ("运动拉伸放松", "Assisted stretching"),
            (128, 198, 298),
            45,
            ("跑后、久坐后都合适。", "After a run, or after a week at a desk."),
        ),
    ),
    teams={
        3: (
            Role(("主教练", "Head coach"), only=("trial", "personal", "stretch"), yuan=(40, 80, 120)),
            Role(("普拉提教练", "Pilates teacher"), only=("trial", "pilates", "stretch")),
            Role(("教练", "Coach"), only=("trial", "personal", "stretch")),
        ),
        2: (
            Role(("主教练", "Head coach"), only=("trial", "personal", "stretch"), yuan=(40, 80, 120)),
            Role(("普拉提教练", "Pilates teacher"), only=("trial", "pilates", "stretch")),
        ),
    },
)

_NERVOUS = Extra("calm", ("怕生或易紧张", "Shy or nervous"), (20, 30, 50), 15)
_VACCINE: Words = ("请携带疫苗本，发情期或患病时请改约", "Bring the vaccination book; rebook when in heat or ill")

PET = Menu(
    category="pet",
    chair=("号美容台", "Grooming table"),
    dishes=(
        Dish(
            "small",
            ("小型犬洗护", "Small dog bath"),
            (88, 128, 188),
            75,
            ("10 公斤以内，含剪甲、洁耳、烘干。", "Up to 10 kg, with nails, ears and drying."),
            after_minutes=15,
            lead_minutes=60,
            extras=(_NERVOUS,),
            rules=(_VACCINE,),
            chair=True,
        ),
        Dish(
            "medium",
            ("中型犬洗护", "Medium dog bath"),
            (128, 188, 268),
            90,
            ("10 至 25 公斤。", "10 to 25 kg."),
            after_minutes=15,
            lead_minutes=60,
            extras=(_NERVOUS,),
            rules=(_VACCINE,),
            chair=True,
        ),
        Dish(
            "cat",
            ("猫咪洗护", "Cat bath"),
            (118, 168, 238),
            90,
            ("独立猫房，低噪烘干。", "A room for cats only, and a quiet dryer."),
            after_minutes=15,
            lead_minutes=60,
            extras=(_NERVOUS,),
            rules=(_VACCINE,),
            chair=True,
        ),
        Dish(
            "groom",
            ("造型修剪", "Full groom"),
            (168, 258, 428),
            120,
            ("泰迪、比熊、雪纳瑞造型，含洗护。", "Poodles, bichons and schnauzers, bath included."),
            after_minutes=15,
            lead_minutes=120,
            extras=(_NERVOUS,),
            rules=(_VACCINE,),
            chair=True,
        ),
    ),
    teams={
        2: (
            Role(("A 级美容师", "Master groomer"), yuan=(20, 30, 60)),
            Role(("洗护师", "Bather"), only=("small", "medium", "cat")),
        ),
        3: (
            Role(("A 级美容师", "Master groomer"), yuan=(20, 30, 60)),
            Role(("美容师", "Groomer")),
            Role(("洗护师", "Bather"), only=("small", "medium", "cat")),
        ),
    },
)

PHOTO = Menu(
    category="photo",
    chair=("号影棚", "Studio"),
    dishes=(
        Dish(
            "id",
            ("精修证件照", "Retouched ID photo"),
            (48, 88, 168),
            30,
            ("含简单妆发、换底色，当天取片。", "Light make-up, any background, ready the same day."),
            chair=True,
            lead_minutes=60,
        ),
        Dish(
            "portrait",
            ("职业形象照", "Business portrait"),
            (198, 328, 628),
            60,
            ("妆发一次，精修三张。", "Hair and make-up, three retouched pictures."),
            chair=True,
            after_minutes=10,
            lead_minutes=180,
        ),
        Dish(
            "couple",
            ("情侣写真", "Couple's session"),
            (398, 698, 1280),
            120,
            ("两套服装，外景可商量。", "Two outfits; outdoors on request."),
            chair=True,
            after_minutes=15,
            lead_minutes=2880,
            on_request=True,
        ),
    ),
    teams={
        2: (
            Role(("摄影师", "Photographer"), yuan=(0, 0, 100)),
            Role(("摄影师", "Photographer"), only=("id", "portrait")),
        ),
    },
)
