"""Photos in S3: the form says what may be put, by a signature that is reckoned here once more; what is kept stays."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.kernel import ids
from chalicelib.providers.files.s3_photos import S3Photos
from chalicelib.providers.ports import PhotoPlace, ProviderUnavailable, Uploaded
from chalicelib.providers.secrets.local import FileSecrets
from chalicelib.runtime import clock
from infra.local.engines import find_ministack_python, start_ministack, wait_for_ministack
from infra.local.processes import Children, free_ports
from tests.builders.photos import form, photo

BUCKET = "linli-test-photos-000000000000"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 with our bucket in it."""
    with tempfile.TemporaryDirectory(prefix="linli-s3-") as folder:
        children = Children(Path(folder))
        (port,) = free_ports(1)
        wait_for_ministack(start_ministack(children, find_ministack_python(), port, ["s3"], Path(folder)), port)
        address = f"http://127.0.0.1:{port}"
        admin(address).create_bucket(Bucket=BUCKET)
        yield address
        children.stop()


def admin(address: str) -> Any:
    return boto3.session.Session().client("s3", endpoint_url=address, region_name="us-east-1")


def photos_of(bucket: str) -> S3Photos:
    return S3Photos(bucket, FileSecrets("/nowhere"))


@pytest.fixture
def photos(s3: str, monkeypatch: pytest.MonkeyPatch) -> S3Photos:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3)
    return photos_of(BUCKET)


def place_of(photos: S3Photos, image: str, size: int = 200) -> PhotoPlace:
    return photos.place(image, "image/jpeg", size, clock.now().plus(seconds=600))


def put(place: PhotoPlace, content: bytes) -> int:
    body, content_type = form(place.fields, content)
    request = urllib.request.Request(place.url, body, {"Content-Type": content_type})  # noqa: S310  # our own loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return int(answer.status)


def test_the_form_allows_one_object_of_one_type_up_to_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """For ten minutes, at the bucket's own address in its region."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-1")
    image = ids.random_id("img")
    before = datetime.now(UTC)  # the signature's time is the real one, as S3's is
    place = place_of(photos_of(BUCKET), image, 4321)
    assert place.url == f"https://{BUCKET}.s3.ap-southeast-1.amazonaws.com/"
    policy = json.loads(base64.b64decode(place.fields["policy"]))
    conditions = policy["conditions"]
    assert {"bucket": BUCKET} in conditions
    assert {"key": f"uploads/{image}"} in conditions
    assert {"Content-Type": "image/jpeg"} in conditions
    assert ["content-length-range", 1, 4321] in conditions
    assert not [one for one in conditions if isinstance(one, list) and one[0] == "starts-with"]
    assert (place.fields["key"], place.fields["Content-Type"]) == (f"uploads/{image}", "image/jpeg")
    expires = datetime.fromisoformat(policy["expiration"])
    assert 590 <= (expires - before).total_seconds() <= 610


def test_the_form_is_signed_by_the_functions_own_role(monkeypatch: pytest.MonkeyPatch) -> None:
    """By version 4 of AWS's signature, which every region knows."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a token")
    boto3.setup_default_session()
    try:
        fields = place_of(photos_of(BUCKET), ids.random_id("img")).fields
    finally:
        monkeypatch.undo()
        boto3.setup_default_session()
    key = b"AWS4a secret"
    for word in (fields["x-amz-date"][:8], "ap-southeast-1", "s3", "aws4_request", fields["policy"]):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    assert fields["x-amz-signature"] == key.hex()
    assert fields["x-amz-security-token"] == "a token"  # what the test has set
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"


def test_what_is_put_is_found_and_kept_once(photos: S3Photos, s3: str) -> None:
    """By the form itself. What was kept first stays, whatever is put into the place afterwards."""
    image, first, second = ids.random_id("img"), photo(), photo()
    assert photos.fetch(image) is None
    place = place_of(photos, image)
    assert put(place, first) in (200, 204)
    found = photos.fetch(image)
    assert found == Uploaded("image/jpeg", first)
    photos.keep(image, found)
    assert put(place, second) in (200, 204)
    assert photos.fetch(image) == Uploaded("image/jpeg", second)
    photos.keep(image, Uploaded("image/jpeg", second))
    kept = admin(s3).get_object(Bucket=BUCKET, Key=f"photos/{image}")
    assert (kept["Body"].read(), kept["ContentType"], kept["ContentDisposition"]) == (first, "image/jpeg", "inline")
    for _ in range(2):
        photos.drop(image)
    assert not admin(s3).list_objects_v2(Bucket=BUCKET, Prefix=f"photos/{image}").get("Contents")


def test_an_s3_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place can be made all the same: it is signed here."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    image, photos = ids.random_id("img"), photos_of(BUCKET)
    for act in (
        lambda: photos.fetch(image),
        lambda: photos.keep(image, Uploaded("image/jpeg", photo())),
        lambda: photos.drop(image),
    ):
        with pytest.raises(ProviderUnavailable):
            act()
    assert place_of(photos, image).fields["key"] == f"uploads/{image}"
