"""Which message news deserves, and how it is worded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel.instant import DAY_MS, Instant
from chalicelib.kernel.money import EXPONENTS, Money
from chalicelib.notifications import model, service
from chalicelib.notifications.model import Receipt, Standing
from chalicelib.orders.model import ORDER
from chalicelib.runtime import messages, resources

NOW = Instant.parse("2026-11-22T09:00:00Z")
ORDINARY = Standing("confirmed", "none", Money(0, "CNY"), NOW.plus(days=1))
EVENTS = [event for event, queue in resources.TOPICS.items() if queue == resources.NOTIFY]
VALUES = {"shop": "S", "offer": "O", "when": "W", "total": "T", "refund": "R"}


def standings() -> list[Standing]:
    """Every state of an order, with and without money that went back, before and after its time."""
    return [
        Standing(state, refund_state, Money(refund, "CNY"), starts_at)
        for state in ORDER.states
        for refund_state, refund in (("none", 0), ("none", 5), ("partial", 5), ("full", 5))
        for starts_at in (None, NOW, NOW.plus(days=1))
    ]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("locale", messages.LANGUAGES)
def test_every_event_of_the_queue_has_its_words(event: str, locale: str) -> None:
    """Whatever the order has become by then, in both languages, and each event has something to say at some time."""
    chosen = {model.template(event, standing, NOW) for standing in standings()}
    assert len(chosen) > 1
    for name in chosen - {None}:
        assert messages.text(locale, "sms", name or "", **VALUES)


@pytest.mark.parametrize(
    ("event", "changed", "template"),
    [
        ("order.confirmed", {}, "order.confirmed"),
        ("order.confirmed", {"starts_at": None}, "order.confirmed.anytime"),
        ("order.confirmed", {"starts_at": NOW}, None),
        ("order.confirmed", {"state": "cancelled"}, None),
        ("order.paid", {"state": "confirmed"}, None),
        ("order.paid", {"state": "paid"}, "order.paid"),
        ("order.cancelled", {"state": "paid"}, None),
        ("order.cancelled", {"state": "cancelled"}, "order.cancelled"),
        ("order.cancelled", {"state": "cancelled", "refund": Money(1, "CNY")}, "order.cancelled.refund"),
        ("order.declined", {"state": "declined", "refund": Money(1, "CNY")}, "order.declined.refund"),
        ("order.refunded", {"refund_state": "full", "refund": Money(1, "CNY")}, "order.refunded"),
        ("order.refunded", {}, None),
        ("order.unheard_of", {}, None),
    ],
)
def test_news_is_told_only_while_it_is_true(event: str, changed: dict[str, object], template: str | None) -> None:
    """A confirmation of what was cancelled since, or has begun, is not sent."""
    assert model.template(event, replace(ORDINARY, **changed), NOW) == template


def receipt(number: int, *, by: str = "m", hours_ago: int = 1) -> Receipt:
    return Receipt("acc_1", f"r{number}", by, Instant(NOW.ms - hours_ago * DAY_MS // 24))


def test_a_fresh_claim_of_another_message_is_held() -> None:
    """It is being sent this moment, so nobody else may."""
    assert model.may_send([receipt(1, by="other", hours_ago=0)], "r1", "mine", NOW, per_day=1) == "held"


@pytest.mark.parametrize(
    ("by", "verdict"), [("mine", "send"), ("", "send"), ("other", "stale")], ids=["mine", "let go", "another's"]
)
def test_a_claim_may_be_taken_again_by_its_holder_or_when_it_was_let_go(by: str, verdict: str) -> None:
    """Even when the day's bound is reached, for it was counted already."""
    known = [receipt(1, by=by), *(receipt(number) for number in range(2, 9))]
    assert model.may_send(known, "r1", "mine", NOW, per_day=1) == verdict


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 20))
def test_at_most_so_many_messages_in_any_24_hours(ages: list[int], per_day: int) -> None:
    """Older receipts do not count."""
    known = [receipt(number, hours_ago=hours) for number, hours in enumerate(ages)]
    young = sum(hours < 24 for hours in ages)
    assert (model.may_send(known, "new", "m", NOW, per_day) == "send") == (young < per_day)


@given(st.integers(-(10**8), 10**8), st.sampled_from(sorted(EXPONENTS)), st.sampled_from(messages.LANGUAGES))
def test_money_keeps_every_digit_in_both_languages(amount_minor: int, currency: str, locale: str) -> None:
    """The number in the message is the number that is owed."""
    text = model.money_text(Money(amount_minor, currency), locale)
    assert "".join(c for c in text if c.isdigit()).lstrip("0") == str(abs(amount_minor)).lstrip("0")


@pytest.mark.parametrize(
    ("amount", "locale", "text"),
    [
        (Money(12_800, "CNY"), "zh-CN", "¥128.00"),
        (Money(12_800, "CNY"), "en", "128.00 CNY"),
        (Money(900, "JPY"), "zh-CN", "900 JPY"),
    ],
)
def test_money_reads_as_the_language_writes_it(amount: Money, locale: str, text: str) -> None:
    """Yuan in Chinese has its sign; everything else names its currency."""
    assert model.money_text(amount, locale) == text


@pytest.mark.parametrize(
    ("instant", "zone", "locale", "text"),
    [
        ("2026-11-23T02:00:00Z", "Asia/Shanghai", "en", "Mon 23 Nov, 10:00"),
        ("2026-11-23T02:00:00Z", "Asia/Shanghai", "zh-CN", "11月23日（周一）10:00"),
        ("2026-11-23T02:00:00Z", "America/New_York", "en", "Sun 22 Nov, 21:00"),
        ("2026-03-29T01:00:00Z", "Europe/London", "en", "Sun 29 Mar, 02:00"),
        ("2026-12-31T16:30:00Z", "Asia/Shanghai", "zh-CN", "1月1日（周五）00:30"),
    ],
)
def test_times_are_those_of_the_clock_in_the_shop(instant: str, zone: str, locale: str, text: str) -> None:
    """Also across midnight, the new year and a change of clocks."""
    assert service.when_text(Instant.parse(instant), zone, locale) == text


def test_a_name_is_in_the_readers_language_and_fits() -> None:
    """Another language is better than nothing, and a long name is cut."""
    assert model.name_text({"zh-CN": "剪刀手", "en": "Scissor Hands"}, "zh-CN") == "剪刀手"
    assert model.name_text({"zh-CN": "剪刀手"}, "en") == "剪刀手"
    assert model.name_text({}, "en") == ""
    assert model.name_text({"en": "x" * 25}, "en") == "x" * 23 + "…"
