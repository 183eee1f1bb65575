"""The check of texts that needs nobody else: a list of words, and the shapes of telephone numbers and addresses."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("words.json")
_UNSEEN = re.compile(r"[\u00ad\u200b-\u200f\u2060\ufeff]")
_BETWEEN = re.compile(r"[\s.\-_*·,，。、~|/\\]+")
_DATE = re.compile(r"20\d\d\s?[-./年]\s?\d{1,2}\s?[-./月]\s?\d{1,2}(?!\d)")
# Seven digits and more in a row, whatever stands between them: no price is that long.
_NUMBER = re.compile(r"(?:\d[\s.\-_*·()+]{0,3}){7,}")
_CHINESE_DIGITS = str.maketrans("零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖", "00123456789123456789")
_LINK = re.compile(
    r"https?:|www\.|\b[a-z0-9][a-z0-9\-]{1,60}\s?\.\s?(?:com|cn|net|org|io|top|xyz|shop|vip|cc|me|link)\b", re.ASCII
)
_CONTACT = re.compile(
    r"(?:微信|威信|薇信|v信|wechat|\bvx\b|\bwx\b|qq|telegram|whatsapp)\s?(?:号|id)?\s?[:：]?\s?[a-z0-9_\-]{5,}"
)


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    return tuple(json.loads(_FILE.read_text(encoding="utf-8")))


class WordList:
    """Satisfies `ports.TextCheck`."""

    def faults(self, text: str) -> tuple[str, ...]:
        """As `ports.TextCheck`.

        >>> WordList().faults("剪得很好"), WordList().faults("加微信 abc12345"), WordList().faults("１３８ 0013 8000")
        ((), ('contact',), ('contact',))
        """
        seen = _UNSEEN.sub("", unicodedata.normalize("NFKC", text)).casefold()
        digits = _DATE.sub(" / ", seen)
        found = []
        if _NUMBER.search(digits) or _NUMBER.search(digits.translate(_CHINESE_DIGITS)) or _CONTACT.search(seen):
            found.append("contact")
        if _LINK.search(seen):
            found.append("link")
        packed = _BETWEEN.sub("", seen)
        if any(word in (packed if not word.isascii() else seen) for word in _words()):
            found.append("words")
        return tuple(found)
