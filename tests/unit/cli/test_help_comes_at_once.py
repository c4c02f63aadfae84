"""Help must not wait for what only the work itself needs: it is measured by what is imported, not by a clock."""

import os
import subprocess
import sys

import pytest

HEAVY = (
    "aiohttp",
    "aiosqlite",
    "alembic",
    "apscheduler",
    "asyncpg",
    "boto3",
    "cel_expr_python",
    "google.protobuf",
    "kintsugi.app",
    "kintsugi.catalog",
    "kintsugi.model",
    "kintsugi.server",
    "kintsugi.settings",
    "kubernetes_asyncio",
    "msgspec",
    "orjson",
    "prometheus_client",
    "rich",
    "sqlalchemy",
    "structlog",
    "yaml",
)
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
    heavy = HEAVY if arguments and not arguments[0].startswith("-") else (*HEAVY, "pydantic")
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
