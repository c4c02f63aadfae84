"""
Runs files of tests, one after the other, each in a process that is forked from one that has imported others' code.

`python tests/sabotage/server.py`, in a copy of the tree: a line of its input names a file of tests, a line of its output says
that it has been run. Importing SQLAlchemy, aiohttp and the like takes more of the machine than most files of tests do. Nothing
of the project is imported before the fork: it is another one each time.
"""

import importlib
import os
import sys

OTHERS = (
    "_pytest.assertion.rewrite", "aiohttp.web", "alembic.autogenerate", "alembic.command", "apscheduler.schedulers.asyncio",
    "asyncpg", "boto3", "cel_expr_python", "google.protobuf.descriptor_pb2", "kubernetes_asyncio.client", "msgspec.json",
    "orjson", "prometheus_client", "pydantic", "pytest", "rich.console", "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio", "stamina", "structlog", "typer", "yaml",
)  # fmt: skip
HANGS = 200
"""Seconds after which a test is given up; that only ends a hang, which some behaviour that is taken out leads to."""

_OPTIONS = (
    f"--timeout={HANGS}",
    "-q",
    "--no-header",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    "-p",
    "tests.sabotage.outcomes",
)


def main() -> None:
    """Serve until the input ends."""
    del sys.path[0]  # this folder, which is no place for top-level names
    for name in OTHERS:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # our own output is for answers
            sys.exit(importlib.import_module("pytest").main([*_OPTIONS, line.strip()]))
        os.waitpid(child, 0)
        print("run", flush=True)


if __name__ == "__main__":
    main()
