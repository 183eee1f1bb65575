"""One transaction across slices. The use case that opens it commits it; the slices below only add operations.

Each operation brings the error that its failed condition means. A single operation is written without a transaction,
which costs half the units and is just as atomic.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from chalicelib.kernel.errors import Problem, Unavailable
from chalicelib.runtime import dynamo
from chalicelib.runtime.dynamo import Row

MAX_OPERATIONS = 100  # DynamoDB's limit
MAX_OPERATORS = 300  # of one condition, on AWS; the local engine accepts more, so it is refused here
_TRIES = 6
_RETRYABLE = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"}
_BUSY = {
    "TransactionConflictException",
    "TransactionInProgressException",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
}

OldItem = dict[str, Any] | None
Otherwise = Problem | Callable[[OldItem], Problem | None]
"""What a failed condition means. A callable is given the raw stored item; None from it means: already as wanted."""


class AlreadyDone(Exception):
    """The stored row already is what this commit wanted to write; nothing was changed by it."""


@dataclass(frozen=True)
class _Operation:
    kind: str  # Put, Update, Delete or ConditionCheck
    arguments: dict[str, Any]
    otherwise: Otherwise | None


class Transaction:
    """Collects writes, commits them all or none.

    `commit` raises the first failed operation's problem, AlreadyDone when an `otherwise` says so, and Unavailable
    (503) when contention does not end.
    """

    def __init__(self) -> None:
        self._operations: list[_Operation] = []
        self._after: list[Callable[[], None]] = []

    def put(self, row: Row, condition: Condition | None = None, otherwise: Otherwise | None = None) -> None:
        self._add("Put", row.get_save_kwargs_from_instance(condition, "ALL_OLD"), otherwise)

    def put_new(self, row: Row, otherwise: Otherwise | None = None) -> None:
        """Put-if-absent."""
        self.put(row, type(row).pk.does_not_exist(), otherwise)

    def update(
        self,
        row: Row,
        actions: Sequence[Action],
        condition: Condition | None = None,
        otherwise: Otherwise | None = None,
    ) -> None:
        arguments = row.get_update_kwargs_from_instance(list(actions), condition, "ALL_OLD")
        self._add("Update", arguments, otherwise)

    def delete(self, row: Row, condition: Condition | None = None, otherwise: Otherwise | None = None) -> None:
        self._add("Delete", row.get_delete_kwargs_from_instance(condition), otherwise)

    def check(self, row: Row, condition: Condition, otherwise: Otherwise | None = None) -> None:
        arguments = type(row).get_operation_kwargs_from_class(row.pk, row.sk, condition)
        self._add("ConditionCheck", arguments, otherwise)

    def raw(self, kind: str, arguments: dict[str, Any], otherwise: Otherwise | None) -> None:
        """An operation in DynamoDB's own words, for expressions that PynamoDB cannot say."""
        self._add(kind, arguments, otherwise)

    def after_commit(self, act: Callable[[], None]) -> None:
        """Best effort once the writes stand, for example the inline relay of news. Its errors are its own to log."""
        self._after.append(act)

    def _add(self, kind: str, arguments: dict[str, Any], otherwise: Otherwise | None) -> None:
        for key in ("ReturnConsumedCapacity", "ReturnItemCollectionMetrics"):
            arguments.pop(key, None)
        if len(self._operations) >= MAX_OPERATIONS:
            raise ValueError(f"a transaction takes at most {MAX_OPERATIONS} operations")
        if _operators(arguments.get("ConditionExpression", "")) > MAX_OPERATORS:
            raise ValueError(f"a condition takes at most {MAX_OPERATORS} operators")
        self._operations.append(_Operation(kind, arguments, otherwise))

    def commit(self) -> None:
        if self._operations:
            token = str(uuid.uuid4())
            for attempt in range(_TRIES):
                if self._try(token, again=attempt > 0):
                    break
                # Full jitter: losers of a conflict must not meet again.
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311  # not a secret
            else:
                raise Unavailable(retry_after_seconds=1)
        for act in self._after:
            act()

    def _try(self, token: str, *, again: bool) -> bool:
        """True when written, False when contention asks for another try. `again`: it may have been sent before."""
        try:
            if len(self._operations) == 1 and self._operations[0].kind != "ConditionCheck":
                single = self._operations[0]
                dynamo.client().call(f"{single.kind}Item", single.arguments)
            else:
                items = [{op.kind: op.arguments} for op in self._operations]
                dynamo.client().call("TransactWriteItems", {"TransactItems": items, "ClientRequestToken": token})
        except ClientError as error:
            answer: Any = error.response
            code = answer["Error"]["Code"]
            if code == "TransactionCanceledException":
                return self._cancelled(answer.get("CancellationReasons") or [])
            if code == "ConditionalCheckFailedException":
                again = again or answer["ResponseMetadata"].get("RetryAttempts", 0) > 0
                if again and _stands(self._operations[0], answer.get("Item")):
                    return True
                self._refuse(self._operations[0], answer.get("Item"))
            if code in _BUSY:
                return False
            raise
        return True

    def _cancelled(self, reasons: list[dict[str, Any]]) -> bool:
        for operation, reason in zip(self._operations, reasons, strict=True):
            if reason.get("Code") == "ConditionalCheckFailed":
                self._refuse(operation, reason.get("Item"))
        if any(reason.get("Code") in _RETRYABLE for reason in reasons):
            return False
        raise RuntimeError(f"transaction cancelled: {[reason.get('Code') for reason in reasons]}")

    @staticmethod
    def _refuse(operation: _Operation, old: OldItem) -> None:
        meaning = operation.otherwise
        problem = meaning if isinstance(meaning, Problem) or meaning is None else meaning(old or None)
        if problem is not None:
            raise problem
        if meaning is None:
            raise RuntimeError(f"a condition without a meaning failed on {operation.arguments.get('TableName')}")
        raise AlreadyDone


def _stands(operation: _Operation, old: OldItem) -> bool:
    """Is what refused a put that very put? Its answer was lost, and it was sent once more and met itself."""
    return operation.kind == "Put" and old == operation.arguments["Item"]


def _operators(expression: str) -> int:
    """AWS counts comparators, functions and logical words; `contains(a, b) OR …` is two an element."""
    words = expression.replace("(", " ( ").split()
    return sum(word in {"AND", "OR", "NOT", "=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN"} for word in words) + sum(
        word in {"contains", "attribute_exists", "attribute_not_exists", "begins_with", "size"} for word in words
    )
