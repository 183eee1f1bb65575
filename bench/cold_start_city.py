"""The city that `bench.cold_start` asks: seeded in a process of its own, which also quotes and says which requests
to send. Prints one JSON object: `search` and lists of `orders` and `free_orders`, each an API Gateway event."""

from __future__ import annotations

import json
import secrets
import sys
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3

from app import app
from chalicelib.catalog import service as catalog
from chalicelib.catalog.hours import every_day
from chalicelib.catalog.model import Merchant, Offer, Shop, ShopPage, Staff
from chalicelib.identity import service as identity
from chalicelib.kernel import ids
from chalicelib.kernel.geo import Point
from chalicelib.kernel.money import Money
from chalicelib.runtime.context import Context
from chalicelib.runtime.entry import system_context
from chalicelib.web.auth import issue_access_token
from infra.local.resources import create_resources
from infra.ops import demo_city

STYLISTS = 8
SHOPS = 20
TARGET = "/v1/search?lat=31.2304&lng=121.4737&limit=20"


class LambdaContext:
    """What Chalice asks of Lambda's context."""

    aws_request_id = "00000000-0000-0000-0000-000000000000"


def event(method: str, target: str, resource: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """What API Gateway hands to the function."""
    parts = urlsplit(target)
    sent = {"Accept-Language": "zh-CN", "Content-Type": "application/json", **headers}
    return {
        "httpMethod": method,
        "path": parts.path,
        "resource": resource,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "multiValueQueryStringParameters": parse_qs(parts.query) or None,
        "pathParameters": {"offer_id": parts.path.split("/")[3]} if "{offer_id}" in resource else None,
        "stageVariables": None,
        "body": None if body is None else json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {
            "httpMethod": method,
            "resourcePath": resource,
            "path": parts.path,
            "identity": {"sourceIp": "127.0.0.1"},
        },
    }


def ask(asked: dict[str, Any], status: int) -> Any:
    answer = app(asked, LambdaContext())
    if answer["statusCode"] != status:
        raise SystemExit(f"{asked['path']} was answered {answer['statusCode']}: {answer['body']}")
    return json.loads(answer["body"])


def salon(ctx: Context, price_minor: int) -> tuple[Shop, Offer]:
    """One more shop in the city, with an offer at that price."""
    merchant = Merchant(ids.random_id("mch"), {"zh-CN": "剪刀手", "en": "Scissor Hands"}, 1200, state="approved")
    catalog.put_merchant(ctx, merchant)
    shop = Shop(
        id=ids.random_id("shp"),
        merchant_id=merchant.id,
        city=demo_city.CODE,
        name={"zh-CN": "剪刀手", "en": "Scissor Hands"},
        category="hair",
        address={"zh-CN": "南京西路 1 号", "en": "1 West Nanjing Road"},
        position=Point(31.2304, 121.4737),
        zone=demo_city.ZONE,
        hours=every_day((0, 1440)),
        currency=demo_city.CURRENCY,
        created_at=ctx.now,
    )
    cut = Offer(
        id=ids.owned("ofr", shop.id, "cut"),
        shop_id=shop.id,
        merchant_id=merchant.id,
        name={"zh-CN": "剪发", "en": "Haircut"},
        price=Money(price_minor, demo_city.CURRENCY),
        duration_minutes=60,
    )
    people = tuple(
        Staff(ids.owned("stf", shop.id, str(i)), shop.id, {"en": f"Stylist {i + 1}"}, offer_ids=(cut.id,), rank=i)
        for i in range(STYLISTS)
    )
    catalog.put_shop_page(ctx, ShopPage(shop, (cut,), people))
    return shop, cut


def orders(ctx: Context, price_minor: int, count: int) -> list[dict[str, Any]]:
    """As many orders of their own: a quote of a slot, a key, and a token that lives for a quarter of an hour."""
    shop, cut = salon(ctx, price_minor)
    account_id = identity.ensure_account(f"+861380000{price_minor:04d}", "Li Lei", ctx.now, ctx)
    bearer = f"Bearer {issue_access_token(account_id, ids.random_id('ses'), (), ctx.now)}"
    day = ctx.now.local_date(shop.zone) + timedelta(days=2)
    target = f"/v1/offers/{cut.id}/availability?from={day}&to={day + timedelta(days=5)}"
    slots = ask(event("GET", target, "/v1/offers/{offer_id}/availability"), 200)["items"]
    # Hours apart, so that no order touches what another one took.
    starts = list(dict.fromkeys(slot["starts_at"] for slot in slots))[::4][:count]
    if len(starts) < count:
        raise SystemExit(f"the salon has {len(starts)} slots, not {count}")
    made = []
    for start in starts:
        asked = event(
            "POST", "/v1/quotes", "/v1/quotes", {"offer_id": cut.id, "starts_at": start}, Authorization=bearer
        )
        quote = ask(asked, 201)
        key = {"Authorization": bearer, "Idempotency-Key": secrets.token_hex(8)}
        made.append(event("POST", "/v1/orders", "/v1/orders", {"quote_id": quote["id"]}, **key))
    return made


def main() -> None:
    count = int(sys.argv[1])
    create_resources(boto3.client("dynamodb"), boto3.client("sqs"), app)
    ctx = system_context()
    catalog.put_category(ctx, demo_city.CATEGORIES[0])
    catalog.put_city(ctx, demo_city.CITY)
    for number in range(SHOPS):
        salon(ctx, 9900 + number)
    priced, free = orders(ctx, 8800, count), orders(ctx, 0, count)
    json.dump({"search": event("GET", TARGET, "/v1/search"), "orders": priced, "free_orders": free}, sys.stdout)


if __name__ == "__main__":
    main()
