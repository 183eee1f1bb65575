"""Reading: listings, search, expansion, the balance; and the webhook endpoints."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from infra.local.stripe_server import shapes
from infra.local.stripe_server.errors import no_such, refuse
from infra.local.stripe_server.scope import Scope

Json = dict[str, Any]

MAX_LIMIT = 100
MAX_EXPANSIONS = 20
ENDPOINT_KNOWS = frozenset({"url", "enabled_events", "description", "metadata", "api_version", "expand"})

_KIND_OF_PREFIX = {
    "pi": "payment_intent",
    "ch": "charge",
    "py": "charge",
    "re": "refund",
    "pyr": "refund",
    "txn": "balance_transaction",
    "evt": "event",
}
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_TERM = re.compile(
    r"""^(?:metadata\[(?P<mq>['"])(?P<key>.+?)(?P=mq)\]|(?P<field>\w+))\s*:\s*(?P<q>['"])(?P<value>.*)(?P=q)$"""
)


def fetch(scope: Scope, kind: str, resource_id: str) -> Json:
    """A resource of a path, as it reads now; raises 404."""
    param = {"payment_intent": "intent", "balance_transaction": "id"}.get(kind, kind)
    found = scope.store.get(kind, resource_id) or no_such(kind, resource_id, param=param)
    return scope.present(found)


def listing(scope: Scope, kind: str, url: str, params: Json) -> Json:
    """A page of resources, newest first, by Stripe's filters."""
    where: list[tuple[str, Any]] = list(_created(params.get("created")))
    if "payment_intent" in params:
        where.append(("parent = ?", params["payment_intent"]))
    if "charge" in params:
        where.append(("source = ?", params["charge"]))
    if kind == "balance_transaction":
        where += _line_filters(params)
    if kind == "event":
        where += _event_filters(params)
    after, before = params.get("starting_after"), params.get("ending_before")
    if after is not None and before is not None:
        refuse("You can only use one of starting_after and ending_before.", param="starting_after")
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor is not None and scope.store.get(kind, cursor) is None:
            no_such(kind, cursor, param=name, status=400)
    page = scope.store.page(kind, where, limit=_limit(params), after=after, before=before)
    return shapes.listing(url, [scope.present(one) for one in page.data], page.has_more)


def search(scope: Scope, params: Json) -> Json:
    """Search PaymentIntents by `metadata['k']:'v'`, `status:'x'`, `currency:'x'`, joined by AND."""
    where: list[tuple[str, Any]] = []
    for term in re.split(r"\s+AND\s+", params["query"].strip()):
        match = _TERM.match(term.strip())
        if match is None:
            refuse("We were unable to parse your search query.", param="query")
        value = match["value"].replace("\\'", "'").replace('\\"', '"')
        if match["key"] is not None:
            condition = "id IN (SELECT id FROM metadata WHERE kind = 'payment_intent' AND name = ? AND value = ?)"
            where.append((condition, (match["key"], value)))
        elif match["field"] in {"status", "currency"}:
            where.append((f"json_extract(body, '$.{match['field']}') = ?", value))
        else:
            refuse(f"Field `{match['field']}` is an unsupported search field.", param="query")
    page = scope.store.page("payment_intent", where, limit=_limit(params), after=params.get("page"))
    return {
        "object": "search_result",
        "data": page.data,
        "has_more": page.has_more,
        "next_page": page.data[-1]["id"] if page.has_more else None,
        "url": "/v1/payment_intents/search",
    }


def balance(scope: Scope) -> Json:
    """What the provider owes the platform: the sum of all nets, split by whether they are available yet."""
    return shapes.balance(scope.store.sums(scope.second))


def expand(scope: Scope, body: Json, paths: list[str]) -> Json:
    """Replace ids by the resources they name, along paths like `latest_charge.balance_transaction`."""
    if len(paths) > MAX_EXPANSIONS:
        refuse(f"At most {MAX_EXPANSIONS} paths may be expanded.", param="expand")
    for path in paths:
        parts = path.split(".")
        if len(parts) > 4:
            refuse("You cannot expand more than 4 levels of a property.", param="expand")
        _expand(scope, body, parts, path)
    return body


def create_endpoint(scope: Scope, params: Json) -> Json:
    """Register a webhook endpoint on this machine; the answer alone shows its signing secret."""
    check_loopback(params["url"])
    secret = "whsec_" + scope.new_id("s").removeprefix("s_")
    return add_endpoint(scope, scope.new_id("we"), params, secret) | {"secret": secret}


def add_endpoint(scope: Scope, endpoint_id: str, params: Json, secret: str) -> Json:
    """Store an endpoint with its secret."""
    endpoint = shapes.webhook_endpoint(
        endpoint_id,
        now=scope.second,
        url=params["url"],
        events=params["enabled_events"],
        description=params.get("description") or None,
    )
    endpoint["metadata"] = params.get("metadata") or {}
    scope.store.add(endpoint, local={"secret": secret})
    return endpoint


def delete_endpoint(scope: Scope, endpoint_id: str) -> Json:
    """Forget an endpoint; what was queued for it is not sent any more."""
    fetch(scope, "webhook_endpoint", endpoint_id)
    scope.store.remove(endpoint_id)
    return {"id": endpoint_id, "object": "webhook_endpoint", "deleted": True}


def check_loopback(url: str) -> None:
    """Refuse an address outside this machine: a test provider never calls out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        inside = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        inside = False
    if parts.scheme != "http" or not inside:
        refuse(
            "Invalid URL: the local server only calls http addresses of this machine.", code="url_invalid", param="url"
        )


def _expand(scope: Scope, node: Json, parts: list[str], path: str) -> None:
    head, rest = parts[0], parts[1:]
    if head == "data" and "data" in node and isinstance(node["data"], list) and rest:
        for item in node["data"]:
            _expand(scope, item, rest, path)
        return
    if node.get("object") == "charge" and head == "refunds":
        page = scope.store.page("refund", [("source = ?", node["id"])])
        node["refunds"] = shapes.listing(f"/v1/charges/{node['id']}/refunds", page.data, page.has_more)
    value = node.get(head)
    if isinstance(value, str):
        kind = _KIND_OF_PREFIX.get(value.partition("_")[0])
        found = scope.store.get(kind, value) if kind else None
        if found is None or head == "id":
            refuse(f"This property cannot be expanded ({path}).", param="expand")
        node[head] = value = scope.present(found)
    elif head not in node or not isinstance(value, (dict, type(None))):
        refuse(f"This property cannot be expanded ({path}).", param="expand")
    if rest and isinstance(value, dict):
        _expand(scope, value, rest, path)


def _limit(params: Json) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= MAX_LIMIT:
        refuse(f"Invalid limit: must be between 1 and {MAX_LIMIT}.", code="parameter_invalid_integer", param="limit")
    return limit


def _created(created: Any) -> list[tuple[str, Any]]:
    if created is None:
        return []
    if isinstance(created, int):
        return [("created = ?", created)]
    return [(f"created {_COMPARISONS[name]} ?", value) for name, value in created.items()]


def _line_filters(params: Json) -> list[tuple[str, Any]]:
    where: list[tuple[str, Any]] = []
    if "type" in params:
        where.append(("type = ?", params["type"]))
    if "source" in params:
        where.append(("source = ?", params["source"]))
    if "currency" in params:
        where.append(("json_extract(body, '$.currency') = ?", params["currency"]))
    if "payout" in params:
        no_such("payout", params["payout"], param="payout", status=400)
    return where


def _event_filters(params: Json) -> list[tuple[str, Any]]:
    if "type" in params and "types" in params:
        refuse("You may only specify one of these parameters: type, types.", param="type")
    where: list[tuple[str, Any]] = []
    if "type" in params:
        # `charge.*` means all types that begin with it.
        pattern = params["type"].replace("*", "%") if params["type"].endswith("*") else None
        where.append(("type LIKE ?", pattern) if pattern else ("type = ?", params["type"]))
    if "types" in params:
        marks = ",".join("?" for _ in params["types"])
        where.append((f"type IN ({marks})", params["types"]))
    if "delivery_success" in params:
        undelivered = (
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.event = resources.id AND d.state IN ('pending','lost','dead'))"
        )
        where.append((f"{undelivered} = ?", 0 if params["delivery_success"] else 1))
    return where
