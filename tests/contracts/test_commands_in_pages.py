"""What a person is told to type at night exists: every `linli` command of the runbook and the guides."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from infra.imports import ROOT
from infra.ops import cli

PAGES = sorted((ROOT / "docs").glob("runbook/*.md")) + sorted((ROOT / "docs").glob("guides/*.md"))
_COMMAND = re.compile(r"(?:^|`)(?:\.venv/bin/)?linli ([^`\n#|]+)", re.MULTILINE)


def told(page: Path) -> list[str]:
    return [found.strip() for found in _COMMAND.findall(page.read_text(encoding="utf-8"))]


def wrong(command: str) -> str:
    """What of a command line does not exist; empty when all of it does."""
    here: Any = typer.main.get_command(cli.app)
    for word in shlex.split(command):
        if word.startswith("-"):
            name = word.partition("=")[0]
            if not any(name in option.opts for option in here.params):
                return f"{here.name} has no {name}"
        elif hasattr(here, "commands") and word not in ("dev", "staging", "prod"):
            if word not in here.commands:
                return f"{here.name} has no {word}"
            here = here.commands[word]
    return f"{here.name} is no command by itself" if hasattr(here, "commands") else ""


@pytest.mark.parametrize("page", [page for page in PAGES if told(page)], ids=lambda page: page.stem)
def test_every_command_of_a_page_exists(page: Path) -> None:
    """Commands and options, as the command line itself knows them."""
    assert {command: wrong(command) for command in told(page) if wrong(command)} == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    """A page that names another command, subcommand or option is wrong."""
    assert wrong("doctor --json") == "" == wrong("--stage prod dead replay notify --all")
    assert wrong("heal") != ""
    assert wrong("dead bury notify") != ""
    assert wrong("reconcile --sometimes") != ""
    assert wrong("outbox") != ""
