"""Sign-in and one's own account, over HTTP."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.identity import codes, service, sessions
from chalicelib.identity.model import (
    OtpBudgetSpent,
    OtpInvalid,
    OtpLimit,
    PhoneCountryUnsupported,
    RefreshInvalid,
    RefreshReused,
)
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.providers.ports import ProviderUnavailable
from chalicelib.providers.sms.local import Inbox
from chalicelib.runtime.meter import measured
from tests import engine
from tests.builders import identity as people
from tests.client import Client, Reply

# A day of their own for tests that count what all phones share.
QUIET_DAY = Instant.parse("2031-03-05T09:00:00Z")


def wechat(user: int) -> dict[str, str]:
    """The body of a sign-in with a code that nobody used."""
    return {"code": f"wx-demo-{user}-{secrets.token_hex(8)}"}


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def try_code(phone: str, code: str) -> Reply:
    return Client().post("/v1/auth/sessions", {"phone": phone, "code": code})


def test_a_phone_signs_up_with_the_code_from_its_message_and_reads_its_account() -> None:
    """From the code to `GET /v1/me`, as an app does it."""
    phone = people.phone()
    asked = Client().post("/v1/auth/otp", {"phone": phone})
    assert (asked.status, asked.json) == (202, {"expires_in_seconds": 300, "resend_in_seconds": 60})
    reply = try_code(phone, people.last_code(phone))
    assert reply.status == 201
    assert (reply.json["token_type"], reply.json["expires_in_seconds"]) == ("Bearer", 900)
    me = Client(reply.json["access_token"]).get("/v1/me")
    assert me.status == 200
    assert me.json["id"] == reply.json["account"]["id"]
    assert me.json["phone_masked"] == f"+86 *******{phone[-4:]}"
    assert phone not in me.text + reply.text


def test_the_same_phone_signs_in_to_the_same_account() -> None:
    """However it is written, as long as it is the same number."""
    phone = people.phone()
    first = people.sign_in(phone)
    again = people.sign_in(phone, now=QUIET_DAY)
    assert again.account.id == first.account.id
    assert again.refresh_token != first.refresh_token


def test_known_and_unknown_phones_get_the_same_answer_at_the_same_cost() -> None:
    """Neither the body nor the units written tell whether somebody has an account."""
    known, unknown = people.person().phone, people.phone()
    answers = [Client().post("/v1/auth/otp", {"phone": phone}) for phone in (known, unknown)]
    assert [answers[0].status, answers[0].text] == [answers[1].status, answers[1].text]
    costs = []
    for phone in (known, unknown):
        with measured() as used:
            codes.send(people.context(QUIET_DAY, address=phone), phone)
        costs.append((used.write_units, used.read_units, used.calls))
    assert costs[0] == costs[1]


def test_five_wrong_codes_lock_the_code_even_for_the_right_one() -> None:
    """The sixth try is 429 with the seconds to wait, and a fresh code opens again."""
    phone = people.phone()
    Client().post("/v1/auth/otp", {"phone": phone})
    code = people.last_code(phone)
    for _ in range(5):
        reply = try_code(phone, wrong(code))
        assert (reply.status, reply.code) == (401, "otp_invalid")
    locked = try_code(phone, code)
    assert (locked.status, locked.code) == (429, "otp_locked")
    assert 1 <= int(locked.headers["Retry-After"]) <= 60
    assert people.sign_in(phone, now=people.context().now.plus(seconds=61)).account.id


def test_a_right_code_serves_once() -> None:
    """The second use looks like any wrong code."""
    phone = people.phone()
    Client().post("/v1/auth/otp", {"phone": phone})
    code = people.last_code(phone)
    assert try_code(phone, code).status == 201
    assert try_code(phone, code).code == "otp_invalid"


def test_a_code_of_another_phone_or_never_asked_for_is_just_wrong() -> None:
    """Nothing tells a stranger whether a code is under way."""
    asked, other = people.phone(), people.phone()
    Client().post("/v1/auth/otp", {"phone": asked})
    before = engine.digest()
    reply = try_code(other, people.last_code(asked))
    assert (reply.status, reply.code, engine.digest()) == (401, "otp_invalid", before)


def test_a_code_ends_after_five_minutes() -> None:
    """To the millisecond."""
    phone, ctx = people.phone(), people.context()
    codes.send(ctx, phone)
    with pytest.raises(OtpInvalid):
        codes.prove(ctx.at(ctx.now.plus(seconds=300)), phone, people.last_code(phone))
    assert codes.prove(ctx.at(ctx.now.plus(seconds=299)), phone, people.last_code(phone))


def test_only_the_newest_code_counts() -> None:
    """A fresh one voids the one before."""
    phone, ctx = people.phone(), people.context()
    codes.send(ctx, phone)
    old = people.last_code(phone)
    later = ctx.at(ctx.now.plus(seconds=60))
    codes.send(later, phone)
    if old != people.last_code(phone):
        with pytest.raises(OtpInvalid):
            codes.prove(later, phone, old)
    assert codes.prove(later, phone, people.last_code(phone))


def test_a_second_code_within_a_minute_is_429_and_changes_nothing() -> None:
    """With the seconds to wait, in the caller's language."""
    phone = people.phone()
    Client().post("/v1/auth/otp", {"phone": phone})
    before = engine.digest()
    reply = Client(language="zh-CN").post("/v1/auth/otp", {"phone": phone})
    assert (reply.status, reply.code, engine.digest()) == (429, "otp_resend_too_soon", before)
    assert 55 <= int(reply.headers["Retry-After"]) <= 60
    assert reply.headers["Retry-After"] in reply.json["detail"]
    assert len(Inbox().list(phone)) == 1


def test_a_phone_gets_ten_codes_a_day() -> None:
    """The eleventh is refused until the next day in UTC."""
    phone, ctx = people.phone(), people.context(QUIET_DAY)
    for minute in range(10):
        codes.send(ctx.at(QUIET_DAY.plus(minutes=minute)), phone)
    with pytest.raises(OtpLimit) as refused:
        codes.send(ctx.at(QUIET_DAY.plus(minutes=10)), phone)
    assert refused.value.retry_after_seconds == 14 * 3600 + 50 * 60
    codes.send(ctx.at(QUIET_DAY.plus(hours=15)), phone)


def test_an_address_gets_thirty_codes_an_hour() -> None:
    """Whatever phones it names; the next hour is a new window, and other addresses are not touched."""
    ctx = people.context(QUIET_DAY, address=secrets.token_hex(8), otp_per_address_hour=30)
    for _ in range(30):
        codes.send(ctx, people.phone())
    with pytest.raises(OtpLimit) as refused:
        codes.send(ctx, people.phone())
    assert refused.value.retry_after_seconds == 3600
    codes.send(ctx.at(QUIET_DAY.plus(hours=1)), people.phone())
    codes.send(people.context(QUIET_DAY, address=secrets.token_hex(8), otp_per_address_hour=30), people.phone())


def test_a_range_of_numbers_is_limited_as_one() -> None:
    """Who pumps messages dials neighbours."""
    start, ctx = people.phone()[:-4], people.context(QUIET_DAY, otp_per_prefix_hour=3)
    for number in range(3):
        codes.send(ctx, f"{start}{number:04d}")
    with pytest.raises(OtpLimit):
        codes.send(ctx, f"{start}0009")


def test_a_pump_of_messages_stops_at_the_budget() -> None:
    """Many addresses and many ranges at once; a foreign country stops earlier, and nothing is sent beyond."""
    now = Instant.parse("2031-04-01T00:00:00Z")
    sent: dict[str, int] = {"+44": 0, "+86": 0}
    waits: list[int | None] = []
    unsent: list[str] = []
    for i in range(60):
        code = "+44" if i % 2 else "+86"
        phone = f"+44{7_000_000_000 + secrets.randbelow(10**9)}" if i % 2 else people.phone()
        ctx = people.context(now, address=str(i), sms_daily_budget=25, sms_country_budget=7)
        try:
            codes.send(ctx, phone)
            sent[code] += 1
        except OtpBudgetSpent as spent:
            waits.append(spent.retry_after_seconds)
            unsent.append(phone)
    assert sent == {"+44": 7, "+86": 18}
    assert waits == [86_400] * 35
    assert [message for phone in unsent for message in Inbox().list(phone)] == []


def test_codes_are_not_sent_to_countries_that_are_not_listed() -> None:
    """422 with the field, and no message."""
    reply = Client().post("/v1/auth/otp", {"phone": "+33612345678"})
    assert (reply.status, reply.code) == (422, "phone_country_unsupported")
    assert reply.json["errors"][0]["field"] == "phone"
    with pytest.raises(PhoneCountryUnsupported):
        codes.send(people.context(), "+33612345678")


class DeadProvider:
    """An SMS provider that does not answer."""

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        raise ProviderUnavailable


def test_when_the_message_cannot_be_sent_its_code_is_void_and_another_may_be_asked_for_at_once() -> None:
    """503 for the caller; the day's count keeps the try, so a dead provider cannot be hammered for ever."""
    phone, ctx = people.phone(), people.context()
    ports = wiring.Adapters()
    ports.__dict__["sms"] = DeadProvider()
    dead = people.context(ctx.now)
    object.__setattr__(dead, "ports", ports)
    with pytest.raises(ProviderUnavailable):
        codes.send(dead, phone)
    for code in ("000000", "123456"):
        with pytest.raises(OtpInvalid):
            codes.prove(ctx, phone, code)
    codes.send(ctx, phone)
    assert codes.prove(ctx, phone, people.last_code(phone))


@pytest.mark.parametrize(("language", "word"), [("zh-CN", "验证码"), ("en", "sign-in code")])
def test_the_message_speaks_the_callers_language(language: str, word: str) -> None:
    """And so does the name that a new account begins with."""
    phone = people.phone()
    Client(language=language).post("/v1/auth/otp", {"phone": phone})
    assert word in Inbox().list(phone)[0]["text"]


@pytest.mark.parametrize(
    "body",
    [
        {"phone": "13800000001"},
        {"phone": "+86"},
        {"phone": "+8613800000001", "code": "12345"},
        {"phone": "+8613800000001", "code": "１２３４５６"},
        {"phone": "+8613800000001", "code": 123456},
        {"phone": None, "code": "123456"},
        {"phone": "+8613800000001", "code": "123456", "roles": ["operator"]},
        [],
    ],
)
def test_a_malformed_sign_in_is_422_and_changes_nothing(body: Any) -> None:
    """Never a 500, and nothing that was not asked for is taken."""
    before = engine.digest()
    reply = Client().post("/v1/auth/sessions", body)
    assert (reply.status, engine.digest()) == (422, before)


def test_a_refresh_token_is_rotated_and_both_tokens_work() -> None:
    """The fresh access token opens `GET /v1/me`, the fresh refresh token is good for the next round."""
    signed_in = people.sign_in(people.phone())
    token = signed_in.refresh_token
    for _ in range(3):
        reply = Client().post("/v1/auth/sessions/refresh", {"refresh_token": token})
        assert reply.status == 201
        assert reply.json["refresh_token"] != token
        token = reply.json["refresh_token"]
        assert Client(reply.json["access_token"]).get("/v1/me").json["id"] == signed_in.account.id


def test_a_refresh_token_sent_again_within_the_grace_gives_the_same_successor() -> None:
    """A lost answer costs nobody the session."""
    signed_in, ctx = people.sign_in(people.phone()), people.context()
    first = sessions.refresh(ctx, signed_in.refresh_token)
    again = sessions.refresh(ctx.at(ctx.now.plus(seconds=29)), signed_in.refresh_token)
    assert again.refresh_token == first.refresh_token
    assert sessions.refresh(ctx, first.refresh_token).account.id == signed_in.account.id


def test_a_reused_refresh_token_revokes_its_session_and_no_other() -> None:
    """Who holds the newest token is out as well, for one of the two holders is a thief."""
    phone, ctx = people.phone(), people.context()
    stolen, other = people.sign_in(phone), people.sign_in(phone, now=ctx.now.plus(seconds=61))
    newest = sessions.refresh(ctx, stolen.refresh_token)
    with pytest.raises(RefreshReused):
        sessions.refresh(ctx.at(ctx.now.plus(seconds=30)), stolen.refresh_token)
    with pytest.raises(RefreshInvalid):
        sessions.refresh(ctx, newest.refresh_token)
    assert sessions.refresh(ctx, other.refresh_token)


def test_a_made_up_refresh_token_reaches_no_table_and_revokes_nothing() -> None:
    """Knowing the account and the session is not enough to end it."""
    signed_in, ctx = people.sign_in(people.phone()), people.context()
    account, session, secret, seal = signed_in.refresh_token.split(".")
    forged = [
        f"{account}.{session}.{secret[::-1]}.{seal}",
        f"{account}.{session}.{secret}.{seal[::-1]}",
        f"{account}.{session}.{secret}",
        "a" * 30,
        ".".join("abcde" * 4),
    ]
    for token in forged:
        with measured() as used, pytest.raises(RefreshInvalid):
            sessions.refresh(ctx, token)
        assert not used.calls
    assert sessions.refresh(ctx, signed_in.refresh_token)


def test_a_session_that_is_not_refreshed_for_thirty_days_is_over() -> None:
    """Compared with the clock; nothing waits for garbage collection."""
    signed_in, ctx = people.sign_in(people.phone()), people.context()
    with pytest.raises(RefreshInvalid):
        sessions.refresh(ctx.at(ctx.now.plus(days=30, seconds=1)), signed_in.refresh_token)


def test_signing_out_ends_the_session_and_its_devices() -> None:
    """The refresh token is worth nothing after it."""
    signed_in = people.sign_in(people.phone())
    client = Client(signed_in.access_token)
    body = {"platform": "ios", "push_token": secrets.token_hex(16)}
    first, again = client.post("/v1/me/devices", body), client.post("/v1/me/devices", body)
    assert (first.status, again.json) == (201, first.json)
    assert client.delete("/v1/auth/sessions/current").status == 204
    reply = Client().post("/v1/auth/sessions/refresh", {"refresh_token": signed_in.refresh_token})
    assert (reply.status, reply.code) == (401, "refresh_invalid")
    kinds = [row["sk"]["S"][:3] for row in _rows_of(signed_in.account.id)]
    assert "dev" not in kinds
    assert "ses" not in kinds


def test_an_eleventh_device_replaces_the_oldest() -> None:
    """Ten places are enough for anybody."""
    person = people.person()
    made = [
        person.client.post("/v1/me/devices", {"platform": "android", "push_token": f"token-{i:04d}-xyz"}).json["id"]
        for i in range(11)
    ]
    kept = {row["sk"]["S"].removeprefix("dev#") for row in _rows_of(person.account_id) if "dev#" in row["sk"]["S"]}
    assert len(kept) == 10
    assert made[-1] in kept


def test_an_account_keeps_at_most_its_limit_of_sessions() -> None:
    """The oldest goes, so a stolen phone number cannot fill the table."""
    phone = people.phone()
    kept = [
        people.sign_in(phone, now=QUIET_DAY.plus(minutes=minute), sessions_per_account=3).refresh_token
        for minute in range(5)
    ]
    ctx = people.context(QUIET_DAY.plus(minutes=5))
    for token in kept[:2]:
        with pytest.raises(RefreshInvalid):
            sessions.refresh(ctx, token)
    for token in kept[2:]:
        assert sessions.refresh(ctx, token)


def _rows_of(account_id: str) -> list[dict[str, Any]]:
    return [row for row in engine.everything()["linli-identity"] if row["pk"]["S"] == account_id]


def test_a_profile_is_edited_under_the_version_that_was_read() -> None:
    """428 without If-Match, 412 for an older version, and only what is given changes."""
    client = people.person(display_name="Han Meimei").client
    seen = client.get("/v1/me")
    assert client.patch("/v1/me", {"display_name": "Mei"}).status == 428
    changed = client.patch("/v1/me", {"display_name": "  Mei "}, If_Match=seen.headers["ETag"])
    assert (changed.status, changed.json["display_name"], changed.json["locale"]) == (200, "Mei", "en")
    assert client.patch("/v1/me", {"locale": "zh-CN"}, If_Match=seen.headers["ETag"]).status == 412
    again = client.patch("/v1/me", {"locale": "zh-CN"}, If_Match=changed.headers["ETag"])
    assert (again.json["display_name"], again.json["locale"]) == ("Mei", "zh-CN")
    assert client.get("/v1/me", If_None_Match=again.headers["ETag"]).status == 304


def test_a_wechat_user_has_no_phone_until_one_is_bound_by_its_code() -> None:
    """The same user comes back to the same account, and then signs in by phone to it too."""
    signed_in = Client().post("/v1/auth/sessions/wechat", wechat(7))
    assert (signed_in.status, signed_in.json["account"]["phone_masked"]) == (201, None)
    account_id = signed_in.json["account"]["id"]
    assert Client().post("/v1/auth/sessions/wechat", wechat(7)).json["account"]["id"] == account_id
    phone, client = people.phone(), Client(signed_in.json["access_token"])
    Client().post("/v1/auth/otp", {"phone": phone})
    code = people.last_code(phone)
    assert client.post("/v1/me/phone", {"phone": phone, "code": wrong(code)}).code == "otp_invalid"
    bound = client.post("/v1/me/phone", {"phone": phone, "code": code})
    assert (bound.status, bound.json["phone_masked"]) == (200, f"+86 *******{phone[-4:]}")
    assert client.post("/v1/me/phone", {"phone": phone, "code": "000000"}).status == 200
    assert people.sign_in(phone, now=QUIET_DAY).account.id == account_id
    assert client.post("/v1/me/phone", {"phone": people.phone(), "code": "000000"}).code == "phone_already_bound"


def test_a_phone_of_another_account_is_not_bound_and_its_code_still_signs_in_there() -> None:
    """Two accounts are never merged silently."""
    owner = people.person()
    client = Client(Client().post("/v1/auth/sessions/wechat", wechat(8)).json["access_token"])
    Client().post("/v1/auth/otp", {"phone": owner.phone})
    code = people.last_code(owner.phone)
    reply = client.post("/v1/me/phone", {"phone": owner.phone, "code": code})
    assert (reply.status, reply.code) == (409, "phone_taken")
    assert client.get("/v1/me").json["phone_masked"] is None
    assert try_code(owner.phone, code).json["account"]["id"] == owner.account_id


@pytest.mark.parametrize("code", ["wx-demo-0-a", "nonsense", "wx-demo-1-", "wx-demo-1-" + "x" * 41])
def test_a_wechat_code_that_wechat_does_not_know_is_401(code: str) -> None:
    """And so is one that was used."""
    reply = Client().post("/v1/auth/sessions/wechat", {"code": code})
    assert (reply.status, reply.code) == (401, "wechat_code_invalid")


def test_a_used_wechat_code_is_401() -> None:
    """Each code serves once, as at WeChat."""
    body = wechat(9)
    assert Client().post("/v1/auth/sessions/wechat", body).status == 201
    assert Client().post("/v1/auth/sessions/wechat", body).code == "wechat_code_invalid"


def test_memberships_show_in_me_and_move_its_version() -> None:
    """A cached copy must not hide a new role."""
    person, merchant_id = people.person(), ids.random_id("mch")
    before = person.client.get("/v1/me")
    service.grant_membership(person.account_id, merchant_id, "cashier", ("shp_1",))
    after = person.client.get("/v1/me", If_None_Match=before.headers["ETag"])
    assert after.json["memberships"] == [
        {
            "merchant_id": merchant_id,
            "role": "cashier",
            "shop_ids": ["shp_1"],
            "permissions": ["orders.accept", "orders.read", "orders.serve", "redeem"],
        }
    ]
    service.revoke_membership(person.account_id, merchant_id)
    assert person.client.get("/v1/me").json["memberships"] == []
    assert service.memberships(person.account_id) == []


def test_an_unknown_role_or_account_is_never_granted() -> None:
    """A slip in code above is an error, not a member without permissions."""
    from chalicelib.kernel.errors import NotFound

    with pytest.raises(ValueError, match="unknown role"):
        service.grant_membership(people.person().account_id, ids.random_id("mch"), "boss")
    with pytest.raises(NotFound):
        service.grant_membership(ids.random_id("acc"), ids.random_id("mch"), "owner")


def test_an_operator_is_one_from_the_next_token_on() -> None:
    """The role stands in the account and is read anew at each refresh."""
    signed_in = people.sign_in(people.phone())
    service.grant_operator(signed_in.account.id)
    service.grant_operator(signed_in.account.id)
    fresh = sessions.refresh(people.context(), signed_in.refresh_token)
    assert fresh.account.roles == ("operator",)
    assert Client(fresh.access_token).get("/v1/me").json["roles"] == ["operator"]


def test_contact_data_is_given_in_clear_only_to_other_slices() -> None:
    """Notifications need the number; everybody else sees a mask."""
    person, ctx = people.person(), people.context()
    assert service.phone_of(ctx, person.account_id) == person.phone
    assert service.contact_of(ctx, person.account_id) == (person.phone, "en")
    assert service.phone_of(ctx, ids.random_id("acc")) is None


def test_the_same_phone_is_the_same_account_for_a_seed() -> None:
    """Seeding twice makes nobody twice."""
    phone, ctx = people.phone(), people.context()
    first = service.ensure_account(phone, "A", ctx.now, ctx)
    assert service.ensure_account(phone, "B", ctx.now, ctx) == first
    assert service.account(first).display_name == "A"


def test_phones_codes_and_refresh_tokens_stand_in_no_table() -> None:
    """Everything that was planted is searched for in every item of every table."""
    phone, other = people.phone(), people.phone()
    first = people.sign_in(phone)
    code = people.last_code(phone)
    second = sessions.refresh(people.context(), first.refresh_token)
    client = Client(second.access_token)
    street, push = f"Planted Street {secrets.token_hex(6)}", secrets.token_hex(20)
    body = {"contact_name": "Planted Person", "phone": other, "city": "上海", "street": street}
    assert client.post("/v1/me/addresses", body).status == 201
    client.post("/v1/me/devices", {"platform": "ios", "push_token": push})
    stored = str(engine.everything())
    tokens = [part for token in (first.refresh_token, second.refresh_token) for part in token.split(".")[2:]]
    planted = [phone, other, phone[3:], other[3:], street, push, "Planted Person", *tokens]
    assert [text for text in planted if text in stored] == []
    rows = [row for row in engine.everything()["linli-identity"] if row["pk"]["S"].startswith("otp#")]
    assert [row for row in rows if code in (row["h"]["S"] if "h" in row else "")] == []
