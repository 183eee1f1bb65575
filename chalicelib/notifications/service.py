"""Sends the message that a piece of news deserves: once, and only while it is true.

A receipt is claimed before the message leaves. Whoever holds it may send; when the provider fails, the claim is let
go and the news comes again; when the holder dies, the news still stands in the outbox, and who brings it next takes the
claim over. A message can only go out twice when the process dies, or the provider does not answer, between the sending
and the end of the queue message; the provider is then given the same dedupe key.
"""

from __future__ import annotations

from contextlib import suppress

from chalicelib.identity import service as identity
from chalicelib.kernel.errors import NotFound
from chalicelib.kernel.instant import Instant
from chalicelib.notifications import model, tables
from chalicelib.notifications.model import Receipt, Standing
from chalicelib.orders import service as orders
from chalicelib.orders.service import Notice
from chalicelib.providers.ports import ProviderUnavailable, SmsRefused
from chalicelib.runtime import log, messages, outbox
from chalicelib.runtime.context import Context
from chalicelib.runtime.outbox import News
from chalicelib.runtime.transaction import AlreadyDone, Transaction


class ClaimHeld(Exception):
    """Another queue message is sending it just now, or died over it: come again and see."""


def tell(ctx: Context, news: News, message_id: str) -> str:
    """What became of it: `sent`, or why nothing was: `gone`, `stale`, `no_phone`, `repeated`, `enough`, `refused`.

    `message_id` is the queue message that brings the news. Raises ProviderUnavailable or ClaimHeld, so that the news
    comes again.
    """
    notice = orders.notice(ctx, news.data["order_id"])
    if notice is None:
        return "gone"
    template = model.template(news.event, _standing(notice), ctx.now)
    if template is None:
        return "stale"
    phone, locale = _contact(ctx, notice.account_id)
    if phone is None:
        return "no_phone"
    receipt = Receipt(notice.account_id, model.receipt_id(news.id, news.event), message_id, ctx.now)
    known = tables.receipts(notice.account_id)
    verdict = model.may_send(known, receipt.id, message_id, ctx.now, ctx.settings.notices_per_day)
    if verdict == "enough":
        log.warning("no more messages to this account today", account_id=notice.account_id, event=news.event)
        return "enough"
    if verdict == "send":
        holder = ""
    elif not outbox.stands(news):
        # Whoever finishes takes the news out of the outbox.
        return "repeated"
    elif verdict == "held":
        raise ClaimHeld
    else:
        holder = next(one.by for one in known if one.id == receipt.id)
    if not _claimed(receipt, holder):
        raise ClaimHeld
    return _send(ctx, receipt, phone, locale, template, notice)


def _standing(notice: Notice) -> Standing:
    return Standing(notice.state, notice.refund_state, notice.refund, notice.starts_at)


def _contact(ctx: Context, account_id: str) -> tuple[str | None, str]:
    try:
        return identity.contact_of(ctx, account_id)
    except NotFound:
        return None, ""


def _claimed(receipt: Receipt, from_dead: str) -> bool:
    tx = Transaction()
    tables.claim(tx, receipt, from_dead)
    try:
        tx.commit()
    except AlreadyDone:
        return False
    return True


def _send(ctx: Context, receipt: Receipt, phone: str, locale: str, template: str, notice: Notice) -> str:
    text = messages.text(locale, "sms", template, **_values(notice, locale))
    try:
        ctx.ports.sms.send(to=phone, text=text, template=template, dedupe_key=f"{receipt.recipient}#{receipt.id}")
    except SmsRefused:
        log.warning("the provider will not deliver to this phone", account_id=receipt.recipient, template=template)
        return "refused"
    except ProviderUnavailable:
        tx = Transaction()
        tables.let_go(tx, receipt)
        with suppress(AlreadyDone):
            tx.commit()
        raise
    return "sent"


def _values(notice: Notice, locale: str) -> dict[str, str]:
    return {
        "shop": model.name_text(notice.shop_name, locale),
        "offer": model.name_text(notice.offer_name, locale),
        "when": when_text(notice.starts_at, notice.time_zone, locale) if notice.starts_at else "",
        "total": model.money_text(notice.total, locale),
        "refund": model.money_text(notice.refund, locale),
    }


def when_text(instant: Instant, time_zone: str, locale: str) -> str:
    """A day and a time as a clock in the shop shows them, for example `Mon 23 Nov, 10:00`."""
    words = messages.catalogue(locale)["dates"]
    local = instant.local(time_zone)
    return messages.text(
        locale,
        "dates",
        "when",
        weekday=words["weekdays"][local.weekday()],
        month=words["months"][local.month - 1],
        day=str(local.day),
        time=f"{local:%H:%M}",
    )
