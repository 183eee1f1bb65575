"""Who may do what: every operation × every role × own and foreign things. An operation without a row here fails.

`ROWS` says it a second time, apart from the declarations: a route that allows more or less than its row is found.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import pytest

from chalicelib.kernel import ids
from chalicelib.web import auth
from chalicelib.web.router import OPERATIONS, Operation, Router
from tests import engine
from tests.builders import identity, town
from tests.builders.identity import Person
from tests.client import Client, Reply

STAFF = ("owner", "manager", "cashier", "worker", "accountant")
SERVING = ("owner", "manager", "cashier", "worker")
COUNTER = ("owner", "manager", "cashier")
MANAGING = ("owner", "manager")
MONEY = ("owner", "manager", "accountant")
SIGNED_IN = ("customer", "stranger", *STAFF, "elsewhere", "next_door", "operator")
EVERYBODY = ("anonymous", *SIGNED_IN)


@dataclass(frozen=True)
class Row:
    """`roles` pass the gate. `whose` is who may see the thing that the path names: customer, merchant or all."""

    roles: tuple[str, ...]
    whose: str = "all"


PUBLIC = Row(EVERYBODY)
SELF = Row(SIGNED_IN)
OWN = Row(SIGNED_IN, "customer")
OPERATORS = Row(("operator",))


def shop(*roles: str) -> Row:
    """These roles, at home or elsewhere: who works for another merchant or shop passes the gate, and finds nothing."""
    return Row((*roles, "elsewhere", "next_door"), "merchant")


ROWS: dict[str, Row] = {
    **dict.fromkeys(("health", "api_document", "api_page", "stripe_webhook"), PUBLIC),
    **dict.fromkeys(("send_otp", "create_session", "create_wechat_session", "refresh_session"), PUBLIC),
    **dict.fromkeys(("list_cities", "list_categories", "search"), PUBLIC),
    **dict.fromkeys(("get_shop", "list_offers", "get_offer", "offer_availability"), PUBLIC),
    **dict.fromkeys(("end_session", "get_me", "change_me", "bind_phone", "register_device"), SELF),
    **dict.fromkeys(("list_addresses", "create_address"), SELF),
    **dict.fromkeys(("get_address", "change_address", "delete_address"), OWN),
    **dict.fromkeys(("list_favourites", "add_favourite", "remove_favourite", "ask_upload"), SELF),
    **dict.fromkeys(("make_quote", "place_order", "list_orders", "count_orders"), SELF),
    **dict.fromkeys(("get_order", "prove_order", "list_payment_methods", "open_payment", "get_payment"), OWN),
    **dict.fromkeys(("quote_cancel", "cancel_order"), OWN),
    **dict.fromkeys(("list_merchant_orders", "get_merchant_order"), shop(*SERVING)),
    **dict.fromkeys(("accept_order", "decline_order"), shop(*COUNTER)),
    **dict.fromkeys(("check_in", "start_service", "finish_service", "report_no_show"), shop(*SERVING)),
    "cancel_merchant_order": shop(*MANAGING),
    **dict.fromkeys(("get_balance", "list_statements", "get_statement"), shop(*MONEY)),
    **dict.fromkeys(("get_review", "list_shop_reviews"), PUBLIC),
    **dict.fromkeys(("write_review", "list_order_reviews", "change_review"), OWN),
    **dict.fromkeys(("list_merchant_reviews", "reply_to_review"), shop(*MANAGING)),
    **dict.fromkeys(("list_moderated_reviews", "publish_review", "hide_review", "reject_review"), OPERATORS),
    **dict.fromkeys(("list_reconciliation_runs", "list_reconciliation_differences"), OPERATORS),
}


@lru_cache(maxsize=1)
def cast() -> dict[str, Client]:
    """One caller for each role."""
    place = town.town()
    merchant, here = place.visit.salon.merchant.id, place.visit.salon.shop.id
    people: dict[str, Person] = {
        "customer": place.customer,
        "stranger": identity.person(),
        **{role: identity.staff(merchant, role=role, shop_ids=(here,)) for role in STAFF},
        "elsewhere": identity.staff(),
        "next_door": identity.staff(merchant, role="manager", shop_ids=(ids.random_id("shp"),)),
        "operator": place.operator,
    }
    return {"anonymous": Client(), **{role: person.client for role, person in people.items()}}


def foreign(row: Row, role: str) -> bool:
    """Whether the town's things are somebody else's to this role."""
    if row.whose == "customer":
        return role != "customer"
    return row.whose == "merchant" and role in ("elsewhere", "next_door")


def ask(operation: Operation, role: str, body: bytes = b"{}") -> Reply:
    headers = {"Idempotency-Key": secrets.token_hex(8), "If-Match": "*"}
    target = town.town().target(operation)
    return cast()[role].request(operation.method, target, None if operation.body is None else body, headers)


def each_operation() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def refused(operation: Operation) -> Iterator[tuple[str, int]]:
    """The roles that the gate stops, and what they are told."""
    for role in EVERYBODY:
        if role not in ROWS[operation.name].roles:
            yield role, 401 if role == "anonymous" else 403


def test_each_operation_has_a_row_and_each_row_an_operation() -> None:
    assert sorted(ROWS) == sorted(operation.name for operation in OPERATIONS)


def test_a_route_without_a_rule_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="declares no permission"):
        Router("nothing").get("/v1/nothing", answers={200: None}, summary="")


@each_operation()
def test_the_gate_stops_who_may_not(operation: Operation) -> None:
    """401 for nobody, 403 for the wrong somebody, before anything else is looked at."""
    for role, status in refused(operation):
        reply = ask(operation, role)
        assert (reply.status, reply.code) == (status, "unauthorized" if status == 401 else "forbidden"), role
        assert ("WWW-Authenticate" in reply.headers) == (status == 401)


@each_operation()
def test_the_gate_lets_pass_who_may(operation: Operation) -> None:
    """A read is answered; a write gets as far as its body, which is no JSON here, so that nothing happens."""
    row = ROWS[operation.name]
    for role in row.roles:
        if foreign(row, role) or operation.name in ("stripe_webhook", "delete_address"):
            continue
        reply = ask(operation, role, b"{")
        if operation.body is not None:
            assert (reply.status, reply.code) == (400, "malformed"), role
        else:
            assert 200 <= reply.status < 300, (role, reply.text)


@each_operation()
def test_somebody_elses_thing_is_not_there(operation: Operation) -> None:
    """404 with a body that would do; a list shows nothing of it."""
    row = ROWS[operation.name]
    named = "{" in operation.path
    for role in row.roles:
        if not foreign(row, role):
            continue
        reply = ask(operation, role, town.BODIES.get(operation.name, b"{}"))
        if named:
            assert (reply.status, reply.code) == (404, "not_found"), (role, reply.text)
        else:
            assert reply.status == 200, (role, reply.text)
            assert town.town().visit.id not in reply.text
            assert town.town().ids["statement_id"] not in reply.text
            assert town.town().ids["review_id"] not in reply.text


def test_what_is_refused_changes_nothing() -> None:
    """All that the gate stops, and all that is somebody else's, once more: every table is as before."""
    cast()
    before = engine.digest()
    for operation in OPERATIONS:
        row = ROWS[operation.name]
        for role, _ in refused(operation):
            ask(operation, role)
        for role in row.roles:
            if foreign(row, role) and "{" in operation.path:
                ask(operation, role, town.BODIES.get(operation.name, b"{}"))
    assert engine.digest() == before


def test_an_attempt_is_only_found_under_its_own_order() -> None:
    """A stranger's order does not open the door to the customer's attempt."""
    from tests.builders import orders as build

    other = build.booked()
    attempt = town.town().ids["attempt_id"]
    assert other.customer.client.get(f"/v1/orders/{other.id}/payments/{attempt}").status == 404


def test_the_merchant_header_chooses_and_never_grants() -> None:
    """Two memberships need it, a wrong one is refused, and it opens no merchant one does not work for."""
    place = town.town()
    merchant = place.visit.salon.merchant.id
    twice = identity.staff(merchant)
    identity.service.grant_membership(twice.account_id, ids.random_id("mch"), "owner", ())
    where = f"/v1/merchant/orders/{place.visit.id}"
    assert (twice.client.get(where).status, twice.client.get(where).code) == (400, "merchant_ambiguous")
    assert twice.client.get(where, Linli_Merchant=merchant).status == 200
    assert cast()["elsewhere"].get(where, Linli_Merchant=merchant).status == 403
    assert cast()["owner"].get(where, Linli_Merchant=ids.random_id("mch")).status == 403


def test_a_membership_that_is_revoked_is_gone_with_the_next_request() -> None:
    place = town.town()
    gone = identity.staff(place.visit.salon.merchant.id)
    assert gone.client.get("/v1/merchant/orders").status == 200
    identity.service.revoke_membership(gone.account_id, place.visit.salon.merchant.id)
    assert gone.client.get("/v1/merchant/orders").status == 403


def test_every_permission_of_a_route_belongs_to_some_role() -> None:
    """A permission that nobody has would lock everybody out without a word."""
    from chalicelib.identity.model import ROLES

    granted = frozenset().union(*ROLES.values())
    asked = {operation.allow.permission for operation in OPERATIONS if operation.allow.kind == auth.staff("x").kind}
    assert asked <= granted
