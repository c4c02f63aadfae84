"""What a watchdog decides: before its deadline, at it, after a rollback, and once its time is over (P5, P6, E16, E17, E18, E19, E31)."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kintsugi.decisions.watchdog import (
    FLAPPING,
    Progress,
    RollbackEvidence,
    WatchdogDecision,
    after_rollback,
    end_of,
    in_the_end,
    progresses,
    rollback_command,
)
from kintsugi.model.runbooks import RollbackPolicy, RollbackThen
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Pod
from kubeobjects.owners import Manager, ManagerKind
from kubeobjects.pods import ContainerState, ContainerStateRunning
from kubeobjects.workloads import Deployment, DeploymentSpec
from tests.unit.factories import NOW, deployment, moment, pod, view, web
from tests.unit.watchdog.judging import INNOCENT, TIMEOUT, decided_late, watched

CLEAR = moment(minutes=1)
LATE = moment(minutes=5)


def test_both_together_are_recovery() -> None:
    result = watched(view(), now=LATE, clear_since=CLEAR)
    assert result.decision is WatchdogDecision.RECOVERED
    assert result.reason == "web is healthy and the trigger has cleared"


def test_health_alone_waits_for_the_trigger() -> None:
    result = watched(view(), now=LATE)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "everything is healthy; the trigger has not cleared yet",
    )


def test_a_clear_trigger_alone_waits_for_health() -> None:
    result = watched(view(healthy=False, ready=1), now=LATE, clear_since=CLEAR)
    assert (result.decision, result.reason) == (WatchdogDecision.WAIT, "web is not healthy: 1 of 3 ready")


@pytest.mark.parametrize("clear", [None, CLEAR])
@pytest.mark.parametrize("seen", [view(is_current=False), view(healthy=None), view(is_current=False, healthy=None)])
def test_a_blind_watchdog_waits(seen: ServiceView, clear: datetime | None) -> None:
    """P6, E31: resolved through missing data is not health; nor is it a failure."""
    result = watched(seen, now=moment(hours=5), clear_since=clear)
    assert (result.decision, result.reason) == (WatchdogDecision.WAIT, "web cannot be observed reliably")


@pytest.mark.parametrize(
    ("seconds", "decision"),
    [
        (0, WatchdogDecision.WAIT),
        (119, WatchdogDecision.WAIT),
        (120, WatchdogDecision.RECOVERED),
        (3600, WatchdogDecision.RECOVERED),
    ],
)
def test_health_must_last(seconds: float, decision: WatchdogDecision) -> None:
    result = watched(view(), now=moment(seconds=seconds), clear_since=CLEAR)
    assert result.decision is decision
    if decision is WatchdogDecision.WAIT:
        assert result.reason == "web has been healthy since 12:00:00; 2m are required"


def test_a_restart_of_a_container_starts_the_time_anew() -> None:
    seen = replace(view(), last_restart=moment(minutes=4))
    assert watched(seen, now=moment(minutes=5), clear_since=CLEAR).decision is WatchdogDecision.WAIT
    assert watched(seen, now=moment(minutes=6), clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


@pytest.mark.parametrize(
    ("minutes", "decision"),
    [
        (2, WatchdogDecision.WAIT),
        (16.9, WatchdogDecision.WAIT),
        (17, WatchdogDecision.INEFFECTIVE),
        (60, WatchdogDecision.INEFFECTIVE),
    ],
)
def test_an_alert_may_lag_but_not_for_ever(minutes: float, decision: WatchdogDecision) -> None:
    """E19: well for the settle time and another quarter of an hour, and still it fires: a person is called."""
    result = watched(view(), now=moment(minutes=minutes))
    assert result.decision is decision
    if decision is WatchdogDecision.INEFFECTIVE:
        assert result.reason == "web is healthy, but the trigger persists; a person is needed"


def test_when_nothing_was_changed_it_is_no_recovery() -> None:
    result = watched(view(), now=LATE, changed=False, clear_since=CLEAR)
    assert (result.decision, result.reason) == (WatchdogDecision.NO_ACTION, "web is healthy; no change was needed")


seconds = st.integers(min_value=0, max_value=7200)
maybe = st.none() | seconds


@given(
    now=seconds,
    healthy=st.sampled_from([True, False, None]),
    since=seconds,
    restart=maybe,
    steps_finished_at=maybe,
    clear=maybe,
)
def test_recovered_is_never_called_without_all_that_it_takes(
    now: int, healthy: bool | None, since: int, restart: int | None, steps_finished_at: int | None, clear: int | None
) -> None:
    def at(second: int | None) -> datetime | None:
        return None if second is None else moment(seconds=second)

    seen = replace(view(healthy=healthy, since=moment(seconds=since)), last_restart=at(restart))
    result = watched(seen, now=moment(seconds=now), steps_finished_at=at(steps_finished_at), clear_since=at(clear))
    latest = max(each for each in (since, restart, steps_finished_at) if each is not None)
    enough = healthy is True and clear is not None and now - latest >= 120
    assert (result.decision is WatchdogDecision.RECOVERED) == enough
    assert result.decision in {WatchdogDecision.RECOVERED, WatchdogDecision.WAIT, WatchdogDecision.INEFFECTIVE}


@pytest.mark.parametrize(
    ("ready", "clear", "minutes", "reason"),
    [
        (1, None, 3, "web is not healthy, and no further action is available"),
        (1, CLEAR, 3, "web is not healthy, and no further action is available"),
        (3, None, 3, "the trigger on web persists, and no further action is available"),
        (1, None, 2, ""),
        (3, CLEAR, 3, ""),
    ],
)
def test_a_person_is_called_soon_where_nothing_is_left_to_try(
    ready: int, clear: datetime | None, minutes: int, reason: str
) -> None:
    """Its steps were not all done, and at its deadline it would only call a person: why wait for hours?"""
    seen = view(healthy=ready == 3, ready=ready)
    result = watched(seen, now=moment(minutes=minutes), steps_finished_at=NOW, clear_since=clear, stuck=True)
    assert (result.decision is WatchdogDecision.HAND_OVER) is bool(reason)
    assert not reason or result.reason == reason


LATER = moment(minutes=10)
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


def test_a_pod_made_since_that_is_not_ready() -> None:
    """The successor of a pod that the run has deleted: it is not unhealthy yet, and it is not well either."""
    result = watched(seen(pod("web-4", ready=False, made=moment(seconds=2))), now=LATER, clear_since=CLEAR)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "web is healthy, but pods created since the run began are not ready: web-4",
    )


def test_a_pod_that_was_made_by_a_clock_that_is_a_little_behind() -> None:
    made = pod("web-4", ready=False, made=moment(seconds=-20))
    assert watched(seen(made), now=LATER, clear_since=CLEAR).decision is WatchdogDecision.WAIT


def test_some_of_many_pods_are_named() -> None:
    made = [pod(f"web-{number}", ready=False, made=NOW) for number in range(4, 9)]
    reason = watched(seen(*made), now=LATER, clear_since=CLEAR).reason
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
    assert watched(seen(other), now=LATER, clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


@pytest.mark.parametrize(("minutes", "decision"), [(5.9, WatchdogDecision.WAIT), (6, WatchdogDecision.RECOVERED)])
def test_a_pod_made_since_counts_from_when_it_became_ready(minutes: float, decision: WatchdogDecision) -> None:
    """One that became ready a moment ago may crash in the next."""
    made = pod("web-4", made=moment(minutes=4))
    assert watched(seen(made), now=moment(minutes=minutes), clear_since=CLEAR).decision is decision


def test_a_service_whose_workload_is_not_seen_is_judged_by_its_health() -> None:
    assert watched(replace(view(), workload=None), now=LATER, clear_since=CLEAR).decision is WatchdogDecision.RECOVERED


def test_the_trouble_that_goes_on_is_said_with_the_rollout() -> None:
    result = watched(seen(updated=1), now=moment(minutes=20))
    assert (result.decision, result.reason) == (
        WatchdogDecision.INEFFECTIVE,
        (
            "web is healthy, but the trigger persists; the rollout of deployment/web is not complete:"
            " 1 of 3 pods are of the new template; a person is needed"
        ),
    )


FAILING = view(healthy=False, ready=0, since=moment(minutes=20))
"""It has failed since ten minutes before the deadline at 30."""
DUE = moment(minutes=30)
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
    result = decided_late(FAILING, now=DUE)
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
    result = decided_late(view(), now=DUE, when=when, then=then)
    assert (result.decision, result.reason) == (
        WatchdogDecision.WAIT,
        "the deadline was reached, but web is healthy and is being verified",
    )


@pytest.mark.parametrize(("evidence", "reason"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_each_objection_calls_a_person_instead(evidence: RollbackEvidence, reason: str) -> None:
    result = decided_late(FAILING, now=DUE, evidence=evidence)
    assert (result.decision, result.reason) == (WatchdogDecision.HAND_OVER, reason)


@pytest.mark.parametrize(("evidence", "_"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_always_is_the_authors_choice_whatever_speaks_against(evidence: RollbackEvidence, _: str) -> None:
    result = decided_late(FAILING, now=DUE, evidence=evidence, when=RollbackPolicy.ALWAYS)
    assert result.decision is WatchdogDecision.ROLL_BACK
    assert result.reason == "the deadline was reached and the runbook always rolls back"


@pytest.mark.parametrize("when", RollbackPolicy)
def test_park_leaves_everything_for_a_person(when: RollbackPolicy) -> None:
    result = decided_late(FAILING, now=DUE, when=when, then=RollbackThen.LEAVE)
    assert result.decision is WatchdogDecision.HAND_OVER
    assert result.reason == "the deadline was reached; all changes are left in place for a person"


@pytest.mark.parametrize(
    ("minutes", "decision"), [(0, WatchdogDecision.WAIT), (2.9, WatchdogDecision.WAIT), (3, WatchdogDecision.ROLL_BACK)]
)
def test_the_failure_must_have_lasted(minutes: float, decision: WatchdogDecision) -> None:
    failing = view(healthy=False, since=DUE)
    result = decided_late(failing, now=DUE + timedelta(minutes=minutes), observed_since=DUE)
    assert result.decision is decision
    if decision is WatchdogDecision.WAIT:
        assert result.reason == "the deadline was reached; web has not failed for 3m without interruption"


def test_a_service_that_neither_stays_well_nor_fails_for_long_goes_to_a_person() -> None:
    limit = FLAPPING * TIMEOUT.failing_for
    for late, decision in ((limit, WatchdogDecision.WAIT), (limit + timedelta(seconds=1), WatchdogDecision.HAND_OVER)):
        now = DUE + late
        result = decided_late(view(healthy=False, since=now), now=now, observed_since=DUE)
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
    seen = view(healthy=healthy, is_current=is_current, since=DUE - timedelta(seconds=lasting))
    result = decided_late(seen, now=DUE, evidence=evidence, then=then)
    speaks_for_it = (
        is_current and healthy is False and evidence == INNOCENT and lasting >= 180 and then is RollbackThen.UNDO
    )
    assert (result.decision is WatchdogDecision.ROLL_BACK) == speaks_for_it


START_UP = timedelta(minutes=2)
SERVING = (pod("web-1"), pod("web-2"))


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
        (rolling(*SERVING, NEW), True),
        (rolling(*SERVING, starting(moment(minutes=20))), False),
        (rolling(*SERVING, pod("web-3", ready=False, restarts=5)), False),
        (replace(rolling(NEW), ready=0), False),
        (rolling(*SERVING, NEW, updated=3), False),
        (replace(rolling(*SERVING, NEW), workload=None), False),
    ],
    ids=["gets on", "not ready for long", "crashes", "nothing serves", "is complete", "has no workload"],
)
def test_a_rollout_gets_on_while_its_pods_are_within_what_their_probes_allow(
    seen: ServiceView, *, gets_on: bool
) -> None:
    assert progresses(seen, start_up=START_UP, now=DUE) is gets_on


def test_a_rollout_that_gets_on_is_waited_for_at_the_deadline_and_one_that_does_not_is_taken_back() -> None:
    seen = rolling(*SERVING, NEW)
    waits = decided_late(seen, now=DUE, evidence=replace(INNOCENT, progresses=True))
    assert (waits.decision, waits.reason) == (
        WatchdogDecision.WAIT,
        "the deadline was reached, but the rollout of deployment/web progresses beside serving pods",
    )
    assert decided_late(seen, now=DUE).decision is WatchdogDecision.ROLL_BACK


def test_an_objection_to_a_rollback_is_told_before_the_rollout_is_waited_for() -> None:
    evidence = replace(INNOCENT, progresses=True, upstream="database")
    assert decided_late(rolling(*SERVING, NEW), now=DUE, evidence=evidence).decision is WatchdogDecision.HAND_OVER


OVER = moment(minutes=47)
STUCK = deployment(web(), updated=1)


def progress(*, clear: datetime | None = CLEAR, taken_up: datetime | None = None) -> Progress:
    """Return a run of half an hour whose steps ended after ten minutes."""
    ended = moment(minutes=10)
    return Progress(
        began=NOW, deadline=DUE, steps_finished_at=ended, changed=True, clear_since=clear, taken_up=taken_up
    )


@pytest.mark.parametrize(
    ("taken_up", "end"),
    [
        (None, OVER),
        (moment(minutes=31), OVER),
        (moment(minutes=42), OVER),
        (moment(minutes=45), moment(minutes=50)),
        (moment(hours=9), moment(hours=9, minutes=5)),
    ],
)
def test_a_run_is_over_after_its_deadline_the_lag_and_a_verification(taken_up: datetime | None, end: datetime) -> None:
    """A watchdog that was not there in time has one look more."""
    assert end_of(progress(taken_up=taken_up), TIMEOUT) == end


RESTARTING = replace(view(), last_restart=moment(minutes=46, seconds=30), crash_interval=timedelta(minutes=5))
ENDS = {
    "blind": (
        view(is_current=False, healthy=None),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        "web could not be observed reliably before its time was over; its health is unknown",
    ),
    "without an answer": (
        view(healthy=None),
        None,
        WatchdogDecision.HAND_OVER,
        "web could not be observed reliably before its time was over; its health is unknown",
    ),
    "failing since a moment": (
        view(healthy=False, since=moment(minutes=46)),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        "web is flapping: its health changes too often for a decision",
    ),
    "well since a moment": (
        view(since=moment(minutes=46)),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        (
            "web is healthy, but the service was not healthy for 2m without interruption:"
            " all conditions are met only since 12:46:00; a person is needed"
        ),
    ),
    "restarting": (
        RESTARTING,
        CLEAR,
        WatchdogDecision.HAND_OVER,
        (
            "web is healthy, but the service was not healthy for 10m without interruption:"
            " the last container restart was at 12:46:30; a person is needed"
        ),
    ),
    "restarting, and it goes on": (
        RESTARTING,
        None,
        WatchdogDecision.INEFFECTIVE,
        (
            "web is healthy, but the trigger persists; the service was not healthy for 10m without interruption:"
            " the last container restart was at 12:46:30; a person is needed"
        ),
    ),
    "stuck": (
        replace(view(), workload=STUCK),
        CLEAR,
        WatchdogDecision.HAND_OVER,
        (
            "web is healthy, but the rollout of deployment/web is not complete:"
            " 1 of 3 pods are of the new template; a person is needed"
        ),
    ),
}


@pytest.mark.parametrize(("seen", "clear", "decision", "reason"), ENDS.values(), ids=ENDS)
def test_the_watchdog_says_what_it_has_waited_for(
    seen: ServiceView, clear: datetime | None, decision: WatchdogDecision, reason: str
) -> None:
    result = in_the_end(seen, progress(clear=clear), TIMEOUT, now=OVER)
    assert (result.decision, result.reason) == (decision, reason)


@pytest.mark.parametrize(
    ("seen", "minutes", "reason"),
    [
        (view(healthy=False, ready=1), 12, "web is not healthy: 1 of 3 ready"),
        (replace(view(healthy=False, ready=1), workload=STUCK), 20, "web is not healthy: 1 of 3 ready"),
        (
            replace(view(), workload=STUCK),
            22,
            "the rollout of deployment/web is not complete: 1 of 3 pods are of the new template",
        ),
        (view(since=moment(minutes=21)), 22, "web has been healthy only since 12:21:00"),
        (view(is_current=False), 20, "web cannot be observed reliably"),
    ],
)
def test_a_rollback_is_waited_for_as_long_as_what_it_waits_for_may_take(
    seen: ServiceView, minutes: float, reason: str
) -> None:
    """Its last change was made after ten minutes."""
    for late, decision in ((timedelta(seconds=-1), WatchdogDecision.WAIT), (timedelta(0), WatchdogDecision.HAND_OVER)):
        now = moment(minutes=minutes) + late
        result = after_rollback(seen, progress(), TIMEOUT, now=now)
        assert (result.decision, result.reason) == (decision, reason)


def test_a_rollback_has_helped_when_the_service_has_been_well_by_it_for_long_enough() -> None:
    for minutes, decision in ((11.9, WatchdogDecision.WAIT), (12, WatchdogDecision.RECOVERED)):
        result = after_rollback(view(), progress(), TIMEOUT, now=moment(minutes=minutes))
        assert result.decision is decision
    assert result.reason == "web is healthy"


HELM = "helm rollback shop -n production  # to the previous release"
UNDO = "kubectl rollout undo deployment/web --to-revision=4 -n production  # a revision that was seen healthy"


def test_a_workload_of_nobody_goes_back_to_the_revision_that_was_seen_good() -> None:
    assert rollback_command(FAILING, INNOCENT, last_good=4) == UNDO


def test_a_paused_rollout_is_resumed_first() -> None:
    """kubectl refuses to undo it before."""
    paused = replace(FAILING, workload=Deployment(spec=DeploymentSpec(paused=True)))
    resumed = f"kubectl rollout resume deployment/web -n production && {UNDO}"
    assert rollback_command(paused, INNOCENT, last_good=4) == resumed


def test_a_workload_without_a_good_revision_has_no_command() -> None:
    assert rollback_command(FAILING, INNOCENT, last_good=0) == ""
    why = "no revision was seen good yet: healthy since 01:43:00, 10m are required"
    assert rollback_command(FAILING, INNOCENT, last_good=0, none_good=why) == f"# {why}"


def test_a_revision_that_was_adopted_is_named_so() -> None:
    assert "# an adopted revision" in rollback_command(FAILING, INNOCENT, last_good=4, adopted=True)


@pytest.mark.parametrize("last_good", [0, 4])
def test_a_workload_of_a_helm_release_goes_back_by_helm_alone(last_good: int) -> None:
    assert rollback_command(FAILING, replace(INNOCENT, release="shop"), last_good=last_good) == HELM


@pytest.mark.parametrize(
    "evidence",
    [
        replace(INNOCENT, known_good=True),
        replace(INNOCENT, known_good=True, release="shop"),
        replace(INNOCENT, managers=(Manager(kind=ManagerKind.GITOPS, name="Argo CD shop"),)),
        replace(INNOCENT, managers=(Manager(kind=ManagerKind.OPERATOR, name="Web/web"),), release="shop"),
    ],
    ids=["seen good", "a release that was seen good", "GitOps", "an operator's release"],
)
def test_a_workload_that_no_rollback_would_help_has_no_command(evidence: RollbackEvidence) -> None:
    assert rollback_command(FAILING, evidence, last_good=4) == ""
