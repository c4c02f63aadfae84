"""A copy of the tree, in which one sabotage after the other is done and tried."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.sabotage.outcomes import FILE, PACKAGE
from tests.sabotage.sabotage import Edit, Outcome, Sabotage, objections

ROOT = Path(__file__).parents[2]
CODE = Path("daemon", "kintsugi")
SOURCES = ("daemon", "daemon/kubeobjects", "daemon/kubesim")

_LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis")


class SabotageError(Exception):
    """A sabotage cannot be done: the code has changed since it was written."""


class Tree:
    """A copy of the tree as it stands, whose package comes first wherever Python is started in it."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "tree"
        self._outcomes, self._said = folder / "outcomes.json", folder / "said.txt"
        self._server: subprocess.Popen[str] | None = None
        shutil.copytree(ROOT, self._root, ignore=_LEFT_OUT, symlinks=True)
        paths = os.pathsep.join(map(str, (*(self._root / each for each in SOURCES), self._root)))
        own = {"PYTHONPATH": paths, FILE: str(self._outcomes), "PYTHONDONTWRITEBYTECODE": "1", "CI": ""}
        self._here = {**os.environ, **own}

    def tried(self, sabotage: Sabotage) -> list[str]:
        """Do a sabotage, run the file of its tests, and undo it. Return what speaks against it; nothing: it is red."""
        self._do([sabotage])
        try:
            return objections(sabotage, self._run(sabotage.tests))
        finally:
            self._undo([sabotage])

    def untyped(self, together: Sequence[Sabotage]) -> list[str]:
        """Do some sabotages together, each at its own place, and return what mypy says of the package then."""
        self._do(together)
        try:
            command = [sys.executable, "-m", "mypy", "--no-error-summary"]
            done = subprocess.run(command, cwd=self._root, env=self._here, capture_output=True, text=True, check=False)
            return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()
        finally:
            self._undo(together)

    def close(self) -> None:
        """End its server of tests."""
        if self._server is not None:
            self._server.communicate()

    def _do(self, sabotages: Sequence[Sabotage]) -> None:
        for edit in edits_of(sabotages):
            path = self._root / CODE / edit.file
            path.write_text(replaced(path.read_text(), edit))

    def _undo(self, sabotages: Sequence[Sabotage]) -> None:
        for edit in edits_of(sabotages):
            shutil.copy2(ROOT / CODE / edit.file, self._root / CODE / edit.file)

    def _run(self, tests: str) -> Mapping[str, Outcome]:
        """Return how each test of a file ended."""
        self._outcomes.unlink(missing_ok=True)
        server = self._server = self._server or self._served()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(f"tests/{tests}\n")
        server.stdin.flush()
        if not server.stdout.readline() or not self._outcomes.exists():
            raise SabotageError(f"the package cannot be imported, or {tests} not be run to its end: see {self._said}")
        written = json.loads(self._outcomes.read_text())
        if not (self._root / CODE).samefile(written[PACKAGE]):
            raise SabotageError(f"another package was imported: {written[PACKAGE]}")
        return {test: Outcome(outcome) for test, outcome in written.items() if test != PACKAGE}

    def _served(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "tests/sabotage/server.py"]
        with self._said.open("w") as said:
            return subprocess.Popen(
                command,
                cwd=self._root,
                env=self._here,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )


def edits_of(sabotages: Sequence[Sabotage]) -> list[Edit]:
    """Return all edits in order."""
    return [edit for each in sabotages for edit in each.edits]


def replaced(text: str, edit: Edit) -> str:
    """Return the text of a file with one edit made. Raises SabotageError when its old text does not stand there once."""
    count = text.count(edit.old)
    if count != 1:
        raise SabotageError(f"{edit.file}: this stands there {count} times, not once:\n{edit.old}")
    return text.replace(edit.old, edit.new)


def rounds(sabotages: Sequence[Sabotage]) -> list[list[Sabotage]]:
    """Share sabotages out to as few rounds as it takes that those of one can be done together."""
    found: list[list[Sabotage]] = []
    for each in sabotages:
        for together in found:
            if _fits(each, together):
                together.append(each)
                break
        else:
            found.append([each])
    return found


def _fits(sabotage: Sabotage, others: Sequence[Sabotage]) -> bool:
    texts: dict[str, str] = {}
    try:
        for edit in edits_of([*others, sabotage]):
            texts[edit.file] = replaced(texts.get(edit.file) or (ROOT / CODE / edit.file).read_text(), edit)
    except SabotageError:
        return False
    return True
