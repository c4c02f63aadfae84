"""What a watchdog decides: before its deadline, at it, after a rollback, and once its time is over (P5, P6, E16, E17, E18, E19, E31)."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from kintsugi.decisions.watchdog import (
    FLAPPING,
    Progress,
    RollbackEvidence,
    WatchdogDecision,
    WatchdogResult,
    WatchdogTimings,
    after_rollback,
    at_deadline,
    end_of,
    in_the_end,
    progresses,
    rollback_command,
    watch,
)
from kintsugi.model.runbooks import Rollback, RollbackPolicy, RollbackThen
from kintsugi.model.views import ServiceView
from kubeobjects.kept import Pod
from kubeobjects.owners import Manager, ManagerKind
from kubeobjects.pods import ContainerState, ContainerStateRunning
from kubeobjects.workloads import Deployment, DeploymentSpec
from tests.unit.factories import NOW, deployment, moment, pod, view, web

Said = tuple[WatchdogDecision, str]
WAIT, RECOVERED, HAND_OVER = WatchdogDecision.WAIT, WatchdogDecision.RECOVERED, WatchdogDecision.HAND_OVER
INEFFECTIVE, ROLL_BACK = WatchdogDecision.INEFFECTIVE, WatchdogDecision.ROLL_BACK
TIMEOUT = WatchdogTimings(
    verify=timedelta(minutes=2), alert_lag=timedelta(minutes=15), failing_for=timedelta(minutes=3)
)
INNOCENT = RollbackEvidence(known_good=False, last_written_by_us=True)
"""Nothing speaks against going back."""
CLEAR, DUE = moment(minutes=1), moment(minutes=30)


def said(result: WatchdogResult) -> Said:
    """Return the decision and why."""
    return result.decision, result.reason


def watched(seen: ServiceView, *, minutes: float = 5, clear: datetime | None = CLEAR, **more: Any) -> Said:
    """Judge before the deadline."""
    progress = Progress(
        began=NOW, deadline=DUE, clear_since=clear, **{"steps_finished_at": None, "changed": True, **more}
    )
    return said(watch(seen, progress, TIMEOUT, now=moment(minutes=minutes)))


def overdue(
    seen: ServiceView,
    evidence: RollbackEvidence = INNOCENT,
    *,
    late: timedelta = timedelta(0),
    when: RollbackPolicy = RollbackPolicy.SAFE,
    then: RollbackThen = RollbackThen.UNDO,
    observed_since: datetime | None = None,
) -> Said:
    """Judge at the deadline, or so long after it."""
    rollback, now = Rollback(policy=when, then=then), DUE + late
    return said(at_deadline(seen, evidence, rollback, TIMEOUT, observed_since=observed_since or now, now=now))


HEALED = "web is healthy and the trigger has cleared"
FIRES = "everything is healthy; the trigger has not cleared yet"


@pytest.mark.parametrize(
    ("seen", "about", "answer"),
    [
        (view(), {}, (RECOVERED, HEALED)),
        (view(), {"clear": None}, (WAIT, FIRES)),
        (view(healthy=False, ready=1), {}, (WAIT, "web is not healthy: 1 of 3 ready")),
        (view(), {"minutes": 119 / 60}, (WAIT, "web has been healthy since 12:00:00; 2m are required")),
        (view(), {"minutes": 2}, (RECOVERED, HEALED)),
        (replace(view(), last_restart=moment(minutes=4)), {"minutes": 6}, (RECOVERED, HEALED)),
        (replace(view(), workload=None), {}, (RECOVERED, HEALED)),
        (view(), {"clear": None, "minutes": 16.9}, (WAIT, FIRES)),
        (
            view(),
            {"clear": None, "minutes": 17},
            (INEFFECTIVE, "web is healthy, but the trigger persists; a person is needed"),
        ),
        (view(), {"changed": False}, (WatchdogDecision.NO_ACTION, "web is healthy; no change was needed")),
    ],
)
def test_recovery_takes_health_that_lasts_and_a_trigger_that_clears_in_time(
    seen: ServiceView, about: dict[str, Any], answer: Said
) -> None:
    """E19: well for the settle time and another quarter of an hour, and still it fires: a person is called."""
    assert watched(seen, **about) == answer


@pytest.mark.parametrize("clear", [None, CLEAR])
@pytest.mark.parametrize("seen", [view(is_current=False), view(healthy=None), view(is_current=False, healthy=None)])
def test_a_blind_watchdog_waits(seen: ServiceView, clear: datetime | None) -> None:
    """P6, E31: resolved through missing data is not health; nor is it a failure."""
    assert watched(seen, minutes=300, clear=clear) == (WAIT, "web cannot be observed reliably")


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
    decision, _ = watched(seen, minutes=now / 60, steps_finished_at=at(steps_finished_at), clear=at(clear))
    latest = max(each for each in (since, restart, steps_finished_at) if each is not None)
    enough = healthy is True and clear is not None and now - latest >= 120
    assert (decision is RECOVERED) == enough
    assert decision in {RECOVERED, WAIT, INEFFECTIVE}


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
    decision, why = watched(seen, minutes=minutes, steps_finished_at=NOW, clear=clear, stuck=True)
    assert (decision is HAND_OVER) is bool(reason)
    assert not reason or why == reason


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


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ([pod("web-4", ready=False, made=moment(seconds=2))], "web-4"),
        ([pod("web-4", ready=False, made=moment(seconds=-20))], "web-4"),
        ([pod(f"web-{number}", ready=False, made=NOW) for number in range(4, 9)], "web-4, web-5, web-6 and 2 more"),
    ],
    ids=["one", "one made by a clock that is a little behind", "many"],
)
def test_pods_made_since_that_are_not_ready_are_waited_for_by_name(made: list[Pod], named: str) -> None:
    """The successor of a pod that the run has deleted: it is not unhealthy yet, and it is not well either."""
    why = f"web is healthy, but pods created since the run began are not ready: {named}"
    assert watched(seen(*made), minutes=10) == (WAIT, why)


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
    assert watched(seen(other), minutes=10)[0] is RECOVERED


@pytest.mark.parametrize(("minutes", "decision"), [(5.9, WAIT), (6, RECOVERED)])
def test_a_pod_made_since_counts_from_when_it_became_ready(minutes: float, decision: WatchdogDecision) -> None:
    """One that became ready a moment ago may crash in the next."""
    assert watched(seen(pod("web-4", made=moment(minutes=4))), minutes=minutes)[0] is decision


def test_the_trouble_that_goes_on_is_said_with_the_rollout() -> None:
    why = (
        "web is healthy, but the trigger persists; the rollout of deployment/web is not complete:"
        " 1 of 3 pods are of the new template; a person is needed"
    )
    assert watched(seen(updated=1), minutes=20, clear=None) == (INEFFECTIVE, why)


FAILING = view(healthy=False, ready=0, since=moment(minutes=20))
"""It has failed since ten minutes before the deadline at 30."""
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


@pytest.mark.parametrize(("evidence", "reason"), OBJECTIONS.values(), ids=OBJECTIONS)
def test_a_run_whose_service_still_fails_is_rolled_back_unless_something_speaks_against_that(
    evidence: RollbackEvidence, reason: str
) -> None:
    """A person is called instead; *always* is the author's choice, whatever speaks against it."""
    assert overdue(FAILING) == (ROLL_BACK, "web is still failing at the deadline")
    assert overdue(FAILING, evidence) == (HAND_OVER, reason)
    always = (ROLL_BACK, "the deadline was reached and the runbook always rolls back")
    assert overdue(FAILING, evidence, when=RollbackPolicy.ALWAYS) == always


@pytest.mark.parametrize("when", RollbackPolicy)
@pytest.mark.parametrize("then", RollbackThen)
@pytest.mark.parametrize(
    ("seen", "why"),
    [
        *((each, "web cannot be observed reliably") for each in (view(is_current=False), view(healthy=None))),
        (replace(FAILING, is_current=False), "web cannot be observed reliably"),
        (view(), "web is healthy and is being verified"),
    ],
)
def test_an_overdue_watchdog_looks_again_and_takes_nothing_back_while_it_sees_no_failure(
    seen: ServiceView, why: str, when: RollbackPolicy, then: RollbackThen
) -> None:
    """P5, P6, E16: after a restart past the deadline nothing happens until the caches are synced."""
    answer = overdue(seen, late=timedelta(hours=8), when=when, then=then)
    assert answer == (WAIT, f"the deadline was reached, but {why}")


@pytest.mark.parametrize("when", RollbackPolicy)
def test_park_leaves_everything_for_a_person(when: RollbackPolicy) -> None:
    why = "the deadline was reached; all changes are left in place for a person"
    assert overdue(FAILING, when=when, then=RollbackThen.LEAVE) == (HAND_OVER, why)


def test_the_failure_must_have_lasted() -> None:
    failing, lasting = view(healthy=False, since=DUE), TIMEOUT.failing_for
    why = "the deadline was reached; web has not failed for 3m without interruption"
    assert overdue(failing, late=lasting - timedelta(seconds=1), observed_since=DUE) == (WAIT, why)
    assert overdue(failing, late=lasting, observed_since=DUE)[0] is ROLL_BACK


def test_a_service_that_neither_stays_well_nor_fails_for_long_goes_to_a_person() -> None:
    limit = FLAPPING * TIMEOUT.failing_for
    assert overdue(view(healthy=False, since=DUE + limit), late=limit, observed_since=DUE)[0] is WAIT
    late = limit + timedelta(seconds=1)
    why = "web is flapping: its health changes too often for a decision"
    assert overdue(view(healthy=False, since=DUE + late), late=late, observed_since=DUE) == (HAND_OVER, why)


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
    decision, _ = overdue(seen, evidence, then=then)
    speaks_for_it = (
        is_current and healthy is False and evidence == INNOCENT and lasting >= 180 and then is RollbackThen.UNDO
    )
    assert (decision is ROLL_BACK) == speaks_for_it


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


def test_a_rollout_that_gets_on_is_waited_for_at_the_deadline_unless_something_speaks_against_its_rollback() -> None:
    seen, gets_on = rolling(*SERVING, NEW), replace(INNOCENT, progresses=True)
    why = "the deadline was reached, but the rollout of deployment/web progresses beside serving pods"
    assert overdue(seen, gets_on) == (WAIT, why)
    assert overdue(seen)[0] is ROLL_BACK
    assert overdue(seen, replace(gets_on, upstream="database"))[0] is HAND_OVER


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
UNSEEN = "web could not be observed reliably before its time was over; its health is unknown"
NOT_FOR_10M = (
    "the service was not healthy for 10m without interruption:"
    " the last container restart was at 12:46:30; a person is needed"
)
NOT_FOR_2M = (
    "web is healthy, but the service was not healthy for 2m without interruption:"
    " all conditions are met only since 12:46:00; a person is needed"
)
INCOMPLETE = "the rollout of deployment/web is not complete: 1 of 3 pods are of the new template"
FLAPS = "web is flapping: its health changes too often for a decision"
ENDS = {
    "blind": (view(is_current=False, healthy=None), CLEAR, (HAND_OVER, UNSEEN)),
    "without an answer": (view(healthy=None), None, (HAND_OVER, UNSEEN)),
    "failing since a moment": (view(healthy=False, since=moment(minutes=46)), CLEAR, (HAND_OVER, FLAPS)),
    "well since a moment": (view(since=moment(minutes=46)), CLEAR, (HAND_OVER, NOT_FOR_2M)),
    "restarting": (RESTARTING, CLEAR, (HAND_OVER, f"web is healthy, but {NOT_FOR_10M}")),
    "restarting, and it goes on": (
        RESTARTING,
        None,
        (INEFFECTIVE, f"web is healthy, but the trigger persists; {NOT_FOR_10M}"),
    ),
    "stuck": (
        replace(view(), workload=STUCK),
        CLEAR,
        (HAND_OVER, f"web is healthy, but {INCOMPLETE}; a person is needed"),
    ),
}


@pytest.mark.parametrize(("seen", "clear", "answer"), ENDS.values(), ids=ENDS)
def test_the_watchdog_says_what_it_has_waited_for(seen: ServiceView, clear: datetime | None, answer: Said) -> None:
    assert said(in_the_end(seen, progress(clear=clear), TIMEOUT, now=OVER)) == answer


@pytest.mark.parametrize(
    ("seen", "minutes", "decision", "reason"),
    [
        (view(healthy=False, ready=1), 12, HAND_OVER, "web is not healthy: 1 of 3 ready"),
        (replace(view(healthy=False, ready=1), workload=STUCK), 20, HAND_OVER, "web is not healthy: 1 of 3 ready"),
        (replace(view(), workload=STUCK), 22, HAND_OVER, INCOMPLETE),
        (view(since=moment(minutes=21)), 22, HAND_OVER, "web has been healthy only since 12:21:00"),
        (view(is_current=False), 20, HAND_OVER, "web cannot be observed reliably"),
        (view(), 12, RECOVERED, "web is healthy"),
    ],
)
def test_a_rollback_is_waited_for_as_long_as_what_it_waits_for_may_take(
    seen: ServiceView, minutes: float, decision: WatchdogDecision, reason: str
) -> None:
    """Its last change was made after ten minutes; it has helped when the service has been well by it for long enough."""
    now = moment(minutes=minutes)
    before = said(after_rollback(seen, progress(), TIMEOUT, now=now - timedelta(seconds=1)))
    assert before[0] is WAIT
    assert before[1] == reason or decision is RECOVERED
    assert said(after_rollback(seen, progress(), TIMEOUT, now=now)) == (decision, reason)


HELM = "helm rollback shop -n production  # to the previous release"
UNDO = "kubectl rollout undo deployment/web --to-revision=4 -n production  # a revision that was seen healthy"


PAUSED = replace(FAILING, workload=Deployment(spec=DeploymentSpec(paused=True)))
NO_GOOD = "no revision was seen good yet: healthy since 01:43:00, 10m are required"
RELEASE = replace(INNOCENT, release="shop")
COMMANDS = {
    "nobody's": (FAILING, INNOCENT, {}, UNDO),
    "paused, which kubectl refuses to undo": (
        PAUSED,
        INNOCENT,
        {},
        f"kubectl rollout resume deployment/web -n production && {UNDO}",
    ),
    "no good revision": (FAILING, INNOCENT, {"last_good": 0}, ""),
    "none yet": (FAILING, INNOCENT, {"last_good": 0, "none_good": NO_GOOD}, f"# {NO_GOOD}"),
    "a release of Helm": (FAILING, RELEASE, {}, HELM),
    "a release without a good revision": (FAILING, RELEASE, {"last_good": 0}, HELM),
    "seen good": (FAILING, replace(INNOCENT, known_good=True), {}, ""),
    "a release that was seen good": (FAILING, replace(RELEASE, known_good=True), {}, ""),
    "GitOps": (FAILING, replace(INNOCENT, managers=(ARGO,)), {}, ""),
    "an operator's release": (FAILING, replace(RELEASE, managers=(OPERATOR,)), {}, ""),
}


@pytest.mark.parametrize(("seen", "evidence", "about", "command"), COMMANDS.values(), ids=COMMANDS)
def test_a_workload_goes_back_by_its_owner_s_command_where_that_helps(
    seen: ServiceView, evidence: RollbackEvidence, about: dict[str, Any], command: str
) -> None:
    assert rollback_command(seen, evidence, **{"last_good": 4, **about}) == command


def test_a_revision_that_was_adopted_is_named_so() -> None:
    assert "# an adopted revision" in rollback_command(FAILING, INNOCENT, last_good=4, adopted=True)
