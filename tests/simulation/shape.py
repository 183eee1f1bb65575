"""Which calls of a run are alike, so that a campaign need not break each of them in each way."""

from __future__ import annotations

import re

_READS = {"Query", "GetItem", "BatchGetItem", "Scan", "SQS.GetQueueUrl", "Files.get", "Files.list"}
_NUMBER = re.compile(r"\d+")
_VALUE = re.compile(rb'"(?:S|N|BOOL|ClientRequestToken)":(?:"(?:[^"\\]|\\.)*"|true|false)')
_VALUES = re.compile(rb'"(?:SS|NS)":\[[^\]]*\]')
_ID = re.compile(r"_\w{10,}")


def kind(caller: str, target: str, body: bytes) -> str:
    """Calls of one kind are made by the same function, to the same table or path, with the same attributes and
    expressions. Empty for a call that changes nothing: whoever dies there dies as if after the change before it."""
    if target in _READS:
        return ""
    who = _NUMBER.sub("", caller)
    if target == "Stripe":
        method, url = body.decode().split(" ")[:2]
        return "" if method == "get" else f"{who} {method} {_ID.sub('', url.partition('?')[0])}"
    if target.startswith(("SQS", "SMS", "Files")):
        return f"{who} {target}"
    return f"{who} {target} {_VALUES.sub(b'', _VALUE.sub(b'', body)).decode()}"
