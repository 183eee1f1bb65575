"""Loaded by schemathesis, not by pytest: names things that are there wherever a case names things that are not.

`LINLI_FUZZ_IDS` is a JSON object of path parameters and their values. Cases that are wrong on purpose stay as they are.
"""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

IDS: dict[str, str] = json.loads(os.environ["LINLI_FUZZ_IDS"])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:  # the hook's own signature
    """Puts real ids into the path of a case that is meant to be right."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for name in case.path_parameters or {}:
        if name in IDS:
            case.path_parameters[name] = IDS[name]
