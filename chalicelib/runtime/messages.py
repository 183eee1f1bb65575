"""Words for people: the message catalogues of `locales/`, one JSON file a slice and language."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

_LOCALES = Path(__file__).parent.parent / "locales"
LANGUAGES = ("zh-CN", "en")


@lru_cache(maxsize=4)
def catalogue(locale: str) -> dict[str, Any]:
    """The messages of one language, all slices' files together: sections `problems`, `sms`, …"""
    merged: dict[str, Any] = {}
    for path in sorted((_LOCALES / locale).glob("*.json")):
        for section, messages in json.loads(path.read_text(encoding="utf-8")).items():
            merged.setdefault(section, {}).update(messages)
    return merged


def text(locale: str, section: str, key: str, **values: str) -> str:
    """One message with its `{placeholders}` filled in. Raises KeyError when the catalogue has no such message.

    Values are inserted once and never read as templates themselves, so a shop may be called `{price}`.
    """
    message: str = catalogue(locale if locale in LANGUAGES else LANGUAGES[0])[section][key]
    parts = message.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        filled += [values[name], rest]
    return "".join(filled)
