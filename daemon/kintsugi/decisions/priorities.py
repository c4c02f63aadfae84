"""
Cause first: decides whether a service's problem comes from an upstream, how long it waits for that, and which comes first.

`Slots` limit how many services may be recovered at one time, in the cluster and in each namespace. A service that comes first
takes a slot only where there is one: one whose namespace is full does not block others.

Pure. The pipeline asks before a request, the ledger inside it; held incidents are asked about again.
"""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from graphlib import TopologicalSorter

from kintsugi.durations import format_duration
from kintsugi.model.history import UNHELPFUL_OUTCOMES, UNRESOLVED_OUTCOMES, PastRun
from kintsugi.model.records import IncidentState, RunRecord
from kintsugi.model.services import OnUpstreamFailure, Service
from kintsugi.model.views import ServiceView
from kubeobjects import reasons

NOWHERE = (10**6, "")
"""The rank of a signal without a service: behind all others."""


class HoldCause(Enum):
    """
    The reason why a service waits. A `ALERTS_CLEARING` one waits for its own trigger to clear, only if it was held before.

    An upstream `AT_ZERO` was scaled to 0 from more replicas. One that is `UNHEALTHY` serves but is unhealthy: dependents wait for
    it only just after a person was called for it.
    """

    STACK = "stack"
    RECOVERING = "recovering"
    DOWN = "down"
    AT_ZERO = "at-zero"
    UNHEALTHY = "unhealthy"
    SETTLING = "settling"
    ALERTS_CLEARING = "alerts-clearing"


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldTimings:
    """
    The figures of holds. After `limit` a person is notified, and a problem that the upstream does not explain is evaluated
    by itself.

    An upstream must have served unbroken for `steady` before it holds no dependent. A dependent's problem may show up
    to `head_start` before its upstream's, whose probes are slower. An alert may fire for `alert_lag` after its service
    is well and what its upstream had to be done is done.
    """

    limit: timedelta = timedelta(minutes=15)
    steady: timedelta = timedelta(seconds=30)
    head_start: timedelta = timedelta(minutes=1)
    alert_lag: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRuns:
    """
    The runs under way, by service. `covered_by` is the run that recovers all services, "" for none.

    `covered_until` is when the last of its child runs for a service ended, of services without an open one.
    """

    runs: Mapping[str, RunRecord] = field(default_factory=dict)
    covered_by: str = ""
    covered_until: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldInput:
    """
    The facts that decide holds: the views of all services, the recoveries under way, and the time limits.

    `unmet` are the services of which a check is not met.
    """

    views: Mapping[str, ServiceView]
    unmet: Collection[str] = frozenset()
    under_way: OpenRuns = OpenRuns()
    timings: HoldTimings = HoldTimings()


@dataclass(frozen=True, kw_only=True, slots=True)
class UnhealthyService:
    """A service's problem: since when, and what its own pods say for themselves ("": nothing)."""

    service: Service
    began: datetime
    own: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """
    A dependent waits for `upstream`, as far as is seen; `ongoing_hold` decides whether it still does, with what the ledger knows.

    `explained`: the upstream's problem accounts for this one. `recovering`: a run of the upstream is under way.
    `stopped_serving_at` is when the upstream stopped serving, None where that was not seen. After `until` the cause is over by
    itself.
    """

    upstream: str
    why: str
    cause: HoldCause
    explained: bool = False
    recovering: bool = False
    proceeds: bool = False
    stopped_serving_at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldRecord:
    """
    The ledger's record of a hold: the time since which the service is held (None: not yet), and the last run of each
    upstream.
    """

    since: datetime | None = None
    ended: Mapping[str, PastRun] = field(default_factory=dict)


def own_reason(view: ServiceView, good: Collection[str]) -> str:
    """
    Return what a service's own pods say that no upstream explains, "" for nothing.

    An image, a configuration, no node, or a template that has changed since it was good: `good` are the ones known to be.
    """
    said = next((f"{pod.metadata.name}: {why}" for pod in view.pods if (why := reasons.own(pod))), "")
    changed = bool(good) and bool(view.template) and view.template not in good
    return said or ("its template has changed since the last good one" if changed else "")


def rank(service: Service | None) -> tuple[int, str]:
    """Return the rank of a service: by priority, then by name."""
    return NOWHERE if service is None else (service.priority, service.name)


def upstreams_of(name: str, services: Mapping[str, Service]) -> tuple[str, ...]:
    """Return the upstreams of a service, direct or not, the deepest cause first."""
    graph: dict[str, tuple[str, ...]] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in graph:
            graph[current] = services[current].depends_on
            waiting.extend(graph[current])
    order = TopologicalSorter(graph).static_order()
    return tuple(each for each in order if each != name)


def unhealthy_dependents(name: str, unhealthy: Collection[str], services: Mapping[str, Service]) -> tuple[str, ...]:
    """Return the ill services that depend on a service, directly or not, by priority."""
    found = [services[each] for each in unhealthy if each in services and name in upstreams_of(each, services)]
    return tuple(each.name for each in sorted(found, key=rank))


def holds(
    unhealthy: UnhealthyService, services: Mapping[str, Service], inputs: HoldInput, *, now: datetime
) -> tuple[Hold, ...]:
    """
    Return the holds of an unhealthy service by the current views, the deepest cause first.

    An upstream counts while it is not *serving*, also where it was scaled to none, has not served unbroken for long
    enough, or has a run under way that began when it did not serve, up to that run's verification. One that serves
    throughout blocks no dependent, except just after a person was called for it. A run that recovers all services comes
    before every upstream.
    """
    known = upstreams_of(unhealthy.service.name, services)
    found = tuple(hold for each in known if (hold := _hold(unhealthy, each, inputs, now)) is not None)
    return (*_stack(unhealthy.service.name, inputs), *found, *_healthy_upstreams(unhealthy, known, inputs))


def ongoing_hold(held_by: Iterable[Hold], held: HoldRecord, timings: HoldTimings, *, now: datetime) -> Hold | None:
    """
    Return the first hold that goes on, the deepest cause first; None when the service may be judged by itself.

    It is over at `until` at the latest, None where something else must end it.
    """
    return next((wait for each in held_by if (wait := _wait(each, held, timings, now)) is not None), None)


def _wait(hold: Hold, held: HoldRecord, timings: HoldTimings, now: datetime) -> Hold | None:
    """Decide one hold: by its limit, by the upstream's run, and after a failed run by the author's choice."""
    limit = (held.since or now) + timings.limit
    if hold.cause is HoldCause.STACK:
        return replace(hold, until=None)
    if hold.cause is HoldCause.ALERTS_CLEARING:
        return _wait_for_alerts(hold, held, timings, now)
    if hold.cause is HoldCause.UNHEALTHY:
        return _wait_for_person(hold, held, timings, now)
    failed = None if hold.recovering else _failed_run(hold, held.ended.get(hold.upstream))
    if failed is not None and hold.proceeds:
        return None
    if failed is not None:
        why = f"{hold.why}, and its recovery ended {failed.state}; the service waits because of onUpstreamFailure"
        return replace(hold, why=why, until=None)
    if now >= limit and not (hold.explained and (hold.recovering or _stays_away(hold))):
        return None
    ends = [each for each in (limit, hold.until) if each is not None and each > now]
    return replace(hold, until=min(ends, default=None))


def _wait_for_alerts(hold: Hold, held: HoldRecord, timings: HoldTimings, now: datetime) -> Hold | None:
    """Let a service that got healthy wait for its alerts to clear: during an upstream's run, and then for the alert lag."""
    if held.since is None:
        return None
    if hold.recovering:
        return replace(hold, until=None)
    ended = held.ended.get(hold.upstream)
    lag = ended.finished + timings.alert_lag if ended is not None and ended.finished is not None else None
    until = max((each for each in (hold.until, lag) if each is not None), default=now)
    return replace(hold, until=until) if now < until else None


def _stays_away(hold: Hold) -> bool:
    """Return whether only a person can bring the upstream back, so that no run of a dependent would help."""
    return hold.cause is HoldCause.AT_ZERO and not hold.proceeds


def _wait_for_person(hold: Hold, held: HoldRecord, timings: HoldTimings, now: datetime) -> Hold | None:
    """Let an explained problem wait just after a person was called for the upstream: both have one cause."""
    if hold.proceeds or not hold.explained:
        return None
    last = held.ended.get(hold.upstream)
    if last is None or last.finished is None or last.state not in UNRESOLVED_OUTCOMES:
        return None
    until = last.finished + timings.limit
    why = f"{hold.why}, and its recovery ended {last.state}; a person was notified"
    return replace(hold, why=why, until=until) if now < until else None


def _failed_run(hold: Hold, last: PastRun | None) -> PastRun | None:
    """Return the upstream's last run if it did not help and the upstream was not seen to serve since."""
    if last is None or last.finished is None or last.state not in UNHELPFUL_OUTCOMES:
        return None
    return last if hold.stopped_serving_at is None or hold.stopped_serving_at <= last.finished else None


def _stack(name: str, inputs: HoldInput) -> tuple[Hold, ...]:
    """Return the hold by the run that recovers all services, unless its run for this one is over and it has failed again since."""
    run, until, view = (
        inputs.under_way.covered_by,
        inputs.under_way.covered_until.get(name),
        inputs.views.get(name),
    )
    failing = view.failing_since if view is not None else None
    if not run or (until is not None and failing is not None and failing > until):
        return ()
    why = f"the stack is being recovered by run {run}"
    return (Hold(upstream=run, why=why, cause=HoldCause.STACK, explained=True, recovering=True),)


def _hold(unhealthy: UnhealthyService, name: str, inputs: HoldInput, now: datetime) -> Hold | None:
    view, run = inputs.views.get(name), inputs.under_way.runs.get(name)
    if view is None or not view.is_current:
        return None  # what cannot be seen explains nothing: the guard against staleness speaks for itself
    settled = view.serving_since is None or now - view.serving_since >= inputs.timings.steady
    failing = view.failing_since if view.serving else None
    began = min((each for each in (view.lapsed_since, failing, run.started if run else None) if each), default=None)
    until: datetime | None = None
    if run is not None and _holds_up(run, view):
        cause, why = HoldCause.RECOVERING, f"{name} is being recovered by run {run.id}"
    elif view.desired > 0 and not view.serving:
        cause, why = HoldCause.DOWN, f"{name} is not serving ({_readiness(view)})"
    elif _is_away(view):
        cause, why = HoldCause.AT_ZERO, f"{name} is scaled to 0 (replicas before: {view.replicas})"
    elif view.serving and not settled:
        until = view.serving_since + inputs.timings.steady if view.serving_since is not None else None
        cause, why = (
            HoldCause.SETTLING,
            f"{name} serves again, but for less than {format_duration(inputs.timings.steady)}",
        )
    elif name in inputs.unmet and run is None:
        cause, why = HoldCause.UNHEALTHY, f"{name} does not pass its checks"
    elif view.healthy is False and run is None:
        cause, why = HoldCause.UNHEALTHY, f"{name} is not healthy ({view.ready} of {view.desired} ready)"
    else:
        return None
    after = began is None or unhealthy.began >= began - inputs.timings.head_start
    explained = after and not unhealthy.own
    apart = "" if explained else f" (independent: {unhealthy.own or 'the problem began earlier'})"
    return Hold(
        upstream=name,
        why=f"{why}{apart}",
        cause=cause,
        explained=explained,
        recovering=run is not None,
        proceeds=unhealthy.service.on_upstream_failure is OnUpstreamFailure.PROCEED,
        stopped_serving_at=view.lapsed_since,
        until=until,
    )


def _readiness(view: ServiceView) -> str:
    """Return how many pods of a service that does not serve are ready, and whether its Service leads to none of them."""
    ready = f"{view.ready} of {view.desired} ready"
    return f"{ready}, and its Service routes to none of them" if view.ready else ready


def unhealthy_upstream(name: str, views: Mapping[str, ServiceView]) -> str:
    """
    Return the deepest upstream of a service, direct or not, that cannot answer or is not known to be healthy.

    "" for none, and for a run about all services, whose name no service has. `views` has every service of the catalog.
    """
    services = {each: view.service for each, view in views.items()}
    for each in upstreams_of(name, services) if name in services else ():
        view = views[each]
        if _is_away(view) or (view.desired > 0 and not (view.serving and view.healthy)):
            return each
    return ""


def _is_away(view: ServiceView) -> bool:
    """Return whether a service was scaled to 0 from more replicas, and no autoscaler lets it rest there."""
    return view.workload is not None and view.desired < 1 and bool(view.replicas) and not view.rests


def _holds_up(run: RunRecord, view: ServiceView) -> bool:
    """Return whether dependents wait for an upstream's run, even if it serves meanwhile (a restore)."""
    served = view.serving and view.serving_since is not None and view.serving_since <= run.started
    return run.state is not IncidentState.VERIFYING and not served


def _healthy_upstreams(unhealthy: UnhealthyService, known: Iterable[str], inputs: HoldInput) -> tuple[Hold, ...]:
    """Return the holds of a service that got healthy with its upstreams, until its alerts clear; the newest first."""
    view = inputs.views.get(unhealthy.service.name)
    if view is None or not view.is_current or not view.healthy or view.healthy_since is None:
        return ()
    back = [(seen.serving_since, each) for each in known if (seen := inputs.views.get(each)) and seen.serving_since]
    return tuple(
        Hold(
            upstream=each,
            why=f"{each} serves again, and {view.name} is healthy since {view.healthy_since:%H:%M:%S}",
            cause=HoldCause.ALERTS_CLEARING,
            explained=True,
            recovering=each in inputs.under_way.runs,
            until=view.healthy_since + inputs.timings.alert_lag,
        )
        for _, each in sorted(back, reverse=True)
    )


def causes(ill: AbstractSet[str], services: Mapping[str, Service]) -> frozenset[str]:
    """Return which of the ill services have no ill upstream. The catalog has no cycles; a cycle would have no cause."""
    below: dict[str, bool] = {}
    for name in ill:
        _follow(name, ill, services, below)
    return frozenset(name for name in ill if not below[name])


def _follow(name: str, ill: AbstractSet[str], services: Mapping[str, Service], below: dict[str, bool]) -> None:
    """Note whether a service and all that it depends on have an ill upstream; without recursion, a chain may be long."""
    waiting = [name]
    while waiting:
        current = waiting[-1]
        if current in below:
            waiting.pop()
            continue
        upstreams = [each for each in services[current].depends_on if each in services]
        open_still = [each for each in upstreams if each not in below]
        if open_still:
            waiting += open_still
            continue
        below[current] = any(each in ill or below[each] for each in upstreams)
        waiting.pop()


@dataclass(frozen=True, kw_only=True, slots=True)
class Slots:
    """The limits, and the namespaces of the services that are under recovery, one for each service."""

    most: int
    most_in_namespace: int
    taken: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Return how many more services may be under recovery in the cluster."""
        return max(0, self.most - len(self.taken))

    def without(self, namespace: str) -> "Slots":
        """Return the slots after a service of a namespace has freed its own."""
        taken = list(self.taken)
        if namespace in taken:
            taken.remove(namespace)
        return replace(self, taken=tuple(taken))

    def left_in(self, namespace: str) -> int:
        """Return how many more may be in one namespace."""
        return min(self.left, max(0, self.most_in_namespace - self.taken.count(namespace)))

    def refusal(self, namespace: str, ahead: Iterable[Service] = ()) -> str:
        """Return why a service of a namespace gets no slot while those that come before it wait, too; nothing where it does."""
        if not self.left:
            return f"{len(self.taken)} services are being recovered; the limit is {self.most}"
        if not self.left_in(namespace):
            there = self.taken.count(namespace)
            return f"{there} services of {namespace} are being recovered; the limit there is {self.most_in_namespace}"
        slots, before = self, list[str]()
        for each in ahead:
            if slots.left_in(each.namespace):
                slots = replace(slots, taken=(*slots.taken, each.namespace))
                before.append(each.name)
        if slots.left_in(namespace):
            return ""
        most = f"the limit is {self.most} services at once"
        if slots.left:
            most = f"the limit is {self.most_in_namespace} services of {namespace} at once"
        return f"{most}; services with a higher priority come first: {', '.join(before)}"


def admitted(waiting: Iterable[Service], slots: Slots) -> tuple[Service, ...]:
    """Return which of the waiting services, given in order, get a slot now."""
    found: list[Service] = []
    for each in waiting:
        if slots.left_in(each.namespace):
            slots = replace(slots, taken=(*slots.taken, each.namespace))
            found.append(each)
    return tuple(found)


def overtaker(service: Service, waiting: Iterable[Service], slots: Slots) -> str:
    """
    Return which of the waiting services, given in order, should get the slot of a service under recovery, "" for none.

    It has a higher priority, gets no slot otherwise, and would get this one.
    """
    for each in waiting:
        if slots.left_in(each.namespace):
            slots = replace(slots, taken=(*slots.taken, each.namespace))
        elif each.priority < service.priority and slots.without(service.namespace).left_in(each.namespace):
            return each.name
    return ""
