"""What can go wrong, as types. A problem has a stable code and an HTTP status; its words stand in `locales/`.

    Problem                     something the caller is told, as application/problem+json
    ├── Malformed       400     the request cannot be read
    ├── Unauthorized    401     who are you?
    ├── Forbidden       403     you may see it, but not do this
    ├── NotFound        404     it is not there, or it is somebody else's
    ├── Conflict        409     it is not in a state for this
    ├── Gone            410     it has expired
    ├── Stale           412     If-Match names an older version
    ├── TooLarge        413
    ├── WrongMediaType  415
    ├── Invalid         422     readable, but not acceptable
    ├── IfMatchMissing  428
    ├── TooMany         429     carries Retry-After
    └── Unavailable     503     carries Retry-After

Slices derive their own errors from these, next to their domain. Raising one changes nothing that is stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar


class Problem(Exception):
    """The root. `detail_args` fill the placeholders of the message; `extras` are further members of the document."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self,
        *,
        errors: list[dict[str, str]] | None = None,
        retry_after_seconds: int | None = None,
        detail_args: dict[str, str] | None = None,
        **extras: Any,
    ) -> None:
        super().__init__(self.code)
        self.errors = errors or []
        self.retry_after_seconds = retry_after_seconds
        self.detail_args = detail_args or {}
        self.extras = extras


class Malformed(Problem):
    status, code = 400, "malformed"


class IdempotencyKeyMissing(Malformed):
    code = "idempotency_key_missing"


class IdempotencyKeyMalformed(Malformed):
    code = "idempotency_key_malformed"


class Unauthorized(Problem):
    status, code = 401, "unauthorized"


class Forbidden(Problem):
    status, code = 403, "forbidden"


class NotFound(Problem):
    status, code = 404, "not_found"


class MethodNotAllowed(Problem):
    status, code = 405, "method_not_allowed"


class Conflict(Problem):
    status, code = 409, "conflict"


class InvalidTransition(Conflict):
    """A refused change of state: says where the thing is, what was asked, and what would be allowed."""

    code = "invalid_transition"

    def __init__(self, *, from_state: str, to: str, allowed: list[str]) -> None:
        extras: dict[str, Any] = {"from": from_state, "to": to, "allowed": allowed}
        super().__init__(detail_args={"from": from_state, "to": to}, **extras)


class Gone(Problem):
    status, code = 410, "expired"


class Stale(Problem):
    status, code = 412, "stale"


class TooLarge(Problem):
    status, code = 413, "too_large"


class WrongMediaType(Problem):
    status, code = 415, "unsupported_media_type"


class Invalid(Problem):
    status, code = 422, "invalid_request"


class IdempotencyKeyReused(Invalid):
    code = "idempotency_key_reused"


class CursorInvalid(Invalid):
    code = "cursor_invalid"


class IfMatchMissing(Problem):
    status, code = 428, "if_match_missing"


class TooMany(Problem):
    status, code = 429, "rate_limited"


class Unavailable(Problem):
    status, code = 503, "unavailable"


def all_problems(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Every problem type that has been imported, root first."""
    yield root
    for child in root.__subclasses__():
        yield from all_problems(child)
