"""Sign-in and one's own account over HTTP."""

from __future__ import annotations

from typing import cast

from chalicelib.identity import codes, service, sessions
from chalicelib.identity.model import (
    Account,
    OtpBudgetSpent,
    OtpInvalid,
    OtpLimit,
    OtpLocked,
    OtpResendTooSoon,
    PhoneAlreadyBound,
    PhoneCountryUnsupported,
    PhoneTaken,
    RefreshInvalid,
    RefreshReused,
)
from chalicelib.identity.schemas import (
    DeviceIn,
    DeviceOut,
    Locale,
    MembershipOut,
    MeOut,
    MePatch,
    OtpIn,
    OtpOut,
    PhoneIn,
    RefreshIn,
    SessionIn,
    SessionOut,
    WechatIn,
)
from chalicelib.providers.ports import ProviderUnavailable, SmsRefused, WechatCodeInvalid
from chalicelib.web.auth import MEMBER, PUBLIC
from chalicelib.web.router import Answer, Call, Router

router = Router("identity")


@router.post(
    "/v1/auth/otp",
    allow=PUBLIC,
    body=OtpIn,
    answers={202: OtpOut},
    errors=(PhoneCountryUnsupported, OtpResendTooSoon, OtpLimit, OtpBudgetSpent, SmsRefused, ProviderUnavailable),
    summary="Send a sign-in code to a phone",
    description="The same answer for known and unknown phones.",
)
def send_otp(call: Call) -> Answer:
    codes.send(call.ctx, call.body.phone)
    rules = codes.rules(call.ctx)
    return Answer(OtpOut(expires_in_seconds=rules.seconds, resend_in_seconds=rules.resend_seconds), 202)


@router.post(
    "/v1/auth/sessions",
    allow=PUBLIC,
    body=SessionIn,
    answers={201: SessionOut},
    errors=(OtpInvalid, OtpLocked),
    summary="Sign in by phone and code, or sign up",
)
def create_session(call: Call) -> Answer:
    return Answer(SessionOut.of(sessions.by_phone(call.ctx, call.body.phone, call.body.code)), 201)


@router.post(
    "/v1/auth/sessions/wechat",
    allow=PUBLIC,
    body=WechatIn,
    answers={201: SessionOut},
    errors=(WechatCodeInvalid, ProviderUnavailable),
    summary="Sign in with WeChat, or sign up",
)
def create_wechat_session(call: Call) -> Answer:
    return Answer(SessionOut.of(sessions.by_wechat(call.ctx, call.body.code)), 201)


@router.post(
    "/v1/auth/sessions/refresh",
    allow=PUBLIC,
    body=RefreshIn,
    answers={201: SessionOut},
    errors=(RefreshInvalid, RefreshReused),
    summary="Exchange a refresh token for a fresh pair",
    description="The token given is used up. Within 30 seconds it may be sent again, should the answer be lost; "
    "after that its use revokes the session.",
)
def refresh_session(call: Call) -> Answer:
    return Answer(SessionOut.of(sessions.refresh(call.ctx, call.body.refresh_token)), 201)


@router.delete("/v1/auth/sessions/current", allow=MEMBER, answers={204: None}, summary="Sign out")
def end_session(call: Call) -> Answer:
    sessions.end(call.account_id, call.ctx.actor.session_id)
    return Answer(status=204)


@router.get("/v1/me", allow=MEMBER, answers={200: MeOut}, summary="My account, with where I work")
def get_me(call: Call) -> Answer:
    return _me(call, service.account(call.account_id))


@router.patch(
    "/v1/me",
    allow=MEMBER,
    body=MePatch,
    answers={200: MeOut},
    if_match=True,
    summary="Change my name, my language, or whether what I see is personal",
)
def change_me(call: Call) -> Answer:
    seen = service.account(call.account_id)
    call.require_version(seen.version)
    body: MePatch = call.body
    changed = service.change_profile(
        seen, display_name=body.display_name, locale=body.locale, personalised=body.personalised
    )
    return _me(call, changed)


@router.post(
    "/v1/me/phone",
    allow=MEMBER,
    body=PhoneIn,
    answers={200: MeOut},
    errors=(OtpInvalid, OtpLocked, PhoneTaken, PhoneAlreadyBound),
    summary="Bind a phone to my account by its code",
)
def bind_phone(call: Call) -> Answer:
    return _me(call, service.bind_phone(call.ctx, call.account_id, call.body.phone, call.body.code))


@router.post(
    "/v1/me/devices",
    allow=MEMBER,
    body=DeviceIn,
    answers={201: DeviceOut},
    summary="Register this device for push messages until I sign out",
)
def register_device(call: Call) -> Answer:
    device = sessions.register_device(call.ctx, call.body.platform, call.body.push_token)
    return Answer(DeviceOut(id=device.id, platform=device.platform, created_at=str(device.created_at)), 201)


def _me(call: Call, account: Account) -> Answer:
    me = MeOut(
        id=account.id,
        phone_masked=service.phone_masked(call.ctx, account),
        display_name=account.display_name,
        created_at=str(account.created_at),
        locale=cast(Locale, account.locale),
        personalised=account.personalised,
        roles=list(account.roles),
        memberships=[MembershipOut.of(found) for found in service.memberships(account.id)],
        version=account.version,
    )
    return Answer(me, version=account.version)
