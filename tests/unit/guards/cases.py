"""One case for every guard: a request that only this guard has something to say about, and what it says."""

from dataclasses import replace
from datetime import datetime

from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.guards import GuardContext, Limits, check
from kintsugi.decisions.priorities import Hold, HoldCause
from kintsugi.decisions.zero_replicas import AtZero
from kintsugi.model.change_limits import LockHolder
from kintsugi.model.history import History
from kintsugi.model.records import IncidentState, Reason, Verdict, VerdictKind
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.services import WorkloadRef
from kubeobjects.owners import Manager, ManagerKind
from kubeobjects.resources import DEPLOYMENTS
from tests.unit import factories
from tests.unit.factories import moment, past, pause, rejection

HOLDER = LockHolder(run="run-7", service="api", deadline=moment(minutes=30))
LIMITS = Limits(ledger_host="postgres.kintsugi.svc.cluster.local")


def guard_context(
    *,
    rule: Rule | None = None,
    mode: Mode = Mode.AUTO,
    namespace: str = "production",
    locks: tuple[str, ...] = ("service web", "production/deployment/web"),
    observer: ObserverHealth | None = None,
    holds: tuple[Hold, ...] = (),
    managers: tuple[Manager, ...] = (),
    annotation: str = "",
    approved: bool = False,
) -> GuardContext:
    """Return the circumstances of a request of web that may start."""
    service = factories.catalog(
        factories.service_text(namespace=namespace), factories.rule_text(), factories.runbook_text()
    ).services["web"]
    return GuardContext(
        rule=rule or factories.rule(),
        service=service,
        mode=mode,
        locks=locks,
        observer=observer or ObserverHealth(seen=10),
        holds=holds,
        managers=managers,
        paused_by_annotation=annotation,
        approved=approved,
    )


def judged(
    context: GuardContext | None = None,
    history: History | None = None,
    *,
    limits: Limits = LIMITS,
    now: datetime = factories.NOW,
) -> Verdict:
    """Ask all guards."""
    return check(context or guard_context(), history or History(), limits, now=now)


AGAIN = moment(seconds=30)
"""When a refusal without an end of its own is judged again."""
Answer = tuple[VerdictKind, Reason, datetime | None, str]
CASES: dict[str, tuple[GuardContext, History, Answer]] = {
    "protected": (
        guard_context(namespace="kube-system"),
        History(),
        (VerdictKind.REFUSED, Reason.PROTECTED, None, "namespace kube-system is protected"),
    ),
    "own_ledger": (
        replace(guard_context(), addresses=frozenset({"postgres.kintsugi", "10.0.0.9"})),
        History(),
        (VerdictKind.REFUSED, Reason.PROTECTED, None, "web contains Kintsugi's own ledger"),
    ),
    "essential": (
        replace(guard_context(), essential="the cluster's DNS"),
        History(),
        (VerdictKind.REFUSED, Reason.PROTECTED, None, "web is the cluster's DNS: nothing is ever changed there"),
    ),
    "active": (
        guard_context(),
        History(active=(past(IncidentState.RUNNING, finished=None),)),
        (VerdictKind.ATTACHED, Reason.ACTIVE_RUN, None, "web is already being recovered"),
    ),
    "unbound": (
        replace(guard_context(), unbound="mend has no value for pod"),
        History(),
        (VerdictKind.REFUSED, Reason.NO_VALUE, None, "mend has no value for pod"),
    ),
    "observing": (
        guard_context(mode=Mode.OBSERVE),
        History(),
        (VerdictKind.OBSERVED, Reason.MODE, None, "mode is observe: mend would have been started"),
    ),
    "paused": (
        guard_context(),
        History(pauses=(pause(),)),
        (VerdictKind.REFUSED, Reason.PAUSED, AGAIN, r"paused \(global\) by ada: a release"),
    ),
    "stale": (
        guard_context(observer=ObserverHealth(stale_reason="the watch of pods has been silent for 40 s")),
        History(),
        (VerdictKind.REFUSED, Reason.STALE, AGAIN, "the watch of pods has been silent"),
    ),
    "locked": (
        guard_context(),
        History(locks={"production/deployment/web": HOLDER}),
        (VerdictKind.REFUSED, Reason.LOCKED, AGAIN, f"production/deployment/web is held by {HOLDER}"),
    ),
    "unhealthy": (
        replace(guard_context(), unhealthy=(Reason.LOCKED, "web is not healthy")),
        History(),
        (VerdictKind.REFUSED, Reason.LOCKED, AGAIN, "web is not healthy"),
    ),
    "owned": (
        guard_context(
            managers=(
                Manager(kind=ManagerKind.GITOPS, name="Argo CD shop"),
                Manager(kind=ManagerKind.OPERATOR, name="Postgresql/main"),
            )
        ),
        History(),
        (VerdictKind.REFUSED, Reason.OWNED, None, "deployment/web is managed by operator Postgresql/main"),
    ),
    "held_at_zero": (
        replace(guard_context(), starts=AtZero(workload=WorkloadRef(resource=DEPLOYMENTS, name="web"), uid="uid-web")),
        History(),
        (VerdictKind.REFUSED, Reason.AT_ZERO, AGAIN, "the number of replicas of deployment/web is unknown"),
    ),
    "breaker": (
        guard_context(observer=ObserverHealth(nodes=2, nodes_stale=2)),
        History(),
        (VerdictKind.REFUSED, Reason.BREAKER, AGAIN, "the observer is suspected first: 2 of 2 nodes do not report"),
    ),
    "handed_over": (
        guard_context(),
        History(recent=(past(IncidentState.NEEDS_OPERATOR, rule="another", finished=moment(seconds=-10)),)),
        (
            VerdictKind.REFUSED,
            Reason.HUMAN,
            moment(seconds=3590),
            "web was handed over to a person at .*kintsugi resume inc-1",
        ),
    ),
    "failures": (
        guard_context(),
        History(
            recent=tuple(
                past(IncidentState.INEFFECTIVE, finished=moment(minutes=-n), rule="web-alerts") for n in (10, 20, 30)
            )
        ),
        (
            VerdictKind.REFUSED,
            Reason.FAILURES,
            moment(minutes=50),
            "3 consecutive runs did not help; no run starts before 12:50:00",
        ),
    ),
    "rejected": (
        replace(guard_context(), plan="p-1"),
        History(rejections=(rejection(rejected=moment(minutes=-4)),)),
        (
            VerdictKind.REFUSED,
            Reason.REJECTED,
            AGAIN,
            "the plan was rejected by ada: a deploy; the rule rests until 12:06:00",
        ),
    ),
    "ineffective": (
        guard_context(),
        History(recoveries=(moment(hours=-3), moment(hours=-2), moment(hours=-1))),
        (
            VerdictKind.REFUSED,
            Reason.INEFFECTIVE,
            moment(hours=3),
            "web has recovered 3 times in runs of mend since 2026-.*, but the problem has returned each time",
        ),
    ),
    "cooldown": (
        guard_context(),
        History(recent=(past(IncidentState.INEFFECTIVE, finished=moment(minutes=-4)),)),
        (VerdictKind.REFUSED, Reason.COOLDOWN, moment(minutes=16), "cooling down until 12:16:00 .* ended ineffective"),
    ),
    "upstream": (
        guard_context(holds=(Hold(upstream="database", why="database is not serving", cause=HoldCause.DOWN),)),
        History(),
        (VerdictKind.HELD, Reason.UPSTREAM, AGAIN, "held, cause first: database is not serving"),
    ),
    "budget": (
        guard_context(),
        History(disruptions=tuple(moment(minutes=-n) for n in range(1, 21))),
        (VerdictKind.REFUSED, Reason.BUDGET, moment(minutes=40), "20 changes in production .*; the budget is 20"),
    ),
    "approving": (
        guard_context(mode=Mode.APPROVE),
        History(),
        (VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL, None, "mend waits for a person's approval"),
    ),
}
