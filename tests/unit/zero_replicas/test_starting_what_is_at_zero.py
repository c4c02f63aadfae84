"""What is at 0 is started where nobody holds it there and its number is known; else it is said why not."""

from dataclasses import replace
from datetime import datetime

import pytest

from kintsugi.decisions.zero_replicas import AtZero, at_zero, objection
from kintsugi.model.good_state import ScaledToZero
from tests.unit.factories import moment, view, web

STANDING = AtZero(
    workload=web().workload,
    uid="uid-web",
    replicas=3,
    running_since=moment(hours=-5),
)


def stopped(at: datetime) -> ScaledToZero:
    """Return that a run scaled it to 0 then."""
    return ScaledToZero(workload="uid-web", run="run-7", moment=at)


def test_a_workload_that_a_person_has_scaled_to_zero_may_be_started() -> None:
    assert objection(STANDING, None) == ""


@pytest.mark.parametrize("since", [moment(hours=-5), moment(hours=-1), None], ids=["before", "then", "not known"])
def test_a_restore_holds_what_it_has_stopped_until_somebody_has_started_it(since: datetime | None) -> None:
    """Also when nobody knows since when it ran (P6)."""
    held = objection(replace(STANDING, running_since=since), stopped(moment(hours=-1)))
    assert held == ("deployment/web is held at 0: run run-7 stopped the workload, which has not started since")


def test_a_workload_that_ran_again_after_the_restore_is_not_held_by_it() -> None:
    assert objection(STANDING, stopped(moment(hours=-6))) == ""


def test_an_autoscaler_that_may_rest_at_zero_is_left_in_peace() -> None:
    resting = replace(STANDING, rests="the HorizontalPodAutoscaler web may let it rest at 0 (minReplicas: 0)")
    assert objection(resting, None) == f"deployment/web stays at 0: {resting.rests}"


def test_no_workload_is_started_with_an_unknown_number() -> None:
    assert "the number of replicas of deployment/web is unknown" in objection(replace(STANDING, replicas=None), None)


def test_only_a_workload_that_is_there_and_has_no_replicas_is_at_zero() -> None:
    assert at_zero(None) is None
    assert at_zero(replace(view(web()), workload=None, desired=0)) is None
    assert at_zero(view(web())) is None
