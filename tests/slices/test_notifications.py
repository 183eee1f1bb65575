"""Messages about orders, from the queue to the inbox."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.identity import service as identity
from chalicelib.kernel import ids
from chalicelib.kernel.instant import Instant
from chalicelib.notifications import handlers, service
from chalicelib.providers.ports import ProviderUnavailable, SmsRefused
from chalicelib.providers.sms.local import Inbox
from chalicelib.runtime.meter import measured
from chalicelib.runtime.outbox import News
from tests import engine, world
from tests.builders import identity as people
from tests.builders import orders as build
from tests.builders.identity import Person
from tests.builders.orders import Visit


def paid(**changed: Any) -> Visit:
    """A booked and paid order whose news still stands in the queue."""
    visit = build.booked(**changed)
    world.payer_does(visit.open_payment()["attempt_id"], "succeed")
    world.deliver_webhooks()
    visit.read()
    return visit


def news(visit: Visit, event: str = "order.confirmed", version: int = 99) -> News:
    return News.of(event, visit.id, version, world.now(), order_id=visit.id, account_id=visit.customer.account_id)


def standing_news(visit: Visit) -> News:
    """The confirmation as it stands in the outbox."""
    for row in engine.everything()["linli-outbox"]:
        ms, _, news_id = row["sk"]["S"].partition("#")
        if f":{visit.id}:" in news_id:
            stored = json.loads(row["d"]["S"])
            return News(news_id, stored["event"], Instant(int(ms)), stored["data"])
    raise AssertionError("no news of this order")


def sqs_event(item: News, message_id: str) -> dict[str, Any]:
    """What Lambda hands to the function for one message."""
    record = {"messageId": message_id, "receiptHandle": "r", "body": item.body(), "attributes": {}}
    return {"Records": [record | {"messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1"}]}


def handle(item: News, message_id: str) -> list[dict[str, str]]:
    """Which messages failed."""
    answer: dict[str, list[dict[str, str]]] = handlers.notify(sqs_event(item, message_id), None)
    return answer["batchItemFailures"]


def inbox(visit: Visit) -> list[tuple[str, str]]:
    """(template, text), oldest first."""
    return [(found["template"], found["text"]) for found in reversed(Inbox().list(visit.customer.phone))]


def receipts(visit: Visit) -> list[dict[str, Any]]:
    rows = engine.everything()["linli-notifications"]
    return [row for row in rows if row["pk"]["S"] == visit.customer.account_id]


def test_a_paid_booking_is_confirmed_by_one_message_with_the_shops_time() -> None:
    """Through the real queue, in the language of the account."""
    visit = paid(customer=people.person(language="zh-CN"))
    world.run_queues()
    ((template, text),) = inbox(visit)
    assert template == "order.confirmed"
    assert "剪刀手" in text
    assert "剪发" in text
    assert "¥128.00" in text
    starts_at = visit.order["booking"]["starts_at"]
    assert service.when_text(service.Instant.parse(starts_at), "Asia/Shanghai", "zh-CN") in text


def test_a_cancelled_order_is_told_and_its_stale_confirmation_is_not() -> None:
    """The confirmation was still in the queue when the customer cancelled."""
    visit = paid()
    visit.cancel()
    world.settle_down()
    templates = [template for template, _ in inbox(visit)]
    assert templates == ["order.cancelled.refund", "order.refunded"]
    assert "128.00 CNY" in inbox(visit)[0][1]


def test_the_same_news_in_another_message_is_not_sent_again() -> None:
    """The sweeper may relay what is under way; one receipt stands, and one message."""
    visit = paid()
    item = news(visit)
    assert [handle(item, f"m{number}") for number in range(3)] == [[], [], []]
    assert len(inbox(visit)) == 1
    assert len(receipts(visit)) == 1


def test_a_notice_costs_one_write_unit_and_a_repeat_none() -> None:
    """Reads apart, which cost a fifth."""
    visit = paid()
    ctx, item = people.context(), news(visit)
    with measured() as first:
        assert service.tell(ctx, item, "m1") == "sent"
    with measured() as again:
        assert service.tell(ctx, item, "m2") == "repeated"
    assert (first.write_units, again.write_units) == (1, 0)


class DeadProvider:
    """An SMS provider that does not answer."""

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        raise ProviderUnavailable


class RefusingProvider:
    """An SMS provider to whom the number is none."""

    def send(self, *, to: str, text: str, template: str, dedupe_key: str) -> str:
        raise SmsRefused


def test_what_the_provider_fails_at_comes_again_and_is_sent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same queue message or by the one that the sweeper sends meanwhile, whichever is first."""
    visit = paid()
    item = news(visit)
    with monkeypatch.context() as outage:
        outage.setitem(wiring.ports().__dict__, "sms", DeadProvider())
        assert handle(item, "m1") == [{"itemIdentifier": "m1"}]
        assert handle(item, "m1") == [{"itemIdentifier": "m1"}]
    assert handle(item, "m2") == []
    assert [template for template, _ in inbox(visit)] == ["order.confirmed"]
    assert handle(item, "m1") == []
    assert len(inbox(visit)) == 1


def test_a_crash_after_the_claim_leaves_the_message_to_the_same_queue_message() -> None:
    """The process died between the claim and the sending: SQS brings the message back with the same id."""
    from chalicelib.notifications import tables
    from chalicelib.notifications.model import Receipt, receipt_id
    from chalicelib.runtime.transaction import Transaction

    visit = paid()
    item = standing_news(visit)
    tx = Transaction()
    tables.claim(tx, Receipt(visit.customer.account_id, receipt_id(item.id, item.event), "m1", world.now()))
    tx.commit()
    # Another message must neither send nor say that the news is done with: its holder may be at work.
    assert handle(item, "m2") == [{"itemIdentifier": "m2"}]
    assert inbox(visit) == []
    assert handle(item, "m1") == []
    assert len(inbox(visit)) == 1


def test_a_claim_whose_holder_died_is_taken_over_by_the_next_message() -> None:
    """The queue forgot the holder's message; the outbox still has the news and brings it under another id."""
    from chalicelib.notifications import tables
    from chalicelib.notifications.model import Receipt, receipt_id
    from chalicelib.runtime.transaction import Transaction

    visit = paid()
    item = standing_news(visit)
    tx = Transaction()
    tables.claim(tx, Receipt(visit.customer.account_id, receipt_id(item.id, item.event), "m1", world.now()))
    tx.commit()
    world.advance(minutes=2)
    assert handle(item, "m2") == []
    assert len(inbox(visit)) == 1
    world.advance(minutes=2)
    assert handle(item, "m3") == []
    assert len(inbox(visit)) == 1


def test_a_number_that_takes_no_messages_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The news is done with."""
    visit = paid()
    with monkeypatch.context() as refusal:
        refusal.setitem(wiring.ports().__dict__, "sms", RefusingProvider())
        assert handle(news(visit), "m1") == []
    assert handle(news(visit), "m2") == []
    assert inbox(visit) == []


def test_one_account_gets_a_bounded_number_of_messages_in_a_day() -> None:
    """What is beyond the bound is let pass; the next day has room again."""
    visit = paid()
    ctx = people.context(notices_per_day=2)
    outcomes = [service.tell(ctx, news(visit, version=number), f"m{number}") for number in range(3)]
    assert outcomes == ["sent", "sent", "enough"]
    assert service.tell(ctx.at(ctx.now.plus(hours=24)), news(visit, version=3), "m3") == "sent"


def test_an_order_that_is_not_there_and_an_account_without_a_phone_get_nothing() -> None:
    """Neither is an error, and neither leaves a receipt."""
    from chalicelib.runtime.transaction import Transaction

    ctx = people.context()
    tx = Transaction()
    account = identity.create(tx, ctx)
    tx.commit()
    nobody = Person(account.id, "", people.client_of(account.id, "en"))
    visit = paid(customer=nobody)
    before = len(engine.everything()["linli-notifications"])
    assert service.tell(ctx, news(visit), "m1") == "no_phone"
    missing = ids.owned("ord", account.id, "x")
    lost = News.of("order.confirmed", missing, 1, ctx.now, order_id=missing, account_id=account.id)
    assert service.tell(ctx, lost, "m1") == "gone"
    assert len(engine.everything()["linli-notifications"]) == before


def test_the_receipt_names_nobody_in_clear() -> None:
    """The phone and the words stand in no table."""
    visit = paid()
    handle(news(visit), "m1")
    stored = str(engine.everything())
    assert visit.customer.phone not in stored
    assert inbox(visit)[0][1] not in stored


def test_the_function_works_in_a_process_that_never_loads_the_app() -> None:
    """As Lambda loads it: only its own module; its whole effect is the receipt and the message."""
    visit = paid()
    program = (
        "import json, sys\n"
        "from chalicelib.notifications.handlers import notify\n"
        "answer = notify(json.load(sys.stdin), None)\n"
        "assert 'app' not in sys.modules\n"
        "print(json.dumps(answer))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(sqs_event(news(visit), "fresh-1")),
        capture_output=True,
        text=True,
        timeout=30,
        cwd=engine.ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"batchItemFailures": []}
    assert [template for template, _ in inbox(visit)] == ["order.confirmed"]
    (row,) = receipts(visit)
    assert row["sk"]["S"] == f"{news(visit).id}#order.confirmed"
    assert row["b"]["S"] == "fresh-1"
    assert int(row["t"]["N"]) > world.now().seconds + 89 * 86_400
