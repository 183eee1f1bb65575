"""WeChat sign-in on one machine: a few fixed users, and codes that refuse as WeChat's do."""

from __future__ import annotations

import re
import threading

from chalicelib.kernel import ids
from chalicelib.providers.ports import Secrets, WechatCodeInvalid, WechatUser

_CODE = re.compile(r"wx-demo-([1-9])-([A-Za-z0-9]{1,40})", re.ASCII)
_REMEMBERED = 10_000


class LocalUsers:
    """Nine users. The code `wx-demo-<1…9>-<anything>` is one of them, and serves once.

    Users 1 to 8 carry a union id, as WeChat gives it to apps of one company; user 9 has none.
    """

    def __init__(self, secrets: Secrets) -> None:  # noqa: ARG002  # every adapter of this port is given the secrets
        self._lock = threading.Lock()
        self._used: dict[str, None] = {}

    def code_to_user(self, code: str) -> WechatUser:
        """Raises WechatCodeInvalid for a code that is unknown or was used before."""
        match = _CODE.fullmatch(code)
        if match is None:
            raise WechatCodeInvalid
        with self._lock:
            if code in self._used:
                raise WechatCodeInvalid
            self._used[code] = None
            if len(self._used) > _REMEMBERED:
                del self._used[next(iter(self._used))]
        number = match[1]
        union_id = None if number == "9" else f"u{ids.digest('wechat union', number)}"
        return WechatUser(open_id=f"o{ids.digest('wechat open', number)}", union_id=union_id)
