"""Old pods that serve are no recovery: not while a rollout is incomplete, nor while a pod made since is not ready."""

from dataclasses import replace

import pytest
from msgspec import structs

from kintsugi.decisions.watchdog import WatchdogDecision
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Pod
from tests.unit.factories import NOW, deployment, moment, pod, view, web
from tests.unit.watchdog.judging import watched

CLEAR = moment(minutes=1)
LATE = moment(minutes=10)

OLD = (pod("web-1"), pod("web-2"), pod("web-3"))


def in_phase(given: Pod, phase: str) -> Pod:
    """Let a pod have ended."""
    return structs.replace(given, status=structs.replace(given.status, phase=phase))


def ending(given: Pod) -> Pod:
    """Let a pod be on its way out."""
    return structs.replace(given, metadata=structs.replace(given.metadata, deletion_timestamp=moment(minutes=1)))


def seen(*pods: Pod, updated: int | None = None) -> ServiceView:
    """Show a service that is healthy by its own condition, with these pods beside its three old ones."""
    stuck = deployment(web(), updated=updated)
    return replace(view(pods=(*OLD, *pods)), workload=stuck)


@pytest.mark.parametrize("changed", [True, False])
def test_a_rollout_that_is_not_complete(*, changed: bool) -> None:
    """Neither recovered, nor is it nothing."""
    result = watched(seen(updated=1), now=LATE, clear_since=CLEAR, changed=changed)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "web is healthy, but the rollout of deployment/web is not complete: 1 of 3 pods are of the new template",
    )


def test_a_pod_made_since_that_is_not_ready() -> None:
    """The successor of a pod that the run has deleted: it is not unhealthy yet, and it is not well either."""
    result = watched(seen(pod("web-4", ready=False, made=moment(seconds=2))), now=LATE, clear_since=CLEAR)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "web is healthy, but pods created since the run began are not ready: web-4",
    )


def test_a_pod_that_was_made_by_a_clock_that_is_a_little_behind() -> None:
    made = pod("web-4", ready=False, made=moment(seconds=-20))
    assert watched(seen(made), now=LATE, clear_since=CLEAR).decision is WatchdogDecision.WAIT


def test_some_of_many_pods_are_named() -> None:
    made = [pod(f"web-{number}", ready=False, made=NOW) for number in range(4, 9)]
    reason = watched(seen(*made), now=LATE, clear_since=CLEAR).reason
    assert reason.endswith("not ready: web-4, web-5, web-6 and 2 more")


@pytest.mark.parametrize(
    "other",
    [
        pod("web-0", ready=False),
        pod("web-4", made=moment(seconds=2)),
        in_phase(pod("web-4", ready=False, made=NOW), "Failed"),
        in_phase(pod("web-4", ready=False, made=NOW), "Succeeded"),
        ending(pod("web-4", ready=False, made=NOW)),
    ],
    ids=["old", "ready", "failed", "succeeded", "terminating"],
)
def test_other_pods_stand_in_no_way(other: Pod) -> None:
    """What was not ready before the run, has ended, or is being deleted, is the health's own business."""
    assert watched(seen(other), now=LATE, clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


@pytest.mark.parametrize(("minutes", "decision"), [(5.9, WatchdogDecision.WAIT), (6, WatchdogDecision.RECOVERED)])
def test_a_pod_made_since_counts_from_when_it_became_ready(minutes: float, decision: WatchdogDecision) -> None:
    """One that became ready a moment ago may crash in the next."""
    made = pod("web-4", made=moment(minutes=4))
    assert watched(seen(made), now=moment(minutes=minutes), clear_since=CLEAR).decision is decision


def test_a_service_whose_workload_is_not_seen_is_judged_by_its_health() -> None:
    assert watched(replace(view(), workload=None), now=LATE, clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


def test_the_trouble_that_goes_on_is_said_with_the_rollout() -> None:
    result = watched(seen(updated=1), now=moment(minutes=20))
    assert (result.decision, result.reason) == (
        WatchdogDecision.INEFFECTIVE,
        (
            "web is healthy, but the trigger persists; the rollout of deployment/web is not complete:"
            " 1 of 3 pods are of the new template; a person is needed"
        ),
    )
