"""The functions as their platform runs them: API calls, batches of a queue, webhooks and schedules, each of which may
be late, come twice, or die in the middle; and what the platform does then."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from chalice.app import ScheduledEventConfig, SQSEventConfig

from app import app
from chalicelib.runtime import resources
from infra.local.events import Handler, handler_of, lambda_context, schedule_event, sqs_event
from infra.local.http import keep_requests_apart
from infra.local.stripe_server.delivery import Attempt, signature
from infra.local.stripe_server.engine import StripeEngine
from tests.client import event_of
from tests.simulation import plan as faults
from tests.simulation.baton import Baton
from tests.simulation.environment import SECRETS
from tests.simulation.plan import Fault, Plan
from tests.simulation.wire import Crash, Wire

T = TypeVar("T")

BAD_GATEWAY = {"statusCode": 502, "headers": {}, "body": "{}"}  # what API Gateway says for a function that died


class Messages:
    """Which faults strike which message, counted over all kinds; and how often an older one was overtaken."""

    def __init__(self, plan: Plan) -> None:
        self._faults: dict[int, list[Fault]] = {}
        for fault in plan.of(faults.MESSAGE_FAULTS):
            self._faults.setdefault(fault.at, []).append(fault)
        self.sent = 0
        self.disturbed = True
        self.met: Counter[str] = Counter()
        self.reorders = 0

    def next(self, *, may_drop: bool) -> dict[str, int]:
        """The faults of the next message by kind, with their seconds."""
        number, self.sent = self.sent, self.sent + 1
        found = {one.kind: one.value for one in self._faults.get(number, []) if self.disturbed}
        if not may_drop:
            found.pop(faults.DROP, None)
        self.met.update(found.keys())
        return found


class Functions:
    """Invokes the deployed functions of one run."""

    def __init__(
        self, baton: Baton, wire: Wire, plan: Plan, provider: StripeEngine, forget: Callable[[], None]
    ) -> None:
        self.messages = Messages(plan)
        self.dead_letters: list[str] = []
        self._baton = baton
        self._wire = wire
        self._plan = plan
        self._provider = provider
        self._forget = forget
        self._numbers = itertools.count(1)
        self._waiting: dict[str, list[dict[str, Any]]] = {}  # messages of each queue that nobody works on
        self._posted: set[int] = set()  # deliveries of the provider that are on their way
        keep_requests_apart(app)

    def invoke(self, work: Callable[[], T]) -> T | None:
        """Runs a function in the running task; None when it died."""
        task, skew = self._baton.running, self._plan.skew_ms
        assert task is not None
        task.skew_ms = self._baton.choose.randint(-skew, skew)
        try:
            return work()
        except Crash:
            self._forget()  # a dead process remembers nothing
            return None
        finally:
            task.dead, task.skew_ms = False, 0

    # API

    def api(self, event: dict[str, Any]) -> dict[str, Any]:
        """The answer that reaches the caller."""
        met = self.messages.next(may_drop=True)
        if faults.DELAY in met:
            # Nobody waits longer than API Gateway does.
            self._baton.sleep(min(met[faults.DELAY], 29) * 1000)
        if faults.DUPLICATE in met:
            self._baton.spawn("again", lambda: self._api(event), met[faults.DUPLICATE] * 1000)
        answer = self._api(event)
        return BAD_GATEWAY if faults.DROP in met else answer

    def _api(self, event: dict[str, Any]) -> dict[str, Any]:
        return self.invoke(lambda: app(json.loads(json.dumps(event)), None)) or BAD_GATEWAY

    # Queues

    def take(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What SQS does with a call of ours. Raises ValueError for one that it would refuse, or that is not known."""
        names = {queue.full_name for queue in resources.QUEUES}
        if operation == "GetQueueUrl" and asked["QueueName"] in names:
            return {"QueueUrl": f"https://sqs/{asked['QueueName']}"}
        name = str(asked.get("QueueUrl", "")).rpartition("/")[2]
        if operation != "SendMessage" or name not in names:
            raise ValueError(f"the queue does not take {operation} on {asked}")
        number = next(self._numbers)
        message = {"MessageId": f"m{number}", "Body": asked["MessageBody"], "ReceiptHandle": "", "receives": 0}
        met = self.messages.next(may_drop=False)
        self._lay(name, message, met.get(faults.DELAY, 0))
        if faults.DUPLICATE in met:
            self._lay(name, dict(message), met[faults.DUPLICATE])
        return {"MessageId": message["MessageId"]}

    def _lay(self, queue: str, message: dict[str, Any], seconds: int) -> None:
        self._waiting.setdefault(queue, []).append(message)
        self._baton.spawn(queue, lambda: self._receive(queue, message), seconds * 1000)

    def _receive(self, name: str, message: dict[str, Any]) -> None:
        waiting = self._waiting[name]
        if not any(one is message for one in waiting):
            return
        if waiting[0] is not message:
            self.messages.reorders += 1
        queue = next(queue for queue in resources.QUEUES if queue.full_name == name)
        batch = [message] + [one for one in waiting if one is not message and self._baton.choose.random() < 0.5]
        batch = batch[: queue.batch_size]
        self._waiting[name] = [one for one in waiting if not any(one is taken for taken in batch)]
        source, handler = _of_queue(name)
        event = sqs_event(f"arn:aws:sqs:us-east-1:000000000000:{name}", batch)
        answer = self.invoke(lambda: handler(event, lambda_context(source.name)))
        failed = {m["MessageId"] for m in batch} if answer is None else _failed(answer)
        for one in batch:
            one["receives"] += 1
            if one["MessageId"] in failed and one["receives"] < queue.max_receives:
                self._lay(name, one, queue.visibility_seconds)
            elif one["MessageId"] in failed:
                self.dead_letters.append(one["Body"])

    # Webhooks

    def post(self) -> None:
        """Sends what the provider has to tell by now, and comes back when it has more. Nothing is told while a run is
        prepared."""
        if self._baton.running is None:
            return
        self._provider.tick()
        for attempt in self._provider.due_webhooks(10_000):
            if attempt.delivery.id not in self._posted:
                self._posted.add(attempt.delivery.id)
                met = self.messages.next(may_drop=True)
                if faults.DROP in met:
                    self._provider.webhook_sent(attempt, accepted=True)
                    continue
                late = met.get(faults.DELAY, 0) * 1000
                self._baton.spawn("webhook", lambda one=attempt: self._deliver(one), late)
                if faults.DUPLICATE in met:
                    again = late + met[faults.DUPLICATE] * 1000
                    self._baton.spawn("webhook", lambda one=attempt: self._hand_over(one), again)
        due = self._provider.next_due()
        if due is not None and due * 1000 > self._baton.now_ms:
            self._baton.spawn("provider", self.post, int(due * 1000) - self._baton.now_ms + 1)

    def _deliver(self, attempt: Attempt) -> None:
        if any(one < attempt.delivery.id for one in self._posted):
            self.messages.reorders += 1
        accepted = self._hand_over(attempt)
        self._posted.discard(attempt.delivery.id)
        self._provider.webhook_sent(attempt, accepted=accepted)
        # What comes next was hidden behind this one, which was due already.
        self.post()

    def _hand_over(self, attempt: Attempt) -> bool:
        # Signed when it leaves, as each try of the provider is.
        signed = signature(attempt.payload, SECRETS["stripe_webhook_secret"], self._baton.now_ms // 1000)
        headers = {"Content-Type": "application/json", "Stripe-Signature": signed}
        event = event_of("POST", "/webhooks/stripe", attempt.payload.encode(), headers)
        answer = self.invoke(lambda: app(event, None)) or BAD_GATEWAY
        return bool(answer["statusCode"] == 200)

    # Schedules

    def schedule(self, name: str) -> Any:
        """One run of a scheduled function in the running task: what it answered, None when it died or failed."""
        met = self.messages.next(may_drop=False)
        if faults.DUPLICATE in met:
            self._baton.spawn(name, lambda: self._schedule(name), met[faults.DUPLICATE] * 1000)
        return self._schedule(name)

    def _schedule(self, name: str) -> Any:
        source, handler = _of_schedule(name)
        event = schedule_event(source.name, datetime.fromtimestamp(self._baton.now_ms // 1000, UTC))

        def run() -> Any:
            try:
                return handler(event, lambda_context(name))
            except Exception:  # Lambda notes it, and the next run comes in time
                return None

        return self.invoke(run)


def _of_queue(name: str) -> tuple[SQSEventConfig, Handler]:
    return next((s, handler_of(app, s)) for s in app.event_sources if isinstance(s, SQSEventConfig) and s.queue == name)


def _of_schedule(name: str) -> tuple[ScheduledEventConfig, Handler]:
    sources = (one for one in app.event_sources if isinstance(one, ScheduledEventConfig) and one.name == name)
    return next((source, handler_of(app, source)) for source in sources)


def _failed(answer: dict[str, Any]) -> set[str]:
    return {one["itemIdentifier"] for one in answer["batchItemFailures"]}
