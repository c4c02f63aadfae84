"""A claim that is full: it grows up to the ceiling of its service where its class lets it, once a person agrees; else a person has the command."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.model.remedies import ClaimSize, Remedy, RemedyKind, RevisionFacts, WorkloadState
from kintsugi.model.services import NOTHING_ALLOWED, MaxAllowed
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis

GOOD = RevisionFacts(revision=4, known_good=True)
DATA = ClaimSize(name="data-0", requested="1Gi", capacity="1Gi", grows=True)
STATE = WorkloadState(claims=(DATA,), max_allowed=MaxAllowed(storage="4Gi"))
FULL = Cause(
    kind=CauseKind.VOLUME,
    object="persistentvolumeclaim/data-0",
    field="status.capacity[storage]",
    confidence=Confidence.LIKELY,
    text="it is full",
)


def helps(state: WorkloadState = STATE, found: Cause = FULL) -> Remedy:
    """Return what helps."""
    at = datetime(2026, 11, 27, tzinfo=UTC)
    diagnosis = Diagnosis(object="statefulset/depot", namespace="parcels", at=at, summary="", causes=(found,))
    return remedy(diagnosis, GOOD, state)


def sized(size: str) -> WorkloadState:
    """Return the state with a claim of this size."""
    return replace(STATE, claims=(replace(DATA, requested=size, capacity=size),))


def test_a_full_claim_grows_by_half_once_a_person_agrees() -> None:
    found = helps()
    assert (found.kind, found.name, found.amount) == (RemedyKind.GROW_CLAIM_ASKED, "data-0", "1536Mi")
    assert "cannot be made smaller again" in found.reason


def test_a_claim_grows_to_the_ceiling_at_most() -> None:
    assert helps(sized("3Gi")).amount == "4Gi"


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (replace(STATE, max_allowed=NOTHING_ALLOWED), "declares no maxAllowed.storage"),
        (replace(STATE, max_allowed=MaxAllowed(memory="4Gi")), "declares no maxAllowed.storage"),
        (sized("4Gi"), "above its service's maxAllowed.storage of 4Gi"),
        (replace(STATE, claims=(replace(DATA, grows=False),)), "does not allow expansion"),
        (replace(STATE, claims=(replace(DATA, grows=None),)), "may not allow expansion"),
        (replace(STATE, claims=(replace(DATA, requested="2Gi"),)), "already requests 2Gi"),
        (replace(STATE, tried=frozenset({RemedyKind.GROW_CLAIM_ASKED})), "was already enlarged for this cause"),
    ],
)
def test_a_claim_that_does_not_grow_is_handed_over_with_the_command(state: WorkloadState, why: str) -> None:
    found = helps(state)
    assert found.kind is RemedyKind.HAND_OVER
    assert why in found.reason
    assert "kubectl patch pvc data-0 -p" in found.reason


def test_a_claim_that_is_lost_does_not_grow() -> None:
    assert helps(found=replace(FULL, field="status.phase")).kind is RemedyKind.HAND_OVER
