"""One decision before every attempt: what a person said first, then what we see, then the limits (P6, P7)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.admission import AdmissionDecision, AdmissionInput, Attempt, admit
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.guards import Limits
from kintsugi.model.change_limits import Disruptions, PodBudget
from kintsugi.model.records import Pause, PauseScope, Phase
from kintsugi.model.rules import Mode
from tests.unit.factories import moment, pause

LIMITS = Limits(budget=2)
FORWARD = Attempt(
    phase=Phase.FORWARD,
    rule="web-pods",
    namespaces=frozenset({"production", "staging"}),
    services=frozenset({"web", "api"}),
    pod="uid-1",
)
CLEAR = AdmissionInput(mode=Mode.AUTO, observer=ObserverHealth())
REFUSALS = {
    "stopping": replace(CLEAR, stopping=True),
    "observe": replace(CLEAR, mode=Mode.OBSERVE),
    "freeze": replace(CLEAR, pauses=(pause(freeze=True),)),
    "unapproved": replace(CLEAR, mode=Mode.APPROVE),
    "pause": replace(CLEAR, pauses=(pause(),)),
    "annotation": replace(CLEAR, annotations=("", "paused by annotation")),
    "blind": replace(CLEAR, observer=ObserverHealth(stale_reason="the watch is silent")),
    "silence": replace(CLEAR, silence="everything is silenced"),
    "retired": replace(CLEAR, retired="rule web-pods is no longer in the catalog"),
    "breaker": replace(CLEAR, observer=ObserverHealth(nodes=1, nodes_stale=1)),
    "upstream": replace(CLEAR, upstream="database is being recovered by run run-2"),
    "opposed": replace(CLEAR, opposed="rules a and b contradict each other"),
    "budget": replace(CLEAR, disruptions=Disruptions(moments=(moment(), moment()))),
    "pods": replace(CLEAR, pods=(PodBudget(service="web", expected=1, desired_healthy=1, ready=frozenset({"uid-1"})),)),
}
RULINGS = {
    "stopping": (AdmissionDecision.WAIT, AdmissionDecision.WAIT),
    "observe": (AdmissionDecision.DENY, AdmissionDecision.DENY),
    "freeze": (AdmissionDecision.DENY, AdmissionDecision.DENY),
    "unapproved": (AdmissionDecision.ASK, AdmissionDecision.ASK),
    "pause": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "annotation": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "blind": (AdmissionDecision.WAIT, AdmissionDecision.WAIT),
    "silence": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "retired": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "breaker": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "upstream": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "opposed": (AdmissionDecision.HAND_OVER, AdmissionDecision.ADMIT),
    "budget": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
    "pods": (AdmissionDecision.WAIT, AdmissionDecision.ADMIT),
}
"""What follows for a change forward, and for one that takes back."""


@pytest.mark.parametrize("hindrance", REFUSALS)
def test_each_hindrance_holds_what_it_should_and_says_why(hindrance: str) -> None:
    forward, back = RULINGS[hindrance]
    standing = REFUSALS[hindrance]
    for attempt, decision in (
        (FORWARD, forward),
        (replace(FORWARD, phase=Phase.ROLLBACK), back),
        (replace(FORWARD, phase=Phase.UNDO), back),
    ):
        result = admit(attempt, standing, LIMITS)
        assert result.decision is decision, attempt.phase
        assert bool(result.reason) is (decision is not AdmissionDecision.ADMIT)


@pytest.mark.parametrize("hindrance", REFUSALS)
def test_a_section_under_way_is_held_by_people_and_by_blindness_only(hindrance: str) -> None:
    decision = admit(replace(FORWARD, must_complete=True), REFUSALS[hindrance], LIMITS).decision
    free = hindrance in {"silence", "retired", "breaker", "upstream", "opposed", "budget", "pods"}
    assert decision is (AdmissionDecision.ADMIT if free else RULINGS[hindrance][0])


def test_a_change_with_nothing_in_the_way_is_admitted() -> None:
    assert admit(FORWARD, CLEAR, LIMITS).decision is AdmissionDecision.ADMIT
    assert admit(FORWARD, replace(CLEAR, mode=Mode.APPROVE, approved=True), LIMITS).decision is AdmissionDecision.ADMIT


@pytest.mark.parametrize(
    ("scope", "name", "concerns"),
    [
        (PauseScope.GLOBAL, "", True),
        (PauseScope.NAMESPACE, "staging", True),
        (PauseScope.NAMESPACE, "bank", False),
        (PauseScope.SERVICE, "api", True),
        (PauseScope.SERVICE, "db", False),
        (PauseScope.RULE, "web-pods", True),
        (PauseScope.RULE, "api-pods", False),
    ],
)
def test_a_pause_counts_where_the_run_is_and_where_the_object_is(scope: PauseScope, name: str, concerns: bool) -> None:
    decision = admit(FORWARD, replace(CLEAR, pauses=(pause(scope, name),)), LIMITS).decision
    assert decision is (AdmissionDecision.WAIT if concerns else AdmissionDecision.ADMIT)


PAUSES = st.builds(pause, st.just(PauseScope.GLOBAL), freeze=st.booleans())


@given(
    phase=st.sampled_from(Phase),
    must_complete=st.booleans(),
    mode=st.sampled_from(Mode),
    approved=st.booleans(),
    pauses=st.lists(PAUSES, max_size=2),
    stale_reason=st.sampled_from(["", "blind"]),
)
def test_a_persons_no_and_blindness_admit_no_change_whatever_else_is_so(
    phase: Phase, must_complete: bool, mode: Mode, approved: bool, pauses: list[Pause], stale_reason: str
) -> None:
    """E29, P6."""
    attempt = replace(FORWARD, phase=phase, must_complete=must_complete)
    standing = AdmissionInput(
        mode=mode, observer=ObserverHealth(stale_reason=stale_reason), approved=approved, pauses=pauses
    )
    admitted = admit(attempt, standing, LIMITS).decision is AdmissionDecision.ADMIT
    no = mode is Mode.OBSERVE or (mode is Mode.APPROVE and not approved) or any(each.freeze for each in pauses)
    held = phase is Phase.FORWARD and bool(pauses)
    assert admitted is not (no or held or bool(stale_reason))
