"""
May this run start now? Each guard answers with a verdict and its reason, or has nothing to say.

Pure: facts, history and `now` are arguments. The ledger calls `check` inside the claiming transaction, so that locks,
budgets and cooldowns hold across replicas and restarts (P7). `GUARDS` is the whole order of asking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from kintsugi.model.documents import Mode, Rule, Service
from kintsugi.model.history import History, PastRun
from kintsugi.model.records import IncidentState, Pause, PauseScope, Reason, Verdict, VerdictKind
from kintsugi.priorities import Hold
from kintsugi.recurrence import recurring

USELESS = frozenset(
    {IncidentState.INEFFECTIVE, IncidentState.FAILED, IncidentState.ROLLED_BACK, IncidentState.NEEDS_OPERATOR}
)
"""Ends after which doing the same again at once is unlikely to help: they double the cooldown and count as failures."""

SAYS_NOTHING = frozenset({IncidentState.CANCELLED, IncidentState.NO_ACTION})
"""Ends of which nothing follows about the remedy, since it changed nothing: they neither lengthen a streak nor end one."""

MOST_DOUBLINGS = 16
"""More never matter below the cap, and a timedelta overflows at fifty of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """
    The figures of the guards; durations among them are scaled by the setting `durations`.

    `ledger_host` is where our own ledger's database is, "" where it is a file. `nameservers` are the
    addresses that we ask for names. `look_again` is how soon a refusal without an end of its own (a lock, a stale cache) is judged again.
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
    services_at_once: int = 3
    breaker_share: float = 0.5
    look_again: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observer:
    """
    How well we see: `blind` names what is unsynced or stale, `sick` counts unhealthy services of `seen`.

    Services that fail under one unhealthy upstream count once in `sick`. `nodes_stale` counts nodes whose lease is old.
    """

    blind: str = ""
    sick: int = 0
    seen: int = 0
    nodes_stale: int = 0
    nodes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """
    Everything about one claim that is not history.

    `addresses` are the service's own: IPs, and names as NAME.NAMESPACE. `essential` says what the cluster or we ourselves
    cannot do without, where the service is that.
    """

    rule: Rule
    service: Service
    mode: Mode
    locks: tuple[str, ...]
    observer: Observer
    hold: Hold | None = None
    managers: tuple[str, ...] = ()
    paused_by_annotation: str = ""
    approved: bool = False
    addresses: frozenset[str] = frozenset()
    essential: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One claim to be decided."""

    facts: Circumstances
    history: History
    limits: Limits
    now: datetime

    @property
    def again(self) -> datetime:
        """Give the moment at which an open-ended refusal is judged again."""
        return self.now + self.limits.look_again

    def answer(self, kind: VerdictKind, reason: Reason, text: str, until: datetime | None = None) -> Verdict:
        """Make a verdict about this claim."""
        return Verdict(kind=kind, reason=reason, text=text, until=until, rule=self.facts.rule.name)

    def refuse(self, reason: Reason, text: str, until: datetime | None = None) -> Verdict:
        """Make a refusal; with `until` it is provisional."""
        return self.answer(VerdictKind.REFUSED, reason, text, until)


Guard = Callable[[Question], Verdict | None]


def check(facts: Circumstances, history: History, limits: Limits, *, now: datetime) -> Verdict:
    """Ask every guard in order; the first that has something to say decides, else the run starts."""
    question = Question(facts=facts, history=history, limits=limits, now=now)
    for guard in GUARDS:
        verdict = guard(question)
        if verdict is not None:
            return verdict
    return question.answer(VerdictKind.STARTED, Reason.MATCHED, f"rule {facts.rule.name} starts {facts.rule.runbook}")


def protected(question: Question) -> Verdict | None:
    """Never touch the namespaces that the cluster and we ourselves live on."""
    namespace = question.facts.service.namespace
    if namespace in question.limits.protected:
        return question.refuse(Reason.PROTECTED, f"namespace {namespace} is protected: nothing is ever changed there")
    return None


def own_ledger(question: Question) -> Verdict | None:
    """Never touch the database that we ourselves write to: what is done must be written down first (P8)."""
    text = holds_ledger(question.facts.service, question.facts.addresses, question.limits)
    return question.refuse(Reason.PROTECTED, text) if text else None


def essential(question: Question) -> Verdict | None:
    """Never touch what gives names to everything, wherever it runs: a mistake there is seen as everybody's (E23)."""
    what = question.facts.essential
    text = f"{question.facts.service.name} is {what}: nothing is ever changed there"
    return question.refuse(Reason.PROTECTED, text) if what else None


def holds_ledger(service: Service, addresses: frozenset[str], limits: Limits) -> str:
    """Say that a service at these addresses is where our own ledger is, or nothing."""
    host = limits.ledger_host.lower().rstrip(".")
    labels = host.split(".")
    names = {host, ".".join(labels[:2]), ".".join(labels[1:3])}  # NAME.NAMESPACE.svc… or POD.NAME.NAMESPACE.svc…
    if host and names & addresses:
        return f"{service.name} is where our own ledger is ({host}): nothing is ever changed there"
    return ""


def active(question: Question) -> Verdict | None:
    """One run a service at a time: the signal joins it (P2)."""
    if any(run.service == question.facts.service.name for run in question.history.active):
        text = f"{question.facts.service.name} is being recovered already"
        return question.answer(VerdictKind.ATTACHED, Reason.ACTIVE_RUN, text)
    return None


def observing(question: Question) -> Verdict | None:
    """In mode observe only say what would be done."""
    if question.facts.mode is Mode.OBSERVE:
        text = f"mode is observe: {question.facts.rule.runbook} would have been started"
        return question.answer(VerdictKind.OBSERVED, Reason.MODE, text)
    return None


def stale(question: Question) -> Verdict | None:
    """Do nothing on what may be old news (P6)."""
    if question.facts.observer.blind:
        return question.refuse(Reason.STALE, question.facts.observer.blind, question.again)
    return None


def paused(question: Question) -> Verdict | None:
    """Respect a person's stop: global, of the namespace (also by its annotation) or of the rule."""
    if question.facts.paused_by_annotation:
        return question.refuse(Reason.PAUSED, question.facts.paused_by_annotation, question.again)
    for pause in question.history.pauses:
        service = question.facts.service
        if covers(pause, namespace=service.namespace, rule=question.facts.rule.name, service=service.name):
            text = f"paused ({pause.scope}{' ' + pause.name if pause.name else ''}) by {pause.who}: {pause.why}"
            return question.refuse(Reason.PAUSED, text, min(pause.until or question.again, question.again))
    return None


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


def locked(question: Question) -> Verdict | None:
    """Wait while another run holds the service or an owner of its objects."""
    for lock in question.facts.locks:
        run = question.history.locks.get(lock)
        if run is not None:
            return question.refuse(Reason.LOCKED, f"{lock} is held by run {run}", question.again)
    return None


def breaker(question: Question) -> Verdict | None:
    """When most of what we see looks broken, suspect the observer and stop (reliability: the observer is the likelier fault)."""
    text = breaker_reason(question.facts.observer, question.limits)
    return question.refuse(Reason.BREAKER, text, question.again) if text else None


def breaker_reason(observer: Observer, limits: Limits) -> str:
    """Return why the observer must be suspected, or nothing."""
    share = limits.breaker_share
    if observer.nodes > 1 and observer.nodes_stale > observer.nodes * share:
        return f"{observer.nodes_stale} of {observer.nodes} nodes do not report: the cluster's state is in doubt"
    if observer.seen > 3 and observer.sick > observer.seen * share:
        return f"{observer.sick} of {observer.seen} unrelated services look unhealthy: the observer is suspected first"
    return ""


def cooldown(question: Question) -> Verdict | None:
    """
    Leave time to take effect: the rule's cooldown, doubled for each useless run before, up to the limit.

    A run that says nothing rests as any other does, but from the useless ones before it the doubled time is counted.
    """
    rule = question.facts.rule
    past = runs_of(question, rule=rule.name)
    if not past or past[0].finished is None:
        return None
    until, last = past[0].finished + rule.cooldown, past[0]
    streak = useless_streak(past)
    if streak and streak[0].finished is not None:
        doubled = rule.cooldown * 2 ** min(len(streak), MOST_DOUBLINGS)
        until, last = max(
            (until, last),
            (streak[0].finished + min(doubled, max(question.limits.cooldown_max, rule.cooldown)), streak[0]),
            key=lambda rest: rest[0],
        )
    if question.now >= until:
        return None
    return question.refuse(
        Reason.COOLDOWN, f"cooling down until {until:%H:%M:%S} after a run that ended {last.state}", until
    )


def handed_over(question: Question) -> Verdict | None:
    """Leave a service to the person who was asked to take it over, for as long as after several failures."""
    past = telling(runs_of(question))
    if not past or past[0].state is not IncidentState.NEEDS_OPERATOR or past[0].finished is None:
        return None
    until = past[0].finished + question.limits.failures_pause
    if question.now >= until:
        return None
    service = question.facts.service.name
    text = (
        f"{service} was handed over to a person at {past[0].finished:%H:%M:%S}: it is left alone until {until:%H:%M:%S}"
    )
    return question.refuse(Reason.HUMAN, text, until)


def failures(question: Question) -> Verdict | None:
    """After several useless runs on end stop for a while: the remedy is not the right one."""
    streak = useless_streak(runs_of(question))
    if len(streak) < question.limits.failures or streak[0].finished is None:
        return None
    until = streak[0].finished + question.limits.failures_pause
    if question.now >= until:
        return None
    return question.refuse(
        Reason.FAILURES, f"{len(streak)} runs on end did not help; none before {until:%H:%M:%S}", until
    )


def ineffective(question: Question) -> Verdict | None:
    """
    Start nothing whose trouble has returned after each of several recoveries: it only puts the trouble off.

    A person is told, once; one who has approved the plan for all that has it.
    """
    limits, facts = question.limits, question.facts
    found = recurring(
        question.history.recoveries,
        most=limits.recoveries,
        window=limits.recoveries_window,
        longest=limits.recoveries_pause_max,
    )
    if found is None or question.now >= found.until or facts.approved:
        return None
    runbook = facts.rule.runbook or facts.service.runbook
    text = (
        f"{facts.service.name} has been recovered {found.times} times by {runbook} since"
        f" {found.since:%Y-%m-%d %H:%M:%S}, and the trouble has returned each time: the runbook is not started"
        f" before {found.until:%Y-%m-%d %H:%M:%S}"
    )
    return question.refuse(Reason.INEFFECTIVE, text, found.until)


def budget(question: Question) -> Verdict | None:
    """Keep the blast radius bounded: changes an hour in a namespace, services at once."""
    limits, now = question.limits, question.now
    if len(question.history.active) >= limits.services_at_once:
        text = f"{len(question.history.active)} services are being recovered, {limits.services_at_once} at once is the limit"
        return question.refuse(Reason.BUDGET, text, question.again)
    spent = sorted(moment for moment in question.history.disruptions if moment > now - limits.budget_window)
    if len(spent) >= limits.budget:
        until = spent[-limits.budget] + limits.budget_window
        text = f"{len(spent)} changes in {question.facts.service.namespace} within the window, the budget is {limits.budget}"
        return question.refuse(Reason.BUDGET, text, until)
    return None


def owned(question: Question) -> Verdict | None:
    """Leave an operator's workload to its operator."""
    operators = [manager for manager in question.facts.managers if manager.startswith("operator ")]
    if operators:
        return question.refuse(Reason.OWNED, f"{question.facts.service.workload} is managed by {operators[0]}")
    return None


def upstream(question: Question) -> Verdict | None:
    """Cause first: wait while an upstream explains the trouble."""
    held = question.facts.hold
    if held is None or question.now >= held.until:
        return None
    text = f"held, cause first: {held.why}"
    return question.answer(VerdictKind.HELD, Reason.UPSTREAM, text, min(held.until, question.again))


def approving(question: Question) -> Verdict | None:
    """Ask a person where the mode says so and nobody has answered yet."""
    if question.facts.mode is Mode.APPROVE and not question.facts.approved:
        text = f"{question.facts.rule.runbook} waits for a person's approval"
        return question.answer(VerdictKind.AWAITING_APPROVAL, Reason.APPROVAL, text)
    return None


def runs_of(question: Question, *, rule: str = "") -> list[PastRun]:
    """List this service's finished runs (of one rule), newest first."""
    service = question.facts.service.name
    past = [run for run in question.history.recent if run.service == service and (not rule or run.rule == rule)]
    return sorted(past, key=lambda run: run.finished or run.started, reverse=True)


def useless_streak(past: list[PastRun]) -> list[PastRun]:
    """Take the newest runs that did not help, up to the first that did."""
    return list(takewhile(lambda run: run.state in USELESS, telling(past)))


def telling(past: list[PastRun]) -> list[PastRun]:
    """Leave out the runs of which nothing follows about the remedy."""
    return [run for run in past if run.state not in SAYS_NOTHING]


GUARDS: tuple[Guard, ...] = (
    protected,
    own_ledger,
    essential,
    active,
    observing,
    paused,
    stale,
    locked,
    owned,
    breaker,
    handed_over,
    failures,
    ineffective,
    cooldown,
    budget,
    upstream,
    approving,
)
"""The order of asking: what can never be, what is already, what a person said, what we cannot see, then the limits."""
