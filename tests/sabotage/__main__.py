"""
Try every sabotage on copies of the tree, and write into their entries at which revision they were red.

`python -m tests.sabotage [WORD …]` tries those whose description, numbers or tests contain one of the words; JOBS says how
many go at a time, and SLICE=2/5 takes the second of five parts. With REST=yes those are left out whose entries say that they were red
at this very revision: a run that was ended goes on. With TYPES=no mypy is not asked, and nothing is written. Ends with 1 when
one is not red.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.sabotage.catalogue import ALL
from tests.sabotage.sabotage import Sabotage
from tests.sabotage.trees import ROOT, SabotageError, Tree, rounds
from tests.sabotage.verdicts import note

TRIED = ("daemon", "tests", "rules", "runbooks", ":(exclude)tests/sabotage/catalogue")
"""What a verdict is about; the verdicts themselves stand in the catalogue."""


def main(words: Sequence[str]) -> int:
    """Try what was asked for, say of each how it went, and write each result down as it comes."""
    jobs, types, at = int(os.environ.get("JOBS", "2")), os.environ.get("TYPES") != "no", revision(ROOT)
    chosen = part(_asked_for(words), os.environ.get("SLICE", "1/1"))
    if os.environ.get("REST") == "yes":
        chosen = [each for each in chosen if each.red_at != at]
        if not chosen:
            print(f"nothing is left to try at {at}")
            return 0
    green = 0
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder, ThreadPoolExecutor(jobs) as pool:
        trees: SimpleQueue[Tree] = SimpleQueue()
        for number in range(jobs):
            trees.put(Tree(Path(folder, str(number))))
        together = rounds(chosen) if types else []
        untyped = [line for lines in pool.map(lambda each: _types(each, trees), together) for line in lines]
        print("".join(f"not typed: {line}\n" for line in untyped), end="")
        for sabotage, wrong in zip(chosen, pool.map(lambda each: _try(each, trees), chosen), strict=True):
            wrong += [line for line in untyped if any(f"kintsugi/{edit.file}:" in line for edit in sabotage.edits)]
            green += bool(wrong)
            print(f"{'NOT RED' if wrong else 'red'}: {sabotage.takes_out}", *wrong, sep="\n    ", flush=True)
            if types:
                note(sabotage.takes_out, "" if wrong else at)
        for _ in range(jobs):
            trees.get().close()
    print(f"{len(chosen) - green} of {len(chosen)} sabotages are red at {at}")
    return 1 if green or untyped or not chosen else 0


def part(sabotages: Sequence[Sabotage], which: str) -> Sequence[Sabotage]:
    """Return the second of five parts for "2/5"; all parts together are everything. Raises ValueError."""
    number, _, parts = which.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise ValueError(f"SLICE={which}: write NUMBER/PARTS, as 2/5")
    return sabotages[int(number) - 1 :: int(parts)]


def _asked_for(words: Sequence[str]) -> Sequence[Sabotage]:
    return [each for each in ALL if not words or any(word in _described(each) for word in words)]


def _types(together: Sequence[Sabotage], trees: "SimpleQueue[Tree]") -> list[str]:
    tree = trees.get()
    try:
        return tree.untyped(together)
    finally:
        trees.put(tree)


def _try(sabotage: Sabotage, trees: "SimpleQueue[Tree]") -> list[str]:
    tree = trees.get()
    try:
        return tree.tried(sabotage)
    except SabotageError as error:
        return [str(error)]
    finally:
        trees.put(tree)


def _described(sabotage: Sabotage) -> str:
    return " ".join((sabotage.takes_out, *sabotage.shows, *sabotage.against, sabotage.tests, *sabotage.red))


def revision(root: Path) -> str:
    """Return the revision of what is tried; changes that are not committed are told, but for the verdicts of this very run."""
    asked = ["git", "describe", "--always", "--abbrev=10", "--exclude=*"]
    named = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    status = ["git", "status", "--porcelain", "--", *TRIED]
    changed = subprocess.run(status, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    return f"{named}-dirty" if changed else named


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
