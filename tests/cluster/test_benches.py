"""The benches: each part ends, and has measured something."""

import subprocess
import sys

import pytest

from tests.bench import executing
from tests.bench.__main__ import PARTS
from tests.bench.plan import Plan
from tests.harness.cluster import RealCluster

TABLE = "figure "
ON_A_CLUSTER = "exec"
"""The part that has a real cluster of its own, of which there is one at a time."""


@pytest.mark.long
@pytest.mark.parametrize("part", [each for each in PARTS if each != ON_A_CLUSTER])
def test_a_part_of_the_benches_ends_with_its_figures(part: str) -> None:
    """Each part is a process of its own, as `make bench` runs them all; what it could not measure it says, and this is red."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", part], capture_output=True, text=True, timeout=840, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT RUN" not in done.stderr, done.stderr
    _, table, figures = done.stdout.partition(TABLE)
    assert table, done.stdout + done.stderr
    assert len(figures.splitlines()) > 1, done.stdout + done.stderr


@pytest.mark.long
def test_the_bench_of_commands_in_containers_has_its_figures(own_cluster: RealCluster) -> None:
    assert len(list(executing.measure_on(own_cluster, Plan(quick=True)))) > 1
