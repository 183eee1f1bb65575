"""The queue function that counts a shop's reviews when one of them has changed."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.reviews import counting
from chalicelib.runtime import entry
from chalicelib.runtime.context import Context
from chalicelib.runtime.outbox import News
from chalicelib.runtime.resources import RATE

blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(queue=RATE.full_name, batch_size=RATE.batch_size, name="rate")
@entry.sqs
def rate(ctx: Context, news: News) -> None:
    """Counts anew. Doing it twice gives the same."""
    counting.recount(ctx, news.data["shop_id"])
