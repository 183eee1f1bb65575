"""Additive only: what the previous release stores, reads, sends and promises is there still, unchanged."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from functools import lru_cache
from typing import Any

import pytest

from chalicelib.runtime.settings import settings
from infra.imports import ROOT
from tests.rollout import additions
from tests.rollout.releases import Release, checked_out, previous_commit, released


@lru_cache(maxsize=1)
def described() -> tuple[dict[str, Any], dict[str, Any]]:
    """The previous release and this one, each as its own code says."""
    with checked_out(previous_commit()) as code, Release(code) as before, Release(ROOT) as after:
        return before.ask(do="describe"), after.ask(do="describe")


def test_nothing_that_the_previous_release_stores_or_sends_has_changed() -> None:
    """Every table, index, attribute, queue, piece of news and function is there, of the same kind."""
    assert additions.storage_faults(*described()) == []


def test_nothing_that_the_api_promised_has_changed() -> None:
    """Every operation, field and error is there; nothing more is asked for."""
    before, after = described()
    assert additions.api_faults(before["api"], after["api"]) == []


def test_versions_agree_and_every_release_stands_in_the_changelog() -> None:
    """One version in the settings and the package, later than the last release; the list and the changelog agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == settings().version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[([^]]+)\](?: - (\S+))?", changelog, re.MULTILINE)
    known = [(one["version"], one["date"]) for one in released()]
    assert [(version, date) for version, date in reversed(headings) if date] == known
    newest = tuple(map(int, known[-1][0].split(".")))
    assert tuple(map(int, settings().version.split("."))) >= newest


def test_a_clone_without_history_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the release and the command."""
    monkeypatch.setattr(
        "tests.rollout.releases.released", lambda: [{"version": "9.9.9", "date": "2026-01-01", "commit": "0" * 40}]
    )
    with pytest.raises(AssertionError, match=r"release 9.9.9 .* run git fetch --unshallow --tags"):
        previous_commit()


# ---------------------------------------------------------------------------------------------- it finds what it should


def changed(path: str, value: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The previous release, and itself with one thing replaced, or taken out when there is no value."""
    before, _ = described()
    after = copy.deepcopy(before)
    *parents, last = path.split("|")
    at: Any = after
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at[name]
    if value is None:
        del at[int(last) if isinstance(at, list) else last]
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return before, after


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("tables|orders", None, "table orders is gone"),
        ("tables|orders|GlobalSecondaryIndexes|0", None, "is gone or has changed"),
        ("tables|orders|ttl", "t", "another time to live"),
        ("rows|linli-orders/OrderRow|hu", None, "attribute hu is gone"),
        ("rows|linli-orders/OrderRow|hu", ["S", False, False], "attribute hu was N and is S"),
        ("rows|linli-orders/OrderRow|new", ["S", False, False], "the new attribute new is missing"),
        ("queues|notify", None, "queues: notify is gone"),
        ("news|order.paid", "refund", "news order.paid no longer goes to notify"),
        ("functions|sweep", None, "functions: sweep is gone"),
    ],
)
def test_a_change_of_storage_is_found(path: str, value: Any, said: str) -> None:
    """Each kind of change is called by its name."""
    faults = additions.storage_faults(*changed(path, value))
    assert len(faults) == 1
    assert said in faults[0]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("paths|/v1/orders|post", None, "POST /v1/orders is gone"),
        ("paths|/v1/orders|post|operationId", "buy", "is called buy now"),
        ("paths|/v1/orders|post|responses|410", None, "status 410 is gone"),
        ("components|schemas|OrderOut|properties|tab", None, ".tab is gone"),
        ("components|schemas|OrderOut|properties|version|type", "string", "was ['integer'], is ['string']"),
        ("components|schemas|OrderOut|required", ["id"], "may be missing now"),
        ("components|schemas|PlaceOrder|required", ["quote_id", "note"], ".note is required now"),
        ("components|schemas|PlaceOrder|properties|note|maxLength", 1, "maxLength is lower"),
        ("components|schemas|PlaceOrder|properties|note", None, ".note is not taken any more"),
    ],
)
def test_a_broken_promise_of_the_api_is_found(path: str, value: Any, said: str) -> None:
    """Each kind of broken promise is called by its name."""
    before, after = changed(f"api|{path}", value)
    faults = additions.api_faults(before["api"], after["api"])
    assert any(said in fault for fault in faults), faults


def test_an_error_code_that_is_taken_away_is_found() -> None:
    """The codes of a status are part of the promise."""
    before, _ = described()
    after = json.loads(json.dumps(before["api"]).replace('"quote_expired"', '"other"'))
    assert any("quote_expired" in fault for fault in additions.api_faults(before["api"], after))
