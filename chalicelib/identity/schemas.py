"""What identity takes and answers over HTTP."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from chalicelib.identity.model import Account, Membership
from chalicelib.identity.sessions import SignedIn
from chalicelib.web.schema import Input, Output, PhoneText

_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINER = "\u200d"  # holds emoji together


def _visible(text: str) -> str:
    if any(unicodedata.category(character) in _INVISIBLE and character != _JOINER for character in text):
        raise ValueError("control characters and line breaks are not allowed")
    return text


def between(shortest: int, longest: int) -> StringConstraints:
    """The length of a text without the blanks at its ends."""
    return StringConstraints(strip_whitespace=True, min_length=shortest, max_length=longest)


VISIBLE = AfterValidator(_visible)
Name = Annotated[str, between(1, 40), VISIBLE]
Locale = Literal["zh-CN", "en"]
CodeText = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{6}$"), Field(examples=["204817"], description="Six digits")
]


class OtpIn(Input):
    phone: PhoneText


class OtpOut(Output):
    expires_in_seconds: int = Field(examples=[300])
    resend_in_seconds: int = Field(examples=[60])


class SessionIn(Input):
    phone: PhoneText
    code: CodeText


class WechatIn(Input):
    code: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$"), Field(description="What `wx.login` gave")]


class RefreshIn(Input):
    refresh_token: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9_.\-]{20,300}$"), Field(examples=["cmVmcmVzaC10b2tlbi1leGFtcGxl"])
    ]


class AccountOut(Output):
    id: str
    phone_masked: str | None = Field(examples=["+86 *******0001"])
    display_name: str
    created_at: str

    @classmethod
    def of(cls, account: Account, phone_masked: str | None) -> AccountOut:
        return cls(
            id=account.id,
            phone_masked=phone_masked,
            display_name=account.display_name,
            created_at=str(account.created_at),
        )


class SessionOut(Output):
    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the name of a scheme
    expires_in_seconds: int = Field(examples=[900])
    account: AccountOut

    @classmethod
    def of(cls, signed_in: SignedIn) -> SessionOut:
        return cls(
            access_token=signed_in.access_token,
            refresh_token=signed_in.refresh_token,
            expires_in_seconds=signed_in.expires_in_seconds,
            account=AccountOut.of(signed_in.account, signed_in.phone_masked),
        )


class MembershipOut(Output):
    """`shop_ids` empty means every shop of the merchant."""

    merchant_id: str
    role: str
    shop_ids: list[str]
    permissions: list[str]

    @classmethod
    def of(cls, membership: Membership) -> MembershipOut:
        return cls(
            merchant_id=membership.merchant_id,
            role=membership.role,
            shop_ids=list(membership.shop_ids),
            permissions=sorted(membership.permissions),
        )


class MeOut(AccountOut):
    """`personalised`: what I have booked may change the order of what I am shown."""

    locale: Locale
    personalised: bool
    roles: list[str]
    memberships: list[MembershipOut]
    version: int


class MePatch(Input):
    """Only what is given changes."""

    display_name: Name | None = None
    locale: Locale | None = None
    personalised: bool | None = Field(
        None, description="false: what I have booked is forgotten, and no answer depends on it any more"
    )


class PhoneIn(Input):
    phone: PhoneText
    code: CodeText


class DeviceIn(Input):
    platform: Literal["ios", "android", "mini_program", "web"]
    push_token: Annotated[
        str, StringConstraints(pattern=r"^[!-~]{8,1000}$"), Field(examples=["fcm:d1k9XvQ2Tm6y:APA91bF"])
    ]


class DeviceOut(Output):
    id: str
    platform: str
    created_at: str
