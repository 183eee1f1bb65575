"""What `linli doctor` looks at. A check answers green, yellow (look at it) or red (something does not work) and a
sentence; one that fails itself is red, and the others go on."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from chalicelib.kernel.instant import DAY_MS, MINUTE_MS
from chalicelib.providers.secrets.names import SECRETS, Secret
from chalicelib.runtime import audit, aws, jobs, log, outbox, resources
from chalicelib.runtime.context import Context
from chalicelib.runtime.schedules import longest_gap_seconds
from chalicelib.runtime.settings import Settings
from infra import declare
from infra.declare import Stack, Table
from infra.functions import Stage
from infra.ops import dead_letters

GREEN, YELLOW, RED = "green", "yellow", "red"
SKEW_YELLOW_SECONDS, SKEW_RED_SECONDS = 3, 60  # AWS refuses a signature that is five minutes off
NEWS_YELLOW_MS, NEWS_RED_MS = 2 * MINUTE_MS, 5 * MINUTE_MS  # the sweeper sends after one minute
QUEUE_AGE_YELLOW_SECONDS, QUEUE_AGE_RED_SECONDS = 60, 600
_MASKED = ("secret", "key", "token", "password")


@dataclass(frozen=True)
class Check:
    """One finding."""

    area: str
    name: str
    status: str
    says: str


@dataclass(frozen=True)
class Doctor:
    """`stage` is None beside a local stack, whose engines cannot tell everything that AWS can."""

    ctx: Context
    stack: Stack
    stage: Stage | None

    def areas(self) -> dict[str, Callable[[], Iterable[Check]]]:
        """Every area and what looks at it, in the order in which a person would."""
        return {
            "settings": self.settings,
            "database": self.database,
            "tables": self.tables,
            "queues": self.queues,
            "news": self.news,
            "schedules": self.schedules,
            "secrets": self.secrets,
            "provider": self.provider,
            "audit": self.audit,
        }

    def examine(self, area: str) -> list[Check]:
        """All checks of an area; what breaks the looking is a finding too."""
        try:
            return list(self.areas()[area]())
        except Exception as error:  # the patient is ill, the doctor goes on
            return [Check(area, area, RED, log.scrub(" ".join(f"{type(error).__name__}: {error}".split())))]

    # ------------------------------------------------------------------ settings

    def settings(self) -> Iterable[Check]:
        """Each setting that is not as the code has it."""
        defaults = Settings()
        changed = 0
        for field in fields(Settings):
            value = getattr(self.ctx.settings, field.name)
            if value != getattr(defaults, field.name):
                changed += 1
                shown = "***" if field.name.endswith(_MASKED) else log.scrub(str(value))
                yield Check("settings", f"LINLI_{field.name.upper()}", GREEN, shown)
        if not changed:
            yield Check("settings", "all", GREEN, "as the code has them")

    # ------------------------------------------------------------------ database

    @cached_property
    def _database(self) -> Any:
        """What describes tables is no use to a function: the functions' own client knows rows only."""
        import boto3

        return boto3.client("dynamodb", region_name=aws.region())

    def database(self) -> Iterable[Check]:
        """The clock of this machine against the database's, without what a local stack has put its clock forward."""
        begun = time.time()
        answer = self._database.list_tables(Limit=1)
        middle = (begun + time.time()) / 2
        theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        # The header has whole seconds: half a second is the best guess of the rest.
        skew = abs(middle - theirs - 0.5)
        status = RED if skew > SKEW_RED_SECONDS else YELLOW if skew > SKEW_YELLOW_SECONDS else GREEN
        yield Check("database", "clock skew", status, f"{skew:.1f} s")

    def tables(self) -> Iterable[Check]:
        """Every declared table, as it is declared."""
        for table in self.stack.tables:
            wrong = self._table(table)
            says = "; ".join(wrong) or self._guards(table)
            yield Check("tables", table.name, RED if wrong else GREEN, says)

    def _guards(self, table: Table) -> str:
        ttl = f", ttl on {table.ttl}" if table.ttl else ""
        indexes = "".join(f", index {name}" for name in sorted(table.indexes))
        return f"as declared{indexes}{ttl if self.stage else ''}"

    def _table(self, table: Table) -> list[str]:
        client = self._database
        try:
            told = client.describe_table(TableName=table.name)["Table"]
        except client.exceptions.ResourceNotFoundException:
            return ["it does not exist"]
        wanted = table.create_arguments()
        wrong = [] if _keys(told) == _keys(wanted) else ["its keys are not as declared"]
        if _indexes(told) != _indexes(wanted):
            wrong.append("its indexes are not as declared")
        if told["TableStatus"] != "ACTIVE":
            wrong.append(f"it is {told['TableStatus']}")
        if self.stage is None:
            return wrong  # the local engine removes nothing and restores nothing
        ttl = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
        if (ttl.get("AttributeName") if ttl["TimeToLiveStatus"].startswith("ENABL") else None) != table.ttl:
            wrong.append(f"its garbage collection is not by {table.ttl}")
        kept = client.describe_continuous_backups(TableName=table.name)["ContinuousBackupsDescription"]
        if kept.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
            wrong.append("it cannot be restored to a point in time")
        if self.stage.guarded and not told.get("DeletionProtectionEnabled"):
            wrong.append("nothing protects it from being deleted")
        return wrong

    # ------------------------------------------------------------------ queues

    def queues(self) -> Iterable[Check]:
        """Every queue with the one behind it, and what waits in both."""
        for queue in resources.QUEUES:
            yield self._queue(queue)
            dead = dead_letters.count(dead_letters.dead_url(queue))
            says = f"{dead}; see `linli dead list {queue.name}`" if dead else "none"
            yield Check("queues", f"{queue.name} dead letters", RED if dead else GREEN, says)

    def _queue(self, queue: resources.Queue) -> Check:
        url = resources.queue_url(queue)
        told = resources.sqs().call("GetQueueAttributes", {"QueueUrl": url, "AttributeNames": ["All"]})["Attributes"]
        wrong = []
        redrive = json.loads(told.get("RedrivePolicy", "{}"))
        if not str(redrive.get("deadLetterTargetArn", "")).endswith(f":{queue.full_name}-dead"):
            wrong.append("what fails for good is not kept")
        elif int(redrive["maxReceiveCount"]) != queue.max_receives:
            wrong.append(f"{redrive['maxReceiveCount']} tries instead of {queue.max_receives}")
        if self.stage and int(told["VisibilityTimeout"]) != queue.visibility_seconds:
            wrong.append(f"visibility {told['VisibilityTimeout']} s instead of {queue.visibility_seconds}")
        depth = dead_letters.count(url)
        age = self._age_seconds(queue)
        status = GREEN
        if wrong or (age or 0) > QUEUE_AGE_RED_SECONDS:
            status = RED
        elif (age or 0) > QUEUE_AGE_YELLOW_SECONDS:
            status = YELLOW
        oldest = f", the oldest {age} s" if age is not None and depth else ""
        return Check("queues", queue.name, status, "; ".join([*wrong, f"{depth} messages{oldest}"]))

    def _age_seconds(self, queue: resources.Queue) -> int | None:
        """Of the oldest message, which only CloudWatch knows; None beside a local stack, or when it does not say."""
        if self.stage is None:
            return None
        import boto3

        now = datetime.fromtimestamp(time.time(), UTC)
        points = boto3.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": queue.full_name}],
            StartTime=datetime.fromtimestamp(time.time() - 900, UTC),
            EndTime=now,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return int(max(points, key=lambda point: point["Timestamp"])["Maximum"]) if points else None

    def news(self) -> Iterable[Check]:
        """News that nobody has handled."""
        found = list(outbox.standing())
        resting = sum(item.resting for item in found)
        waiting = [item for item in found if not item.resting]
        age_ms = max((self.ctx.now.since(item.news.at) for item in waiting), default=0)
        status = RED if age_ms > NEWS_RED_MS else YELLOW if age_ms > NEWS_YELLOW_MS else GREEN
        yield Check("news", "outbox", status, f"{len(waiting)} stand, the oldest {age_ms // 1000} s")
        says = f"{resting}; see `linli outbox list`" if resting else "none"
        yield Check("news", "resting", RED if resting else GREEN, says)

    # ------------------------------------------------------------------ schedules

    def schedules(self) -> Iterable[Check]:
        """When each schedule last ended well, against the longest time that lies between two of its runs."""
        last = jobs.last_ok([function.name for function in self.stack.schedules])
        for function in self.stack.schedules:
            ok = last.get(function.name)
            if ok is None:
                yield Check("schedules", function.name, YELLOW, f"has not run yet; {function.schedule}")
                continue
            age_seconds = max(0, self.ctx.now.since(ok) // 1000)
            gap = longest_gap_seconds(function.schedule)
            late = age_seconds > gap + gap // 2 + 60
            says = f"last ended well {age_seconds} s ago, at most {gap} s lie between two runs"
            yield Check("schedules", function.name, RED if late else GREEN, says)

    # ------------------------------------------------------------------ secrets

    def secrets(self) -> Iterable[Check]:
        """Every secret that the code asks for can be read."""
        for secret in SECRETS:
            yield self._secret(secret)

    def _secret(self, secret: Secret) -> Check:
        try:
            value = self.ctx.ports.secrets.get(secret.name)
        except KeyError:
            status, says = (GREEN, "not there, and need not be") if secret.optional else (RED, "missing")
            if secret.name.startswith("wechat") and not self.ctx.settings.wechat_login.endswith(":LocalUsers"):
                status, says = YELLOW, "missing, nobody can sign in by WeChat"
            return Check("secrets", secret.name, status, f"{says}: {secret.says}")
        if not value.strip():
            return Check("secrets", secret.name, RED, f"empty: {secret.says}")
        return Check("secrets", secret.name, GREEN, f"{len(value)} characters")

    # ------------------------------------------------------------------ provider

    def provider(self) -> Iterable[Check]:
        """The provider answers, and a webhook signed with our secret passes the adapter that checks the real ones."""
        payments = self.ctx.ports.payments
        begun = time.monotonic()
        held = payments.balance(self.ctx.settings.currency)
        took_ms = int((time.monotonic() - begun) * 1000)
        yield Check(
            "provider", payments.name, GREEN, f"answers in {took_ms} ms, holds {held.amount_minor} {held.currency}"
        )
        yield self._webhook()

    def _webhook(self) -> Check:
        payments, now = self.ctx.ports.payments, self.ctx.now
        if payments.name != "stripe":
            return Check("provider", "webhook secret", YELLOW, f"no test event is known for {payments.name}")
        event = {"id": "evt_linli_doctor", "object": "event", "type": "linli.doctor", "created": now.seconds}
        raw = json.dumps(event | {"data": {"object": {"object": "doctor"}}}).encode()
        secret = self.ctx.ports.secrets.get("stripe_webhook_secret")
        # https://docs.stripe.com/webhooks#verify-manually
        seal = hmac.new(secret.encode(), f"{now.seconds}.".encode() + raw, hashlib.sha256).hexdigest()
        told = payments.verify(raw, {"stripe-signature": f"t={now.seconds},v1={seal}"}, now)
        wrong_way = (told.event_id, told.intent, told.refund) != ("evt_linli_doctor", None, None)
        says = "another event came out" if wrong_way else "an event signed with it passes"
        return Check("provider", "webhook secret", RED if wrong_way else GREEN, says)

    # ------------------------------------------------------------------ audit

    def audit(self) -> Iterable[Check]:
        """The head of the audit log, and how old its last anchor is."""
        head = audit.head()
        anchors = list(self.ctx.ports.files.list(audit.ANCHORS))
        if not anchors:
            return [Check("audit", "anchor", YELLOW, f"{head.sequence} entries, never anchored")]
        last = anchors[-1].removeprefix(audit.ANCHORS).removesuffix(".json")
        age_days = (
            self.ctx.now.ms - int(datetime.fromisoformat(f"{last}T00:00:00+00:00").timestamp() * 1000)
        ) // DAY_MS
        status = GREEN if age_days <= 2 else YELLOW
        return [Check("audit", "anchor", status, f"{head.sequence} entries, last anchored on {last}")]


def doctor(ctx: Context, stage: Stage | None) -> Doctor:
    return Doctor(ctx, declare.stack(), stage)


def worst(checks: Iterable[Check]) -> str:
    """Red before yellow before green."""
    found = {check.status for check in checks}
    return next((status for status in (RED, YELLOW) if status in found), GREEN)


def _keys(told: dict[str, Any]) -> object:
    types = {each["AttributeName"]: each["AttributeType"] for each in told["AttributeDefinitions"]}
    return [(key["AttributeName"], key["KeyType"], types[key["AttributeName"]]) for key in told["KeySchema"]]


def _indexes(told: dict[str, Any]) -> object:
    return {
        index["IndexName"]: (
            sorted((key["AttributeName"], key["KeyType"]) for key in index["KeySchema"]),
            index["Projection"]["ProjectionType"],
        )
        for index in told.get("GlobalSecondaryIndexes", ())
    }


def whereabouts(stage: Stage | None) -> str:
    """Which stack this is about, for the head of the answer."""
    return stage.name if stage else os.environ.get("LINLI_STAGE", "local")
