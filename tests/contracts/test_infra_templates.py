"""What is deployed: the built templates of the base and of the surfaces say what the code says."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from chalice import Chalice

from chalicelib.kernel.errors import all_problems
from chalicelib.runtime import resources
from chalicelib.web import problems
from chalicelib.web.application import HTTP_SURFACES, JOBS, SURFACES
from infra import account, base, declare
from infra.declare import Function
from infra.functions import STAGES
from infra.imports import ROOT
from infra.names import BASE, dead_letter_id, event_id, function_id, log_group_id, prefix, queue_id, role_id, table_id
from infra.ops.package import Package
from tests import engine
from tests.builders.cloud import PROD, STAGING, build, load, properties, stack

PARTS = (BASE, *SURFACES)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """Every stage, as `chalice package` builds it."""
    place = tmp_path_factory.mktemp("package")
    with ThreadPoolExecutor(2) as pool:
        return dict(
            zip(
                [stage.name for stage in STAGES],
                pool.map(lambda stage: build(stage, place / stage.name), STAGES),
                strict=True,
            )
        )


@pytest.fixture(scope="module")
def prod(built: dict[str, Package]) -> dict[str, dict[str, Any]]:
    """The templates of production, by part."""
    return {part: load(built["prod"], part) for part in PARTS}


def own(prod: dict[str, dict[str, Any]], function: Function) -> dict[str, Any]:
    return properties(prod[function.surface], function_id(function.name))


def dead_names(template: dict[str, Any]) -> list[str]:
    """What was merged under a name that Chalice does not know: it has properties and is nothing."""
    found_resources = template["Resources"]
    dead = [name for name, found in found_resources.items() if "Type" not in found]
    for name, found in found_resources.items():
        events = found.get("Properties", {}).get("Events", {})
        dead += [f"{name}.{event}" for event, source in events.items() if "Type" not in source]
    return dead


def test_every_merged_name_is_one_that_chalice_uses(built: dict[str, Package]) -> None:
    """A misspelt logical name merges silently as a resource without a type."""
    for package in built.values():
        assert [dead_names(load(package, part)) for part in PARTS] == [[] for _ in PARTS]
    misspelt = copy.deepcopy(load(built["prod"], "public"))
    misspelt["Resources"]["ApiHandler"] = {"Properties": {"Environment": {}}}
    assert dead_names(misspelt) == ["ApiHandler"]


def test_every_schedule_and_consumer_exists_once(built: dict[str, Package]) -> None:
    """Over all templates of a stage: a schedule that stands in two settles twice."""
    declared = Counter(
        function.schedule or function.queue for function in stack().functions if function.surface == JOBS
    )
    for package in built.values():
        found: Counter[str] = Counter()
        for part in PARTS:
            for resource in load(package, part)["Resources"].values():
                for event in resource["Properties"].get("Events", {}).values():
                    asked = event["Properties"]
                    queue = re.search(rf":{prefix(package.stage)}(\w+)$", str(asked.get("Queue", {}).get("Fn::Sub")))
                    found[queue[1] if queue else asked["Schedule"]] += 1
        assert found == declared


def test_names_are_the_agreed_ones(prod: dict[str, dict[str, Any]]) -> None:
    """Whoever works with a stage from outside knows tables, queues, functions and APIs by these names."""
    assert {properties(prod[BASE], table_id(table.short))["TableName"] for table in stack().tables} == {
        f"linli-prod-{table.short}" for table in stack().tables
    }
    for queue in stack().queues:
        assert properties(prod[BASE], queue_id(queue.name))["QueueName"] == f"linli-prod-{queue.name}"
        assert properties(prod[BASE], dead_letter_id(queue.name))["QueueName"] == f"linli-prod-{queue.name}-dead"
    assert properties(prod[BASE], "Files")["BucketName"] == {"Fn::Sub": "linli-${Stage}-files-${AWS::AccountId}"}
    assert properties(prod[BASE], "Photos")["BucketName"] == {"Fn::Sub": "linli-${Stage}-photos-${AWS::AccountId}"}
    for function in stack().functions:
        assert own(prod, function)["FunctionName"] == f"linli-prod-{function.surface}-{function.name}"
    for surface in HTTP_SURFACES:
        api = properties(prod[surface], "RestAPI")
        assert api["Name"] == api["DefinitionBody"]["info"]["title"] == f"linli-prod-{surface}"
    assert "RestAPI" not in prod[JOBS]["Resources"]


def test_every_queue_has_one_consumer() -> None:
    """News that nobody takes would wait fourteen days and be gone."""
    consumed = [function.queue for function in stack().functions if function.queue]
    assert sorted(consumed) == [queue.name for queue in stack().queues]


def test_news_goes_to_declared_queues_only() -> None:
    """A queue that is not declared is not made."""
    assert set(resources.TOPICS.values()) <= set(resources.QUEUES)


def test_consumers_answer_for_each_message(prod: dict[str, dict[str, Any]]) -> None:
    """Without the response type Lambda deletes what failed; with a short visibility it is done twice; and readers that
    outnumber the reserved processors would use up a message's tries."""
    for function in (each for each in stack().functions if each.queue):
        made = own(prod, function)
        source = made["Events"][event_id(function.name)]
        assert source["Type"] == "SQS"
        assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert source["Properties"]["Queue"]["Fn::Sub"].endswith(f":linli-prod-{function.queue}")
        assert source["Properties"]["ScalingConfig"]["MaximumConcurrency"] <= made["ReservedConcurrentExecutions"]
        assert properties(prod[BASE], queue_id(function.queue))["VisibilityTimeout"] >= 6 * made["Timeout"]


def test_every_queue_has_a_dead_letter_queue(prod: dict[str, dict[str, Any]]) -> None:
    """What fails for good is kept."""
    for queue in stack().queues:
        redrive = properties(prod[BASE], queue_id(queue.name))["RedrivePolicy"]
        dead = {"Fn::GetAtt": [dead_letter_id(queue.name), "Arn"]}
        assert redrive == {"deadLetterTargetArn": dead, "maxReceiveCount": queue.max_receives}


def test_every_function_forgets_its_logs_and_is_traced(prod: dict[str, dict[str, Any]]) -> None:
    """Logs end, no function shares its role, and a trace goes from the gateway into the function."""
    roles = []
    for function in stack().functions:
        name, template = function_id(function.name), prod[function.surface]
        logs = properties(template, log_group_id(function.name))
        assert logs == {"LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{name}}}"}, "RetentionInDays": PROD.log_days}
        made = own(prod, function)
        assert made["Role"] == {"Fn::GetAtt": [role_id(function.name), "Arn"]}
        roles.append((function.surface, role_id(function.name)))
        assert made["Tracing"] == "Active"
        assert made["Architectures"] == ["arm64"]
    assert len(set(roles)) == len(stack().functions)
    assert all(properties(prod[surface], "RestAPI")["TracingEnabled"] for surface in HTTP_SURFACES)


def test_two_runs_of_a_schedule_never_overlap(prod: dict[str, dict[str, Any]]) -> None:
    """Schedules come at least once; the second waits for the first."""
    assert stack().schedules
    for function in stack().schedules:
        made = own(prod, function)
        assert made["ReservedConcurrentExecutions"] == 1
        assert [event["Properties"]["Schedule"] for event in made["Events"].values()] == [function.schedule]


def test_the_tables_of_the_template_are_those_of_the_engine(prod: dict[str, dict[str, Any]]) -> None:
    """What the tests run on is what the cloud gets: keys, indexes and projections."""
    for table in stack().tables:
        there = engine.admin().describe_table(TableName=table.name)["Table"]
        assert _shape(there) == _shape(properties(prod[BASE], table_id(table.short))), table.short


def test_an_index_is_asked_by_the_key_that_its_class_declares() -> None:
    """PynamoDB lists an index's keys by name; which of them is the partition must not depend on how it is called."""
    asked = {
        (row.Meta.table_name, index.Meta.index_name): index._hash_key_attribute().attr_name
        for row in declare._rows()
        for index in row._indexes.values()
    }
    made = {(table.name, index.name): index.pk for table in stack().tables for index in table.indexes.values()}
    assert made == asked
    assert {("linli-orders", "due"), ("linli-ledger_journal", "posted")} <= set(made)


def _shape(table: dict[str, Any]) -> dict[str, Any]:
    indexes = sorted(table.get("GlobalSecondaryIndexes") or [], key=lambda index: index["IndexName"])
    return {
        "keys": table["KeySchema"],
        "types": sorted(table["AttributeDefinitions"], key=lambda each: each["AttributeName"]),
        "indexes": [(index["IndexName"], index["KeySchema"], index["Projection"]) for index in indexes],
    }


def test_tables_are_on_demand_restorable_and_guarded(prod: dict[str, dict[str, Any]]) -> None:
    """No table of production can be deleted by a slip, and each can be brought back to any second."""
    for table in stack().tables:
        made = properties(prod[BASE], table_id(table.short))
        assert made["BillingMode"] == "PAY_PER_REQUEST"
        assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert made["DeletionProtectionEnabled"] is True
        assert prod[BASE]["Resources"][table_id(table.short)]["DeletionPolicy"] == "Retain"
        expires = {"AttributeName": table.ttl, "Enabled": True} if table.ttl else None
        assert made.get("TimeToLiveSpecification") == expires
        assert len(table.indexes) <= 2


def test_an_unguarded_stage_can_be_taken_down() -> None:
    """What is made for trying leaves nothing behind that stands in the way of the next try."""
    made = base.template(stack(), STAGING)["Resources"]
    assert "Retain" not in {found.get("DeletionPolicy") for found in made.values()}
    assert made[table_id("outbox")]["Properties"]["DeletionProtectionEnabled"] is False


@pytest.mark.parametrize("name", ["Files", "Photos", "Artefacts"])
def test_a_bucket_is_closed(name: str) -> None:
    """Encrypted, versioned, nothing public, and no word of it over anything older than TLS 1.2."""
    template = base.template(stack(), PROD) if name != "Artefacts" else account.template()
    made = properties(template, name)
    assert template["Resources"][name]["DeletionPolicy"] == "Retain"
    assert set(made["PublicAccessBlockConfiguration"].values()) == {True}
    assert made["VersioningConfiguration"] == {"Status": "Enabled"}
    assert made["LifecycleConfiguration"]["Rules"][0]["NoncurrentVersionExpiration"]["NoncurrentDays"] > 0
    assert made["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    denied = properties(template, f"{name}Policy")["PolicyDocument"]["Statement"]
    assert [statement["Effect"] for statement in denied[:2]] == ["Deny", "Deny"]
    assert len(denied) == (3 if name == "Photos" else 2)
    assert [statement["Condition"] for statement in denied[:2]] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]


def test_a_photo_that_nobody_uses_is_gone_and_one_that_is_seen_is_read_by_one_reader() -> None:
    """Uploads go after a day, with their old versions; a form comes from any page, and nothing else does; what is seen
    is read by the one distribution that the stage was told of, and by nobody before it was."""
    template = base.template(stack(), PROD)
    made = properties(template, "Photos")
    rules = {rule["Id"]: rule for rule in made["LifecycleConfiguration"]["Rules"]}
    passing = rules.pop("passing")
    assert (passing["Prefix"], passing["ExpirationInDays"]) == ("uploads/", 1)
    assert passing["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert not [rule for rule in rules.values() if "ExpirationInDays" in rule]
    (cors,) = made["CorsConfiguration"]["CorsRules"]
    assert cors["AllowedMethods"] == ["POST"]
    *_, reader = properties(template, "PhotosPolicy")["PolicyDocument"]["Statement"]
    condition, read, nobody = reader["Fn::If"]
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "PhotosReaderArn"}, ""]}]}
    assert template["Parameters"]["PhotosReaderArn"]["Default"] == ""
    assert nobody == {"Ref": "AWS::NoValue"}
    assert (read["Effect"], read["Action"]) == ("Allow", "s3:GetObject")
    assert read["Resource"] == {"Fn::Sub": "${Photos.Arn}/photos/*"}
    assert read["Condition"] == {"StringEquals": {"AWS:SourceArn": {"Ref": "PhotosReaderArn"}}}


def test_old_bases_of_search_go_within_days() -> None:
    """A city's base is made again from its shops. What is kept as evidence has no such rule."""
    rules = properties(base.template(stack(), PROD), "Files")["LifecycleConfiguration"]["Rules"]
    assert [(rule.get("Prefix", ""), rule["NoncurrentVersionExpiration"]["NoncurrentDays"]) for rule in rules] == [
        ("", 90),
        ("search/", 3),
    ]


@pytest.mark.parametrize("surface", HTTP_SURFACES)
def test_what_api_gateway_answers_is_a_problem_document(surface: str, prod: dict[str, dict[str, Any]]) -> None:
    """An unknown path, a body that is too large, a throttled caller: the same shape as from the app."""
    answers = properties(prod[surface], "RestAPI")["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
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


@pytest.mark.parametrize("surface", HTTP_SURFACES)
def test_the_gateways_log_says_nothing_of_a_person(surface: str, prod: dict[str, dict[str, Any]]) -> None:
    """One JSON object a call; no address, no query string, no ids of a path."""
    api = properties(prod[surface], "RestAPI")
    line = json.loads(api["AccessLogSetting"]["Format"])
    assert {"request_id", "path", "status", "ms"} <= set(line)
    said = {text.removeprefix("$context.") for text in line.values()}
    assert not said & {"path", "identity.sourceIp", "requestOverride.querystring", "identity.userAgent"}
    assert properties(prod[surface], "AccessLog")["RetentionInDays"] == PROD.log_days


@pytest.mark.parametrize("surface", HTTP_SURFACES)
def test_nothing_older_than_tls_12_is_spoken(surface: str, prod: dict[str, dict[str, Any]]) -> None:
    """Neither by API Gateway's own address nor by a domain of one's own, which closes the other way in."""
    api, domain = properties(prod[surface], "RestAPI"), properties(prod[surface], "Domain")
    assert api["SecurityPolicy"] == domain["SecurityPolicy"] == "SecurityPolicy_TLS13_1_2_2021_06"
    assert api["DisableExecuteApiEndpoint"] == {"Fn::If": ["HasDomain", True, False]}
    assert prod[surface]["Resources"]["Domain"]["Condition"] == "HasDomain"


def test_the_built_templates_pass_cfn_lint(built: dict[str, Package], tmp_path: Path) -> None:
    """References resolve, properties exist, values are of their kind: five templates of three stages, and the one that
    an account has once."""
    shared = tmp_path / "account.json"
    shared.write_text(json.dumps(account.template()), encoding="utf-8")
    found = [str(package.templates[part]) for package in built.values() for part in PARTS]
    linter = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run(
        [linter, "-r", "us-east-1", "-t", *found, str(shared)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


_RENDER = """
import json
from chalicelib.web.application import SURFACES
from infra import base, cloud, declare, functions
stack = declare.stack()
surfaces = [cloud.merge_template(stack, stage, surface) for stage in functions.STAGES for surface in SURFACES]
print(json.dumps([[base.template(stack, stage) for stage in functions.STAGES], surfaces]))
"""


def test_rendering_twice_gives_the_same_text() -> None:
    """In other processes with other hash seeds and no settings: neither a set nor an environment decides."""
    texts = {
        subprocess.check_output([sys.executable, "-c", _RENDER], cwd=ROOT, env={"PYTHONHASHSEED": seed, "PATH": ""})
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert json.loads(texts.pop())[0] == [base.template(stack(), stage) for stage in STAGES]


def test_a_queue_must_be_declared_and_consumed_once() -> None:
    """Two functions on one queue would each see half of its messages."""
    app = Chalice("other")
    app.on_sqs_message(queue=resources.NOTIFY.full_name, name="one")(lambda event: None)
    assert [each.queue for each in declare.functions(app) if each.surface == JOBS] == ["notify"]
    app.on_sqs_message(queue=resources.NOTIFY.full_name, name="two")(lambda event: None)
    with pytest.raises(ValueError, match="declared twice"):
        declare.functions(app)
    other = Chalice("another")
    other.on_sqs_message(queue="somebody-elses", name="one")(lambda event: None)
    with pytest.raises(ValueError, match="which QUEUES does not declare"):
        declare.functions(other)
