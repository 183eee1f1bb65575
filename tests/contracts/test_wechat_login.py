"""The WeChat adapter against a server that answers as WeChat does, over a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.kernel.errors import Problem
from chalicelib.providers.ports import ProviderUnavailable, WechatCodeInvalid, WechatUser
from chalicelib.providers.wechat_login.api import WechatApi
from chalicelib.providers.wechat_login.local import LocalUsers

# What WeChat answers, always with HTTP 200 and as text/plain; the error texts are its own.
ANSWERS: dict[str, Any] = {
    "good": {"openid": "oABC", "session_key": "c2VjcmV0", "unionid": "uXYZ"},
    "no-union": {"openid": "oABC", "session_key": "c2VjcmV0"},
    "good-with-zero": {"openid": "oABC", "session_key": "c2VjcmV0", "errcode": 0, "errmsg": "ok"},
    "unknown": {"errcode": 40029, "errmsg": "invalid code, rid: 61a2"},
    "used": {"errcode": 40163, "errmsg": "code been used, rid: 61a2"},
    "barred": {"errcode": 40226, "errmsg": "code blocked"},
    "often": {"errcode": 45011, "errmsg": "api minute-quota reach limit"},
    "busy": {"errcode": -1, "errmsg": "system error"},
    "wrong-secret": {"errcode": 40125, "errmsg": "invalid appsecret"},
    "empty": {},
    "list": [],
    "number": {"openid": 7},
}


class Keys:
    """The two secrets of a mini-program."""

    def get(self, name: str) -> str:
        return {"wechat_app_id": "wx123", "wechat_app_secret": "s&c=ret"}[name]


class Handler(BaseHTTPRequestHandler):
    seen: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.seen.append(query)
        code = query["js_code"][0]
        if code == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            return
        if code == "slow":
            time.sleep(0.5)
        if code == "hang-up":
            self.connection.close()
            return
        body = b"<html>502</html>" if code == "html" else json.dumps(ANSWERS[code]).encode()
        self.send_response(502 if code == "html" else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the base class's name
        """Says nothing."""


@pytest.fixture(scope="module")
def wechat() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    seen: list[dict[str, list[str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Seen", (Handler,), {"seen": seen}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def ask(wechat: tuple[str, Any], code: str) -> WechatUser:
    return WechatApi(Keys(), wechat[0], timeout_seconds=0.2).code_to_user(code)


@pytest.mark.parametrize(
    ("code", "user"),
    [
        ("good", WechatUser("oABC", "uXYZ")),
        ("no-union", WechatUser("oABC", None)),
        ("good-with-zero", WechatUser("oABC", None)),
    ],
)
def test_a_good_code_is_its_user_and_the_session_key_stays_behind(
    wechat: tuple[str, Any], code: str, user: WechatUser
) -> None:
    """An answer without errcode and one with errcode 0 are both good."""
    assert ask(wechat, code) == user


def test_the_call_carries_the_apps_id_and_secret_as_wechat_asks(wechat: tuple[str, Any]) -> None:
    """Percent-encoded, with the fixed grant type."""
    ask(wechat, "good")
    assert wechat[1][-1] == {
        "appid": ["wx123"],
        "secret": ["s&c=ret"],
        "js_code": ["good"],
        "grant_type": ["authorization_code"],
    }


@pytest.mark.parametrize(
    ("code", "problem", "retry_after_seconds"),
    [
        ("unknown", WechatCodeInvalid, None),
        ("used", WechatCodeInvalid, None),
        ("barred", WechatCodeInvalid, None),
        ("often", ProviderUnavailable, 60),
        ("busy", ProviderUnavailable, 2),
        ("wrong-secret", ProviderUnavailable, 2),
        ("empty", ProviderUnavailable, 2),
        ("list", ProviderUnavailable, 2),
        ("number", ProviderUnavailable, 2),
        ("html", ProviderUnavailable, 2),
        ("redirect", ProviderUnavailable, 2),
        ("slow", ProviderUnavailable, 2),
        ("hang-up", ProviderUnavailable, 2),
    ],
)
def test_what_wechat_refuses_or_fails_at_becomes_our_word_and_is_asked_once(
    wechat: tuple[str, Any], code: str, problem: type[Problem], retry_after_seconds: int | None
) -> None:
    """A bad code is the caller's trouble, everything else may be tried again; a code serves once, so we never do."""
    before = len(wechat[1])
    with pytest.raises(problem) as raised:
        ask(wechat, code)
    assert raised.value.retry_after_seconds == retry_after_seconds
    assert len(wechat[1]) == before + 1


def test_nobody_listening_is_unavailable(wechat: tuple[str, Any]) -> None:
    """A refused connection, like any silence."""
    with pytest.raises(ProviderUnavailable):
        WechatApi(Keys(), "http://127.0.0.1:1").code_to_user("good")


@pytest.mark.parametrize("address", ["http://api.weixin.qq.com", "ftp://127.0.0.1", "", "https://"])
def test_the_apps_secret_never_travels_in_clear(address: str) -> None:
    """Only https, or this machine itself."""
    with pytest.raises(ValueError, match="https"):
        WechatApi(Keys(), address)


def test_local_users_are_fixed_and_their_codes_serve_once() -> None:
    """The same number is the same user; only the ninth has no union id."""
    users = LocalUsers(Keys())
    first = users.code_to_user("wx-demo-1-a")
    assert users.code_to_user("wx-demo-1-b") == first
    assert users.code_to_user("wx-demo-2-a") != first
    assert users.code_to_user("wx-demo-9-a").union_id is None
    with pytest.raises(WechatCodeInvalid):
        users.code_to_user("wx-demo-1-a")
