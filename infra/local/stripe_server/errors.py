"""Refusals in Stripe's own error shape.

ApiError
  refused      400, before execution began: not stored under an idempotency key
  unexecutable 400, execution began: stored
  missing      404, an unknown id in the path
  declined     402, the card said no: what happened stays written
"""

from __future__ import annotations

from typing import Any, NoReturn

Json = dict[str, Any]


class ApiError(Exception):
    """An answer of 4xx. `executed` says that execution had begun, so an idempotency key keeps the answer.

    `keep_writes` says that what was written up to here is a fact (a failed charge) and is not rolled back.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        executed: bool = True,
        keep_writes: bool = False,
        extra: Json | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        self.keep_writes = keep_writes
        error: Json = {"type": kind, "message": message}
        if code is not None:
            error["code"] = code
            error["doc_url"] = f"https://docs.stripe.com/error-codes#{code.replace('_', '-')}"
        if param is not None:
            error["param"] = param
        self.error = error | (extra or {})

    def body(self, request_id: str) -> Json:
        """The JSON answer: `{"error": {...}}` with the request's id as a local log address."""
        return {"error": self.error | {"request_log_url": f"local:{request_id}"}}


def refuse(message: str, *, code: str | None = None, param: str | None = None) -> NoReturn:
    """Raise 400 for a request that was never begun (its parameters are wrong)."""
    raise ApiError(400, "invalid_request_error", message, code=code, param=param, executed=False)


def fail(message: str, *, code: str | None = None, param: str | None = None, extra: Json | None = None) -> NoReturn:
    """Raise 400 for a request that was begun and cannot be done in the present state."""
    raise ApiError(400, "invalid_request_error", message, code=code, param=param, extra=extra)


def no_such(kind: str, object_id: str, *, param: str = "id", status: int = 404) -> NoReturn:
    """Raise `resource_missing`: 404 for an id in the path, 400 for one in the body."""
    message = f"No such {kind}: '{object_id}'"
    raise ApiError(status, "invalid_request_error", message, code="resource_missing", param=param, executed=False)
