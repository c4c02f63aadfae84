"""`kintsugi --help` comes at once, lists each command once, in a group with an example, and cuts no summary; no command imports what it does not need."""

import os
import shlex
import subprocess
import sys
from collections import Counter

import pytest
import typer
from typer.testing import CliRunner

from kintsugi.cli import app
from kintsugi.cli.help_groups import GROUPS

HEAVY = """
aiohttp alembic apscheduler asyncpg boto3 cel_expr_python google.protobuf kubernetes_asyncio msgspec orjson
prometheus_client rich sqlalchemy structlog yaml
kintsugi.app kintsugi.catalog kintsugi.model kintsugi.server kintsugi.settings
"""
SHOW = """
import sys
from kintsugi.cli import main
try:
    main(sys.argv[1:])
finally:
    print("imported:", *sorted(sys.modules))
"""


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), (), ("run", "--help"), ("incident", "-h")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Typer takes pydantic for the options of a single command; nothing else does."""
    heavy = (
        HEAVY.split()
        if arguments and not arguments[0].startswith("-")
        else [*HEAVY.split(), "pydantic", "importlib.metadata"]
    )
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": "daemon"},
    )
    imported = set(done.stdout.splitlines()[-1].split()[1:])
    assert "kintsugi.cli" in imported, done.stderr
    assert imported.isdisjoint(heavy), sorted(imported.intersection(heavy))


LOOK = "aiohttp alembic apscheduler asyncpg kubernetes_asyncio ruamel sqlalchemy stamina structlog yaml"
CHECK = "alembic apscheduler boto3 kintsugi.ledger kubernetes_asyncio.client.models ruamel sqlalchemy"
DAEMON = "alembic boto3 kubernetes_asyncio.client.models kubesim ruamel"


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("kintsugi.cli.queries, kintsugi.cli.mutations", LOOK),
        ("kintsugi.cli.documents, kintsugi.verbs.get", CHECK),
        ("kintsugi.app", DAEMON),
    ],
    ids=["look", "validate", "run"],
)
def test_a_process_imports_only_what_it_needs(modules: str, heavy: str) -> None:
    """A look is mostly imports, and so is the memory of an idle daemon: the modules here were the heaviest."""
    program = f"import sys, {modules}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()).isdisjoint(heavy.split()), set(done.stdout.split()).intersection(heavy.split())


WIDTH = 80


def test_each_command_is_in_one_group_whose_example_is_a_command() -> None:
    known = typer.main.get_group(app).commands
    assert Counter(name for group in GROUPS for name in group.summaries) == Counter(list(known))
    for group in GROUPS:
        words = shlex.split(group.example)
        flags = {option for each in known[words[1]].params for option in each.opts}
        assert words[0] == "kintsugi"
        assert words[1] in group.summaries
        assert {word for word in words if word.startswith("-")} <= flags


def test_no_line_of_the_help_is_cut() -> None:
    shown = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(app, ["--help"]).output
    assert "..." not in shown.replace("[ARGS]...", "")
    assert max(map(len, shown.splitlines())) <= WIDTH
    for group in GROUPS:
        assert f"{group.title}:" in shown
        assert f"  $ {group.example}" in shown
