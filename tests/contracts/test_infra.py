"""What is deployed: the built template, the policies and the package say what the code says."""

from __future__ import annotations

import ast
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from chalice import Chalice

from chalicelib.kernel.errors import all_problems
from chalicelib.providers.ports import Ports
from chalicelib.runtime import resources
from chalicelib.runtime.settings import Settings
from chalicelib.web import problems
from infra import cloud, declare, functions, policies
from infra.declare import Function, Stack
from infra.functions import STAGES
from infra.imports import ROOT, modules, tree_of
from infra.names import dead_letter_id, event_id, function_id, log_group_id, queue_id, table_id
from infra.ops import package
from infra.ops.package import Package
from tests import engine

STAGING, PROD = STAGES


@pytest.fixture(scope="module")
def stack() -> Stack:
    return declare.stack()


@pytest.fixture(scope="module")
def built(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """What `chalice package` makes of us for production, without the libraries."""
    return package.build(stack, PROD, tmp_path_factory.mktemp("package") / "prod", libraries=False)


@pytest.fixture(scope="module")
def template(built: Package) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(built.template.read_text(encoding="utf-8"))
    return loaded


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def alarms_of(template: dict[str, Any], dimension: Any) -> set[str]:
    """The metrics that are watched for a thing, each by an alarm that tells somebody."""
    return {
        alarm["MetricName"]
        for alarm in (each["Properties"] for each in template["Resources"].values() if "Alarm" in each["Type"])
        if alarm["AlarmActions"] and any(part["Value"] == dimension for part in alarm["Dimensions"])
    }


def dead_names(template: dict[str, Any]) -> list[str]:
    """What was merged under a name that Chalice does not know: it has properties and is nothing."""
    resources_ = template["Resources"]
    dead = [name for name, found in resources_.items() if "Type" not in found]
    for name, found in resources_.items():
        events = found.get("Properties", {}).get("Events", {})
        dead += [f"{name}.{event}" for event, source in events.items() if "Type" not in source]
    return dead


def test_every_merged_name_is_one_that_chalice_uses(template: dict[str, Any]) -> None:
    """A misspelt logical name merges silently as a resource without a type."""
    assert dead_names(template) == []
    misspelt = copy.deepcopy(template)
    misspelt["Resources"]["ApiHandler"] = {"Properties": {"Environment": {}}}
    assert dead_names(misspelt) == ["ApiHandler"]


def test_every_queue_has_one_consumer(stack: Stack) -> None:
    """News that nobody takes would wait fourteen days and be gone."""
    consumed = [function.queue for function in stack.functions if function.queue]
    assert sorted(consumed) == [queue.name for queue in stack.queues]


def test_news_goes_to_declared_queues_only() -> None:
    """A queue that is not declared is not made."""
    assert set(resources.TOPICS.values()) <= set(resources.QUEUES)


def test_consumers_answer_for_each_message(stack: Stack, template: dict[str, Any]) -> None:
    """Without the response type Lambda deletes what failed; with a short visibility it is done twice."""
    for function in (each for each in stack.functions if each.queue):
        built = properties(template, function_id(function.name))
        source = built["Events"][event_id(function.name)]
        assert source["Type"] == "SQS"
        assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["Properties"]["Queue"] == {"Fn::Sub": f"${{{queue_id(function.queue)}.Arn}}"}
        assert properties(template, queue_id(function.queue))["VisibilityTimeout"] >= 6 * built["Timeout"]


def test_every_queue_has_a_dead_letter_queue_and_is_watched(stack: Stack, template: dict[str, Any]) -> None:
    """What fails for good is kept and seen; what waits too long is seen."""
    for queue in stack.queues:
        own, dead = queue_id(queue.name), dead_letter_id(queue.name)
        redrive = properties(template, own)["RedrivePolicy"]
        assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": [dead, "Arn"]}, "maxReceiveCount": queue.max_receives}
        assert properties(template, own)["QueueName"] == f"linli-prod-{queue.name}"
        assert properties(template, dead)["QueueName"] == f"linli-prod-{queue.dead_letter_name}"
        assert "ApproximateAgeOfOldestMessage" in alarms_of(template, {"Fn::GetAtt": [own, "QueueName"]})
        assert "ApproximateNumberOfMessagesVisible" in alarms_of(template, {"Fn::GetAtt": [dead, "QueueName"]})


def test_every_function_is_watched_and_forgets_its_logs(stack: Stack, template: dict[str, Any]) -> None:
    """Errors and throttles alarm, a silent schedule alarms, logs end, and no function shares its role."""
    roles = []
    for function in stack.functions:
        own = function_id(function.name)
        watched = alarms_of(template, {"Ref": own})
        assert {"Errors", "Throttles"} <= watched, function.name
        assert ("Invocations" in watched) == bool(function.schedule), function.name
        logs = properties(template, log_group_id(function.name))
        assert logs == {"LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{own}}}"}, "RetentionInDays": PROD.log_days}
        roles.append(json.dumps(properties(template, own)["Role"]))
    assert len(set(roles)) == len(stack.functions)
    # Failures become answers in the Router, so that Lambda counts none of the API's.
    assert "5XXError" in alarms_of(template, "linli-prod")
    assert properties(template, "RestAPI")["DefinitionBody"]["info"]["title"] == "linli-prod"


def test_two_runs_of_a_schedule_never_overlap(stack: Stack, template: dict[str, Any]) -> None:
    """Schedules come at least once; the second waits for the first."""
    assert stack.schedules
    for function in stack.schedules:
        built = properties(template, function_id(function.name))
        assert built["ReservedConcurrentExecutions"] == 1
        assert [event["Properties"]["Schedule"] for event in built["Events"].values()] == [function.schedule]


def test_the_tables_of_the_template_are_those_of_the_engine(stack: Stack, template: dict[str, Any]) -> None:
    """What the tests run on is what the cloud gets: keys, indexes and projections."""
    for table in stack.tables:
        there = engine.admin().describe_table(TableName=table.name)["Table"]
        asked = properties(template, table_id(table.short))
        assert _shape(there) == _shape(asked), table.short
        assert asked["TableName"] == f"linli-prod-{table.short}"


def test_an_index_is_asked_by_the_key_that_its_class_declares(stack: Stack) -> None:
    """PynamoDB lists an index's keys by name; which of them is the partition must not depend on how it is called."""
    asked = {
        (row.Meta.table_name, index.Meta.index_name): index._hash_key_attribute().attr_name
        for row in declare._rows()
        for index in row._indexes.values()
    }
    built = {(table.name, index.name): index.pk for table in stack.tables for index in table.indexes.values()}
    assert built == asked
    assert {("linli-orders", "due"), ("linli-ledger_journal", "posted")} <= set(built)


def _shape(table: dict[str, Any]) -> dict[str, Any]:
    indexes = sorted(table.get("GlobalSecondaryIndexes") or [], key=lambda index: index["IndexName"])
    return {
        "keys": table["KeySchema"],
        "types": sorted(table["AttributeDefinitions"], key=lambda each: each["AttributeName"]),
        "indexes": [(index["IndexName"], index["KeySchema"], index["Projection"]) for index in indexes],
    }


def test_tables_are_on_demand_restorable_and_guarded(stack: Stack, template: dict[str, Any]) -> None:
    """No table of production can be deleted by a slip, and each can be brought back to any second."""
    for table in stack.tables:
        built = properties(template, table_id(table.short))
        assert built["BillingMode"] == "PAY_PER_REQUEST"
        assert built["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert built["DeletionProtectionEnabled"] is True
        assert template["Resources"][table_id(table.short)]["DeletionPolicy"] == "Retain"
        expires = {"AttributeName": table.ttl, "Enabled": True} if table.ttl else None
        assert built.get("TimeToLiveSpecification") == expires
        assert len(table.indexes) <= 2


def test_an_unguarded_stage_can_be_taken_down(stack: Stack) -> None:
    """What is made for trying leaves nothing behind that stands in the way of the next try."""
    merged = cloud.merge_template(stack, STAGING)["Resources"]
    assert "Retain" not in {found.get("DeletionPolicy") for found in merged.values()}
    assert merged[table_id("outbox")]["Properties"]["DeletionProtectionEnabled"] is False


def statements(stack: Stack) -> Iterator[tuple[Function, dict[str, Any]]]:
    for function in stack.functions:
        for statement in policies.policy(function, stack)["Statement"]:
            yield function, statement


def test_no_policy_has_a_star(stack: Stack, template: dict[str, Any]) -> None:
    """But for a log stream, which Lambda names, and all topics, which are what sending an SMS leaves out."""
    own_logs = ":log-group:/aws/lambda/${AWS::StackName}-"
    for function, statement in statements(stack):
        assert not [action for action in statement["Action"] if "*" in action]
        found = json.dumps(statement.get("Resource", ""))
        assert found.count("*") == (1 if f"{own_logs}{function.name}:*" in found else 0), statement
        assert "NotResource" not in statement or statement["Action"] == ["sns:Publish"]
    for name, built in template["Resources"].items():
        if built["Type"] == "AWS::IAM::Role":
            assert "ManagedPolicyArns" not in built["Properties"], name


def test_what_was_posted_can_only_be_added_to(stack: Stack) -> None:
    """No function may change or remove an entry of the journal."""
    assert set(policies.APPEND_ONLY) <= {table.short for table in stack.tables}
    for _, statement in statements(stack):
        touched = json.dumps(statement.get("Resource", ""))
        if any(table_id(short) in touched for short in policies.APPEND_ONLY):
            assert set(statement["Action"]) <= {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"}


def test_a_function_is_granted_what_its_code_reaches() -> None:
    """A table is granted when the module that declares it is reached, and a port's needs when the port is used."""
    tables = tuple(declare.tables())
    schedule = Function("relay_outbox", "chalicelib.runtime.handlers.relay_outbox", schedule="rate(1 minute)")
    granted = json.dumps(policies.policy(schedule, Stack(tables, (), (schedule,))))
    assert "OutboxTable" in granted
    assert "JobsTable" in granted
    assert "sqs:SendMessage" in granted
    assert "IdentityTable" not in granted
    assert "Secrets" not in granted
    assert policies.ports_used("chalicelib.web.auth") == {"secrets"}
    assert policies.ports_used("chalicelib.payments.service") == {"payments"}


def test_what_api_gateway_answers_is_a_problem_document(template: dict[str, Any]) -> None:
    """An unknown path, a body that is too large, a throttled caller: the same shape as from the app."""
    answers = properties(template, "RestAPI")["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    known = {(problem.code, problem.status) for problem in all_problems()}
    assert answers["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"
    for answer in answers.values():
        document = json.loads(answer["responseTemplates"][problems.MEDIA_TYPE])
        assert set(document) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
        assert (document["code"], document["status"]) in known
        assert str(document["status"]) == answer["statusCode"]
        assert "{" not in document["detail"]
        assert ("gatewayresponse.header.Retry-After" in answer["responseParameters"]) == (
            document["status"] in (429, 503)
        )


def test_the_built_template_passes_cfn_lint(template: dict[str, Any], tmp_path: Path) -> None:
    """References resolve, properties exist, values are of their kind."""
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template), encoding="utf-8")
    linter = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run([linter, "-t", path, "-r", "us-east-1"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


_RENDER = """
import json
from infra import cloud, declare, functions
stack = declare.stack()
print(json.dumps([cloud.merge_template(stack, stage) for stage in functions.STAGES]))
"""


def test_rendering_twice_gives_the_same_text(stack: Stack) -> None:
    """In another process with another hash seed and no settings, so that neither a set nor an environment decides."""
    other = subprocess.check_output(
        [sys.executable, "-c", _RENDER], cwd=ROOT, env={"PYTHONHASHSEED": "1", "PATH": ""}, text=True
    )
    assert other.strip() == json.dumps([cloud.merge_template(stack, stage) for stage in STAGES])


def test_the_same_code_gives_the_same_package(stack: Stack, built: Package, tmp_path: Path) -> None:
    """A zip whose bytes change without a reason deploys every function again."""
    again = package.build(stack, PROD, tmp_path, libraries=False)
    assert again.zip_file.read_bytes() == built.zip_file.read_bytes()
    assert again.template.read_text() == built.template.read_text()


def test_config_is_as_the_code_says(stack: Stack) -> None:
    """What is committed under .chalice/ is what deploying uses."""
    stale = [path.name for path, text in functions.files(stack).items() if not _says(path, text)]
    assert not stale, "run: make openapi"


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def test_config_names_settings_and_adapters_that_exist(stack: Stack) -> None:
    """A misspelt setting is ignored and a misspelt adapter fails at its first use; neither may wait until then."""
    config = functions.config(stack)
    told = dict(config["environment_variables"])
    for stage in config["stages"].values():
        told |= stage["environment_variables"]
    known = {f"LINLI_{field.name.upper()}" for field in fields(Settings)}
    assert {name for name in told if name.startswith("LINLI_")} <= known
    ports = {name for name in vars(Ports) if not name.startswith("_")}
    assert {f"LINLI_{port.upper()}" for port in ports} <= set(told)
    for text in told.values():
        module, _, name = text.partition(":")
        assert not name or hasattr(import_module(module), name)
        assert ".local:" not in text, "what stands in for the outside on one machine must not be deployed"


def test_the_package_keeps_every_service_that_the_code_calls() -> None:
    """botocore's descriptions of all other services are left out."""
    called = {"dynamodb"}
    for module in modules("chalicelib"):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "boto3.client":
                called.add(ast.literal_eval(node.args[0]))
    assert called <= package.SERVICES
    assert package.is_used("botocore/data/sqs/2012-11-05/service-2.json.gz")
    assert package.is_used("botocore/data/endpoints.json")
    assert not package.is_used("botocore/data/ec2/2016-11-15/service-2.json.gz")
    assert not package.is_used("pydantic/__pycache__/main.cpython-311.pyc")


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(2 hours)", 7200),
        ("rate(1 day)", 86_400),
        ("cron(*/5 * * * ? *)", 3600),
        ("cron(10 18 * * ? *)", 86_400),
    ],
)
def test_the_gap_of_a_schedule(expression: str, seconds: int) -> None:
    """The alarm on a silent schedule waits longer than the schedule does."""
    assert cloud.longest_gap_seconds(expression) == seconds


@pytest.mark.parametrize("expression", ["cron(0 8 ? * MON *)", "cron(0 8 1 * ? *)", "at(2026-11-22T00:00:00)"])
def test_a_schedule_that_no_alarm_can_watch_is_refused(expression: str) -> None:
    """CloudWatch looks back a week, which is too short for what runs weekly."""
    with pytest.raises(ValueError, match="no alarm can watch"):
        cloud.longest_gap_seconds(expression)


def test_a_queue_must_be_declared_and_consumed_once() -> None:
    """Two functions on one queue would each see half of its messages."""
    app = Chalice("other")
    app.on_sqs_message(queue=resources.NOTIFY.full_name, name="one")(lambda event: None)
    assert [each.queue for each in declare.functions(app)] == ["", "notify"]
    app.on_sqs_message(queue=resources.NOTIFY.full_name, name="two")(lambda event: None)
    with pytest.raises(ValueError, match="declared twice"):
        declare.functions(app)
    other = Chalice("another")
    other.on_sqs_message(queue="somebody-elses", name="one")(lambda event: None)
    with pytest.raises(ValueError, match="which QUEUES does not declare"):
        declare.functions(other)
