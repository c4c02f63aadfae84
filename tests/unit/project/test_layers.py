"""The layers of docs/architecture.md are contracts, and each of them is seen to be broken by one wrong line."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.structure.floors import floors
from tests.unit.project.tree import DIAGNOSIS, KUBEOBJECTS, KUBESIM, PACKAGE, PACKAGES, RESTORE, ROOT, SOURCES

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
NAMES = {each["id"]: each["name"] for each in CONTRACTS}


class Violation(NamedTuple):
    """One wrong line in one module, and the contract that it breaks."""

    module: str
    line: str
    contract: str
    package: Path = PACKAGE

    def written(self, checkout: Path) -> str:
        """Write the line at the end of its module in a copy, and return the expression by which it is told of."""
        file = checkout / self.package.relative_to(ROOT) / self.module
        before = file.read_text() if file.exists() else ""
        file.write_text(f"{before}{self.line}\n")
        module = re.escape(".".join([self.package.name, *Path(self.module).with_suffix("").parts]))
        return rf"- +{module} -> \S+ \(l\.{before.count(chr(10)) + 1}\)" if self.line else rf"- +{module}\n"


VIOLATIONS = (
    Violation("errors.py", "import kintsugi.settings", "layers"),
    Violation("ledger/store/transactions.py", "from kintsugi.kube.client import KubeClient", "layers"),
    Violation("executor.py", "from kintsugi.runner import Journal", "layers"),
    Violation("runner/gate.py", "from kintsugi.runner.driver import RunDriver", "runner"),
    Violation("newcomer.py", "", "layers"),
    Violation("decisions/watchdog.py", "from kintsugi.decisions.guards import check", "decisions"),
    Violation("decisions/watchdog.py", "import asyncio", "pure"),
    Violation("predicates.py", "import time", "pure", KUBEOBJECTS / "kubeobjects"),
    Violation("executor.py", "from kintsugi.verbs.delete import DeleteVerb", "verbs"),
    Violation("verbs/delete.py", "from kubernetes_asyncio.client import CoreV1Api", "kubernetes"),
    Violation("pipeline/pipeline.py", "import sqlalchemy", "database"),
    Violation("actions/psql.py", "import asyncpg", "postgres"),
    Violation("actions/psql.py", "import boto3", "s3"),
    Violation("worker/log_writer.py", "import kintsugi.kube", "worker", RESTORE / "kintsugi_restore"),
    Violation("jobs.py", "import kintsugi_restore.worker.restore", "restore", RESTORE / "kintsugi_restore"),
    Violation("scope/types.py", "from cel_expr_python import cel", "cel"),
    Violation("decisions/matcher.py", "import re2", "re2"),
    Violation("verbs/patch.py", "from cryptography.fernet import Fernet", "cryptography"),
    Violation("cli/daemon.py", "from kubesim import EmbeddedCluster", "demo"),
    Violation("cli/operator.py", "from kintsugi_demo import SCENES", "distributions"),
    Violation("app/core.py", "import kubesim.apiserver.metrics", "demo"),
    Violation("storage/store.py", "from kintsugi.errors import KintsugiError", "kubesim", KUBESIM / "kubesim"),
    Violation("storage/store.py", "import kubesim.apiserver.server", "kubesim-layers", KUBESIM / "kubesim"),
    Violation("runtime/logs.py", "import kubesim.kubelet.kubelet", "kubesim-layers", KUBESIM / "kubesim"),
    Violation("newcomer.py", "", "kubesim-layers", KUBESIM / "kubesim"),
    Violation("diagnose.py", "import time", "pure", DIAGNOSIS / "kubediagnosis"),
    Violation(
        "related_reader.py", "from kintsugi.telemetry import SECRETS", "kubediagnosis", DIAGNOSIS / "kubediagnosis"
    ),
    Violation(
        "probes.py", "import kubediagnosis.workload_reader", "kubediagnosis-readers", DIAGNOSIS / "kubediagnosis"
    ),
    Violation("resources.py", "from kintsugi.errors import KintsugiError", "kubeobjects", KUBEOBJECTS / "kubeobjects"),
)


def listed(heading: str) -> list[set[str]]:
    """Return the modules that each line of a block of docs/architecture.md names in its first column."""
    block = (ROOT / "docs" / "architecture.md").read_text().partition(heading)[2].split("```")[1]
    lines = [re.split(r"\s{2,}", line)[0] for line in block.strip().splitlines()]
    return [set(line.split(" | ")) for line in lines]


def layers(contract: str) -> list[set[str]]:
    """Return the layers of a contract, from the highest to the lowest."""
    return [set(each.split(" | ")) for found in CONTRACTS if found["id"] == contract for each in found["layers"]]


def test_the_table_of_layers_in_the_architecture_is_the_contract() -> None:
    assert listed("## Folders of the daemon") == layers("layers")
    assert set().union(*listed("Within `decisions`")) == set().union(*layers("decisions"))


def test_the_daemon_has_at_most_twelve_floors_and_no_circle() -> None:
    """More of them would make each story a walk through all."""
    assert max(floors(PACKAGE).values()) <= 12


def test_a_circle_of_imports_is_named(tmp_path: Path) -> None:
    package = tmp_path / "house"
    for room, other in (("low", "high"), ("high", "low"), ("top", "high")):
        (package / room).mkdir(parents=True)
        (package / room / "room.py").write_text(f"from house.{other} import room\n")
    with pytest.raises(ValueError, match="high > low > high"):
        floors(package)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the contracts are about."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(package, folder / package.relative_to(ROOT), ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_package_keeps_every_contract_and_each_wrong_line_breaks_its_own_and_no_other(checkout: Path) -> None:
    """A module that is on no line of the layers is wrong by itself."""
    assert f"{len(CONTRACTS)} kept, 0 broken" in lint(checkout), "without a wrong line nothing is broken"
    marks = {each: each.written(checkout) for each in VIOLATIONS}

    told = lint(checkout).partition("Broken contracts")[2]
    _, *parts = re.split(rf"\n({'|'.join(map(re.escape, NAMES.values()))})\n-+\n", told)
    broken = dict(zip(parts[::2], parts[1::2], strict=True))
    assert broken.keys() == set(NAMES.values()), told
    for each, mark in marks.items():
        assert {name for name, text in broken.items() if re.search(mark, text)} == {NAMES[each.contract]}, (each, told)


def test_no_contract_knows_an_exception() -> None:
    """An import that a contract ignores is a contract that is not one."""
    assert [each["id"] for each in CONTRACTS if "ignore_imports" in each] == []
    layers = [each for each in CONTRACTS if each["type"] == "layers"]
    assert [each["exhaustive"] for each in layers] == [True] * len(layers)


def lint(checkout: Path) -> str:
    """Check a copy with its own configuration; return what is said of it."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    paths = os.pathsep.join(str(checkout / each.relative_to(ROOT)) for each in SOURCES)
    env = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "300"}
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False).stdout
