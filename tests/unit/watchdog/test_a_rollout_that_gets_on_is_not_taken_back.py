"""A rollout that progresses beside serving pods is waited for at the deadline; one that does not is taken back."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from msgspec import structs

from kintsugi.decisions.watchdog import WatchdogDecision, progresses
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Pod
from kubeobjects.pods import ContainerState, ContainerStateRunning
from tests.unit.factories import deployment, moment, pod, view, web
from tests.unit.watchdog.judging import INNOCENT, decided_late

LATE = moment(minutes=30)
START_UP = timedelta(minutes=2)
OLD = (pod("web-1"), pod("web-2"))


def starting(since: datetime) -> Pod:
    """Return a pod that was made then, has begun at once, and was never ready."""
    made = pod("web-3", ready=False, made=since)
    (status,) = made.status.container_statuses
    begun = structs.replace(status, state=ContainerState(running=ContainerStateRunning(started_at=since)))
    return structs.replace(made, status=structs.replace(made.status, container_statuses=(begun,)))


NEW = starting(moment(minutes=29))


def rolling(*pods: Pod, updated: int = 1) -> ServiceView:
    """Show a service that has been failing for long, in the middle of a rollout, with these pods."""
    failing = view(healthy=False, ready=2, since=moment(minutes=10), pods=pods)
    return replace(failing, workload=deployment(web(), ready=2, updated=updated))


@pytest.mark.parametrize(
    ("seen", "gets_on"),
    [
        (rolling(*OLD, NEW), True),
        (rolling(*OLD, starting(moment(minutes=20))), False),
        (rolling(*OLD, pod("web-3", ready=False, restarts=5)), False),
        (replace(rolling(NEW), ready=0), False),
        (rolling(*OLD, NEW, updated=3), False),
        (replace(rolling(*OLD, NEW), workload=None), False),
    ],
    ids=["gets on", "not ready for long", "crashes", "nothing serves", "is complete", "has no workload"],
)
def test_a_rollout_gets_on_while_its_pods_are_within_what_their_probes_allow(
    seen: ServiceView, *, gets_on: bool
) -> None:
    assert progresses(seen, start_up=START_UP, now=LATE) is gets_on


def test_a_rollout_that_gets_on_is_waited_for_at_the_deadline_and_one_that_does_not_is_taken_back() -> None:
    seen = rolling(*OLD, NEW)
    waits = decided_late(seen, now=LATE, evidence=replace(INNOCENT, progresses=True))
    assert (waits.decision, waits.reason) == (
        WatchdogDecision.WAIT,
        "the deadline was reached, but the rollout of deployment/web progresses beside serving pods",
    )
    assert decided_late(seen, now=LATE).decision is WatchdogDecision.ROLL_BACK


def test_an_objection_to_a_rollback_is_told_before_the_rollout_is_waited_for() -> None:
    evidence = replace(INNOCENT, progresses=True, upstream="database")
    assert decided_late(rolling(*OLD, NEW), now=LATE, evidence=evidence).decision is WatchdogDecision.HAND_OVER
