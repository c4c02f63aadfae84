"""What helps pods whose template is not at fault: one restarted first, another node, the replicas that there were; and what is not tried twice."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.model.remedies import Remedy, RemedyKind, RevisionFacts, WorkloadState
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource

WEB = "deployment/web"
GOOD = RevisionFacts(revision=4, known_good=True)
THREE = WorkloadState(serving=("web-1", "web-2", "web-3"), replicas=3)
ONE = WorkloadState(serving=("web-1",), replicas=1)


def cause(kind: CauseKind, object_: str = WEB, field: str = "", *, shown_by: Collection[str] = ()) -> Cause:
    """Return a cause that these objects show."""
    evidence = tuple(
        EvidenceItem(source=EvidenceSource.FIELD, object=each, field="status", text="") for each in shown_by
    )
    return Cause(
        kind=kind, object=object_, field=field, confidence=Confidence.LIKELY, text="it is so", evidence=evidence
    )


SILENT = cause(CauseKind.NOT_ANSWERING)
STALE = cause(CauseKind.STALE_CONFIGURATION, "secret/login", "data[password]", shown_by=["secret/login", "pod/web-2"])
STOPPED = cause(CauseKind.SCALED_TO_ZERO, field="spec.replicas")
LOST = cause(CauseKind.NODE, "node/a", "status.conditions[Ready]")
PRESSED = cause(CauseKind.NODE, "node/a", "status.conditions[DiskPressure]")
ALONE = cause(CauseKind.NODE, "node/a")


def helps(found: Cause, state: WorkloadState = THREE, facts: RevisionFacts = GOOD, of: str = WEB) -> Remedy:
    """Return what helps a workload."""
    found = replace(found, object=of) if found.object == WEB else found
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return remedy(Diagnosis(object=of, namespace="production", at=at, summary="", causes=(found,)), facts, state)


def test_pods_that_are_ready_and_do_not_answer_are_restarted_one_of_them_first() -> None:
    found = helps(SILENT)
    assert (found.kind, found.name) == (RemedyKind.RESTART_CANARY, "web-1")


def test_the_pod_that_is_restarted_first_is_one_that_began_before_the_configuration_changed() -> None:
    found = helps(STALE)
    assert (found.kind, found.name) == (RemedyKind.RESTART_CANARY, "web-2")


def test_a_configuration_that_broke_what_reads_it_is_mended_by_no_restart() -> None:
    found = helps(cause(CauseKind.NOT_ANSWERING, "configmap/settings", "data[url]"))
    assert found.kind is RemedyKind.HAND_OVER
    assert "the configuration is wrong" in found.reason


NONE = WorkloadState(failing=("web-1", "web-2", "web-3"), replicas=3)
PROBES = [CauseKind.READINESS_PROBE, CauseKind.STARTUP_PROBE]


@pytest.mark.parametrize("kind", PROBES)
def test_pods_of_a_good_template_that_fail_a_probe_are_recreated_one_of_them_first(kind: CauseKind) -> None:
    found = helps(cause(kind, field="containers[web].readinessProbe"), NONE)
    assert (found.kind, found.name) == (RemedyKind.RECREATE_ONE, "web-1")


def test_a_person_is_told_where_a_pod_that_was_recreated_failed_its_probe_as_well() -> None:
    found = helps(cause(PROBES[0]), replace(NONE, tried=frozenset({RemedyKind.RECREATE_ONE})))
    assert found.kind is RemedyKind.HAND_OVER, found


def test_no_pod_that_fails_a_probe_is_recreated_while_an_upstream_is_not_healthy() -> None:
    assert helps(cause(PROBES[0]), NONE, replace(GOOD, upstream="db")).kind is RemedyKind.WAIT


@pytest.mark.parametrize(
    ("confidence", "good", "kind"),
    [
        (Confidence.CERTAIN, True, RemedyKind.HAND_OVER),
        (Confidence.LIKELY, True, RemedyKind.RESTART),
        (Confidence.CERTAIN, False, RemedyKind.RESTART),
    ],
)
def test_a_liveness_probe_that_keeps_ending_the_containers_of_a_good_template_is_a_person_s(
    confidence: Confidence, good: bool, kind: RemedyKind
) -> None:
    fails = replace(cause(CauseKind.LIVENESS_PROBE, shown_by=["pod/web-1"]), confidence=confidence)
    assert helps(fails, NONE, replace(GOOD, known_good=good)).kind is kind


def test_the_only_pod_that_is_ready_is_not_ended_before_its_successor_is() -> None:
    assert helps(SILENT, ONE).kind is RemedyKind.ROLLOUT_RESTART
    held = helps(SILENT, ONE, of="statefulset/web")
    assert held.kind is RemedyKind.HAND_OVER
    assert "kubectl rollout restart statefulset/web -n production" in held.reason


def test_the_template_of_somebody_else_s_workload_is_not_stamped_for_a_restart() -> None:
    assert helps(SILENT, ONE, replace(GOOD, managers=("Argo CD shop",))).kind is RemedyKind.HAND_OVER
    assert helps(SILENT, THREE, replace(GOOD, managers=("Argo CD shop",))).kind is RemedyKind.RESTART_CANARY


def test_a_daemonset_s_pod_that_is_ready_is_left_alone() -> None:
    assert helps(SILENT, of="daemonset/web").kind is RemedyKind.HAND_OVER


def test_pods_are_not_restarted_while_an_upstream_is_not_well() -> None:
    assert helps(SILENT, THREE, replace(GOOD, upstream="database")).kind is RemedyKind.WAIT


@pytest.mark.parametrize("tried", [RemedyKind.RESTART_CANARY, RemedyKind.ROLLOUT_RESTART])
def test_a_restart_that_did_not_help_is_not_tried_twice(tried: RemedyKind) -> None:
    for state in (THREE, ONE):
        found = helps(SILENT, replace(state, tried=frozenset({tried})))
        assert found.kind is RemedyKind.HAND_OVER
        assert f"{tried} was tried before for this cause" in found.reason


def test_a_workload_that_was_scaled_to_none_is_scaled_back_once_a_person_agrees() -> None:
    assert helps(STOPPED).kind is RemedyKind.SCALE_BACK_ASKED


@pytest.mark.parametrize(
    ("state", "facts", "why"),
    [
        (replace(THREE, replicas=None), GOOD, "the earlier number of replicas is unknown"),
        (replace(THREE, rests="ScaledObject web may let it rest"), GOOD, "ScaledObject web may let it rest"),
        (THREE, replace(GOOD, managers=("Flux shop",)), "Flux shop manages the workload and would undo a scale"),
        (replace(THREE, tried=frozenset({RemedyKind.SCALE_BACK_ASKED})), GOOD, "did not help"),
    ],
)
def test_a_workload_that_another_keeps_at_none_or_whose_number_is_unknown_is_not_scaled_back(
    state: WorkloadState, facts: RevisionFacts, why: str
) -> None:
    found = helps(STOPPED, state, facts)
    assert found.kind is RemedyKind.HAND_OVER
    assert why in found.reason


@pytest.mark.parametrize("each", [LOST, PRESSED, ALONE])
def test_the_pods_of_a_deployment_are_moved_from_a_node_that_is_not_well(each: Cause) -> None:
    found = helps(each)
    assert (found.kind, found.name) == (RemedyKind.MOVE_PODS, "a")
    assert "kubectl uncordon a" in found.reason


def test_a_statefulset_s_pod_is_not_moved_from_a_node_that_nobody_hears_of() -> None:
    assert helps(LOST, of="statefulset/web").kind is RemedyKind.HAND_OVER
    assert helps(PRESSED, of="statefulset/web").kind is RemedyKind.MOVE_PODS


def test_a_daemonset_s_pods_are_not_moved() -> None:
    assert helps(PRESSED, of="daemonset/web").kind is RemedyKind.HAND_OVER


def test_a_node_that_a_person_has_cordoned_is_not_left() -> None:
    assert helps(cause(CauseKind.NODE, "node/a", "spec.unschedulable")).kind is RemedyKind.HAND_OVER


def test_pods_that_were_moved_in_vain_are_not_moved_twice() -> None:
    assert helps(PRESSED, replace(THREE, tried=frozenset({RemedyKind.MOVE_PODS}))).kind is RemedyKind.HAND_OVER
