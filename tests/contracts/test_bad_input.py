"""Bad input of every kind, at every operation: the problem document of the contract, and every table as before."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import jwt
import pytest

from chalicelib.kernel import ids
from chalicelib.web.auth import ALGORITHM, ISSUER
from chalicelib.web.problems import LANGUAGES, catalogue
from chalicelib.web.router import OPERATIONS, Operation
from tests import engine, server, world
from tests.builders import identity, town
from tests.client import Client, Reply
from tests.conftest import SECRETS

MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "errors"}
WRITES = [operation for operation in OPERATIONS if operation.body is not None]
LISTS = [operation for operation in OPERATIONS if operation.query and "cursor" in operation.query.model_fields]
QUERIES = [operation for operation in OPERATIONS if operation.query is not None]


@contextmanager
def nothing_changes() -> Iterator[None]:
    """Every item of every table is as before, but for the windows of the rate limits."""
    town.town()
    before = engine.digest()
    yield
    assert engine.digest() == before


def check(reply: Reply, status: int, code: str, language: str = "en") -> None:
    """The whole problem document, in the language that was asked for."""
    assert (reply.status, reply.code) == (status, code), reply.text[:500]
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Content-Language"] == language
    assert set(reply.json) >= MEMBERS
    assert reply.json["status"] == status
    assert reply.json["type"].endswith(f"/{code}")
    assert reply.json["title"] == catalogue(language)["problems"][code][0]
    assert reply.json["detail"]
    assert reply.json["request_id"] == reply.headers["X-Request-Id"]
    for error in reply.json["errors"]:
        assert set(error) == {"field", "message"}
        assert isinstance(error["field"], str)
        assert error["message"]
    assert "Traceback" not in reply.text


def caller(operation: Operation, language: str = "en") -> Client:
    """Somebody whom the gate lets pass, with the town's things as their own."""
    place = town.town()
    people = {"merchant": place.visit.salon.owner, "operator": place.operator}
    return Client(people.get(operation.allow.kind, place.customer).client.token, language=language)


def send(operation: Operation, body: bytes | None, language: str = "en", **headers: str) -> Reply:
    """One call with everything as it should be, but for what is given."""
    sent = {"Idempotency-Key": secrets.token_hex(8), "If-Match": "*", **headers}
    return caller(operation, language).request(operation.method, town.town().target(operation), body, sent)


@lru_cache(maxsize=1)
def document() -> Any:
    return Client().get("/v1/openapi.json").json


def example(operation: Operation) -> dict[str, Any]:
    """The document's own example of the body."""
    shown = document()["paths"][operation.path][operation.method.lower()]["requestBody"]
    found: dict[str, Any] = shown["content"]["application/json"]["example"]
    return found


def deep(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


NOT_JSON: dict[str, bytes] = {
    "cut off": b"{",
    "words": b"hello",
    "single quotes": b"{'a': 1}",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "nested 100,000 deep": deep(20_000),
    "two documents": b"{}{}",
    "trailing comma": b'{"a": 1,}',
    "a NUL byte": b'{"a": "\x00"}',
    "a lone surrogate": rb'{"a": "\ud800"}',
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
}
NOT_AN_OBJECT: dict[str, bytes] = {
    "a list": b"[]",
    "a string": b'"x"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_no_json_is_400_everywhere(body: bytes, language: str) -> None:
    with nothing_changes():
        for operation in WRITES:
            check(send(operation, body, language), 400, "malformed", language)


@pytest.mark.parametrize("body", NOT_AN_OBJECT.values(), ids=NOT_AN_OBJECT.keys())
def test_what_is_no_object_is_422_everywhere(body: bytes) -> None:
    with nothing_changes():
        for operation in WRITES:
            check(send(operation, body), 422, "invalid_request")


def test_nesting_that_a_parser_would_take_is_422() -> None:
    with nothing_changes():
        for operation in WRITES:
            check(send(operation, deep(100)), 422, "invalid_request")


def test_a_body_above_256_kb_is_413_everywhere() -> None:
    """By its bytes, whatever is inside; one byte less is looked at."""
    with nothing_changes():
        for operation in WRITES:
            check(send(operation, b'"' + b"x" * (256 * 1024 - 1) + b'"'), 413, "too_large")
            check(send(operation, b'"' + b"x" * (256 * 1024 - 2) + b'"'), 422, "invalid_request")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "ä", ";"])
def test_another_media_type_is_415_everywhere(media_type: str) -> None:
    with nothing_changes():
        for operation in WRITES:
            body = json.dumps(example(operation)).encode()
            check(send(operation, body, Content_Type=media_type), 415, "unsupported_media_type")


def test_an_unknown_field_is_422_everywhere_and_named() -> None:
    with nothing_changes():
        for operation in WRITES:
            reply = send(operation, json.dumps({**example(operation), "surprise": 1}).encode())
            check(reply, 422, "invalid_request")
            assert "surprise" in [error["field"] for error in reply.json["errors"]]


WRONG: tuple[Any, ...] = ([], {}, True, 10**40, -1, 1.5, "", "\u0000", "x" * 5_000, ["\u0000"], {"a": {"b": []}})


@pytest.mark.parametrize("operation", WRITES, ids=lambda operation: operation.name)
def test_each_field_refuses_values_that_are_not_its_own(operation: Operation) -> None:
    """Of all the wrong values in turn, at each field: whatever its type, most are refused, and none is a 500."""
    assert operation.body is not None
    good = example(operation)
    with nothing_changes():
        for name, field in operation.body.model_fields.items():
            refusals = 0
            for wrong in WRONG:
                if _fits(operation, {**good, name: wrong}):
                    continue
                reply = send(operation, json.dumps({**good, name: wrong}).encode())
                check(reply, 422, "invalid_request")
                refusals += 1
            assert refusals >= len(WRONG) - 4, (name, field)


def _fits(operation: Operation, body: dict[str, Any]) -> bool:
    from pydantic import ValidationError

    assert operation.body is not None
    try:
        operation.body.model_validate_json(json.dumps(body))
    except ValidationError:
        return False
    return True


def test_a_query_that_is_not_declared_or_out_of_bounds_is_422_everywhere() -> None:
    with nothing_changes():
        for operation in QUERIES:
            fields = operation.query.model_fields if operation.query else {}
            target = town.town().target(operation)
            joint = "&" if "?" in target else "?"
            for bad in ("surprise=1", "limit=0", "limit=101", "limit=x", "limit=" + "9" * 400, "limit=%00", "a%FF=%FF"):
                if bad.startswith("limit") and "limit" not in fields:
                    continue
                check(caller(operation).get(target + joint + bad), 422, "invalid_request")


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
def test_a_cursor_that_was_made_elsewhere_is_422(operation: Operation) -> None:
    """Made up, cut, in other letters, of another list, with another account's name on it."""
    from chalicelib.web.cursor import seal

    moved = seal("another list", "key") or ""
    target = town.town().target(operation)
    with nothing_changes():
        for cursor in ("x", "AAAA", "%C3%A9", moved, moved[:-2], "A" * 300, "%00", "====", moved + "%0A"):
            check(caller(operation).get(f"{target}?cursor={cursor}"), 422, "cursor_invalid")


IDS = ("x", "%00", "ord_", "ord_" + "0" * 25, "ord_" + "0" * 27, "ORD_" + "0" * 26, "shp_" + "i" * 26, "é" * 26, "..")


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if "{" in o.path], ids=lambda operation: operation.name)
def test_an_id_that_names_nothing_is_404(operation: Operation) -> None:
    """Of a wrong prefix, of no shape at all, of the right shape but nobody's: for each parameter of the path."""
    place = town.town()
    names = [name for name in place.ids if f"{{{name}}}" in operation.path]
    kinds = {name: place.ids[name].partition("_")[0] for name in names}
    good = town.BODIES.get(operation.name, b"{}")
    body = good if operation.body is not None else None
    with nothing_changes():
        for name in names:
            nobodys = ids.random_id(kinds[name])
            others = [value for other, value in place.ids.items() if other != name]
            for bad in (*IDS, *others, *([] if operation.name.endswith("favourite") else [nobodys])):
                sent = {"Idempotency-Key": secrets.token_hex(8), "If-Match": "*"}
                reply = caller(operation).request(operation.method, place.target(operation, **{name: bad}), body, sent)
                assert reply.status == 404, (name, bad, reply.text)
                check(reply, 404, reply.code)


# ---------------------------------------------------------------------------------------------- headers


def test_a_missing_or_malformed_idempotency_key_is_400() -> None:
    with nothing_changes():
        for operation in OPERATIONS:
            if operation.idempotency == "none":
                continue
            target, body = town.town().target(operation), json.dumps(example(operation)).encode()
            headers = {"If-Match": "*"}
            if operation.idempotency == "required":
                reply = caller(operation).request(operation.method, target, body, headers)
                check(reply, 400, "idempotency_key_missing")
            for bad in ("", " ", "a b", "é", "\x00", "k" * 201, "键"):
                reply = caller(operation).request(operation.method, target, body, {**headers, "Idempotency-Key": bad})
                check(reply, 400, "idempotency_key_malformed")


def test_an_edit_needs_the_version_that_was_read() -> None:
    """428 without If-Match, 412 with an older or a made-up one."""
    with nothing_changes():
        for operation in OPERATIONS:
            if not operation.if_match:
                continue
            target = town.town().target(operation)
            check(caller(operation).request(operation.method, target, b"{}"), 428, "if_match_missing")
            for old in ('"0"', "1", "x", '"999999999999999999999"', "é", '"1", "2"', "W/"):
                reply = caller(operation).request(operation.method, target, b"{}", {"If-Match": old})
                check(reply, 412, "stale")


def _token(**changed: Any) -> str:
    now = world.now().seconds
    claims = {"iss": ISSUER, "aud": "test", "sub": town.town().customer.account_id, "ses": "ses_x", "rol": []}
    claims |= {"iat": now, "exp": now + 900}
    key = changed.pop("key", SECRETS["token_key_1"])
    headers = {"kid": "1", **changed.pop("headers", {})}
    algorithm = changed.pop("algorithm", ALGORITHM)
    kept = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers=headers)


def _unsigned(header: Any, claims: Any = None) -> str:
    def part(value: Any) -> str:
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    return f"{part(header)}.{part(claims or {'sub': 'acc_x'})}.{part(b'signature')}"


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "none": lambda: _token(algorithm="none", key=None),
    "another algorithm": lambda: _token(algorithm="HS512"),
    "another key": lambda: _token(key="0" * 64),
    "another kid": lambda: _token(headers={"kid": "2"}),
    "a kid that is a path": lambda: _token(headers={"kid": "../1"}),
    "a kid in other digits": lambda: _token(headers={"kid": "١"}),
    "no kid": lambda: _token(headers={"kid": ""}),
    "another issuer": lambda: _token(iss="someone"),
    "another audience": lambda: _token(aud="prod"),
    "expired": lambda: _token(iat=world.now().seconds - 1000, exp=world.now().seconds - 1),
    "from the future": lambda: _token(iat=world.now().seconds + 3600, exp=world.now().seconds + 7200),
    "no expiry": lambda: _token(exp=None),
    "no subject": lambda: _token(sub=None),
    "no session": lambda: _token(ses=None),
    "a number as subject": lambda: _token(sub=1),
    "words as times": lambda: _token(exp="tomorrow"),
    "times that are lists": lambda: _token(iat=[1], exp=[2]),
    "an account that is not there": lambda: _token(sub=ids.random_id("acc")),
    "a header of lists": lambda: _unsigned([1, 2]),
    "a deep header": lambda: _unsigned(b"[" * 4_000),
    "a kid that is a list": lambda: _unsigned({"alg": "HS256", "kid": ["1"]}),
    "two dots": lambda: "..",
    "no dots": lambda: "abc",
    "empty": lambda: "",
    "not ASCII": lambda: "é.é.é",
    "long": lambda: "a" * 8_000,
}


@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_token_that_does_not_hold_is_401(make: Callable[[], str]) -> None:
    with nothing_changes():
        reply = Client(language="zh-CN").get("/v1/me", Authorization=f"Bearer {make()}")
        check(reply, 401, "unauthorized", "zh-CN")
        assert reply.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "bearer", "Token x", "Bearer  ", "\x00"])
def test_another_scheme_is_401(header: str) -> None:
    check(Client().get("/v1/me", Authorization=header), 401, "unauthorized")


def test_a_changed_claim_does_not_hold() -> None:
    """The same token, with another subject put in."""
    good = town.town().customer.client.token
    assert callable(good)
    header, claims, signature = good().split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**decoded, "rol": ["operator"]}).encode()).decode().rstrip("=")
    where = "/v1/operator/reconciliation/runs"
    check(Client(f"{header}.{forged}.{signature}").get(where), 401, "unauthorized")


# ---------------------------------------------------------------------------------------------- webhooks


def _signed(payload: bytes, *, at: int | None = None, secret: str = SECRETS["stripe_webhook_secret"]) -> str:
    stamp = world.now().seconds if at is None else at
    mac = hmac.new(secret.encode(), str(stamp).encode() + b"." + payload, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={mac}"


PAYLOAD = json.dumps({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {}}).encode()
BAD_WEBHOOKS: dict[str, Callable[[], tuple[bytes, str]]] = {
    "unsigned": lambda: (PAYLOAD, ""),
    "forged": lambda: (PAYLOAD, _signed(PAYLOAD, secret="whsec_other")),  # not one of ours
    "tampered": lambda: (PAYLOAD.replace(b"evt_1", b"evt_2"), _signed(PAYLOAD)),
    "old": lambda: (PAYLOAD, _signed(PAYLOAD, at=world.now().seconds - 301)),
    "from the future": lambda: (PAYLOAD, _signed(PAYLOAD, at=world.now().seconds + 301)),
    "no time": lambda: (PAYLOAD, "v1=00"),
    "time in words": lambda: (PAYLOAD, "t=now,v1=00"),
    "a time of 5,000 digits": lambda: (PAYLOAD, f"t={'9' * 5_000},v1=00"),
    "signature not ASCII": lambda: (PAYLOAD, f"t={world.now().seconds},v1=é"),
    "body not ASCII": lambda: ("{“}".encode(), _signed(b"{}")),
    "body not UTF-8": lambda: (b'{"id": "\xff"}', _signed(b'{"id": "\xff"}')),
    "signed, no JSON": lambda: (b"hello", _signed(b"hello")),
    "signed, no event": lambda: (b"[]", _signed(b"[]")),
    "signed, no type": lambda: (b"{}", _signed(b"{}")),
    "signed, deep": lambda: (b"[" * 100_000, _signed(b"[" * 100_000)),
    "empty": lambda: (b"", _signed(b"")),
    "1 MB": lambda: (b"x" * 2**20, _signed(PAYLOAD)),
}


@pytest.mark.parametrize("make", BAD_WEBHOOKS.values(), ids=BAD_WEBHOOKS.keys())
def test_a_webhook_that_is_not_genuine_is_400(make: Callable[[], tuple[bytes, str]]) -> None:
    payload, signature = make()
    with nothing_changes():
        reply = Client().request("POST", "/webhooks/stripe", payload, {"Stripe-Signature": signature})
        check(reply, 400, "signature_invalid")


def test_a_webhook_above_1_mib_is_413() -> None:
    with nothing_changes():
        payload = b"x" * (2**20 + 1)
        check(
            Client().request("POST", "/webhooks/stripe", payload, {"Stripe-Signature": _signed(payload)}),
            413,
            "too_large",
        )


def test_a_webhook_that_is_replayed_changes_nothing_the_second_time() -> None:
    """The same genuine event, twice: 200 both times, and one effect."""
    from tests.builders import orders as build

    visit = build.booked()
    attempt = visit.open_payment()
    world.payer_does(attempt["attempt_id"], "succeed")
    events = world.due_webhooks()
    for event in events:
        assert world.send(event).status == 200
    world.settle_down()
    assert visit.read()["payment_state"] == "paid"
    before = engine.digest()
    for event in events:
        again = {"Stripe-Signature": _signed(event.payload.encode())}
        reply = Client().request("POST", "/webhooks/stripe", event.payload.encode(), again)
        assert reply.status == 200
    assert engine.digest() == before


# ---------------------------------------------------------------------------------------------- over HTTP


@pytest.fixture(scope="module")
def port() -> int:
    return server.port()


def over_http(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return Reply(answer.status, dict(answer.headers), text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_another_method_is_405_and_names_those_there_are(port: int, language: str) -> None:
    methods: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        methods.setdefault(operation.path, set()).add(operation.method)
    with nothing_changes():
        for path, known in methods.items():
            operation = next(found for found in OPERATIONS if found.path == path)
            target = town.town().target(operation).partition("?")[0]
            for method in {"POST", "PUT", "PATCH", "DELETE", "BREW"} - known:
                reply = over_http(port, method, target, Accept_Language=language)
                check(reply, 405, "method_not_allowed", language)
                if method != "BREW":
                    assert set(reply.headers["Allow"].replace(" ", "").split(",")) >= known, (method, path)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/orders/", "/v1//orders", "/%00", "/v1/orders/a/b/c"])
def test_a_path_that_is_no_operation_is_404(port: int, path: str, language: str) -> None:
    reply = over_http(port, "GET", path, Accept_Language=language)
    assert reply.status in (401, 404)
    check(reply, reply.status, reply.code, language)


def test_over_http_too_a_body_above_256_kb_is_413_before_it_is_read(port: int) -> None:
    with nothing_changes():
        began = time.monotonic()
        reply = over_http(port, "POST", "/v1/quotes", b"x" * 300_000, Content_Type="application/json")
        check(reply, 413, "too_large", "zh-CN")
        assert time.monotonic() - began < 5


# ---------------------------------------------------------------------------------------------- idempotency


def test_a_key_that_comes_with_another_body_is_422() -> None:
    """At every operation that needs a key, once it has been used."""
    from tests.builders import orders as build

    visit = build.booked()
    client = visit.customer.client
    start = build.free_slots(visit.salon)[1]["starts_at"]
    quotes = [build.quote(visit.salon, visit.customer, start)["id"] for _ in range(2)]
    payments = f"/v1/orders/{visit.id}/payments"
    cases = [
        ("/v1/orders", {"quote_id": quotes[0]}, {"quote_id": quotes[0], "note": "window seat"}, 201),
        (payments, {"method": "alipay"}, {"method": "card"}, 201),
        (payments, {"method": "alipay", "client": "ios"}, {"method": "alipay", "client": "web"}, 201),
        (f"/v1/orders/{visit.id}/cancel", {"reason": "ill"}, {"reason": "late"}, 200),
        ("/v1/me/addresses", town.ADDRESS, {**town.ADDRESS, "unit": "301"}, 201),
    ]
    for path, body, other, status in cases:
        key = secrets.token_hex(8)
        first = client.post(path, body, key=key)
        assert first.status == status, first.text
        with nothing_changes():
            check(client.post(path, other, key=key), 422, "idempotency_key_reused")
            again = client.post(path, body, key=key)
            assert (again.status, again.headers["Idempotent-Replayed"]) == (status, "true"), again.text
            first_id, again_id = (reply.json.get("id") or reply.json.get("attempt_id") for reply in (first, again))
            assert first_id == again_id
        assert "Idempotent-Replayed" not in first.headers


def test_the_key_of_one_account_is_nobody_elses() -> None:
    """Two people with the same key make two addresses."""
    one, two = identity.person().client, identity.person().client
    made = [client.post("/v1/me/addresses", town.ADDRESS, key="same") for client in (one, two)]
    assert [reply.status for reply in made] == [201, 201]
    assert made[0].json["id"] != made[1].json["id"]
