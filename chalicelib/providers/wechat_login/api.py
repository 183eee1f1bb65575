"""WeChat's own `jscode2session`: a mini-program's login code becomes the user's open id.

Source: https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/user-login/code2Session.html
"""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit

from chalicelib.providers.ports import ProviderUnavailable, Secrets, WechatCodeInvalid, WechatUser
from chalicelib.runtime import log

BASE_URL = "https://api.weixin.qq.com"
TIMEOUT_SECONDS = 4.0
_MAX_ANSWER_BYTES = 64 * 1024

# 40029 no such code, 40163 used before, 40226 a user whom WeChat itself bars.
_REFUSED = {40029, 40163, 40226}


class WechatApi:
    """Satisfies `ports.WechatLogin`. Secrets `wechat_app_id` and `wechat_app_secret`.

    A code serves once, so a call is never repeated here: after a lost answer the app asks WeChat for a new code.
    """

    def __init__(self, secrets: Secrets, base_url: str = BASE_URL, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Raises ValueError for an address that would send the app's secret in clear to another machine."""
        self._secrets = secrets
        self._timeout_seconds = timeout_seconds
        parts = urlsplit(base_url)
        self._host, self._port, self._encrypted = parts.hostname or "", parts.port, parts.scheme == "https"
        at_home = parts.scheme == "http" and self._host == "127.0.0.1"
        if not self._host or not (self._encrypted or at_home):
            raise ValueError("WeChat's address must be https")

    def code_to_user(self, code: str) -> WechatUser:
        """Raises WechatCodeInvalid when WeChat does not take the code, ProviderUnavailable when it does not answer."""
        answer = self._ask(code)
        error = answer.get("errcode") or 0
        if error in _REFUSED:
            raise WechatCodeInvalid
        open_id = answer.get("openid")
        if error or not isinstance(open_id, str) or not open_id:
            # -1 busy and 45011 too often pass by themselves; any other is a setting of ours, so it is logged.
            log.warning("WeChat did not sign in", errcode=str(error))
            raise ProviderUnavailable(retry_after_seconds=60 if error == 45011 else 2)
        return WechatUser(open_id=open_id, union_id=answer.get("unionid") or None)

    def _ask(self, code: str) -> dict[str, Any]:
        query = urlencode(
            {
                "appid": self._secrets.get("wechat_app_id"),
                "secret": self._secrets.get("wechat_app_secret"),
                "js_code": code,
                "grant_type": "authorization_code",
            }
        )
        # Not urllib: it follows redirects and obeys proxies, and the query carries the app's secret.
        kind = http.client.HTTPSConnection if self._encrypted else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_seconds)
        try:
            connection.request("GET", f"/sns/jscode2session?{query}", headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = response.read(_MAX_ANSWER_BYTES)
            if response.status != 200:
                raise ProviderUnavailable(retry_after_seconds=2)
            answer = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.warning("WeChat did not answer", error=type(error).__name__)
            raise ProviderUnavailable(retry_after_seconds=2) from None
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise ProviderUnavailable(retry_after_seconds=2)
        return answer
