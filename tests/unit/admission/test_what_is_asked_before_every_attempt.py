"""One decision before every attempt: what a person said first, then what we see, then the limits (P6, P7)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.admission import AdmissionFacts, Attempt, Ruling, admit
from kintsugi.guards import Limits, Observer
from kintsugi.model.documents import Mode
from kintsugi.model.records import Pause, PauseScope, Phase
from tests.unit.factories import moment, pause

LIMITS = Limits(budget=2)
FORWARD = Attempt(
    phase=Phase.FORWARD,
    rule="web-pods",
    namespaces=frozenset({"production", "staging"}),
    services=frozenset({"web", "api"}),
)
CLEAR = AdmissionFacts(mode=Mode.AUTO, observer=Observer())
HINDRANCES = {
    "stopping": replace(CLEAR, stopping=True),
    "observe": replace(CLEAR, mode=Mode.OBSERVE),
    "freeze": replace(CLEAR, pauses=(pause(freeze=True),)),
    "unapproved": replace(CLEAR, mode=Mode.APPROVE),
    "pause": replace(CLEAR, pauses=(pause(),)),
    "annotation": replace(CLEAR, annotations=("", "paused by annotation")),
    "blind": replace(CLEAR, observer=Observer(blind="the watch is silent")),
    "silence": replace(CLEAR, silence="everything is silenced"),
    "breaker": replace(CLEAR, observer=Observer(sick=9, seen=10)),
    "budget": replace(CLEAR, disruptions=(moment(), moment())),
}
RULINGS = {
    "stopping": (Ruling.WAIT, Ruling.WAIT),
    "observe": (Ruling.PARK, Ruling.PARK),
    "freeze": (Ruling.PARK, Ruling.PARK),
    "unapproved": (Ruling.ASK, Ruling.ASK),
    "pause": (Ruling.WAIT, Ruling.ADMIT),
    "annotation": (Ruling.WAIT, Ruling.ADMIT),
    "blind": (Ruling.WAIT, Ruling.WAIT),
    "silence": (Ruling.WAIT, Ruling.ADMIT),
    "breaker": (Ruling.WAIT, Ruling.ADMIT),
    "budget": (Ruling.WAIT, Ruling.ADMIT),
}
"""What follows for a change forward, and for one that takes back."""


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_each_hindrance_holds_what_it_should_and_says_why(hindrance: str) -> None:
    forward, back = RULINGS[hindrance]
    standing = HINDRANCES[hindrance]
    for attempt, ruling in (
        (FORWARD, forward),
        (replace(FORWARD, phase=Phase.ROLLBACK), back),
        (replace(FORWARD, phase=Phase.UNDO), back),
    ):
        decision = admit(attempt, standing, LIMITS)
        assert decision.ruling is ruling, attempt.phase
        assert bool(decision.reason) is (ruling is not Ruling.ADMIT)


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_restore_under_way_is_held_by_people_and_by_blindness_only(hindrance: str) -> None:
    ruling = admit(replace(FORWARD, restoring=True), HINDRANCES[hindrance], LIMITS).ruling
    free = hindrance in {"silence", "breaker", "budget"}
    assert ruling is (Ruling.ADMIT if free else RULINGS[hindrance][0])


def test_nothing_in_the_way_admits() -> None:
    assert admit(FORWARD, CLEAR, LIMITS).ruling is Ruling.ADMIT
    assert admit(FORWARD, replace(CLEAR, mode=Mode.APPROVE, approved=True), LIMITS).ruling is Ruling.ADMIT


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
    ruling = admit(FORWARD, replace(CLEAR, pauses=(pause(scope, name),)), LIMITS).ruling
    assert ruling is (Ruling.WAIT if concerns else Ruling.ADMIT)


PAUSES = st.builds(pause, st.just(PauseScope.GLOBAL), freeze=st.booleans())


@given(
    phase=st.sampled_from(Phase),
    restoring=st.booleans(),
    mode=st.sampled_from(Mode),
    approved=st.booleans(),
    pauses=st.lists(PAUSES, max_size=2),
    blind=st.sampled_from(["", "blind"]),
)
def test_whatever_else_is_so_a_persons_no_and_blindness_admit_nothing(
    phase: Phase, restoring: bool, mode: Mode, approved: bool, pauses: list[Pause], blind: str
) -> None:
    """E29, P6."""
    attempt = replace(FORWARD, phase=phase, restoring=restoring)
    standing = AdmissionFacts(mode=mode, observer=Observer(blind=blind), approved=approved, pauses=pauses)
    admitted = admit(attempt, standing, LIMITS).ruling is Ruling.ADMIT
    no = mode is Mode.OBSERVE or (mode is Mode.APPROVE and not approved) or any(each.freeze for each in pauses)
    held = phase is Phase.FORWARD and bool(pauses)
    assert admitted is not (no or held or bool(blind))
