"""One CloudFormation stack at a time, through change sets: what would change is known before it does.

Nothing here knows what Linli is made of, but for one rule: what holds data is neither removed nor replaced.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
HOLDS_DATA = frozenset({"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"})
PATIENCE_SECONDS = 3600
_INLINE_BYTES = 51_200  # CreateChangeSet takes no more; anything larger comes from S3


class DeployError(Exception):
    """The deployment stopped; the message says where and why, for the person who started it."""


@dataclass(frozen=True)
class Change:
    """One line of a change set. `replacement` is True, False or Conditional, as CloudFormation says it."""

    action: str
    resource: str
    type: str
    replacement: str

    @property
    def loses_data(self) -> bool:
        return self.type in HOLDS_DATA and (self.action == "Remove" or self.replacement == "True")


@dataclass(frozen=True)
class Event:
    """What happened to one resource of a stack, or, without a `resource`, what is done next."""

    stack: str
    resource: str
    status: str
    reason: str = ""

    @property
    def failed(self) -> bool:
        return self.status.endswith("_FAILED")


Progress = Callable[[Event], None]


@dataclass(frozen=True)
class Template:
    """A template as a text, and where CloudFormation can read it when it is too large to send along."""

    text: str
    url: str = ""

    @property
    def source(self) -> dict[str, str]:
        if len(self.text.encode()) <= _INLINE_BYTES or not self.url:
            return {"TemplateBody": self.text}
        return {"TemplateURL": self.url}

    @property
    def parsed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


@dataclass(frozen=True)
class Plan:
    """A change set that waits. Without an `id` nothing would change."""

    stack: str
    id: str
    creates: bool
    changes: tuple[Change, ...]


class Stacks:
    """The stacks of one account and region."""

    def __init__(self, client: Any, progress: Progress, poll_seconds: float = 3.0) -> None:
        self._client = client
        self._progress = progress
        self._poll_seconds = poll_seconds

    def outputs(self, name: str) -> dict[str, str] | None:
        """A stack's outputs, or None where there is no such stack."""
        found = self._describe(name)
        return found and {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}

    def apply(
        self, name: str, template: Template, parameters: Mapping[str, str], *, dry_run: bool = False
    ) -> tuple[Change, ...]:
        """Brings a stack to a template and returns what that changes. Raises DeployError, also for a change that would
        lose data: then nothing was done."""
        plan = self._plan(name, template, parameters)
        lost = [change for change in plan.changes if change.loses_data]
        if lost or dry_run:
            self._forget(plan)
        if lost:
            named = ", ".join(f"{change.resource} ({change.type})" for change in lost)
            raise DeployError(f"{name}: refused, because it would remove or replace what holds data: {named}")
        if dry_run:
            return plan.changes
        if plan.id:
            self._execute(plan)
        else:
            self._progress(Event(name, "", "UNCHANGED"))
        return plan.changes

    def _plan(self, name: str, template: Template, parameters: Mapping[str, str]) -> Plan:
        creates = self._makes_anew(name)
        known = template.parsed.get("Parameters", {})
        self._progress(Event(name, "", "PLANNING"))
        asked: dict[str, Any] = {
            "StackName": name,
            "ChangeSetName": f"linli-{time.time_ns()}",
            "ChangeSetType": "CREATE" if creates else "UPDATE",
            "Capabilities": CAPABILITIES,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items() if key in known
            ],
            **template.source,
        }
        if creates:
            asked["OnStackFailure"] = "DELETE"
        made = self._client.create_change_set(**asked)
        found = self._wait_for_plan(made["Id"])
        if found is None:
            plan = Plan(name, "", creates, ())
            self._forget(Plan(name, made["Id"], creates, ()))
            return plan
        return Plan(name, made["Id"], creates, tuple(_changes(found)))

    def _makes_anew(self, name: str) -> bool:
        """Tells whether the stack is yet to be made. What a failed first try left behind is removed before."""
        found = self._describe(name)
        if found is None:
            return True
        status = found["StackStatus"]
        if status == "REVIEW_IN_PROGRESS":
            return True
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            self._progress(Event(name, "", "DELETING", f"a try before this one ended in {status}"))
            self.delete(name)
            return True
        if status.endswith("_IN_PROGRESS"):
            raise DeployError(f"{name} is in {status}: another deployment is under way; wait for it")
        return False

    def _wait_for_plan(self, change_set: str) -> list[dict[str, Any]] | None:
        """The changes, or None when there are none."""
        for _ in self._rounds():
            found = self._client.describe_change_set(ChangeSetName=change_set)
            if found["Status"] == "CREATE_COMPLETE":
                changes: list[dict[str, Any]] = found["Changes"]
                while found.get("NextToken"):
                    found = self._client.describe_change_set(ChangeSetName=change_set, NextToken=found["NextToken"])
                    changes += found["Changes"]
                return changes
            if found["Status"] == "FAILED":
                reason = found.get("StatusReason", "")
                if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                    return None
                raise DeployError(f"{found['StackName']}: {reason}")
        raise DeployError(f"CloudFormation did not answer within {PATIENCE_SECONDS} s")

    def _forget(self, plan: Plan) -> None:
        """Leaves nothing behind of a change set that is not executed; a stack that it alone made goes with it."""
        if plan.id:
            self._client.delete_change_set(ChangeSetName=plan.id)
        found = self._describe(plan.stack)
        if found is not None and found["StackStatus"] == "REVIEW_IN_PROGRESS":
            self._client.delete_stack(StackName=plan.stack)

    def _execute(self, plan: Plan) -> None:
        found = self._describe(plan.stack)
        stack_id = found["StackId"] if found else plan.stack
        seen = {event["EventId"] for event in self._events(stack_id)}
        self._progress(Event(plan.stack, "", "CREATING" if plan.creates else "UPDATING"))
        self._client.execute_change_set(ChangeSetName=plan.id)
        self._follow(plan.stack, stack_id, seen)

    def delete(self, name: str) -> None:
        """Removes a stack; what it retains stays. Raises DeployError."""
        found = self._describe(name)
        if found is None:
            return
        stack_id = found["StackId"]
        seen = {event["EventId"] for event in self._events(stack_id)}
        self._client.delete_stack(StackName=name)
        self._follow(name, stack_id, seen)

    def _follow(self, name: str, stack_id: str, seen: set[str]) -> None:
        """Tells every event until the stack rests. Raises DeployError with what failed."""
        failed: list[str] = []
        for _ in self._rounds():
            # The state is read first: events that come between the two are told in the next round, none is missed.
            found = self._describe(stack_id)
            for event in reversed([each for each in self._events(stack_id) if each["EventId"] not in seen]):
                seen.add(event["EventId"])
                told = Event(
                    name, event["LogicalResourceId"], event["ResourceStatus"], event.get("ResourceStatusReason", "")
                )
                self._progress(told)
                if told.failed and "cancelled" not in told.reason:
                    failed.append(f"  {told.resource}: {told.reason or told.status}")
            status = found["StackStatus"] if found else "DELETE_COMPLETE"
            if status.endswith("_IN_PROGRESS"):
                continue
            if failed or "ROLLBACK" in status or status.endswith("_FAILED"):
                raise DeployError("\n".join([f"{name} ended in {status}:", *failed]))
            return
        raise DeployError(f"{name} did not come to rest within {PATIENCE_SECONDS} s")

    def _events(self, stack_id: str) -> list[dict[str, Any]]:
        """The newest page of events, newest first."""
        found: list[dict[str, Any]] = self._client.describe_stack_events(StackName=stack_id)["StackEvents"]
        return found

    def _describe(self, name: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        try:
            found: dict[str, Any] = self._client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def _rounds(self) -> Iterator[None]:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            yield
            time.sleep(self._poll_seconds)


def _changes(found: list[dict[str, Any]]) -> Iterator[Change]:
    for each in found:
        change = each["ResourceChange"]
        yield Change(
            change["Action"], change["LogicalResourceId"], change["ResourceType"], change.get("Replacement", "")
        )
