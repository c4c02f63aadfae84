"""What is at 0 is started where nobody holds it there and its number is known; else it is said why not."""

from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.decisions.zero_replicas import AtZero, at_zero, objection
from kintsugi.model.good_state import ScaledToZero
from tests.unit.factories import moment, view, web

STANDING = AtZero(workload=web().workload, uid="uid-web", replicas=3, running_since=moment(hours=-5))
HELD = "deployment/web is held at 0: run run-7 stopped the workload, which has not started since"
RESTS = "the HorizontalPodAutoscaler web may let it rest at 0 (minReplicas: 0)"


def stopped(at: datetime) -> ScaledToZero:
    """Return that a run scaled it to 0 then."""
    return ScaledToZero(workload="uid-web", run="run-7", moment=at)


@pytest.mark.parametrize(
    ("standing", "by_a_restore", "why"),
    [
        (STANDING, None, ""),
        (STANDING, stopped(moment(hours=-1)), HELD),
        (replace(STANDING, running_since=moment(hours=-1)), stopped(moment(hours=-1)), HELD),
        (replace(STANDING, running_since=None), stopped(moment(hours=-1)), HELD),
        (STANDING, stopped(moment(hours=-6)), ""),
        (replace(STANDING, rests=RESTS), None, f"deployment/web stays at 0: {RESTS}"),
        (replace(STANDING, replicas=None), None, "the number of replicas of deployment/web is unknown"),
    ],
    ids=["scaled by a person", "ran before", "ran then", "ran nobody knows when", "ran since", "may rest", "unknown"],
)
def test_a_workload_is_started_unless_a_restore_or_an_autoscaler_holds_it_or_its_number_is_unknown(
    standing: AtZero, by_a_restore: ScaledToZero | None, why: str
) -> None:
    """P6: a restore holds what it has stopped until somebody has started it, also where nobody knows since when it ran."""
    said = objection(standing, by_a_restore)
    assert said.startswith(why)
    assert bool(said) is bool(why)


def test_only_a_workload_that_is_there_and_has_no_replicas_is_at_zero() -> None:
    assert at_zero(None) is None
    assert at_zero(replace(view(web()), workload=None, desired=0)) is None
    assert at_zero(view(web())) is None
