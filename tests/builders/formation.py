"""A small CloudFormation: what `infra.ops.stacks` asks of AWS, answered from memory."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError


class Formation:
    """CloudFormation as far as `Stacks` asks of it: a stack is its resources; every operation ends at once, unless a
    resource is named in `fails`."""

    def __init__(self) -> None:
        self.stacks: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, dict[str, Any]] = {}
        self.fails: set[str] = set()
        self.urls: dict[str, str] = {}
        self.done: list[str] = []

    def describe_stacks(self, **asked: str) -> Any:
        for name, found in self.stacks.items():
            if asked["StackName"] in (name, f"id:{name}"):
                return {"Stacks": [found]}
        error = {"Code": "ValidationError", "Message": f"Stack with id {asked['StackName']} does not exist"}
        raise ClientError({"Error": error}, "DescribeStacks")

    def create_change_set(self, **asked: Any) -> Any:
        name = asked["StackName"]
        body = asked.get("TemplateBody") or self.urls[asked["TemplateURL"]]
        new = json.loads(body)["Resources"]
        told = {each["ParameterKey"]: each["ParameterValue"] for each in asked["Parameters"]}
        if asked["ChangeSetType"] == "CREATE":
            self.stacks[name] = self.stack(name, "REVIEW_IN_PROGRESS", {}, {})
        old, before = self.stacks[name]["resources"], self.stacks[name]["told"]
        changes = [self._change(key, old.get(key), new.get(key)) for key in sorted({*old, *new})]
        changes = [each for each in changes if each] or ([{"ResourceChange": _TOLD}] if told != before else [])
        self.plans[f"plan-{len(self.plans)}"] = {"name": name, "new": new, "told": told, "changes": changes}
        return {"Id": f"plan-{len(self.plans) - 1}"}

    @staticmethod
    def _change(key: str, old: Any, new: Any) -> Any:
        if old == new:
            return None
        renamed = old and new and old["Properties"].get("TableName") != new["Properties"].get("TableName")
        return {
            "ResourceChange": {
                "Action": "Add" if old is None else "Remove" if new is None else "Modify",
                "LogicalResourceId": key,
                "ResourceType": (new or old)["Type"],
                "Replacement": "True" if renamed else "False",
            }
        }

    def describe_change_set(self, **asked: str) -> Any:
        plan = self.plans[asked["ChangeSetName"]]
        if not plan["changes"]:
            reason = "The submitted information didn't contain changes."
            return {"Status": "FAILED", "StatusReason": reason, "StackName": plan["name"]}
        return {"Status": "CREATE_COMPLETE", "Changes": plan["changes"]}

    def delete_change_set(self, **asked: str) -> None:
        del self.plans[asked["ChangeSetName"]]

    def delete_stack(self, **asked: str) -> None:
        found = self.stacks[asked["StackName"]]
        found["StackStatus"] = "DELETE_COMPLETE"
        self.done.append(f"delete {asked['StackName']}")

    def execute_change_set(self, **asked: str) -> None:
        plan = self.plans[asked["ChangeSetName"]]
        stack = self.stacks[plan["name"]]
        failed = self.fails & {each["ResourceChange"]["LogicalResourceId"] for each in plan["changes"]}
        stack["events"] += [self._event("FAILED" if key in failed else "COMPLETE", key) for key in plan["new"]]
        self.done.append(plan["name"])
        if failed:
            stack["StackStatus"] = "UPDATE_ROLLBACK_COMPLETE"
        else:
            stack |= {"StackStatus": "UPDATE_COMPLETE", "resources": plan["new"], "told": plan["told"]}

    def _event(self, ended: str, key: str) -> dict[str, Any]:
        number = sum(len(stack["events"]) for stack in self.stacks.values())
        return {
            "EventId": f"{number}-{key}-{len(self.done)}",
            "LogicalResourceId": key,
            "ResourceStatus": f"CREATE_{ended}",
            "ResourceStatusReason": f"{key} does not like it" if ended == "FAILED" else "",
        }

    def describe_stack_events(self, **asked: str) -> Any:
        return {"StackEvents": list(reversed(self.stacks[asked["StackName"].removeprefix("id:")]["events"]))}

    @staticmethod
    def stack(name: str, status: str, resources: Any, told: Any) -> dict[str, Any]:
        key = {"OutputKey": "EndpointURL", "OutputValue": f"https://{name}.example/api/"}
        outputs = [key, {"OutputKey": "Artefacts", "OutputValue": f"linli-test-{name}"}]
        made = {"StackName": name, "StackId": f"id:{name}", "StackStatus": status, "Outputs": outputs}
        return {**made, "resources": resources, "told": told, "events": []}


_TOLD = {"Action": "Modify", "LogicalResourceId": "Told", "ResourceType": "AWS::Lambda::Function"}
