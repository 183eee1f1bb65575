"""The photos of a stage in the cloud: a private bucket of AWS S3, its uploads under `uploads/`, what is seen under
`photos/`. What is seen is another object than what was uploaded: the form can be sent again until it expires, and what
was looked at must be what is shown."""

from __future__ import annotations

from chalicelib.kernel.instant import Instant
from chalicelib.providers.files.s3 import AGAIN, BucketClient, refusal
from chalicelib.providers.ports import PhotoPlace, ProviderUnavailable, Secrets, Uploaded
from chalicelib.runtime import clock

_TRIES = 4
_FOREVER = "public, max-age=31536000, immutable"


class S3Photos:
    """Satisfies `ports.Photos`. S3 itself checks the form: its policy is signed with the function's own role."""

    def __init__(self, bucket: str, secrets: Secrets) -> None:
        del secrets  # the role signs
        self._bucket = bucket
        self._clients = BucketClient()

    def place(self, image: str, content_type: str, size: int, expires_at: Instant) -> PhotoPlace:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html"""
        exactly = {"Content-Type": content_type}
        seconds = expires_at.since(clock.now()) // 1000
        form = self._clients.client.generate_presigned_post(
            self._bucket,
            f"uploads/{image}",
            Fields=dict(exactly),
            Conditions=[exactly, ["content-length-range", 1, size]],
            ExpiresIn=max(seconds, 1),
        )
        return PhotoPlace(form["url"], form["fields"], expires_at)

    def fetch(self, image: str) -> Uploaded | None:
        found: list[Uploaded] = []

        def get() -> None:
            answer = self._clients.client.get_object(Bucket=self._bucket, Key=f"uploads/{image}")
            found.append(Uploaded(answer["ContentType"], answer["Body"].read()))

        # Who may not list a bucket is told that he may not see what is not there.
        refusal(get, also="AccessDenied")
        return found[0] if found else None

    def keep(self, image: str, upload: Uploaded) -> None:
        for _ in range(_TRIES):
            refused = refusal(
                lambda: self._clients.client.put_object(
                    Bucket=self._bucket,
                    Key=f"photos/{image}",
                    Body=upload.content,
                    ContentType=upload.content_type,
                    ContentDisposition="inline",
                    CacheControl=_FOREVER,
                    IfNoneMatch="*",
                )
            )
            if refused != AGAIN:
                return
        raise ProviderUnavailable(retry_after_seconds=5)

    def drop(self, image: str) -> None:
        refusal(lambda: self._clients.client.delete_object(Bucket=self._bucket, Key=f"photos/{image}"))
