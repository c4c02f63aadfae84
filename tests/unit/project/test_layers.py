"""The layers of docs/architecture.md are contracts, and each of them is seen to be broken by one wrong line."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.project.tree import KUBEOBJECTS, KUBESIM, PACKAGE, PACKAGES, ROOT, SOURCES

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = {each["id"]: each["name"] for each in CONTRACTS}


class Violation(NamedTuple):
    """One wrong line in one module, and the contract that it breaks."""

    module: str
    line: str
    contract: str
    package: Path = PACKAGE


VIOLATIONS = (
    Violation("errors.py", "import kintsugi.settings", "layers"),
    Violation("ledger/store.py", "from kintsugi.kube.client import KubeClient", "layers"),
    Violation("executor.py", "from kintsugi.runner import Journal", "layers"),
    Violation("runner/gate.py", "from kintsugi.drivers import RunDriver", "layers"),
    Violation("newcomer.py", "", "layers"),
    Violation("decisions/watchdog.py", "from kintsugi.decisions.guards import check", "decisions"),
    Violation("decisions/watchdog.py", "import asyncio", "pure"),
    Violation("objects/predicates.py", "import time", "pure"),
    Violation("executor.py", "from kintsugi.verbs.delete import DeleteVerb", "verbs"),
    Violation("verbs/delete.py", "from kubernetes_asyncio.client import CoreV1Api", "kubernetes"),
    Violation("pipeline/pipeline.py", "import sqlalchemy", "database"),
    Violation("actions/psql.py", "import asyncpg", "postgres"),
    Violation("actions/psql.py", "import boto3", "s3"),
    Violation("worker/log_writer.py", "import kintsugi.kube", "worker"),
    Violation("scope/functions.py", "from cel_expr_python import cel", "cel"),
    Violation("decisions/matcher.py", "import re2", "re2"),
    Violation("verbs/patch.py", "from cryptography.fernet import Fernet", "cryptography"),
    Violation("cli/daemon.py", "from kubesim import EmbeddedCluster", "demo"),
    Violation("app/core.py", "import kubesim.apiserver.metrics", "demo"),
    Violation("storage/store.py", "from kintsugi.errors import KintsugiError", "kubesim", KUBESIM / "kubesim"),
    Violation("storage/store.py", "import kubesim.apiserver.server", "kubesim-layers", KUBESIM / "kubesim"),
    Violation("runtime/logs.py", "import kubesim.kubelet.kubelet", "kubesim-layers", KUBESIM / "kubesim"),
    Violation("newcomer.py", "", "kubesim-layers", KUBESIM / "kubesim"),
    Violation("resources.py", "from kintsugi.errors import KintsugiError", "kubeobjects", KUBEOBJECTS / "kubeobjects"),
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the contracts are about."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(package, folder / package.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_package_keeps_every_contract(checkout: Path) -> None:
    """Without a wrong line nothing is broken: what the next test sees is its own line's doing."""
    done = lint(checkout)
    assert done.returncode == 0, done.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda each: f"{each.module} {each.contract}")
def test_a_wrong_import_breaks_its_contract_and_no_other(checkout: Path, violation: Violation) -> None:
    """A module that is on no line of the layers is wrong by itself."""
    module = checkout / violation.package.relative_to(ROOT) / violation.module
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
    layers = [each for each in CONTRACTS if each["type"] == "layers"]
    assert [each["exhaustive"] for each in layers] == [True] * len(layers)


def lint(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Check a copy with its own configuration."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    paths = os.pathsep.join(str(checkout / each.relative_to(ROOT)) for each in SOURCES)
    env = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "300"}
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
