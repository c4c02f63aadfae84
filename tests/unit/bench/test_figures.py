"""Figures of the bench: two revisions are measured in turn, and each value is compared with the baseline of its round."""

import sys
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.figures import Figure, Round, table
from tests.bench.load import quantile
from tests.bench.plan import Plan
from tests.bench.revision import Revision

OURS, THEIRS = (Revision(name=name, folder=Path(name), programs=Path(name)) for name in ("ours", "theirs"))


def test_a_ratio_is_the_median_of_the_rounds_and_not_that_of_the_medians() -> None:
    """In the second round the machine was busy with something else."""
    figure = Figure(name="alert, us", rounds=[Round(50, 100), Round(500, 1000), Round(90, 110)])
    assert figure.ratio == 0.5
    assert list(table([figure]))[1].split() == ["alert,", "us", "50.0", "90.0", "100", "110", "0.50"]


def test_a_figure_without_a_baseline_has_no_ratio() -> None:
    assert list(table([Figure(name="alert, us", rounds=[Round(3), Round(1)])]))[1].split()[2:] == [
        *("1.00", "2.00"),
        *("-", "-", "-"),
    ]


def test_revisions_are_measured_in_turn_and_the_second_is_the_baseline() -> None:
    measured: list[str] = []

    def measure(revision: Revision) -> dict[str, float]:
        measured.append(revision.name)
        return {"cost": float(len(measured))}

    (figure,) = Plan(revisions=(OURS, THEIRS)).compare(measure)
    assert measured == ["ours", "theirs"] * 5
    assert figure.rounds == [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]


def test_each_revision_is_held_to_the_floor_of_its_own_rounds() -> None:
    floors = {"ours": Round(4, 2), "theirs": Round(9, 3)}
    figures = Plan(revisions=(OURS, THEIRS)).hold(lambda revision: {"event": floors[revision.name]})
    assert {each.name: each.ratio for each in figures} == {"event (ours)": 2, "event (theirs)": 3}


@pytest.mark.parametrize(("share", "value"), [(0.5, 101), (0.99, 199), (1, 200)])
def test_a_quantile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert quantile(range(200, 0, -1), share) == value


def test_a_part_that_does_not_exist_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "alerts", "reactions"])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2
    assert "no such part: reactions; there are alerts, alerts-postgres" in capsys.readouterr().err
