"""Who may do what: the policies are what the code can reach, and nothing that a surface has no business with."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.providers.secrets.names import NAMES, SECRETS
from chalicelib.web.application import JOBS, OPERATOR, PUBLIC, WEBHOOKS
from infra import declare, policies
from infra.cloud import merge_template
from infra.declare import API, Function, Stack
from infra.imports import modules, tree_of
from infra.names import function_name, role_id
from tests import allowed
from tests.builders.cloud import PROD, stack


def statements() -> Iterator[tuple[Function, dict[str, Any]]]:
    for function in stack().functions:
        for statement in policies.policy(function, stack())["Statement"]:
            yield function, statement


def function_of(surface: str, name: str = API) -> Function:
    return next(each for each in stack().of(surface) if each.name == name)


def granted(surface: str, name: str = API) -> str:
    """The whole policy of one function as a text."""
    return json.dumps(policies.policy(function_of(surface, name), stack()))


def tables_of(surface: str, name: str = API, *verbs: str) -> set[str]:
    """The tables that a function may do any of these verbs on; any verb at all where none is given."""
    found = policies.verbs(function_of(surface, name))
    return {where.partition("/")[0] for where, used in found.items() if not verbs or used & set(verbs)}


def changed_by(surface: str, name: str = API) -> set[str]:
    return tables_of(surface, name, "PutItem", "UpdateItem", "DeleteItem")


def test_no_policy_has_a_star() -> None:
    """But for a log stream, which Lambda names, and all topics, which are what sending an SMS leaves out."""
    for function, statement in statements():
        assert not [action for action in statement["Action"] if "*" in action]
        found = json.dumps(statement.get("Resource", ""))
        own_logs = f":log-group:/aws/lambda/linli-${{Stage}}-{function_name(function)}:*"
        parts = (*policies.FILES.values(), "uploads/", "photos/")
        stars = sum(known in found for known in (own_logs, *(f"/{prefix}*" for prefix in parts)))
        assert found.count("*") == stars, statement
        assert "NotResource" not in statement or statement["Action"] == ["sns:Publish"]
        assert ("Resource" in statement) != ("NotResource" in statement)


def test_a_role_has_its_policy_and_the_one_for_traces() -> None:
    """Sending a trace names no resource: AWS's own policy says so, and ours have no star for it."""
    for function in stack().functions:
        role = merge_template(stack(), PROD, function.surface)["Resources"][role_id(function.name)]
        assert role["Properties"] == {
            "ManagedPolicyArns": [{"Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"}]
        }


def test_one_policy_serves_every_stage() -> None:
    """It names things as the template's parameters say, and no stage by itself."""
    for _, statement in statements():
        text = json.dumps(statement)
        assert not [stage for stage in ("dev", "staging", "prod") if f"-{stage}-" in text or f"/{stage}/" in text]


def test_what_was_posted_can_only_be_added_to() -> None:
    """No function may change or remove an entry of the journal or of the audit log."""
    assert set(policies.APPEND_ONLY) <= {table.short for table in stack().tables}
    for _, statement in statements():
        touched = json.dumps(statement.get("Resource", ""))
        if any(f"}}{short}" in touched for short in policies.APPEND_ONLY):
            allowed = ("ConditionCheckItem", "GetItem", "PutItem", "Query")
            assert set(statement["Action"]) <= {f"dynamodb:{name}" for name in allowed}


def test_a_function_is_granted_what_its_code_reaches() -> None:
    """A table is granted when what uses it is reached, and a port's needs when the port is used."""
    tables = tuple(declare.tables())
    schedule = Function("relay_outbox", "chalicelib.runtime.handlers.relay_outbox", schedule="rate(1 minute)")
    text = json.dumps(policies.policy(schedule, Stack(tables, (), (schedule,))))
    assert "}outbox" in text
    assert "}jobs" in text
    assert "sqs:SendMessage" in text
    assert "}identity" not in text
    assert "ssm:" not in text
    assert policies.verbs(schedule)["jobs"] == {"PutItem"}


def test_webhooks_know_nobody() -> None:
    """A provider's webhook touches orders and money: no account, no statement, no telephone number, no SMS."""
    text, tables = granted(WEBHOOKS), tables_of(WEBHOOKS)
    assert not tables & {"identity", "settlement_statements", "reconciliation", "notifications", "insights"}
    assert not changed_by(WEBHOOKS) & {"catalog", "ledger_balances", "ledger_lines", "jobs"}
    for name in ("phone_key", "blind_index_key", "quote_key", "cursor_key", "wechat_app_secret"):
        assert f"/{name}" not in text
    assert "sns:" not in text
    assert {"orders", "payments_inbox"} <= tables


def test_operators_look_and_moderate() -> None:
    """The operator's API reads the reconciliation and judges reviews: it changes nothing but these, with the audit log
    and the news of it, and its rate window, and knows nobody."""
    text, tables = granted(OPERATOR), tables_of(OPERATOR)
    assert changed_by(OPERATOR) == {"audit", "outbox", "rate_windows", "reviews"}
    assert not tables & {"catalog", "identity", "payments_inbox", "orders", "ledger_journal"}
    for name in ("phone_key", "blind_index_key", "quote_key", "stripe_secret_key", "wechat_app_secret"):
        assert f"/{name}" not in text
    assert "sns:" not in text
    assert "reconciliation" in tables


def test_what_people_call_does_not_reconcile() -> None:
    """The public API sees no differences, moves no balance, closes no statement and verifies no webhook."""
    assert not tables_of(PUBLIC) & {"reconciliation", "insights", "notifications"}
    assert not changed_by(PUBLIC) & {"catalog", "ledger_balances", "ledger_lines", "settlement_statements", "jobs"}
    assert "/stripe_webhook_secret" not in granted(PUBLIC)
    assert {"identity", "orders", "catalog"} <= tables_of(PUBLIC)


@pytest.mark.parametrize(
    ("job", "changes"),
    [
        ("relay_outbox", {"jobs", "outbox"}),
        ("build_search", {"city_log", "jobs", "search"}),
        ("repair_notes", {"city_log", "jobs", "search"}),
        ("notify", {"notifications", "outbox"}),
        ("settle", {"jobs", "ledger_balances", "ledger_journal", "settlement_statements"}),
        ("reconcile", {"jobs", "ledger_journal", "ledger_lines", "reconciliation"}),
        ("watch", {"jobs", "insights"}),
    ],
)
def test_a_job_changes_its_own_trade_only(job: str, changes: set[str]) -> None:
    """What each may change, in full: whoever lets a job change more says so here."""
    assert changed_by(JOBS, job) == changes


def test_nobody_reads_a_whole_table() -> None:
    """A scan costs the whole table and is the operators' own, with credentials of theirs."""
    for function in stack().functions:
        assert not [where for where, used in policies.verbs(function).items() if "Scan" in used]


def test_a_policy_is_held_against_what_the_code_does() -> None:
    """The tests' own watchman sees a call that a policy does not allow, and lets one pass that it does."""
    from chalicelib.identity import tables

    with pytest.raises(AssertionError, match="webhooks-api_handler: Query on identity"), allowed.acting_as(WEBHOOKS):
        tables.memberships("acc_nobody")
    with allowed.acting_as(PUBLIC):
        assert tables.memberships("acc_nobody") == []


def test_every_row_and_verb_is_understood() -> None:
    """A row that no function is seen to use would be one that the reading of the code has missed."""
    known = {where.partition("/")[0] for function in stack().functions for where in policies.verbs(function)}
    assert known == {table.short for table in stack().tables}


@pytest.mark.parametrize("surface", [WEBHOOKS, OPERATOR])
def test_each_other_surface_is_narrower_than_the_public_one(surface: str) -> None:
    """Fewer tables and fewer secrets; what it has beside is its own trade."""
    assert len(tables_of(surface)) < len(tables_of(PUBLIC))
    of = {each.surface: policies.secret_names(each) for each in stack().functions if each.name == API}
    assert len(of[surface]) < len(of[PUBLIC])


def test_no_function_changes_what_it_stands_on() -> None:
    """Tables, queues, roles and parameters are made by who deploys."""
    known = {"dynamodb", "logs", "s3", "sns", "sqs", "ssm"}
    for _, statement in statements():
        for action in statement["Action"]:
            service, verb = action.split(":")
            assert service in known
            assert not verb.startswith(("Create", "Delete", "Put")) or action in {
                "dynamodb:DeleteItem",
                "dynamodb:PutItem",
                "logs:CreateLogStream",
                "logs:PutLogEvents",
                "s3:DeleteObject",
                "s3:PutObject",
                "sqs:DeleteMessage",
            }


def _asked() -> Iterator[tuple[str, ast.expr]]:
    """Every `secrets.get(…)` in what ships: the module and what is asked for."""
    for module in modules("chalicelib"):
        for node in ast.walk(tree_of(module)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get"
                and ast.unparse(node.func.value).endswith("secrets")
            ):
                yield module, node.args[0]


def test_every_secret_that_the_code_asks_for_is_declared() -> None:
    """And the other way round: what nothing asks for is no secret of ours. A name that is put together counts by how it
    begins, and one that is handed over by the texts of its module."""
    asked = {module for module, _ in _asked()}
    assert {"chalicelib.identity.vault", "chalicelib.web.auth", "chalicelib.providers.payments.stripe"} <= asked
    for module, expression in _asked():
        for node in ast.walk(expression):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 1:
                assert node.value in NAMES or any(name.startswith(node.value) for name in NAMES), (module, node.value)
    assert set().union(*(policies.secrets_asked(module) for module in asked)) == NAMES
    assert len(SECRETS) == len(NAMES)


_SAID = {
    "AWS::Partition": "aws-us-gov",
    "AWS::Region": "ap-southeast-1",
    "AWS::AccountId": "123456789012",
    "Stage": "staging",
    "TablePrefix": "linli-staging-restored-20261122-",
}


def test_a_policy_fits_into_a_role() -> None:
    """A role takes 10,240 characters of policies; with the longest names there is room for a quarter more."""
    for function in stack().functions:
        text = json.dumps(policies.policy(function, stack()), separators=(",", ":"))
        for name, value in _SAID.items():
            text = text.replace(f"${{{name}}}", value)
        assert "${" not in text
        assert len(text.replace('{"Fn::Sub":', "")) < 8_192, function.name


def test_the_file_store_is_open_to_each_for_its_own_part() -> None:
    """Searches read bases, the builder also writes and removes them, the audit's anchors are added to by their job."""

    def of(surface: str, name: str = API) -> dict[str, list[str]]:
        statements = policies.policy(function_of(surface, name), stack())["Statement"]
        return {
            str(one["Resource"]["Fn::Sub"]).rpartition(":::")[2].partition("}")[2].partition("/")[2]: one["Action"]
            for one in statements
            if str(one["Sid"]).startswith("Files")
        }

    assert of(PUBLIC) == {"search/*": ["s3:GetObject"]}
    assert of(WEBHOOKS) == of(OPERATOR) == of(JOBS, "sweep") == of(JOBS, "repair_notes") == {}
    assert of(JOBS, "build_search") == {"": ["s3:ListBucket"], "search/*": ["s3:DeleteObject", "s3:PutObject"]}
    assert of(JOBS, "anchor_audit") == {"audit/*": ["s3:GetObject", "s3:PutObject"]}


def test_photos_are_the_public_apis_own() -> None:
    """It puts and reads uploads, and shows and takes away what is seen; nobody else comes to either, nobody lists."""
    for function in stack().functions:
        found = [one for one in policies.policy(function, stack())["Statement"] if str(one["Sid"]).startswith("Photos")]
        of = {str(one["Resource"]["Fn::Sub"]).rpartition(":::")[2].partition("/")[2]: one["Action"] for one in found}
        assert of == (
            {
                "uploads/*": ["s3:GetObject", "s3:PutObject"],
                "photos/*": ["s3:DeleteObject", "s3:PutObject"],
            }
            if (function.surface, function.name) == (PUBLIC, API)
            else {}
        ), function.name
