"""The HTTP operation of uploads."""

from __future__ import annotations

from chalicelib.kernel.errors import TooMany
from chalicelib.runtime.settings import settings
from chalicelib.uploads import service
from chalicelib.uploads.schemas import AskUpload, UploadOut
from chalicelib.web import rate
from chalicelib.web.auth import MEMBER
from chalicelib.web.router import Answer, Call, Router

router = Router("uploads")


@router.post(
    "/v1/uploads",
    allow=MEMBER,
    body=AskUpload,
    answers={201: UploadOut},
    errors=(TooMany,),
    idempotency="accepted",
    summary="A place to put a photo",
    description="One JPEG, PNG or WebP of at most 5 MB, within ten minutes. A review names it by `image` within a day.",
)
def ask_upload(call: Call) -> Answer:
    rate.take("uploads", call.account_id, settings().rate_uploads_minute, 1, call.ctx.now)
    image, place = service.place(
        call.ctx, call.body.content_type, call.body.bytes, key=call.key, body_hash=call.body_hash
    )
    return Answer(UploadOut.of(image, place, str(call.ctx.now)), 201)
