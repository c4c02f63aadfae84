"""The benches: each part ends, and has measured something."""

import subprocess
import sys

import pytest

from tests.bench.__main__ import PARTS

TABLE = "figure "


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_benches_ends_with_its_figures(part: str) -> None:
    """Each part is a process of its own, as `make bench` runs them all."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", part], capture_output=True, text=True, timeout=840, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    _, table, figures = done.stdout.partition(TABLE)
    assert table, done.stdout + done.stderr
    assert len(figures.splitlines()) > 1, done.stdout + done.stderr
