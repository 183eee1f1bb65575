"""What wakes somebody: every alarm of the rendered templates, its page, and what all of it costs a month."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chalicelib.runtime import metrics
from chalicelib.runtime.schedules import SCHEDULES, longest_gap_seconds
from infra import alarms, dashboard, declare
from infra.declare import Stack
from infra.functions import STAGES
from infra.imports import ROOT
from infra.watched import function_name, surfaces

PROD = next(stage for stage in STAGES if stage.name == "prod")
PAGES = ROOT / "docs" / "runbook"
SECTIONS = ["What it means", "How bad", "Look first", "Do", "Over when", "Never"]
# Idle, besides metrics and alarms: the runs of the schedules with their units, the queues' polling and the log lines.
# docs/runbook/README.md has the sum in words.
REST_USD, MOST_USD = 1.00, 12.00


@pytest.fixture(scope="module")
def stack() -> Stack:
    return declare.stack()


@pytest.fixture(scope="module")
def made(stack: Stack) -> dict[str, Any]:
    return alarms.resources(stack, PROD)


@pytest.fixture(scope="module")
def found(made: dict[str, Any]) -> list[dict[str, Any]]:
    """The properties of every alarm."""
    return [each["Properties"] for each in made.values() if each["Type"] == "AWS::CloudWatch::Alarm"]


def watched(found: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """(metric, dimension, value) of everything that an alarm looks at."""
    return {
        (alarm["MetricName"], dimension["Name"], dimension["Value"])
        for alarm in found
        for dimension in alarm["Dimensions"]
    }


def test_every_function_queue_and_api_is_watched(stack: Stack, found: list[dict[str, Any]]) -> None:
    """By its physical name: the alarms stand in another stack than what they watch."""
    seen = watched(found)
    for function in stack.functions:
        name = function_name(function, PROD)
        assert re.fullmatch(r"linli-prod-(public|webhooks|operator|jobs)-[a-z_]+", name)
        assert {("Errors", "FunctionName", name), ("Throttles", "FunctionName", name)} <= seen
        assert (("Invocations", "FunctionName", name) in seen) == bool(function.schedule)
    for queue in stack.queues:
        assert ("ApproximateAgeOfOldestMessage", "QueueName", f"linli-prod-{queue.name}") in seen
        assert ("ApproximateNumberOfMessagesVisible", "QueueName", f"linli-prod-{queue.name}-dead") in seen
    for surface in surfaces(stack):
        assert {(name, "ApiName", f"linli-prod-{surface}") for name in ("5XXError", "Latency")} <= seen
    tables = {f"linli-prod-{table.short}" for table in stack.tables}
    assert {value for _, name, value in seen if name == "TableName"} <= tables


def test_every_gauge_of_the_watch_alarms_in_its_stage_alone(found: list[dict[str, Any]]) -> None:
    """What is measured and does not alarm would be measured for nobody; counts are for the dashboard."""
    own = {alarm["MetricName"]: alarm for alarm in found if alarm.get("Namespace") == metrics.NAMESPACE}
    assert set(own) == {metric.name for metric in metrics.METRICS[3:]}
    for alarm in own.values():
        assert alarm["Dimensions"] == [{"Name": "Stage", "Value": "prod"}]
    thresholds = {name: alarm["Threshold"] for name, alarm in own.items()}
    assert thresholds == {
        "UnconfirmedPaymentSeconds": 600,
        "SuspenseSeconds": 86_400,
        "RefundPayableSeconds": 259_200,
        "OutboxLateSeconds": 60,
        "ParkedWebhooks": 1,
        "ScheduleOverdueSeconds": 600,
    }


def test_silence_alarms_where_it_is_the_failure(stack: Stack, found: list[dict[str, Any]]) -> None:
    """A schedule that does not run, and gauges that nobody measures; elsewhere no data is no trouble."""
    breaching = {alarm["AlarmName"] for alarm in found if alarm["TreatMissingData"] == "breaching"}
    silent = {f"linli-prod-jobs-{each.name.replace('_', '-')}-silent" for each in stack.schedules}
    assert breaching == silent | {"linli-prod-schedule-overdue"}
    for alarm in found:
        if alarm["AlarmName"] in silent:
            back = alarm["Period"] * alarm["EvaluationPeriods"]
            assert back <= (86_400 if alarm["Period"] < 3600 else 7 * 86_400), "CloudWatch looks back no further"


def test_schedules_are_declared_where_the_watch_reads_them(stack: Stack) -> None:
    """A schedule that stood on its handler alone would be watched by nobody."""
    assert {function.name: function.schedule for function in stack.schedules} == SCHEDULES
    assert all(longest_gap_seconds(expression) for expression in SCHEDULES.values())


def test_alarms_tell_their_beginning_and_their_end(found: list[dict[str, Any]]) -> None:
    """To the topic; and each has a name that says what it is in an e-mail's subject."""
    for alarm in found:
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": alarms.TOPIC_ID}]
        assert re.fullmatch(r"linli-prod-[a-z0-9-]+", alarm["AlarmName"])
    assert len({alarm["AlarmName"] for alarm in found}) == len(found)


def page_of(alarm: dict[str, Any]) -> str:
    described = re.fullmatch(
        r".+\. Severity: (wake somebody|look in the morning)\. Runbook: docs/runbook/([a-z0-9-]+)\.md",
        alarm["AlarmDescription"],
    )
    assert described, alarm["AlarmDescription"]
    return described[2]


def test_every_alarm_has_a_page_and_every_page_an_alarm(found: list[dict[str, Any]]) -> None:
    """With the fixed sections, none of them empty."""
    named = {page_of(alarm) for alarm in found}
    assert named == {path.stem for path in PAGES.glob("*.md")} - {"README"}
    for page in named:
        text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS, page
        assert all(part.strip() for part in re.split(r"^## .+$", text, flags=re.MULTILINE)), page


def test_the_index_says_alarm_page_and_severity(found: list[dict[str, Any]]) -> None:
    """One row a page; the severity is the alarm's own."""
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| .+ \| \[.+\]\(([a-z0-9-]+)\.md\) \| (.+) \|$", text, re.MULTILINE))
    severities = {page_of(alarm): re.findall(r"Severity: (.+?)\.", alarm["AlarmDescription"])[0] for alarm in found}
    assert rows == severities


def test_where_alarms_go_is_a_setting() -> None:
    """An address, an endpoint, both or none; a subscription without its parameter is not made."""
    template = alarms.resources(declare.stack(), PROD)
    made = {name: each for name, each in template.items() if each["Type"] == "AWS::SNS::Subscription"}
    asked = {each["Condition"]: each["Properties"]["Endpoint"]["Ref"] for each in made.values()}
    assert asked == {"HasAlarmEmail": "AlarmEmail", "HasAlarmEndpoint": "AlarmEndpoint"}
    assert set(alarms.conditions()) == set(asked)
    parameters = alarms.parameters()
    for name, good, bad in (
        ("AlarmEmail", "night@example.org", "nobody"),
        ("AlarmEndpoint", "https://pager.example.org/x", "http://pager.example.org"),
    ):
        pattern = parameters[name]["AllowedPattern"]
        assert re.fullmatch(pattern, parameters[name]["Default"])
        assert re.fullmatch(pattern, good)
        assert not re.fullmatch(pattern, bad)


def test_an_idle_month_stays_below_twelve_dollars(
    stack: Stack, made: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the list: metrics, alarms, and the rest. The dashboard is one of an account's three
    free ones, which show fifty metrics at most."""
    usd = alarms.monthly_usd(made)
    with capsys.disabled():
        sys.stdout.write(f" [metrics and alarms: US${usd:.2f} a month, {dashboard.metric_count(stack, PROD)} shown]")
    assert usd + REST_USD <= MOST_USD
    assert dashboard.metric_count(stack, PROD) <= dashboard.MOST_METRICS


def test_the_dashboard_shows_what_is_there(stack: Stack, made: dict[str, Any]) -> None:
    """Every alarm's state, and graphs of orders, failures, times, queues, units and gauges that do not overlap."""
    properties = made[dashboard.DASHBOARD_ID]["Properties"]
    widgets = json.loads(properties["DashboardBody"]["Fn::Sub"])["widgets"]
    shown = [name.rpartition(":")[2] for name in widgets[0]["properties"]["alarms"]]
    assert sorted(shown) == sorted(
        each["Properties"]["AlarmName"] for each in made.values() if each["Type"] == "AWS::CloudWatch::Alarm"
    )
    places = {(widget["x"], widget["y"]) for widget in widgets}
    assert len(places) == len(widgets)
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)
    text = properties["DashboardBody"]["Fn::Sub"]
    for metric in metrics.METRICS:
        assert metric.name in text


def test_the_template_of_the_alarms_passes_cfn_lint(made: dict[str, Any], tmp_path: Path) -> None:
    """By itself, as part of the base stack: it refers to nothing that is not in it."""
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": alarms.parameters()}
    path = tmp_path / "template.json"
    path.write_text(json.dumps({**template, "Conditions": alarms.conditions(), "Resources": made}), encoding="utf-8")
    linter = Path(sys.executable).with_name("cfn-lint")
    run = subprocess.run([linter, "-t", path, "-r", "us-east-1"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
