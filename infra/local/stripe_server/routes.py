"""Which address does what, with which of the SDK's parameter types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from infra.local.stripe_server import books, intents, refunds, validation
from infra.local.stripe_server.errors import ApiError
from infra.local.stripe_server.scope import Scope

Json = dict[str, Any]
Run = Callable[[Scope, list[str], Json], Json]


@dataclass(frozen=True)
class Route:
    """An address (`{}` stands for an id), its parameter type, and the parameters this server carries out.

    `knows` is None where all of the SDK's parameters are carried out; a parameter outside it is refused, because
    ignoring it would promise something untrue.
    """

    method: str
    path: str
    params: str
    run: Run
    knows: frozenset[str] | None = None


def _list(kind: str, url: str) -> Run:
    return lambda scope, _ids, params: books.listing(scope, kind, url, params)


def _get(kind: str) -> Run:
    return lambda scope, ids, _params: books.fetch(scope, kind, ids[0])


def _intent(act: Callable[[Scope, Json, Json], Json]) -> Run:
    return lambda scope, ids, params: act(scope, intents.find(scope, ids[0]), params)


_PAGED = frozenset({"limit", "starting_after", "ending_before", "expand", "created"})

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/payment_intents", "PaymentIntentCreateParams",
          lambda scope, _ids, params: intents.create(scope, params), intents.CREATE_KNOWS),
    Route("GET", "/v1/payment_intents", "PaymentIntentListParams",
          _list("payment_intent", "/v1/payment_intents"), _PAGED),
    Route("GET", "/v1/payment_intents/search", "PaymentIntentSearchParams",
          lambda scope, _ids, params: books.search(scope, params)),
    Route("GET", "/v1/payment_intents/{}", "PaymentIntentRetrieveParams", _get("payment_intent"),
          frozenset({"expand"})),
    Route("POST", "/v1/payment_intents/{}", "PaymentIntentUpdateParams", _intent(intents.update),
          intents.UPDATE_KNOWS),
    Route("POST", "/v1/payment_intents/{}/confirm", "PaymentIntentConfirmParams", _intent(intents.confirm),
          intents.CONFIRM_KNOWS),
    Route("POST", "/v1/payment_intents/{}/capture", "PaymentIntentCaptureParams", _intent(intents.capture),
          intents.CAPTURE_KNOWS),
    Route("POST", "/v1/payment_intents/{}/cancel", "PaymentIntentCancelParams", _intent(intents.cancel)),
    Route("POST", "/v1/refunds", "RefundCreateParams",
          lambda scope, _ids, params: refunds.create(scope, params), refunds.CREATE_KNOWS),
    Route("GET", "/v1/refunds", "RefundListParams", _list("refund", "/v1/refunds")),
    Route("GET", "/v1/refunds/{}", "RefundRetrieveParams", _get("refund")),
    Route("POST", "/v1/refunds/{}", "RefundUpdateParams",
          lambda scope, ids, params: refunds.update(scope, refunds.find(scope, ids[0]), params),
          refunds.UPDATE_KNOWS),
    Route("GET", "/v1/charges", "ChargeListParams", _list("charge", "/v1/charges"),
          _PAGED | {"payment_intent"}),
    Route("GET", "/v1/charges/{}", "ChargeRetrieveParams", _get("charge")),
    Route("GET", "/v1/balance", "BalanceRetrieveParams", lambda scope, _ids, _params: books.balance(scope)),
    Route("GET", "/v1/balance_transactions", "BalanceTransactionListParams",
          _list("balance_transaction", "/v1/balance_transactions")),
    Route("GET", "/v1/balance_transactions/{}", "BalanceTransactionRetrieveParams", _get("balance_transaction")),
    Route("GET", "/v1/events", "EventListParams", _list("event", "/v1/events")),
    Route("GET", "/v1/events/{}", "EventRetrieveParams", _get("event")),
    Route("POST", "/v1/webhook_endpoints", "WebhookEndpointCreateParams",
          lambda scope, _ids, params: books.create_endpoint(scope, params), books.ENDPOINT_KNOWS),
    Route("GET", "/v1/webhook_endpoints", "WebhookEndpointListParams",
          _list("webhook_endpoint", "/v1/webhook_endpoints")),
    Route("GET", "/v1/webhook_endpoints/{}", "WebhookEndpointRetrieveParams", _get("webhook_endpoint")),
    Route("DELETE", "/v1/webhook_endpoints/{}", "WebhookEndpointDeleteParams",
          lambda scope, ids, _params: books.delete_endpoint(scope, ids[0])),
)  # fmt: skip


def match(method: str, path: str) -> tuple[Route, list[str]]:
    """The route of an address and the ids in it; raises ApiError 404."""
    parts = path.rstrip("/").split("/")
    for route in ROUTES:
        pattern = route.path.split("/")
        if route.method != method or len(pattern) != len(parts):
            continue
        if all(want in {"{}", part} for want, part in zip(pattern, parts, strict=True)):
            return route, [unquote(part) for want, part in zip(pattern, parts, strict=True) if want == "{}"]
    message = f"Unrecognized request URL ({method}: {path[:200]})."
    raise ApiError(404, "invalid_request_error", message, executed=False)


def run(scope: Scope, route: Route, ids: list[str], form: Json) -> Json:
    """Check the parameters and carry the request out; raises ApiError."""
    params = validation.check(route.params, form)
    for name in params:
        if route.knows is not None and name not in route.knows:
            intents.unsupported(name)
    result = route.run(scope, ids, params)
    return books.expand(scope, result, params["expand"]) if params.get("expand") else result
