"""The queue function that turns news of orders into messages."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.notifications import service
from chalicelib.runtime import entry, log
from chalicelib.runtime.context import Context
from chalicelib.runtime.outbox import News
from chalicelib.runtime.resources import NOTIFY

blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(queue=NOTIFY.full_name, batch_size=NOTIFY.batch_size, name="notify")
@entry.sqs
def notify(ctx: Context, news: News) -> None:
    """Sends what the customer should hear. What fails comes again; what is stale or was sent is let pass."""
    outcome = service.tell(ctx, news, message_id=ctx.request_id)
    log.info("notified", outcome=outcome)
