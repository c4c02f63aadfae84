"""What a watchdog calls once its deadline has come (P5, P6, E16, E17)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.rollback_evidence import RollbackEvidence
from kintsugi.decisions.watchdog import FLAPPING, WatchdogDecision
from kintsugi.model.runbooks import RollbackPolicy, RollbackThen
from kintsugi.model.views import ServiceView
from kubeobjects.owners import Manager, ManagerKind
from tests.unit.factories import moment, view
from tests.unit.watchdog.judging import INNOCENT, TIMEOUT, decided_late

FAILING = view(healthy=False, ready=0, since=moment(minutes=20))
"""It has failed since ten minutes before the deadline at 30."""
LATE = moment(minutes=30)

ARGO = Manager(kind=ManagerKind.GITOPS, name="Argo CD shop")
FLUX = Manager(kind=ManagerKind.GITOPS, name="Flux shop")
OPERATOR = Manager(kind=ManagerKind.OPERATOR, name="Web/web")

OBJECTIONS = {
    "upstream": (
        replace(INNOCENT, upstream="database"),
        "not rolled back: its upstream database is unhealthy, so the revision may not be the cause",
    ),
    "managers": (
        replace(INNOCENT, managers=(ARGO, OPERATOR)),
        "not rolled back: deployment/web is managed by Argo CD shop, operator Web/web",
    ),
    "release": (
        replace(INNOCENT, release="shop"),
        "not rolled back: deployment/web belongs to the Helm release shop, whose owner rolls the release back",
    ),
    "not ours": (
        replace(INNOCENT, last_written_by_us=False),
        "not rolled back: someone has changed deployment/web since the run began",
    ),
    "not noted": (
        replace(INNOCENT, last_written_by_us=False, noted=False),
        "not rolled back: the template of deployment/web at the start of the run is unknown",
    ),
    "known good": (
        replace(INNOCENT, known_good=True),
        "not rolled back: the failing revision was seen good before, so a rollback would not help",
    ),
}


def test_a_run_whose_service_still_fails_is_rolled_back_where_nothing_speaks_against() -> None:
    result = decided_late(FAILING, now=LATE)
    assert (result.decision, result.reason) == (WatchdogDecision.ROLL_BACK, "web is still failing at the deadline")


@pytest.mark.parametrize("when", RollbackPolicy)
@pytest.mark.parametrize("then", RollbackThen)
@pytest.mark.parametrize("seen", [view(is_current=False), replace(FAILING, is_current=False), view(healthy=None)])
def test_a_blind_watchdog_waits_even_when_it_is_overdue(
    seen: ServiceView, when: RollbackPolicy, then: RollbackThen
) -> None:
    """P5, P6, E16: after a restart past the deadline nothing happens until the caches are synced."""
    result = decided_late(seen, now=moment(hours=9), when=when, then=then)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "the deadline was reached, but web cannot be observed reliably",
    )


@pytest.mark.parametrize("when", RollbackPolicy)
@pytest.mark.parametrize("then", RollbackThen)
def test_a_run_whose_service_has_become_well_meanwhile_is_not_taken_back(
    when: RollbackPolicy, then: RollbackThen
) -> None:
    """P5: an overdue watchdog looks again first."""
    result = decided_late(view(), now=LATE, when=when, then=then)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "the deadline was reached, but web is healthy and is being verified",
    )


@pytest.mark.parametrize(("evidence", "reason"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_each_objection_calls_a_person_instead(evidence: RollbackEvidence, reason: str) -> None:
    result = decided_late(FAILING, now=LATE, evidence=evidence)
    assert (result.decision, result.reason) == (WatchdogDecision.HAND_OVER, reason)


def test_the_likeliest_cause_is_named_first() -> None:
    everything = RollbackEvidence(known_good=True, last_written_by_us=False, upstream="database", managers=(FLUX,))
    assert "its upstream database" in decided_late(FAILING, now=LATE, evidence=everything).reason


@pytest.mark.parametrize(("evidence", "_"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_always_is_the_authors_choice_whatever_speaks_against(evidence: RollbackEvidence, _: str) -> None:
    result = decided_late(FAILING, now=LATE, evidence=evidence, when=RollbackPolicy.ALWAYS)
    assert result.decision is WatchdogDecision.ROLL_BACK
    assert result.reason == "the deadline was reached and the runbook always rolls back"


@pytest.mark.parametrize("when", RollbackPolicy)
def test_park_leaves_everything_for_a_person(when: RollbackPolicy) -> None:
    result = decided_late(FAILING, now=LATE, when=when, then=RollbackThen.LEAVE)
    assert result.decision is WatchdogDecision.HAND_OVER
    assert result.reason == "the deadline was reached; all changes are left in place for a person"


@pytest.mark.parametrize(
    ("minutes", "decision"), [(0, WatchdogDecision.WAIT), (2.9, WatchdogDecision.WAIT), (3, WatchdogDecision.ROLL_BACK)]
)
def test_the_failure_must_have_lasted(minutes: float, decision: WatchdogDecision) -> None:
    failing = view(healthy=False, since=LATE)
    result = decided_late(failing, now=LATE + timedelta(minutes=minutes), observed_since=LATE)
    assert result.decision is decision
    if decision is WatchdogDecision.WAIT:
        assert result.reason == "the deadline was reached; web has not failed for 3m without interruption"


def test_a_service_that_neither_stays_well_nor_fails_for_long_goes_to_a_person() -> None:
    limit = FLAPPING * TIMEOUT.failing_for
    for late, decision in ((limit, WatchdogDecision.WAIT), (limit + timedelta(seconds=1), WatchdogDecision.HAND_OVER)):
        now = LATE + late
        result = decided_late(view(healthy=False, since=now), now=now, observed_since=LATE)
        assert result.decision is decision
    assert result.reason == "web is flapping: its health changes too often for a decision"


suspicions = st.builds(
    RollbackEvidence,
    known_good=st.booleans(),
    last_written_by_us=st.booleans(),
    upstream=st.sampled_from(["", "database"]),
    managers=st.sampled_from([(), (FLUX,)]),
)


@given(
    evidence=suspicions,
    healthy=st.sampled_from([True, False, None]),
    is_current=st.booleans(),
    lasting=st.integers(0, 1200),
    then=st.sampled_from(RollbackThen),
)
def test_a_run_is_never_rolled_back_by_itself_unless_everything_speaks_for_it(
    evidence: RollbackEvidence, healthy: bool | None, is_current: bool, lasting: int, then: RollbackThen
) -> None:
    seen = view(healthy=healthy, is_current=is_current, since=LATE - timedelta(seconds=lasting))
    result = decided_late(seen, now=LATE, evidence=evidence, then=then)
    speaks_for_it = (
        is_current and healthy is False and evidence == INNOCENT and lasting >= 180 and then is RollbackThen.UNDO
    )
    assert (result.decision is WatchdogDecision.ROLL_BACK) == speaks_for_it
