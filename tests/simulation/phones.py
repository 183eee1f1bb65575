"""The people's phones: what text messages arrive, over a line that may fail like every other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar

from chalicelib.providers.ports import ProviderUnavailable
from tests.simulation import plan as faults
from tests.simulation.wire import Answer, Lost, Wire


class Phones:
    """Satisfies `ports.SmsSender`. `received` is what has arrived, by dedupe key: number and text; a repeated key is sent
    once."""

    received: ClassVar[dict[str, tuple[str, str]]] = {}

    wire: ClassVar[Callable[[], Wire]]

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        """Raises ProviderUnavailable for a message, or an answer, that was lost."""

        def sent() -> Answer:
            Phones.received.setdefault(dedupe_key, (to, text))
            return Answer(200, b"")

        asked = json.dumps([to, text, template, dedupe_key]).encode()
        try:
            answer = Phones.wire().call("SMS", asked, sent, {faults.BROKEN: lambda: Answer(500, b"")})
        except Lost as lost:
            raise ProviderUnavailable from lost
        if answer.status_code != 200:
            raise ProviderUnavailable
        return dedupe_key
