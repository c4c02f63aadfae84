"""
Decides whether a run may start now. Each guard returns a verdict with its reason, or None for no objection.

Pure: context, history and `now` are arguments. The ledger calls `check` inside the request's transaction, so that locks,
budgets and cooldowns hold across replicas and restarts (P7). `GUARDS` is the whole order of asking. A start by hand asks the
same guards, except those overruled by name (`may_start`); before that, a person is shown all objections.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from kintsugi.decisions.breaker import ObserverHealth, breaker_reason
from kintsugi.decisions.next_command import resume_hint
from kintsugi.decisions.priorities import Hold, HoldRecord, HoldTimings, Slots, ongoing_hold
from kintsugi.decisions.recurrence import conclusive_runs, recurring, unhelpful_streak
from kintsugi.decisions.zero_replicas import AtZero, objection
from kintsugi.model.history import HANDED_OVER_OUTCOMES, History, PastRun
from kintsugi.model.manual import MANUAL, Override
from kintsugi.model.outages import Fault
from kintsugi.model.records import Pause, PauseScope, Reason, RunRecord, Verdict, VerdictKind
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.services import STACK, AllServices, Service
from kubeobjects.owners import Manager, ManagerKind

MOST_DOUBLINGS = 16
"""More never matter below the cap, and a timedelta overflows at fifty of them."""


def covers(pause: Pause, *, namespace: str, rule: str, service: str) -> bool:
    """Return whether a pause concerns this namespace, rule or service."""
    match pause.scope:
        case PauseScope.GLOBAL:
            return True
        case PauseScope.NAMESPACE:
            return pause.name == namespace
        case PauseScope.RULE:
            return pause.name == rule
        case PauseScope.SERVICE:
            return pause.name == service


def covers_run(pause: Pause, run: RunRecord) -> bool:
    """Return whether a pause concerns a run."""
    return covers(pause, namespace=run.namespace, rule=run.rule, service=run.service)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """
    The figures of the guards; durations among them are scaled by the setting `durations`. `max_unavailable` is in percent.

    `ledger_host` is the host of our own ledger's database, "" where it is a file. `nameservers` are the addresses of our name
    servers. `max_concurrent_services_per_namespace` is None where a namespace may have as many as the cluster. `recheck_after`
    is the time until a refusal without an end of its own (a lock, a stale cache) is evaluated again. `good_after` is how long a
    service must have been well for a hand-over to be over.
    """

    protected: frozenset[str] = frozenset({"kube-system", "kube-public", "kube-node-lease"})
    ledger_host: str = ""
    nameservers: frozenset[str] = frozenset()
    cooldown_max: timedelta = timedelta(hours=2)
    failures: int = 3
    failures_pause: timedelta = timedelta(hours=1)
    recoveries: int = 3
    recoveries_window: timedelta = timedelta(hours=4)
    recoveries_pause_max: timedelta = timedelta(hours=24)
    budget: int = 20
    budget_window: timedelta = timedelta(hours=1)
    max_unavailable: int = 50
    max_concurrent_services: int = 3
    max_concurrent_services_per_namespace: int | None = None
    breaker_share: float = 0.5
    recheck_after: timedelta = timedelta(seconds=30)
    good_after: timedelta = timedelta(minutes=10)
    holds: HoldTimings = field(default_factory=HoldTimings)

    def slots(self, taken: tuple[str, ...]) -> Slots:
        """Return the slots while services of these namespaces, one each, are under recovery."""
        in_namespace = self.max_concurrent_services_per_namespace or self.max_concurrent_services
        return Slots(most=self.max_concurrent_services, most_in_namespace=in_namespace, taken=taken)


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardContext:
    """
    The facts about one request, except its history.

    `addresses` are the service's own: IPs, and names as NAME.NAMESPACE. `essential` names the essential that the service is, ""
    for none. `ahead` are services of a higher priority that wait for a slot. `plan` is the digest of the plan. `starts` is the
    workload at 0 replicas that would be started, None for none. `fault` is the service's current fault, None where it is not down;
    `well` is from when to when it was last well. `unhealthy` is why nothing may be rehearsed on the service, None for no rehearsal.
    `unbound` says which parameter has no value, `from_alert` which values the alert gives ("" for none).
    """

    rule: Rule
    service: Service | AllServices
    mode: Mode
    locks: tuple[str, ...]
    observer: ObserverHealth
    holds: tuple[Hold, ...] = ()
    managers: tuple[Manager, ...] = ()
    paused_by_annotation: str = ""
    approved: bool = False
    addresses: frozenset[str] = frozenset()
    essential: str = ""
    ahead: tuple[Service, ...] = ()
    starts: AtZero | None = None
    plan: str = ""
    fault: Fault | None = None
    well: tuple[datetime, datetime] | None = None
    unhealthy: tuple[Reason, str] | None = None
    unbound: str = ""
    from_alert: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandOver:
    """A hand-over to a person at `since`: no run is started on the service for the same cause before `until`."""

    incident: str
    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardInput:
    """One request to be decided."""

    context: GuardContext
    history: History
    limits: Limits
    now: datetime

    @property
    def again(self) -> datetime:
        """Return the moment at which an open-ended refusal is evaluated again."""
        return self.now + self.limits.recheck_after

    def answer(self, kind: VerdictKind, reason: Reason, text: str, until: datetime | None = None) -> Verdict:
        """Return a verdict on this request."""
        return Verdict(kind=kind, reason=reason, text=text, until=until, rule=self.context.rule.name)

    def refuse(self, reason: Reason, text: str, until: datetime | None = None) -> Verdict:
        """Return a refusal; with `until` it is provisional."""
        return self.answer(VerdictKind.REFUSED, reason, text, until)


Guard = Callable[[GuardInput], Verdict | None]


def check(
    context: GuardContext, history: History, limits: Limits, guards: Iterable[Guard] | None = None, *, now: datetime
) -> Verdict:
    """Ask every guard in order, or those of `guards`; the first verdict decides, without one the run starts."""
    inputs = GuardInput(context=context, history=history, limits=limits, now=now)
    verdicts = (guard(inputs) for guard in (GUARDS if guards is None else guards))
    values = f" with {context.from_alert}" if context.from_alert else ""
    text = f"rule {context.rule.name} starts {context.rule.runbook}{values}"
    start = inputs.answer(VerdictKind.STARTED, Reason.MATCHED, text)
    return next((verdict for verdict in verdicts if verdict is not None), start)


def check_child(
    context: GuardContext, history: History, limits: Limits, overruled: Collection[Guard] = (), *, now: datetime
) -> Verdict:
    """Ask the guards about a child run, except those that were asked about its parent, overruled, or that its steps order."""
    return check(context, history, limits, (each for each in CHILD_GUARDS if each not in overruled), now=now)


def protected(inputs: GuardInput) -> Verdict | None:
    """Never touch the namespaces that the cluster and we ourselves live on."""
    namespace = inputs.context.service.namespace
    if namespace in inputs.limits.protected:
        return inputs.refuse(Reason.PROTECTED, f"namespace {namespace} is protected: nothing is ever changed there")
    return None


def own_ledger(inputs: GuardInput) -> Verdict | None:
    """Never touch the database of our own ledger: every change must be recorded first (P8)."""
    text = holds_ledger(inputs.context.service, inputs.context.addresses, inputs.limits)
    return inputs.refuse(Reason.PROTECTED, text) if text else None


def essential(inputs: GuardInput) -> Verdict | None:
    """Never touch the cluster's DNS, wherever it runs: a mistake there affects every service (E23)."""
    what = inputs.context.essential
    text = f"{inputs.context.service.name} is {what}: nothing is ever changed there"
    return inputs.refuse(Reason.PROTECTED, text) if what else None


def holds_ledger(service: Service | AllServices, addresses: frozenset[str], limits: Limits) -> str:
    """Return a sentence when a service at these addresses is our own ledger's database, "" otherwise."""
    host = limits.ledger_host.lower().rstrip(".")
    labels = host.split(".")
    names = {host, ".".join(labels[:2]), ".".join(labels[1:3])}  # NAME.NAMESPACE.svc… or POD.NAME.NAMESPACE.svc…
    if host and names & addresses:
        return f"{service.name} contains Kintsugi's own ledger ({host}): nothing is ever changed there"
    return ""


def active(inputs: GuardInput) -> Verdict | None:
    """Allow one run a service at a time: the signal joins it (P2)."""
    if any(run.service == inputs.context.service.name for run in inputs.history.active):
        text = f"{inputs.context.service.name} is already being recovered"
        return inputs.answer(VerdictKind.ATTACHED, Reason.ACTIVE_RUN, text)
    return None


def observing(inputs: GuardInput) -> Verdict | None:
    """Start nothing in mode observe, and say what would be done."""
    if inputs.context.mode is Mode.OBSERVE:
        rule = inputs.context.rule
        would = f"mode is observe: {rule.runbook} would have been started"
        text = "mode is observe: this rule starts nothing in any mode" if rule.mode is Mode.OBSERVE else would
        return inputs.answer(VerdictKind.OBSERVED, Reason.MODE, text)
    return None


def stale(inputs: GuardInput) -> Verdict | None:
    """Start nothing on a stale view (P6)."""
    if inputs.context.observer.stale_reason:
        return inputs.refuse(Reason.STALE, inputs.context.observer.stale_reason, inputs.again)
    return None


def paused(inputs: GuardInput) -> Verdict | None:
    """Start nothing under a pause: global, of the namespace (also by its annotation), the service or the rule."""
    if inputs.context.paused_by_annotation:
        return inputs.refuse(Reason.PAUSED, inputs.context.paused_by_annotation, inputs.again)
    for pause in inputs.history.pauses:
        service = inputs.context.service
        if covers(pause, namespace=service.namespace, rule=inputs.context.rule.name, service=service.name):
            text = f"paused ({pause.scope}{' ' + pause.name if pause.name else ''}) by {pause.who}: {pause.why}"
            return inputs.refuse(Reason.PAUSED, text, min(pause.until or inputs.again, inputs.again))
    return None


def locked(inputs: GuardInput) -> Verdict | None:
    """Wait while another run has locked the service or an owner of its objects."""
    for lock in inputs.context.locks:
        holder = inputs.history.locks.get(lock)
        if holder is not None:
            return inputs.refuse(Reason.LOCKED, f"{lock} is held by {holder}", inputs.again)
    return None


def unbound(inputs: GuardInput) -> Verdict | None:
    """Start nothing with a parameter that has no value: it is not guessed."""
    return inputs.refuse(Reason.NO_VALUE, inputs.context.unbound) if inputs.context.unbound else None


def unhealthy(inputs: GuardInput) -> Verdict | None:
    """Rehearse nothing on a service that is not known to be healthy."""
    found = inputs.context.unhealthy
    return inputs.refuse(*found, inputs.again) if found is not None else None


def breaker(inputs: GuardInput) -> Verdict | None:
    """Start nothing while there are signs that the observer is at fault."""
    text = breaker_reason(inputs.context.observer, inputs.limits.breaker_share)
    return inputs.refuse(Reason.BREAKER, text, inputs.again) if text else None


def cooldown(inputs: GuardInput) -> Verdict | None:
    """
    Start nothing within the rule's cooldown, which doubles for each unhelpful run before, up to the limit.

    A cooldown is about one problem. It holds back no other fault, and a run that another problem has ended has none.
    An inconclusive run has the plain cooldown; the doubled one counts from the unhelpful runs before it. A manual run counts for
    every rule that starts the runbook, and their runs count for a manual start.
    """
    rule = inputs.context.rule
    past = [run for run in runs_about(inputs) if counts_for_cooldown(run, inputs.context) and run.superseded is None]
    if not past or past[0].finished is None:
        return None
    until, last = past[0].finished + rule.cooldown, past[0]
    streak = unhelpful_streak(past)
    if streak and streak[0].finished is not None:
        doubled = rule.cooldown * 2 ** min(len(streak), MOST_DOUBLINGS)
        until, last = max(
            (until, last),
            (streak[0].finished + min(doubled, max(inputs.limits.cooldown_max, rule.cooldown)), streak[0]),
            key=lambda rest: rest[0],
        )
    if inputs.now >= until:
        return None
    return inputs.refuse(
        Reason.COOLDOWN, f"cooling down until {until:%H:%M:%S} after a run that ended {last.state}", until
    )


def handed_over(inputs: GuardInput) -> Verdict | None:
    """
    Leave a service to the person who was asked to take it over, or who was told that a change was refused for good (a missing
    right, an admission policy): it would be refused to another rule, too.

    That says nothing about another cause. Another template may be that person's own repair.
    """
    context = inputs.context
    found = hand_over(runs_of(inputs), context.fault, context.well, inputs.limits, now=inputs.now)
    if found is None:
        return None
    handed = f"{context.service.name} was handed over to a person at {found.since:%H:%M:%S}"
    rests = f"Kintsugi starts no run before {found.until:%H:%M:%S} ({resume_hint(found.incident)})"
    return inputs.refuse(Reason.HUMAN, f"{handed}; {rests}", found.until)


def hand_over(
    past: list[PastRun], fault: Fault | None, well: tuple[datetime, datetime] | None, limits: Limits, *, now: datetime
) -> HandOver | None:
    """
    Return the hand-over of a fault after which a service rests, as long as after several failures; None where it does not.

    The rest is over, too, once the service has been well for `goodAfter` since. `past` are its runs, as `newest_first` returns
    them, and `well` is from when to when it was last well.
    """
    about = [run for run in conclusive_runs(past) if fault is None or run.faults.has_cause(fault)]
    if not about or about[0].state not in HANDED_OVER_OUTCOMES or about[0].finished is None:
        return None
    since = about[0].finished
    until = since + limits.failures_pause
    lasted = well is not None and well[1] - max(well[0], since) >= limits.good_after
    return None if now >= until or lasted else HandOver(incident=about[0].incident, since=since, until=until)


def failures(inputs: GuardInput) -> Verdict | None:
    """Start nothing for a while after several consecutive runs that did not help against the same fault."""
    streak = unhelpful_streak(runs_about(inputs))
    if len(streak) < inputs.limits.failures or streak[0].finished is None:
        return None
    until = streak[0].finished + inputs.limits.failures_pause
    if inputs.now >= until:
        return None
    return inputs.refuse(
        Reason.FAILURES, f"{len(streak)} consecutive runs did not help; no run starts before {until:%H:%M:%S}", until
    )


def rejected(inputs: GuardInput) -> Verdict | None:
    """Rest for the rule's cooldown after a person's no: to this very plan, or to an incident of the service."""
    context = inputs.context
    for each in inputs.history.rejections:
        until = each.rejected + context.rule.cooldown
        if each.covers(context.rule.name, context.plan) and inputs.now < until and not context.approved:
            text = f"{each.text}; the rule rests until {until:%H:%M:%S}"
            return inputs.refuse(Reason.REJECTED, text, min(until, inputs.again))
    return None


def ineffective(inputs: GuardInput) -> Verdict | None:
    """
    Start nothing whose problem has returned after each of several recoveries: with the same cause, under the same template.

    A person is notified once, and may still approve the plan.
    """
    limits, context = inputs.limits, inputs.context
    found = recurring(
        inputs.history.recoveries,
        most=limits.recoveries,
        window=limits.recoveries_window,
        longest=limits.recoveries_pause_max,
    )
    if found is None or inputs.now >= found.until or context.approved:
        return None
    runbook = context.rule.runbook or context.service.runbook
    text = (
        f"{context.service.name} has recovered {found.times} times in runs of {runbook} since"
        f" {found.since:%Y-%m-%d %H:%M:%S}, but the problem has returned each time. The runbook does not start"
        f" before {found.until:%Y-%m-%d %H:%M:%S}"
    )
    return inputs.refuse(Reason.INEFFECTIVE, text, found.until)


def budget(inputs: GuardInput) -> Verdict | None:
    """Limit the changes in a namespace, and the services under recovery at once; a run about all services does not count."""
    limits, now = inputs.limits, inputs.now
    active = tuple(run.namespace for run in inputs.history.active if run.service != STACK and run.has_slot)
    full = limits.slots(active).refusal(inputs.context.service.namespace, inputs.context.ahead)
    if full:
        return inputs.refuse(Reason.BUDGET, full, inputs.again)
    spent = sorted(moment for moment in inputs.history.disruptions if moment > now - limits.budget_window)
    if len(spent) >= limits.budget:
        until = spent[-limits.budget] + limits.budget_window
        text = f"{len(spent)} changes in {inputs.context.service.namespace} within the budget window; the budget is {limits.budget}"
        return inputs.refuse(Reason.BUDGET, text, until)
    return None


def owned(inputs: GuardInput) -> Verdict | None:
    """Start nothing for a workload that an operator manages."""
    operators = [manager for manager in inputs.context.managers if manager.kind is ManagerKind.OPERATOR]
    if operators:
        return inputs.refuse(Reason.OWNED, f"{inputs.context.service.workload} is managed by {operators[0]}")
    return None


def held_at_zero(inputs: GuardInput) -> Verdict | None:
    """Start no workload that a run holds at 0, that may rest there, or whose replicas are unknown."""
    starts = inputs.context.starts
    text = objection(starts, inputs.history.scaled_to_zero) if starts is not None else ""
    return inputs.refuse(Reason.AT_ZERO, text, inputs.again) if text else None


def upstream(inputs: GuardInput) -> Verdict | None:
    """Wait for the service's upstreams, as long as `priorities` says: the cause comes first."""
    known = HoldRecord(since=inputs.history.held_since, ended=inputs.history.upstreams)
    wait = ongoing_hold(inputs.context.holds, known, inputs.limits.holds, now=inputs.now)
    if wait is None:
        return None
    until = min(wait.until or inputs.again, inputs.again)
    return inputs.answer(VerdictKind.HELD, Reason.UPSTREAM, f"held, cause first: {wait.why}", until)


def approving(inputs: GuardInput) -> Verdict | None:
    """Ask a person where the mode is approve and no one has approved yet."""
    if inputs.context.mode is Mode.APPROVE and not inputs.context.approved:
        text = f"{inputs.context.rule.runbook} waits for a person's approval"
        return inputs.answer(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL, text)
    return None


def counts_for_cooldown(run: PastRun, context: GuardContext) -> bool:
    """Return whether a run counts for a rule's cooldown: its own, or one of its runbook where either was started by hand."""
    runbook = context.rule.runbook or context.service.runbook
    if MANUAL in (run.rule, context.rule.name):
        return run.runbook == runbook
    return run.rule == context.rule.name


def runs_of(inputs: GuardInput) -> list[PastRun]:
    """Return this service's finished runs, newest first, since a person last resumed it after a hand-over."""
    return newest_first(run for run in inputs.history.recent if run.service == inputs.context.service.name)


def newest_first(past: Iterable[PastRun]) -> list[PastRun]:
    """Return the runs of a service since a person last resumed it after a hand-over, newest first."""
    ordered = sorted(past, key=lambda run: run.finished or run.started, reverse=True)
    return list(takewhile(lambda run: run.resumed is None, ordered))


def runs_about(inputs: GuardInput) -> list[PastRun]:
    """Return those of `runs_of` that were about the service's current fault, or may have been: no other says anything of it."""
    return [run for run in runs_of(inputs) if run.faults.has(inputs.context.fault)]


GUARDS: tuple[Guard, ...] = (
    protected,
    own_ledger,
    essential,
    active,
    unbound,
    observing,
    paused,
    stale,
    locked,
    unhealthy,
    owned,
    held_at_zero,
    breaker,
    handed_over,
    failures,
    rejected,
    ineffective,
    cooldown,
    upstream,
    budget,
    approving,
)
"""The order of the guards: what is never allowed, what is under way, decisions of people, doubts, then the limits."""

CHILD_GUARDS = tuple(each for each in GUARDS if each not in (rejected, cooldown, ineffective, upstream, approving))
"""The guards that are not asked about a child: they were asked about its parent, which also decides the order."""

OVERRULED: Mapping[Guard, Override] = {
    cooldown: Override.COOLDOWN,
    failures: Override.FAILURES,
    handed_over: Override.HANDED_OVER,
}
"""The guards that judge the remedy: a person may know better. The others protect from risks that a person may overlook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartObjection:
    """The objection of a guard; `override` is the name by which it may be overruled, None where it may not."""

    verdict: Verdict
    override: Override | None = None


def objections(context: GuardContext, history: History, limits: Limits, *, now: datetime) -> tuple[StartObjection, ...]:
    """Return all objections to a start by hand, in the order of the guards."""
    inputs = GuardInput(context=context, history=history, limits=limits, now=now)
    answers = ((guard, (_occupied if guard is active else guard)(inputs)) for guard in GUARDS)
    found = [(guard, verdict) for guard, verdict in answers if verdict is not None]
    return tuple(StartObjection(verdict=verdict, override=OVERRULED.get(guard)) for guard, verdict in found)


def may_start(
    context: GuardContext, history: History, limits: Limits, overrides: Collection[Override], *, now: datetime
) -> Verdict:
    """Answer with STARTED, or with the first objection that is not overruled: nothing that a person starts waits."""
    for each in objections(context, history, limits, now=now):
        if each.override is None or each.override not in overrides:
            return each.verdict
    text = f"{context.rule.runbook} starts"
    return Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text=text, rule=context.rule.name)


def _occupied(inputs: GuardInput) -> Verdict | None:
    """Count an open incident of the service as its run, also where it only waits."""
    incident, service = inputs.history.incident, inputs.context.service.name
    if not incident:
        return active(inputs)
    text = f"{service} has the open incident {incident}: kintsugi incident {incident} shows it"
    return inputs.answer(VerdictKind.ATTACHED, Reason.ACTIVE_RUN, text)
