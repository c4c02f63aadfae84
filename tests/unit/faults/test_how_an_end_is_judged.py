"""What a daemon may write for each end of docs/faults.md: the rung's own, and nothing else."""

import pytest

from tests.faults import page
from tests.faults.ends import Write, of_upstream, wrongly_written

DELETE: Write = ("delete", "pods")
UNDO: Write = ("patch", "deployments")


@pytest.mark.parametrize(
    ("id_", "writes"),
    [
        ("one-pod-crashes", (DELETE,)),
        ("image-not-found", (UNDO,)),
        ("bad-version-of-statefulset", (("patch", "statefulsets"), DELETE)),
        ("scaled-to-zero", (UNDO,)),
        ("hanging-for-ever", (DELETE,)),
        ("routes-wrong", ()),
        ("configmap-deleted", ()),
        ("killed-once", ()),
    ],
)
def test_a_rung_may_write_what_it_needs(id_: str, writes: tuple[Write, ...]) -> None:
    row = page.row(id_)
    assert wrongly_written(row, page.workloads()[row.service], writes) == []


@pytest.mark.parametrize(
    ("id_", "writes", "problem"),
    [
        ("one-pod-crashes", (DELETE, DELETE), "wrote delete pods 2 times"),
        ("one-pod-crashes", (DELETE, UNDO), "wrote patch deployments"),
        ("image-not-found", (), "did not write patch deployments"),
        ("image-not-found", (UNDO, DELETE), "wrote delete pods"),
        ("hanging-for-ever", (DELETE, DELETE), "wrote delete pods 2 times"),
        ("configmap-deleted", (DELETE,), "wrote delete pods"),
        ("killed-once", (DELETE,), "wrote delete pods"),
        ("good-rollout", (UNDO,), "wrote patch deployments"),
    ],
)
def test_a_write_that_is_none_of_the_end_s_is_told(id_: str, writes: tuple[Write, ...], problem: str) -> None:
    row = page.row(id_)
    assert wrongly_written(row, page.workloads()[row.service], writes) == [problem]


@pytest.mark.parametrize(
    ("id_", "of", "end", "about"),
    [
        ("upstream-at-zero", "parcels depot", "healed: scale-back", "statefulset/depot"),
        ("database-hangs", "shop database", "healed: restart-pod", page.NONE),
    ],
)
def test_an_upstream_that_is_healed_for_a_row_has_an_end_of_its_own(id_: str, of: str, end: str, about: str) -> None:
    found = of_upstream(page.row(id_))
    assert found is not None
    assert (found.of, found.end, found.object) == (of, end, about)


def test_a_row_of_one_service_has_no_end_of_an_upstream() -> None:
    assert of_upstream(page.row("image-not-found")) is None
