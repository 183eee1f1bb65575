"""What is asked for a photo's place, what it is, and how a photo is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from chalicelib.runtime.settings import settings
from chalicelib.uploads.model import MAX_BYTES
from chalicelib.web.schema import Input, Output, id_rules

if TYPE_CHECKING:
    from chalicelib.providers.ports import PhotoPlace

ImageId = Annotated[str, *id_rules("img")]
_EXAMPLE = "img_0123456789abcdefghjkmnpqrs"


class AskUpload(Input):
    """`bytes` is the size of the file; no more than that can be put there."""

    content_type: Literal["image/jpeg", "image/png", "image/webp"]
    bytes: int = Field(ge=1, le=MAX_BYTES, examples=[482_133])


class PlaceOut(Output):
    """Send `fields` as they are in a form (`multipart/form-data`) by `method` to `url`, and the photo after them as the
    field `file`. 204 is the answer to a photo that lies there."""

    url: str = Field(examples=["https://photos.example.org/"])
    method: Literal["POST"]
    fields: dict[str, str] = Field(examples=[{"key": f"uploads/{_EXAMPLE}", "Content-Type": "image/jpeg"}])
    expires_at: str
    server_time: str


class UploadOut(Output):
    """`image` is what a review names. Within a day, or the photo is gone."""

    image: str = Field(examples=[_EXAMPLE])
    upload: PlaceOut

    @classmethod
    def of(cls, image: str, place: PhotoPlace, server_time: str) -> UploadOut:
        out = PlaceOut(
            url=place.url,
            method="POST",
            fields=place.fields,
            expires_at=str(place.expires_at),
            server_time=server_time,
        )
        return cls(image=image, upload=out)


class ImageOut(Output):
    id: str = Field(examples=[_EXAMPLE])
    url: str = Field(examples=[f"https://photos.example.org/photos/{_EXAMPLE}"])

    @classmethod
    def of(cls, image: str) -> ImageOut:
        """Photos are read from the CDN that the stage was told of, and where it was told of none, beside the API."""
        base = settings().photos_url or f"{settings().public_url}/media"
        return cls(id=image, url=f"{base}/photos/{image}")
