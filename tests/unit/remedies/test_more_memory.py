"""A memory limit that containers are ended at: raised in place up to the ceiling of their service, or left to a person with the command."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.model.remedies import ContainerMemory, Remedy, RemedyKind, RevisionFacts, WorkloadState
from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource

WEB = "deployment/web"
FIELD = "containers[app].resources.limits.memory"
GOOD = RevisionFacts(revision=4, known_good=True)


def ended(*pods: str) -> Cause:
    """Return the cause that these pods show."""
    evidence = tuple(
        EvidenceItem(
            source=EvidenceSource.FIELD,
            object=f"pod/{each}",
            field="status.containerStatuses[app].lastState.terminated",
            text="OOMKilled",
        )
        for each in pods
    )
    return Cause(
        kind=CauseKind.OUT_OF_MEMORY,
        object=WEB,
        field=FIELD,
        confidence=Confidence.CERTAIN,
        text="it is ended",
        evidence=evidence,
    )


def has(pod: str, limit: str = "64Mi", request: str = "32Mi", *, pending: str = "") -> ContainerMemory:
    """Return what the container of a pod has."""
    return ContainerMemory(pod=pod, container="app", limit=limit, request=request, pending=pending)


TWO = WorkloadState(memory=(has("web-1"), has("web-2")), max_allowed=MaxAllowed(memory="1Gi"))
SHOWN = ended("web-1")


def helps(state: WorkloadState = TWO, found: Cause = SHOWN, facts: RevisionFacts = GOOD) -> Remedy:
    """Return what helps."""
    at = datetime(2026, 11, 27, tzinfo=UTC)
    return remedy(Diagnosis(object=WEB, namespace="production", at=at, summary="", causes=(found,)), facts, state)


def test_a_limit_is_raised_in_all_pods_that_have_the_same() -> None:
    found = helps()
    assert (found.kind, found.name, found.amount, found.request) == (RemedyKind.RAISE_MEMORY, "app", "164Mi", "32Mi")
    assert found.pods == ("web-1", "web-2")


def test_a_raised_limit_is_told_to_be_temporary_with_the_command_that_makes_it_last() -> None:
    assert "until its pods are replaced" in helps().reason
    assert FIELD in helps().reason
    assert "kubectl set resources deployment/web -c app --limits=memory=164Mi -n production" in helps().reason


@pytest.mark.parametrize(
    ("limit", "amount"),
    [("64Mi", "164Mi"), ("500Mi", "600Mi"), ("600Mi", "720Mi"), ("1000M", "1145Mi"), ("900Mi", "1Gi")],
)
def test_a_limit_is_raised_as_the_vertical_pod_autoscaler_would_and_not_above_the_ceiling(
    limit: str, amount: str
) -> None:
    ceiling = MaxAllowed(memory="1Gi" if limit == "900Mi" else "2Gi")
    assert helps(WorkloadState(memory=(has("web-1", limit),), max_allowed=ceiling)).amount == amount


def test_a_pod_that_asks_for_as_much_as_its_limit_stays_of_its_class() -> None:
    found = helps(replace(TWO, memory=(has("web-1", "64Mi", "65536Ki"),)))
    assert (found.amount, found.request) == ("164Mi", "164Mi")
    assert "--requests=memory=164Mi" in found.reason


def test_a_pod_whose_limit_was_raised_already_is_left_as_it_is() -> None:
    state = replace(TWO, memory=(has("web-1"), has("web-2", "164Mi")))
    assert helps(state).pods == ("web-1",)
    assert helps(state, ended("web-1", "web-2")).amount == "264Mi"


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (replace(TWO, max_allowed=NOTHING_ALLOWED), "declares no maxAllowed.memory"),
        (replace(TWO, max_allowed=MaxAllowed(storage="1Gi")), "declares no maxAllowed.memory"),
        (replace(TWO, max_allowed=MaxAllowed(memory="64Mi")), "maxAllowed.memory of 64Mi"),
        (replace(TWO, tried=frozenset({RemedyKind.RAISE_MEMORY})), "was already raised for this cause"),
        (replace(TWO, memory=(has("web-1", pending="Deferred: no room"),)), "(Deferred: no room)"),
    ],
)
def test_a_limit_that_is_not_raised_is_handed_over_with_the_command(state: WorkloadState, why: str) -> None:
    found = helps(state)
    assert found.kind is RemedyKind.HAND_OVER
    assert why in found.reason
    assert "kubectl set resources deployment/web -c app --limits=memory=164Mi -n production" in found.reason


def test_a_pod_that_did_not_certainly_die_at_its_limit_is_restarted() -> None:
    likely = replace(SHOWN, confidence=Confidence.LIKELY)
    assert helps(found=likely).kind is RemedyKind.RESTART
    assert helps(found=replace(SHOWN, field="containers[app]")).kind is RemedyKind.RESTART


def test_a_limit_that_a_new_template_has_lowered_is_taken_back_and_not_raised() -> None:
    facts = RevisionFacts(revision=5, good=4, changed=(FIELD,), pods=frozenset({"pod/web-1"}))
    assert helps(facts=facts).kind is RemedyKind.ROLL_BACK
