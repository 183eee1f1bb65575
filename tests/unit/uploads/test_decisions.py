"""What a photo must be, and whose an image is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.kernel import ids
from chalicelib.providers.ports import Uploaded
from chalicelib.uploads.model import MAX_BYTES, fault_of, image_id, is_of, type_of
from tests.builders.photos import PHOTOS

ACCOUNTS = st.builds(ids.random_id, st.just("acc"))


@given(st.sampled_from(sorted(PHOTOS)), st.binary(max_size=64))
def test_a_photo_is_known_by_how_it_begins(content_type: str, rest: bytes) -> None:
    """Whatever follows."""
    assert type_of(PHOTOS[content_type] + rest) == content_type
    assert fault_of(Uploaded(content_type, PHOTOS[content_type] + rest)) == ""


@given(st.binary(max_size=64))
def test_only_the_three_beginnings_make_a_photo(content: bytes) -> None:
    """Said a second time, byte for byte."""
    begins = {
        "image/jpeg": content[:3] == bytes([0xFF, 0xD8, 0xFF]),
        "image/png": content[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10]),
        "image/webp": content[:4] == b"RIFF" and content[8:12] == b"WEBP",
    }
    assert type_of(content) == next((name for name, holds in begins.items() if holds), None)


@given(st.sampled_from(sorted(PHOTOS)), st.integers(0, 11), st.integers(1, 255))
def test_one_changed_byte_of_the_beginning_is_no_photo(content_type: str, at: int, change: int) -> None:
    """But for the bytes of WebP that say a length, and those after a JPEG's or PNG's mark."""
    content = bytearray(PHOTOS[content_type])
    content[at] ^= change
    mark = {"image/jpeg": {*range(3)}, "image/png": {*range(8)}, "image/webp": {*range(4), *range(8, 12)}}
    assert (type_of(bytes(content)) is None) == (at in mark[content_type])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a\x01\x00\x01\x00",
        b"%PDF-1.7",
        b"BM\x46\x00\x00\x00",
        b"\x00\x00\x00\x1cftypheic",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b" \xff\xd8\xff",
        b"PK\x03\x04",
    ],
)
def test_nothing_else_is_a_photo(content: bytes) -> None:
    """No SVG, no page, no other image, and no photo after a blank."""
    assert type_of(content) is None
    assert fault_of(Uploaded("image/jpeg", content)) == "neither JPEG nor PNG nor WebP"


def test_a_photo_of_another_type_or_size_is_refused() -> None:
    assert fault_of(Uploaded("image/png", PHOTOS["image/jpeg"])) == "image/jpeg, and not image/png"
    largest = PHOTOS["image/jpeg"].ljust(MAX_BYTES, b"\0")
    assert fault_of(Uploaded("image/jpeg", largest)) == ""
    assert fault_of(Uploaded("image/jpeg", largest + b"\0")) == f"more than {MAX_BYTES} bytes"


@given(ACCOUNTS, ACCOUNTS, st.text(max_size=30))
def test_an_image_is_its_owners_only(owner: str, other: str, nonce: str) -> None:
    """And the same nonce is the same image, so that asking again names it again."""
    image = image_id(owner, nonce)
    assert ids.is_id(image, "img")
    assert image == image_id(owner, nonce)
    assert is_of(image, owner)
    assert not is_of(image, other)
    first, proof = ids.split(image)
    assert not is_of(f"img_{proof}{first}", owner)


@given(ACCOUNTS, st.text(max_size=30), st.text(max_size=30))
def test_two_images_of_one_person_have_nothing_in_common(owner: str, one: str, two: str) -> None:
    """An anonymous review must not be known by its photos for its author's other one."""
    if one != two:
        assert not set(ids.split(image_id(owner, one))) & set(ids.split(image_id(owner, two)))
