"""How a stage is brought to a template: the order, what is refused, what is kept and told."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from chalicelib.kernel import ids
from chalicelib.providers.secrets.names import KEY, SECRETS
from infra.names import BASE, stack_name
from infra.ops import deploy_cli
from infra.ops.deploy import NOWHERE, ORDER, Cloud, deploy
from infra.ops.package import Package
from infra.ops.releases import Store
from infra.ops.secrets import existing, make_secrets
from infra.ops.stacks import DeployError, Event, Stacks, Template
from tests.builders.cloud import PROD, build, load
from tests.builders.formation import Formation

TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "one"}}


@pytest.fixture
def formation() -> Formation:
    return Formation()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def stacks(formation: Formation, events: list[Event]) -> Stacks:
    return Stacks(formation, events.append, poll_seconds=0)


def template(**resources: Any) -> Template:
    return Template(json.dumps({"Resources": resources}))


def test_a_stack_is_made_then_changed_then_left_alone(stacks: Stacks, formation: Formation) -> None:
    """The same template a second time changes nothing, and says so."""
    assert [each.action for each in stacks.apply("a", template(One=TABLE), {})] == ["Add"]
    topic = {"Type": "AWS::SNS::Topic", "Properties": {}}
    assert [each.resource for each in stacks.apply("a", template(One=TABLE, Two=topic), {})] == ["Two"]
    assert stacks.apply("a", template(One=TABLE, Two=topic), {}) == ()
    assert formation.done == ["a", "a"]


@pytest.mark.parametrize("change", ["removed", "renamed"])
def test_what_holds_data_is_neither_removed_nor_replaced(stacks: Stacks, formation: Formation, change: str) -> None:
    """The change set is thrown away and nothing is executed."""
    topic = {"Type": "AWS::SNS::Topic", "Properties": {}}
    stacks.apply("a", template(One=TABLE, Two=topic), {})
    renamed = {"Type": TABLE["Type"], "Properties": {"TableName": "another"}}
    with pytest.raises(DeployError, match=r"a: refused.*One \(AWS::DynamoDB::Table\)"):
        stacks.apply("a", template(Two=topic) if change == "removed" else template(One=renamed, Two=topic), {})
    assert formation.stacks["a"]["resources"]["One"] == TABLE
    assert formation.done == ["a"]
    assert [plan for plan in formation.plans.values() if "One" not in plan["new"]] == []
    assert [change.resource for change in stacks.apply("a", template(One=TABLE), {})] == ["Two"], "the rest may go"


def test_a_dry_run_leaves_nothing_behind(stacks: Stacks, formation: Formation) -> None:
    """Neither a stack that is only under review nor a change set."""
    assert len(stacks.apply("a", template(One=TABLE), {}, dry_run=True)) == 1
    assert formation.done == ["delete a"]
    assert formation.plans == {}
    assert stacks.outputs("a") is None


def test_what_failed_is_told_with_its_reason(stacks: Stacks, formation: Formation, events: list[Event]) -> None:
    """The person who deploys sees which resource failed and why, without looking into a console."""
    formation.fails = {"One"}
    with pytest.raises(DeployError, match=r"a ended in UPDATE_ROLLBACK_COMPLETE:\n  One: One does not like it"):
        stacks.apply("a", template(One=TABLE), {})
    assert [event.resource for event in events if event.failed] == ["One"]


def test_a_first_try_that_failed_is_removed(stacks: Stacks, formation: Formation) -> None:
    """CloudFormation lets nobody update what was never made."""
    formation.stacks["a"] = Formation.stack("a", "ROLLBACK_COMPLETE", {}, {})
    stacks.apply("a", template(One=TABLE), {})
    assert formation.done == ["delete a", "a"]


def test_two_deployments_at_once_are_one_too_many(stacks: Stacks, formation: Formation) -> None:
    """The second says so and changes nothing."""
    formation.stacks["a"] = Formation.stack("a", "UPDATE_IN_PROGRESS", {}, {})
    with pytest.raises(DeployError, match="another deployment is under way"):
        stacks.apply("a", template(One=TABLE), {})


class Here(Cloud):
    """A cloud whose CloudFormation is the one above; the rest is moto's."""

    def __init__(self, formation: Formation) -> None:
        super().__init__(boto3.Session(region_name="us-east-1"), poll_seconds=0)
        self._formation = formation

    def client(self, service: str) -> Any:
        return self._formation if service == "cloudformation" else super().client(service)

    def store(self, progress: Any = None) -> Store:
        found = super().store()
        return _Reading(super().client("s3"), found.bucket, self._formation)


class _Reading(Store):
    """CloudFormation reads a template from where it was put."""

    def __init__(self, client: Any, bucket: str, formation: Formation) -> None:
        super().__init__(client, bucket)
        self._formation = formation

    def put_template(self, stage: str, part: str, text: str) -> str:
        url = super().put_template(stage, part, text)
        self._formation.urls[url] = text
        return url


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return build(PROD, tmp_path_factory.mktemp("package") / "prod")


@pytest.fixture
def cloud(formation: Formation) -> Here:
    made = formation.stack("linli-account", "CREATE_COMPLETE", {}, {})
    made["Outputs"][1]["OutputValue"] = bucket = f"linli-{ids.random_id('t').replace('_', '-')}"
    formation.stacks["linli-account"] = made
    here = Here(formation)
    here.client("s3").create_bucket(Bucket=bucket)
    return here


def test_the_base_comes_first_and_the_public_api_last(cloud: Here, formation: Formation, package: Package) -> None:
    """A table exists before a function reads it, and whoever hears of news before whoever tells it."""
    done = deploy("prod", package, cloud)
    assert formation.done[:5] == [stack_name("prod", part) for part in (BASE, *ORDER)]
    assert done.urls["webhooks"] == "https://linli-prod-webhooks.example/api"
    assert done.version in dict(cloud.store().list("prod"))


def test_functions_know_where_they_are_reached(cloud: Here, formation: Formation, package: Package) -> None:
    """The first time the address is not known before the API stands: the functions are told afterwards, once."""
    deploy("prod", package, cloud)
    said = {name: found["told"].get("PublicUrl") for name, found in formation.stacks.items()}
    assert NOWHERE not in said.values()
    assert said["linli-prod-jobs"] == said["linli-prod-public"] == "https://linli-prod-public.example/api"
    before = len(formation.done)
    deploy("prod", package, cloud)
    assert len(formation.done) == before, "nothing has changed"


def test_what_a_stage_is_told_holds_until_told_otherwise(cloud: Here, formation: Formation, package: Package) -> None:
    """Parameters and variables are kept beside the artefacts; an empty text takes one back."""
    deploy("prod", package, cloud, {"PublicUrl": "https://api.example.org", "LINLI_SMS_SENDER_ID": "Linli"})
    deploy("prod", package, cloud, {"TablePrefix": "linli-restored-"})
    made = formation.stacks["linli-prod-jobs"]
    assert made["told"]["PublicUrl"] == "https://api.example.org"
    assert made["told"]["TablePrefix"] == "linli-restored-"
    assert _variables(made)["LINLI_SMS_SENDER_ID"] == "Linli"
    deploy("prod", package, cloud, {"LINLI_SMS_SENDER_ID": "", "TablePrefix": ""})
    made = formation.stacks["linli-prod-jobs"]
    assert "LINLI_SMS_SENDER_ID" not in _variables(made)
    assert "TablePrefix" not in made["told"]


def test_a_domain_of_ones_own(cloud: Here, formation: Formation, package: Package) -> None:
    """Then that is where people find the API, from the first deployment on."""
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/one"
    deploy("prod", package, cloud, {"PublicDomain": "api.example.org", "CertificateArn": arn})
    assert formation.stacks["linli-prod-public"]["told"]["PublicDomain"] == "api.example.org"
    assert formation.stacks["linli-prod-jobs"]["told"]["PublicUrl"] == "https://api.example.org"
    assert "PublicDomain" not in formation.stacks["linli-prod-webhooks"]["told"]


def _variables(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["resources"]["Notify"]["Properties"]["Environment"]["Variables"]
    return found


@pytest.mark.parametrize(
    "told",
    [
        {"PublikUrl": "https://a.example"},
        {"LINLI_HOLD_SECOND": "900"},
        {"LINLI_HOLD_SECONDS": "soon"},
        {"LINLI_SURFACE": "all"},
        {"LINLI_TABLE_PREFIX": "other-"},
    ],
)
def test_what_nobody_knows_is_refused(cloud: Here, formation: Formation, package: Package, told: Any) -> None:
    """A misspelt name would be kept for ever and do nothing; and what the templates say is theirs to say."""
    with pytest.raises(DeployError):
        deploy("prod", package, cloud, told)
    assert formation.done == []


def test_going_back_is_deploying_an_earlier_zip(cloud: Here, formation: Formation, package: Package) -> None:
    """Functions go back, the public API first; data, and what watches them, stay as they are."""
    first = deploy("prod", package, cloud, {"LINLI_HOLD_SECONDS": "600"})
    before = formation.stacks["linli-prod-base"]["resources"]
    formation.done.clear()
    number = first.version.partition("-")[0]
    deploy("prod", number, cloud, {"LINLI_HOLD_SECONDS": "700"})
    assert formation.done == [stack_name("prod", part) for part in reversed(ORDER)]
    assert formation.stacks["linli-prod-base"]["resources"] == before
    assert _variables(formation.stacks["linli-prod-jobs"])["LINLI_VERSION"] == first.version
    with pytest.raises(DeployError, match=f"prod has no release 9; the latest are: {first.version}"):
        deploy("prod", "9", cloud)


def test_a_dry_run_of_everything(cloud: Here, formation: Formation, package: Package) -> None:
    """It says what would be made and makes nothing."""
    done = deploy("prod", package, cloud, {"LINLI_HOLD_SECONDS": "600"}, dry_run=True)
    assert {part: len(changes) for part, changes in done.changes.items()} == {
        part: len(load(package, part)["Resources"]) for part in (BASE, *ORDER)
    }
    assert all(found["StackStatus"] == "DELETE_COMPLETE" for name, found in formation.stacks.items() if "prod" in name)
    assert cloud.store().told("prod") == {}


def test_a_package_of_another_stage_is_refused(cloud: Here, package: Package) -> None:
    """Its templates name the other stage's tables."""
    with pytest.raises(DeployError, match="packaged for prod, not for staging"):
        deploy("staging", package, cloud)


def test_our_own_keys_are_made_once() -> None:
    """Random, encrypted, never twice the same and never overwritten; what others must show is asked for."""
    ssm, stage = boto3.client("ssm", region_name="us-east-1"), ids.random_id("t").replace("_", "-")
    asked = []
    given = {"stripe_webhook_secret": "whsec_given"}
    first = make_secrets(stage, ssm, given, ask=lambda secret: asked.append(secret.name) or "")
    ours = {secret.name for secret in SECRETS if secret.kind == KEY and not secret.optional}
    assert set(first.made) == ours | {"stripe_webhook_secret"}
    assert first.missing == ("stripe_secret_key",)
    assert "stripe_secret_key" in asked
    assert not set(asked) & ours
    read = ssm.get_parameters(Names=[f"/linli/{stage}/{name}" for name in ours], WithDecryption=True)["Parameters"]
    assert {each["Type"] for each in read} == {"SecureString"}
    assert len({each["Value"] for each in read}) == len(ours)
    assert all(len(bytes.fromhex(each["Value"])) == 32 for each in read)
    again = make_secrets(stage, ssm, {"stripe_secret_key": "sk_test_given"})
    assert again.made == ("stripe_secret_key",)
    assert set(again.there) == set(first.made)
    assert existing(stage, ssm) == {*first.made, *again.made}


def test_the_command_reads_what_it_is_told() -> None:
    """NAME=value, quoted as in a shell."""
    assert deploy_cli.parse("A=1 B='two words' C=") == {"A": "1", "B": "two words", "C": ""}
    with pytest.raises(DeployError, match="not NAME=value"):
        deploy_cli.parse("A")
