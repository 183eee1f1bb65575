"""Sign-in and one's own account, over HTTP."""

from __future__ import annotations

from tests.builders import identity as people
from tests.client import Client


def test_a_phone_signs_up_with_the_code_from_its_message_and_reads_its_account() -> None:
    """From the code to `GET /v1/me`, as an app does it."""
    phone = people.phone()
    asked = Client().post("/v1/auth/otp", {"phone": phone})
    assert (asked.status, asked.json) == (202, {"expires_in_seconds": 300, "resend_in_seconds": 60})
    reply = Client().post("/v1/auth/sessions", {"phone": phone, "code": people.last_code(phone)})
    assert reply.status == 201
    assert (reply.json["token_type"], reply.json["expires_in_seconds"]) == ("Bearer", 900)
    me = Client(reply.json["access_token"]).get("/v1/me")
    assert me.status == 200
    assert me.json["id"] == reply.json["account"]["id"]
    assert me.json["phone_masked"] == f"+86 *******{phone[-4:]}"
    assert phone not in me.text + reply.text
