"""The Makefile runs everything there is, and what it sets up is pinned."""

import re
import subprocess
import tomllib
from collections import Counter
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tests.unit.project.tree import DEMO, DIAGNOSIS, IMPORT, KUBEOBJECTS, KUBESIM, RESTORE, ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PROJECTS = [
    tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    for folder in (ROOT, KUBEOBJECTS, DIAGNOSIS, KUBESIM, DEMO, RESTORE, IMPORT)
]
PROJECT = PROJECTS[0]
LOCAL = {each["name"]: each for each in PROJECTS}
PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==\S+", re.MULTILINE)


def test_every_test_is_run_by_one_lane_of_make_test_all() -> None:
    """A test that no lane runs rots; one that two run costs twice, unless each has its share of it."""
    lanes = re.findall(r"^(lane-[\w-]+):", MAKEFILE, re.MULTILINE)
    assert sorted(lanes) == sorted(f"lane-{name}" for name in _listed("LANES"))
    run = Counter(path for lane in lanes for path in _tests_of(lane))
    assert run == Counter((ROOT / "tests").rglob("test_*.py"))


def _listed(variable: str) -> list[str]:
    values = re.findall(rf"^\w*{variable} := \$\(addprefix [\w-]+,(.*)\)$", MAKEFILE, re.MULTILINE)
    return [name for value in values for name in str(value).split()]


def _tests_of(lane: str) -> set[Path]:
    """Return the files that pytest collects for a lane: what it names, less what it ignores."""
    command = ["make", "-n", lane, "LANE=pytest", "CLUSTER_LANE=pytest"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = shown.partition("pytest")[2].split()
    ignored = {ROOT / word.removeprefix("--ignore=") for word in words if word.startswith("--ignore=")}
    named = [ROOT / word for word in words if not word.startswith("--")]
    return {path for place in named for path in (place.rglob("test_*.py") if place.is_dir() else [place])} - ignored


def test_a_change_is_checked_by_what_a_developer_types() -> None:
    """The quick tests come first: nothing is built for a cluster that they make needless."""
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    done = [line for line in script.read_text().splitlines() if line and not line.startswith(("#", "set", "cd"))]
    assert done == ["make test", "make test-cluster"]


def test_every_dependency_is_pinned_by_hash_and_names_no_index() -> None:
    """A lock that names a host works only where that host does."""
    for lock, wanted in (
        ("requirements.lock", needed(PROJECT, "import", "restore")),
        ("requirements-test.lock", needed(PROJECT, "test")),
    ):
        text = (ROOT / lock).read_text()
        pinned = PINNED.findall(text)
        assert wanted - set(map(normal, pinned)) == set()
        assert "://" not in text
        entries = re.split(r"^(?=[\w.-]+(?:\[[\w,]+\])?==)", text, flags=re.MULTILINE)[1:]
        assert [each.splitlines()[0] for each in entries if "--hash=sha256:" not in each] == []


def needed(project: Mapping[str, Any], *extras: str) -> set[str]:
    """Return the distributions that a project needs; of those that stand in this repository, what they need in turn."""
    found: set[str] = set()
    for each in chain(project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)):
        parts = re.fullmatch(r"([\w.-]+)(?:\[([\w,-]+)\])?.*", each)
        assert parts is not None, each
        name, of_extras = parts.groups("")
        if normal(name) in LOCAL:
            found |= needed(LOCAL[normal(name)], *filter(None, of_extras.split(",")))
        else:
            found.add(normal(name))
    return found


def test_packages_of_this_repository_are_required_in_the_version_that_stands_here() -> None:
    """Another one of that name would come from an index."""
    wanted = [
        each
        for project in PROJECTS
        for each in chain(project["dependencies"], *project.get("optional-dependencies", {}).values())
        if normal(re.split(r"[\[<>=~;]", each)[0]) in LOCAL
    ]
    versions = {name: project["version"] for name, project in LOCAL.items()}
    assert len(wanted) >= 4
    assert [
        each for each in wanted if re.sub(r"\[.*\]", "", each) not in {f"{n}=={v}" for n, v in versions.items()}
    ] == []


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
