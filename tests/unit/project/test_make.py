"""The Makefile runs everything there is, and what it sets up is pinned."""

import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

from tests.unit.project.tree import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==\S+", re.MULTILINE)


def test_every_test_is_run_by_one_lane_of_make_test() -> None:
    """A test that no lane runs rots; one that two run costs twice."""
    lanes = re.findall(r"^(lane-[\w-]+):", MAKEFILE, re.MULTILINE)
    assert set(lanes) == {f"lane-{name}" for name in _listed("LANES")}
    run = Counter(path for lane in lanes for path in _tests_of(lane))
    assert run == Counter((ROOT / "tests").rglob("test_*.py"))


def _listed(variable: str) -> list[str]:
    values = re.findall(rf"^{variable} \S= \$\(addprefix [\w-]+,(.*)\)$", MAKEFILE, re.MULTILINE)
    return [name for value in values for name in str(value).split()]


def _tests_of(lane: str) -> set[Path]:
    """Return the files that pytest collects for a lane: what it names, less what it ignores."""
    shown = subprocess.run(
        ["make", "-n", lane, "LANE=pytest"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    words = shown.partition("pytest")[2].split()
    ignored = {ROOT / word.removeprefix("--ignore=") for word in words if word.startswith("--ignore=")}
    named = [ROOT / word for word in words if not word.startswith("--")]
    return {path for place in named for path in (place.rglob("test_*.py") if place.is_dir() else [place])} - ignored


def test_the_whole_run_is_make_test() -> None:
    """Whoever checks a change types what a developer types."""
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    done = [line for line in script.read_text().splitlines() if line and not line.startswith(("#", "set", "cd"))]
    assert done == ["exec make test"]


def test_help_tells_of_every_target() -> None:
    """A target that help does not know is one that nobody finds."""
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == phony


def test_every_dependency_is_pinned_by_hash_and_names_no_index() -> None:
    """A lock that names a host works only where that host does."""
    for lock, wanted in (
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements-test.lock", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]),
    ):
        text = (ROOT / lock).read_text()
        pinned = PINNED.findall(text)
        assert {normal(re.split(r"[\[<>=~;]", each)[0]) for each in wanted} - set(map(normal, pinned)) == set()
        assert "://" not in text
        entries = re.split(r"^(?=[\w.-]+(?:\[[\w,]+\])?==)", text, flags=re.MULTILINE)[1:]
        assert [each.splitlines()[0] for each in entries if "--hash=sha256:" not in each] == []


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
