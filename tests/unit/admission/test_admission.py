"""What is asked before every attempt, how far a run may go, and which pods may go (P6, P7)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.decisions.admission import AdmissionDecision, AdmissionInput, Attempt, admit
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.disruptions import budgets_of, pod_budget
from kintsugi.decisions.guards import Limits
from kintsugi.decisions.planner import mode_for
from kintsugi.model.catalog import Catalog
from kintsugi.model.change_limits import Disruptions, PodBudget
from kintsugi.model.records import Pause, PauseScope, Phase
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Pod
from tests.unit.factories import moment, pause, pod, rule, shop, view

LIMITS = Limits(budget=2)
FORWARD = Attempt(
    phase=Phase.FORWARD,
    rule="web-pods",
    namespaces=frozenset({"production", "staging"}),
    services=frozenset({"web", "api"}),
    pod="uid-1",
)
CLEAR = AdmissionInput(mode=Mode.AUTO, observer=ObserverHealth())
ADMIT, WAIT, DENY = AdmissionDecision.ADMIT, AdmissionDecision.WAIT, AdmissionDecision.DENY
ASK, HAND_OVER = AdmissionDecision.ASK, AdmissionDecision.HAND_OVER
FULL = PodBudget(service="web", expected=1, desired_healthy=1, ready=frozenset({"uid-1"}))
HINDRANCES = {
    "stopping": (replace(CLEAR, stopping=True), WAIT, WAIT),
    "observe": (replace(CLEAR, mode=Mode.OBSERVE), DENY, DENY),
    "freeze": (replace(CLEAR, pauses=(pause(freeze=True),)), DENY, DENY),
    "unapproved": (replace(CLEAR, mode=Mode.APPROVE), ASK, ASK),
    "pause": (replace(CLEAR, pauses=(pause(),)), WAIT, ADMIT),
    "annotation": (replace(CLEAR, annotations=("", "paused by annotation")), WAIT, ADMIT),
    "blind": (replace(CLEAR, observer=ObserverHealth(stale_reason="the watch is silent")), WAIT, WAIT),
    "silence": (replace(CLEAR, silence="everything is silenced"), WAIT, ADMIT),
    "retired": (replace(CLEAR, retired="rule web-pods is no longer in the catalog"), WAIT, ADMIT),
    "breaker": (replace(CLEAR, observer=ObserverHealth(nodes=1, nodes_stale=1)), WAIT, ADMIT),
    "upstream": (replace(CLEAR, upstream="database is being recovered by run run-2"), WAIT, ADMIT),
    "opposed": (replace(CLEAR, opposed="rules a and b contradict each other"), HAND_OVER, ADMIT),
    "budget": (replace(CLEAR, disruptions=Disruptions(moments=(moment(), moment()))), WAIT, ADMIT),
    "pods": (replace(CLEAR, pods=(FULL,)), WAIT, ADMIT),
}
"""What stands in the way, and what follows for a change forward, and for one that takes back."""


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_each_hindrance_holds_what_it_should_and_says_why(hindrance: str) -> None:
    standing, forward, back = HINDRANCES[hindrance]
    for attempt, decision in (
        (FORWARD, forward),
        (replace(FORWARD, phase=Phase.ROLLBACK), back),
        (replace(FORWARD, phase=Phase.UNDO), back),
    ):
        result = admit(attempt, standing, LIMITS)
        assert result.decision is decision, attempt.phase
        assert bool(result.reason) is (decision is not ADMIT)


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_section_under_way_is_held_by_people_and_by_blindness_only(hindrance: str) -> None:
    standing, forward, _ = HINDRANCES[hindrance]
    decision = admit(replace(FORWARD, must_complete=True), standing, LIMITS).decision
    free = hindrance in {"silence", "retired", "breaker", "upstream", "opposed", "budget", "pods"}
    assert decision is (ADMIT if free else forward)


def test_a_change_with_nothing_in_the_way_is_admitted() -> None:
    assert admit(FORWARD, CLEAR, LIMITS).decision is ADMIT
    assert admit(FORWARD, replace(CLEAR, mode=Mode.APPROVE, approved=True), LIMITS).decision is ADMIT


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
    assert decision is (WAIT if concerns else ADMIT)


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
    admitted = admit(attempt, standing, LIMITS).decision is ADMIT
    no = mode is Mode.OBSERVE or (mode is Mode.APPROVE and not approved) or any(each.freeze for each in pauses)
    held = phase is Phase.FORWARD and bool(pauses)
    assert admitted is not (no or held or bool(stale_reason))


ABOUT_ALL = replace(rule(name="stack-down"), service="")


def known(*rules: Rule) -> Catalog:
    """Return a catalog with these rules."""
    return replace(shop(), rules={each.name: each for each in (ABOUT_ALL, *rules)})


@pytest.mark.parametrize(
    ("own", "allowed"),
    [
        ((), Mode.AUTO),
        ((Mode.OBSERVE,), Mode.OBSERVE),
        ((Mode.APPROVE, Mode.OBSERVE), Mode.APPROVE),
        ((Mode.OBSERVE, Mode.AUTO), Mode.AUTO),
    ],
)
def test_a_run_about_all_services_does_no_more_to_one_than_its_own_rules_let_the_same_runbook(
    own: tuple[Mode, ...], allowed: Mode
) -> None:
    """One of them that lets it act is enough: its author trusts the runbook there."""
    rules = [rule(name=f"web-{mode}", mode=mode) for mode in own]
    assert mode_for(ABOUT_ALL, "mend", ["web"], known(*rules)) is allowed


def test_no_rule_of_a_service_lets_a_run_do_more_than_its_own_rule() -> None:
    assert mode_for(replace(ABOUT_ALL, mode=Mode.APPROVE), "mend", ["web"], known(rule())) is Mode.APPROVE


def test_the_most_careful_of_several_services_counts() -> None:
    careful = replace(rule(name="api-pods", mode=Mode.APPROVE), service="api")
    assert mode_for(ABOUT_ALL, "mend", ["web", "api"], known(rule(), careful)) is Mode.APPROVE


def test_a_rule_of_a_service_about_another_runbook_or_another_rule_of_its_own_service_limits_nothing() -> None:
    other = replace(rule(name="web-other", mode=Mode.OBSERVE), runbook="other")
    assert mode_for(ABOUT_ALL, "mend", ["web"], known(other)) is Mode.AUTO
    assert mode_for(rule(), "other", ["web"], known(rule(), other)) is Mode.AUTO


NOBODY = frozenset[str]()


def pods(count: int, ready: int) -> tuple[Pod, ...]:
    """Return so many pods, of which the first ones are ready."""
    return tuple(pod(f"web-{number}", ready=number < ready) for number in range(count))


def web(count: int, ready: int, *, desired: int | None = None) -> ServiceView:
    """Return the service web with so many pods."""
    return view(ready=ready, desired=count if desired is None else desired, pods=pods(count, ready))


def test_a_refusal_says_how_many_are_ready_and_how_many_must_stay() -> None:
    said = pod_budget(web(4, 3), 50).objection("uid-web-0", frozenset({"uid-web-1"}))
    assert said == "2 of 4 pods of web are ready, and 2 must stay so"


@pytest.mark.parametrize("ready", [0, 1, 2])
def test_a_pod_that_does_not_serve_is_never_held(ready: int) -> None:
    """Deleting it takes nothing away: a recovery in which all pods are down goes on at once."""
    budget = pod_budget(web(4, ready), 1)
    assert [budget.objection(f"uid-web-{number}", NOBODY) for number in range(ready, 4)] == [""] * (4 - ready)


def test_a_pod_that_is_newer_than_what_is_seen_waits_until_it_is_seen() -> None:
    assert "newer than what is seen" in pod_budget(web(4, 4), 50).objection("uid-of-a-successor", NOBODY)


def test_a_service_that_is_scaled_to_none_keeps_nothing() -> None:
    assert pod_budget(web(3, 3, desired=0), 50).allowed(NOBODY) == 3


def test_without_a_workload_the_pods_that_are_there_count() -> None:
    assert pod_budget(replace(web(4, 4), workload=None, desired=0), 50).allowed(NOBODY) == 2


def test_a_pod_of_several_services_asks_each_of_them() -> None:
    one, other = web(4, 4), web(2, 2)
    views = {"web": one, "all": replace(other, service=replace(other.service, name="all"))}
    found = budgets_of("web-0", "production", views, 50, service="web")
    assert [each.service for each in found] == ["all", "web"]
    assert [each.service for each in budgets_of("web-3", "production", views, 50, service="web")] == ["web"]
    assert budgets_of("web-0", "staging", views, 50, service="web") == ()


@given(
    count=st.integers(0, 12),
    ready=st.integers(0, 12),
    percent=st.integers(1, 100),
    wanted=st.lists(st.integers(0, 11), max_size=30),
)
def test_no_more_pods_are_taken_than_the_share_whatever_is_asked_for(
    count: int, ready: int, percent: int, wanted: list[int]
) -> None:
    """Nothing comes back meanwhile: of those that served, enough are left, or as many as there were."""
    ready = min(ready, count)
    budget, gone = pod_budget(web(count, ready), percent), set[str]()
    for number in (each for each in wanted if each < count):
        uid = f"uid-web-{number}"
        if not budget.objection(uid, frozenset(gone)):
            gone.add(uid)
    left = ready - len([uid for uid in gone if uid in budget.ready])
    assert left >= min(ready, budget.desired_healthy)
    assert count - budget.desired_healthy == -(-count * percent // 100), "no more than the share, rounded up"
