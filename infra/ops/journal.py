"""The journal as a beancount file, for an accountant's own tools: `bean-check`, `bean-query`, Fava.

Beancount counts debits above zero on every account, as the journal does, so amounts keep their signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TextIO

from chalicelib.kernel.money import EXPONENTS
from chalicelib.ledger.model import Entry

_ROOTS = {"A": "Assets", "L": "Liabilities", "R": "Income", "E": "Expenses", "X": "Equity"}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9-]")
_NOT_IN_A_KEY = re.compile(r"[^a-zA-Z0-9_-]")
_NOT_IN_A_LINK = re.compile(r"[^A-Za-z0-9\-_/.]")


def account(name: str) -> str:
    """Beancount's name of an account.

    >>> account("L.merchant_pending:mch_7jjs")
    'Liabilities:Merchant-pending:Mch-7jjs'
    """
    root, _, rest = name.partition(".")
    parts = [_NOT_IN_A_NAME.sub("-", part) for part in rest.split(":")]
    return ":".join([_ROOTS[root], *(part[:1].upper() + part[1:] for part in parts)])


def amount(minor: int, currency: str) -> str:
    """Minor units with the currency's decimals.

    >>> amount(-12805, "CNY")
    '-128.05 CNY'
    """
    exponent = EXPONENTS[currency]
    digits = str(abs(minor)).rjust(exponent + 1, "0")
    whole = f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits
    return f"{'-' if minor < 0 else ''}{whole} {currency}"


def _quoted(text: str) -> str:
    safe = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{safe}"'


def _day(entry: Entry) -> date:
    return datetime.fromtimestamp(entry.at.seconds, UTC).date()


def transaction(entry: Entry) -> str:
    """One entry with everything that it says, under its UTC day."""
    link = _NOT_IN_A_LINK.sub("-", entry.business_id)
    facts: dict[str, int | str] = {
        "id": entry.id,
        "at": str(entry.at),
        "ref": entry.ref,
        "merchant": entry.merchant_id,
        "shop": entry.shop_id,
        **{f"meta-{_NOT_IN_A_KEY.sub('-', name)}": value for name, value in sorted(entry.meta.items())},
        "previous": entry.previous_hash,
        "hash": entry.hash,
    }
    lines = [f"{_day(entry)} * {_quoted(entry.event)} {_quoted(entry.business_id)} ^{link}"]
    lines += [
        f"  {name}: {value if isinstance(value, int) else _quoted(value)}"
        for name, value in facts.items()
        if value != ""
    ]
    lines += [f"  {account(leg.account)}  {amount(leg.amount_minor, entry.currency)}" for leg in entry.legs]
    return "\n".join(lines) + "\n\n"


def write(entries: Iterable[Entry], out: TextIO, title: str = "Linli journal") -> int:
    """Writes entries as they come, then opens every account on the day it was first used (beancount sorts by date, so
    that may stand at the end). Returns how many entries there were."""
    out.write(f"option {_quoted('title')} {_quoted(title)}\n\n")
    opened: dict[str, date] = {}
    count = 0
    for entry in entries:
        out.write(transaction(entry))
        for leg in entry.legs:
            name, day = account(leg.account), _day(entry)
            opened[name] = min(day, opened.get(name, day))
        count += 1
    for name, day in sorted(opened.items()):
        out.write(f"{day} open {name}\n")
    return count
