"""The layers of docs/architecture.md are contracts, and each of them is seen to be broken by one wrong line."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.project.tree import PACKAGE, ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = {each["id"]: each["name"] for each in CONTRACTS}


class Violation(NamedTuple):
    """One wrong line in one module, and the contract that it breaks."""

    module: str
    line: str
    contract: str


VIOLATIONS = (
    Violation("errors.py", "import kintsugi.settings", "layers"),
    Violation("ledger/store.py", "from kintsugi.kube.client import KubeClient", "layers"),
    Violation("executor.py", "from kintsugi.runner import Carrier", "layers"),
    Violation("newcomer.py", "", "layers"),
    Violation("watchdog.py", "import asyncio", "pure"),
    Violation("objects/facts.py", "import time", "pure"),
    Violation("actions/delete.py", "from kubernetes_asyncio.client import CoreV1Api", "kubernetes"),
    Violation("pipeline/pipeline.py", "import sqlalchemy", "database"),
    Violation("actions/psql.py", "import asyncpg", "postgres"),
    Violation("actions/psql.py", "import boto3", "s3"),
    Violation("worker/lines.py", "import kintsugi.kube", "worker"),
    Violation("scope/functions.py", "from cel_expr_python import cel", "cel"),
    Violation("matcher.py", "import re2", "re2"),
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the contracts are about."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(PACKAGE, folder / "daemon" / "kintsugi", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_package_keeps_every_contract(checkout: Path) -> None:
    """Without a wrong line nothing is broken: what the next test sees is its own line's doing."""
    done = lint(checkout)
    assert done.returncode == 0, done.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda each: f"{each.module} {each.contract}")
def test_one_wrong_line_breaks_its_contract_and_no_other(checkout: Path, violation: Violation) -> None:
    """A module that is on no line of the layers is wrong by itself."""
    module = checkout / "daemon" / "kintsugi" / violation.module
    before = module.read_text() if module.exists() else None
    module.write_text(f"{before or ''}\n{violation.line}\n")
    try:
        done = lint(checkout)
    finally:
        if before is None:
            module.unlink()
        else:
            module.write_text(before)
    assert done.returncode == 1, done.stdout
    verdicts = " ".join(done.stdout.split())
    for contract, name in NAMES.items():
        wanted = "BROKEN" if contract == violation.contract else "KEPT"
        assert f"{name} {wanted}" in verdicts, done.stdout


def test_no_contract_knows_an_exception() -> None:
    """An import that a contract ignores is a contract that is not one."""
    assert [each["id"] for each in CONTRACTS if "ignore_imports" in each] == []
    assert next(each for each in CONTRACTS if each["id"] == "layers")["exhaustive"] is True


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Check a copy with its own configuration."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    env = {**os.environ, "PYTHONPATH": str(checkout / "daemon"), "COLUMNS": "300"}
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
