"""WeChat login where it is not offered: every code is refused, so that nobody signs in by it."""

from __future__ import annotations

from chalicelib.providers.ports import Secrets, WechatCodeInvalid, WechatUser


class Off:
    """Satisfies `ports.WechatLogin` in a stage that has no WeChat application of its own."""

    def __init__(self, secrets: Secrets) -> None:
        pass

    def code_to_user(self, code: str) -> WechatUser:  # noqa: ARG002  # the port's signature; no code is good here
        raise WechatCodeInvalid
