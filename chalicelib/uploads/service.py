"""A place for a photo, and the photo taken from there once it is to be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chalicelib.kernel import ids
from chalicelib.kernel.errors import Unavailable
from chalicelib.runtime import log
from chalicelib.runtime.context import Context
from chalicelib.uploads import model
from chalicelib.uploads.model import PLACE_SECONDS, ImageRefused, ImageUnknown

if TYPE_CHECKING:
    from chalicelib.providers.ports import PhotoPlace


def place(ctx: Context, content_type: str, size: int, *, key: str = "", body_hash: str = "") -> tuple[str, PhotoPlace]:
    """A new image's id, and where its `size` bytes can be put within ten minutes. The same key and body name the same
    image. Nothing is stored: a place that nobody uses leaves no trace."""
    nonce = ids.digest(key, body_hash) if key else ids.random_id("img")
    image = model.image_id(ctx.actor.account_id, nonce)
    return image, ctx.ports.photos.place(image, content_type, size, ctx.now.plus(seconds=PLACE_SECONDS))


def keep(ctx: Context, images: Sequence[str], field: str = "images") -> None:
    """Makes the caller's own uploads photos that can be seen and never change; all of them or, where one is not good,
    none. Doing it twice changes nothing, and what was kept first stays.

    Raises ImageUnknown, ImageRefused and ProviderUnavailable.
    """
    foreign = [image for image in images if not model.is_of(image, ctx.actor.account_id)]
    if foreign:
        raise unknown(foreign, field)
    found = {image: ctx.ports.photos.fetch(image) for image in images}
    missing = [image for image, upload in found.items() if upload is None]
    if missing:
        raise unknown(missing, field)
    good = {image: upload for image, upload in found.items() if upload is not None}
    faults = {image: fault for image, upload in good.items() if (fault := model.fault_of(upload))}
    if faults:
        raise ImageRefused(errors=[{"field": field, "message": f"{image}: {said}"} for image, said in faults.items()])
    for image, upload in good.items():
        ctx.ports.photos.keep(image, upload)


def unknown(images: Sequence[str], field: str = "images") -> ImageUnknown:
    return ImageUnknown(errors=[{"field": field, "message": f"no upload {image}"} for image in images])


def drop(ctx: Context, images: Sequence[str]) -> None:
    """Takes photos away that nothing shows any more, as far as that can be done now."""
    for image in images:
        try:
            ctx.ports.photos.drop(image)
        except Unavailable as error:
            log.error("photo not removed", error, image=image)
