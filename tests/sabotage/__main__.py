"""
Try the sabotages on a copy of the tree.

`python -m tests.sabotage [WORD …]` tries those whose description, numbers or tests contain one of the words. Ends with 1
when one is not red.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.sabotage.catalogue import ALL
from tests.sabotage.sabotage import Sabotage, objections, outcomes, replaced
from tests.sabotage.trees import CODE, copy_tree, environment

HANGS = 200
"""Seconds after which a test is given up: some behaviour that is taken out leads to a hang."""


def main(words: Sequence[str]) -> int:
    """Try what was asked for, and say of each how it went."""
    chosen = [each for each in ALL if not words or any(word in _described(each) for word in words)]
    green = 0
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
        tree = copy_tree(Path(folder, "tree"))
        for sabotage in chosen:
            wrong = tried(sabotage, tree)
            green += bool(wrong)
            print(f"{'NOT RED' if wrong else 'red'}: {sabotage.takes_out}", *wrong, sep="\n    ", flush=True)
    print(f"{len(chosen) - green} of {len(chosen)} sabotages are red")
    return 1 if green or not chosen else 0


def tried(sabotage: Sabotage, tree: Path) -> list[str]:
    """Do a sabotage, run the file of its tests, and undo it. Return what speaks against it; nothing: it is red."""
    file = tree / CODE / sabotage.file
    text = file.read_text()
    file.write_text(replaced(text, sabotage))
    try:
        return _objections(sabotage, tree)
    finally:
        file.write_text(text)


def _objections(sabotage: Sabotage, tree: Path) -> list[str]:
    report = tree / "build" / "report.xml"
    report.unlink(missing_ok=True)
    # What is shown on an SQLite file need not be shown again on PostgreSQL.
    options = ["-q", "-k", "not postgres", f"--timeout={HANGS}", "-p", "no:cacheprovider", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, f"tests/{sabotage.tests}"]
    done = subprocess.run(
        command,
        cwd=tree,
        env=environment(tree),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return objections(sabotage, outcomes(report)) if report.exists() else done.stdout.splitlines()


def _described(sabotage: Sabotage) -> str:
    return " ".join((sabotage.takes_out, *sabotage.shows, sabotage.tests, *sabotage.red))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
