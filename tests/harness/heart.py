"""The tests marked `heart`, in one pytest on one cluster; those that were red run once more, on a fresh one.

A real cluster has its bad moments, and a defect does not go away: a test that is green only the second time is named as
`unstable`, one that is red twice fails the command, and so do more than two that are red at first.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.harness.cluster import KUBECONFIG

ROOT = Path(__file__).parents[2]
CACHE = Path(".venv/heart")
"""Pytest's cache of these runs: no other run says which of them were red."""
MOST_RED = 2
"""So many may be red for a reason of the machine; more of them at once are a defect."""

_PYTEST = (sys.executable, "-m", "pytest", "-q", "-m", "heart", "-o", f"cache_dir={CACHE}", "tests/cluster")
_ONCE_MORE = ("--last-failed", "--last-failed-no-failures=none")
_SOME_RED = 1
"""pytest's exit code where tests were run and some were red."""


def command(*options: str) -> Sequence[str]:
    """Return the command of one run: on a cluster that was lent to us, or in a machine of its own."""
    alone = () if os.environ.get(KUBECONFIG) else (sys.executable, "-m", "tests.harness.network", "--")
    return (*alone, *_PYTEST, *options)


def red(cache: Path) -> Sequence[str]:
    """Return the tests that the last run of a cache found red."""
    kept = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def repeated(red_at_first: Sequence[str], code: int) -> Sequence[str]:
    """Return which tests are run once more after a first run that ended with this code of pytest's."""
    return red_at_first if code == _SOME_RED and len(red_at_first) <= MOST_RED else ()


def main() -> int:
    """Run them, and return pytest's exit code of the run that counts."""
    code = subprocess.call(command("--cache-clear", "--durations=20"), cwd=ROOT)
    again = repeated(red(ROOT / CACHE), code)
    if not again:
        return code
    code = subprocess.call(command(*_ONCE_MORE), cwd=ROOT)
    if code == 0:
        print("\n".join(f"unstable: {each}" for each in again))
    return code


if __name__ == "__main__":
    sys.exit(main())
