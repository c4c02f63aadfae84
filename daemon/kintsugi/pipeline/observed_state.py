"""The observed state for the guards and the runner: views, caches and limits, put together in one place."""

from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from kintsugi.actions.change_context import ChangeContext
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.decisions.drills import DrillGuardInput, objection
from kintsugi.decisions.guards import GuardContext, Limits, holds_ledger
from kintsugi.decisions.outage_notices import well_before
from kintsugi.decisions.planner import Plan, mode_for
from kintsugi.decisions.priorities import (
    Hold,
    HoldCause,
    HoldInput,
    OpenRuns,
    UnhealthyService,
    causes,
    holds,
    overtaker,
    own_reason,
    rank,
)
from kintsugi.decisions.zero_replicas import at_zero
from kintsugi.errors import ProbeFailed
from kintsugi.kube.interning import PAUSED
from kintsugi.kube.object_cache import Key
from kintsugi.kube.reflector import Reflector
from kintsugi.model.catalog import Catalog
from kintsugi.model.essentials import (
    LEDGER,
    EssentialService,
    denied_addresses,
    essential,
    essential_object,
    essentials,
    ledger_hosts,
    with_objects,
)
from kintsugi.model.good_state import GoodRevision, RevisionStanding
from kintsugi.model.hosts import service_of
from kintsugi.model.manual import MANUAL
from kintsugi.model.outages import Fault, Outage
from kintsugi.model.records import RunRecord, StepRecord
from kintsugi.model.rules import Mode, Rule
from kintsugi.model.services import NOTHING_ALLOWED, Service
from kintsugi.model.views import ServiceView
from kintsugi.runner.context import StepScope
from kintsugi.views import Caches, ServiceViews
from kubeobjects import predicates, reasons

MOST_GOOD = 20
"""Good revisions remembered of a workload: twice what Kubernetes keeps of a Deployment (revisionHistoryLimit)."""

_DOWN = frozenset({HoldCause.DOWN, HoldCause.AT_ZERO, HoldCause.RECOVERING})
"""The causes of a hold by which an upstream explains the problem of its dependents."""

_UNHEALTHY = _DOWN | {HoldCause.UNHEALTHY}


def _set_aside(reflectors: Iterable[Reflector[Any]], concerns: Callable[[Key], bool]) -> str:
    """Return which object of these kinds was set aside, and why, where its key is of concern; "" for none."""
    for reflector in reflectors:
        for key, why in reflector.undecodable_objects.items():
            if concerns(key):
                kind, (namespace, name) = reflector.resource.kind, key
                return f"{f'{kind} {name} in {namespace}' if namespace else f'{kind.lower()} {name}'} cannot be read ({why})"
    return ""


@dataclass(kw_only=True)
class ObservedState:
    """
    The facts of this moment. `mode` is the global one; `start_up` is what a pod may take to become ready.

    `waiting` are the services that wait for a slot, the first of them first, and `slot_namespaces` are the namespaces of those that have
    one; `slot_given` is called when a run under way has given one away.
    `under_way` are the runs that are being driven; `names` and `checks` say why our own name server, or the path of our own
    checks, is in doubt; `unresolved` why the cluster's names do not resolve, also where they never did. `outage` returns
    the outage of a service, None where it is not down. `remembered` are the good revisions by workload uid, template and
    number, as the ledger knows them; `adopted_templates` (uid, template) were adopted. `standings` say of each service
    whether its revision is good. `silences` returns the alerts that Alertmanager suppresses, where its address is given.
    """

    services: ServiceViews
    caches: Caches
    limits: Limits
    mode: Mode
    clock: Callable[[], datetime]
    under_way: Callable[[], OpenRuns] = OpenRuns
    waiting: Callable[[], tuple[Service, ...]] = tuple
    slot_namespaces: Callable[[], tuple[str, ...]] = tuple
    slot_given: Callable[[], None] = lambda: None
    start_up: timedelta = predicates.START_UP_ALLOWANCE
    silences: Callable[[], Awaitable[frozenset[str]]] | None = None
    names: Callable[[], str] = str
    unresolved: Callable[[], str] = str
    outage: Callable[[str], Outage | None] = lambda _: None
    checks: Callable[[], str] = str
    unmet: Callable[[], frozenset[str]] = frozenset
    remembered: dict[str, dict[str, int]] = field(default_factory=dict)
    adopted_templates: set[tuple[str, str]] = field(default_factory=set)
    standings: Mapping[str, RevisionStanding] = field(default_factory=dict)

    @property
    def views(self) -> Mapping[str, ServiceView]:
        """Return the current views of the services."""
        return self.services.views

    @property
    def stale_reason(self) -> str:
        """Return why what is seen cannot be trusted now; "" when it can."""
        return self.services.stale_reason

    @property
    def seen(self) -> datetime | None:
        """Return when the cluster was last seen whole, None for never."""
        age = self.caches.silent_for()
        return self.clock() - timedelta(seconds=age) if isfinite(age) else None

    def mode_of(self, rule: str, runbook: str, services: Collection[str]) -> Mode:
        """
        Return how far runs of a rule may go now with a runbook that changes these services.

        What a person starts by hand has no rule, and only the daemon's own mode to keep to; so has what a rule has begun that was
        taken out of the catalog since.
        """
        catalog = self.services.catalog
        found = catalog.rules.get(rule)
        return mode_for(found, runbook, services, catalog).at_most(self.mode) if found is not None else self.mode

    def retired(self, rule: str) -> str:
        """Return a sentence when a rule was taken out of the catalog, or has another name there; "" otherwise."""
        gone = rule != MANUAL and rule not in self.services.catalog.rules
        return f"rule {rule} is no longer in the catalog" if gone else ""

    def good(self, service: str) -> frozenset[str]:
        """Name the pod templates of a service's workload that were seen good."""
        return frozenset(self._remembered(service))

    def adopted(self, service: str) -> Mapping[str, int]:
        """Return the good templates of a service's workload that were adopted, and the numbers of their revisions."""
        uid, known = self._uid(service), self._remembered(service)
        return {each: number for each, number in known.items() if (uid, each) in self.adopted_templates}

    def none_good(self, service: str) -> str:
        """Return why no revision of a service's workload is good yet, "" where one is or that is not known."""
        standing = self.standings.get(service)
        return standing.none_good if standing is not None else ""

    def _uid(self, service: str) -> str:
        view = self.views.get(service)
        return view.workload.metadata.uid if view is not None and view.workload is not None else ""

    def _remembered(self, service: str) -> Mapping[str, int]:
        return self.remembered.get(self._uid(service), {})

    def last_good(self, service: str) -> int:
        """Return the number of the newest good revision that is not the current one; 0 when none is known."""
        current = view.template if (view := self.views.get(service)) is not None else ""
        return max((each for template, each in self._remembered(service).items() if template != current), default=0)

    def remember(self, revisions: tuple[GoodRevision, ...]) -> None:
        """Know these revisions to be good; of each workload the last `MOST_GOOD` by number."""
        for each in revisions:
            known = self.remembered.setdefault(each.workload, {})
            if not each.adopted:
                self.adopted_templates.discard((each.workload, each.template))
            elif each.template not in known:
                self.adopted_templates.add((each.workload, each.template))
            known[each.template] = each.number
            if len(known) > MOST_GOOD:
                del known[min(known, key=known.__getitem__)]

    def forget_good(self, workload: str, template: str) -> None:
        """Know a revision to be good no more."""
        self.remembered.get(workload, {}).pop(template, None)

    def forget_all_but(self, workloads: Collection[str]) -> None:
        """Forget the revisions of workloads that are not there any more."""
        self.remembered = {uid: known for uid, known in self.remembered.items() if uid in workloads}
        self.adopted_templates = {each for each in self.adopted_templates if each[0] in workloads}

    def current_view(self, service: str) -> ServiceView | None:
        """Return the view of a service, None where it cannot be seen now."""
        view = self.views.get(service)
        return view if view is not None and view.is_current else None

    def change_context(self, run: RunRecord, scope: StepScope, step: StepRecord) -> ChangeContext:
        """Return the context of a change."""
        view = self.views.get(scope.service)
        slices, services = self.caches.endpoints.store.values(), self.caches.services.store.values()
        known = with_objects(self._essentials(), self.caches.pods.store.values(), slices)
        guarded = self.limits.protected | {each.namespace for each in known}
        return ChangeContext(
            phase=step.phase,
            incident=run.incident,
            run=run.id,
            path=step.path,
            now=self.clock(),
            service=scope.service,
            namespace=view.service.namespace if view is not None else run.namespace,
            selector=view.service.selector if view is not None else None,
            workload=view.service.workload if view is not None else None,
            good=self.good(scope.service),
            startup=self.start_up,
            protected=self.limits.protected,
            env=view.service.env if view is not None else {},
            ledger_host=self.limits.ledger_host,
            essentials=known,
            denied_addresses=denied_addresses(services, slices, known=known, protected=self.limits.protected),
            unread_addresses=_set_aside((self.caches.services, self.caches.endpoints), lambda key: key[0] in guarded),
            off_limits=self._off_limits(view),
            undoes=scope.undoes,
            stoppable_workloads=scope.section.stoppable_workloads if scope.section is not None else frozenset(),
            max_allowed=view.service.max_allowed if view is not None else NOTHING_ALLOWED,
        )

    def guard_context(self, rule: Rule, plan: Plan, held_by: tuple[Hold, ...], *, approved: bool) -> GuardContext:
        """Return the facts by which the guards judge a request, besides its history."""
        view = self.views.get(plan.service.name)
        return GuardContext(
            rule=rule,
            service=plan.service,
            mode=rule.mode.at_most(self.mode),
            locks=plan.locks,
            observer=self.observer(),
            holds=held_by,
            managers=view.managers if view is not None else (),
            paused_by_annotation=self.annotation_pause(plan.service.namespace),
            approved=approved,
            addresses=self._addresses(view) if view is not None else frozenset(),
            essential=self._essential(view),
            starts=at_zero(view) if plan.runbook.starts else None,
            plan=plan.digest,
            fault=self.fault(plan.service.name),
            well=self.well(plan.service.name),
            unhealthy=objection(plan.service.name, view) if plan.runbook.rehearsal else None,
            unbound=plan.unbound,
            from_alert=plan.from_alert,
        )

    def fault(self, service: str) -> Fault | None:
        """Return the current fault of a service, None where it is not down."""
        outage = self.outage(service)
        return outage.fault if outage is not None else None

    def well(self, service: str) -> tuple[datetime, datetime] | None:
        """Return from when to when a service was last well without interruption; None where that was not seen."""
        return well_before(self.outage(service), self.views.get(service), now=self.clock())

    def starts(self, plan: Plan) -> str:
        """Return the workload (its uid) that a plan would start from 0, "" for none."""
        found = at_zero(self.views.get(plan.service.name)) if plan.runbook.starts else None
        return found.uid if found is not None else ""

    def drill(self, service: Service, *, scheduled: bool) -> DrillGuardInput:
        """Return the facts by which a drill is judged, besides its history."""
        view = self.views.get(service.name)
        return DrillGuardInput(
            service=service,
            view=view,
            mode=self.mode,
            scheduled=scheduled,
            stale_reason=self.stale_reason,
            paused_by_annotation=self.annotation_pause(service.namespace),
            holds_ledger=self._off_limits(view),
        )

    def _off_limits(self, view: ServiceView | None) -> str:
        """Return why no runbook may change a service, "" when one may."""
        if view is None:
            return ""
        if what := self._essential(view):
            return f"{view.name} is {what}: nothing is ever changed there"
        return holds_ledger(view.service, self._addresses(view), self.limits) if self.limits.ledger_host else ""

    def _essentials(self, namespace: str = "") -> tuple[EssentialService, ...]:
        """Find what nothing may be done to among what the cluster runs now, in one namespace or in all."""
        store = self.caches.services.store
        hosts = ledger_hosts(self.limits.ledger_host, lambda place, name: store.get((place, name)))
        there = (each for each in store.values() if namespace in ("", each.metadata.namespace))
        return essentials(there, ledger_hosts=hosts, nameservers=self.limits.nameservers)

    def _essential(self, view: ServiceView | None) -> str:
        """Return what the cluster or we ourselves cannot do without, where a service is that."""
        if view is None:
            return ""
        labels = [pod.metadata.labels for pod in view.pods]
        labels += [view.workload.spec.template.metadata.labels] if view.workload is not None else []
        namespace, workload = view.service.namespace, view.service.workload
        known = with_objects(self._essentials(namespace), view.pods, self.caches.endpoints.store.values())
        if what := essential_object(workload.resource.kind, namespace, workload.name, known):
            return what
        found = (essential(namespace, each, known) for each in labels)
        return next((what for what in found if what), "")

    def _addresses(self, view: ServiceView) -> frozenset[str]:
        """Name where a service is reached: its pods, and the Services in front of them."""
        pods = [pod for pod in view.pods if pod.status.pod_ip]
        found = {pod.status.pod_ip for pod in pods}
        for kube_service in self.caches.services.store.values():
            chosen = kube_service.spec.selector.items()
            same_place = kube_service.metadata.namespace == view.service.namespace
            if same_place and chosen and any(chosen <= pod.metadata.labels.items() for pod in view.pods):
                found |= {
                    f"{kube_service.metadata.name}.{kube_service.metadata.namespace}",
                    kube_service.spec.cluster_ip,
                    *kube_service.spec.cluster_ips,
                }
                found |= {point.ip or point.hostname for point in kube_service.status.load_balancer.ingress}
        return frozenset(found - {"", "None"})

    def holds(self, service: Service, catalog: Catalog, began: datetime) -> tuple[Hold, ...]:
        """List what a service whose problem began then must wait for, as far as it is seen."""
        view, now = self.views.get(service.name), self.clock()
        own = own_reason(view, self.good(service.name)) if view is not None else ""
        failing = view.failing_since if view is not None else None
        unhealthy = UnhealthyService(service=service, began=min(began, failing or began), own=own)
        inputs = HoldInput(views=self.views, unmet=self.unmet(), under_way=self.under_way(), timings=self.limits.holds)
        return holds(unhealthy, catalog.services, inputs, now=now)

    @property
    def covered(self) -> bool:
        """Return whether a run about all services is under way, which recovers next what is left."""
        return bool(self.under_way().covered_by)

    def upstream(self, service: str) -> str:
        """
        Return what a service depends on that went down and is being recovered just now; "" for nothing.

        A run waits for no longer than a hold may last: its locks may be what the upstream's run needs.
        """
        runs, now = self.under_way().runs, self.clock()
        for each in self._holds_of(service, now):
            if each.cause is HoldCause.RECOVERING:
                since = each.stopped_serving_at or runs[each.upstream].started
                return each.why if now < since + self.limits.holds.limit else ""
        return ""

    def explained_by(self, service: str, began: datetime) -> str:
        """Return what a service depends on that is down, and explains a problem that began then; "" for nothing."""
        return next((each.why for each in self._explained(service, began) if each.cause in _DOWN), "")

    def explaining(self, service: str, began: datetime) -> str:
        """Name what a service depends on that is not well, and explains a problem that began then; "" for nothing."""
        return next((each.upstream for each in self._explained(service, began) if each.cause in _UNHEALTHY), "")

    def _explained(self, service: str, began: datetime) -> Iterable[Hold]:
        return (each for each in self._holds_of(service, began) if each.explained)

    def _holds_of(self, service: str, began: datetime) -> tuple[Hold, ...]:
        declared = self.services.catalog.services.get(service)
        return self.holds(declared, self.services.catalog, began) if declared is not None else ()

    def overtaker(self, service: str) -> str:
        """Return a service of higher priority that waits for the slot of a service under recovery; "" for none."""
        declared, slots = self.services.catalog.services.get(service), self.limits.slots(self.slot_namespaces())
        return overtaker(declared, self.waiting(), slots) if declared is not None else ""

    def slot_refusal(self, service: str) -> Callable[[tuple[str, ...]], str]:
        """Return what says why a service gets no slot now, behind those that come before it; one that is gone is let go on."""
        declared = self.services.catalog.services.get(service)
        if declared is None:
            return lambda taken: ""
        ahead = [each for each in self.waiting() if rank(each) < rank(declared)]
        return lambda taken: self.limits.slots(taken).refusal(declared.namespace, ahead)

    def annotation_pause(self, namespace: str) -> str:
        """
        Return the pause in the namespace's annotations, "" for none: a person can set it without us (reliability S10).

        What cannot be read and may forbid a change is a pause, too (P6).
        """
        found = self.caches.namespaces.store.get(("", namespace))
        reason = found.metadata.annotations.get(PAUSED) if found is not None else None
        if reason is not None:
            return f"paused by annotation {PAUSED} on namespace {namespace}: {reason or 'no reason given'}"
        if unread := self._unread(namespace):
            right = f"nothing is changed in {namespace} until it has a form that Kintsugi reads"
            return f"{unread}, and may forbid changes: {right}"
        if found is None and any(place == namespace for place, _ in self.caches.pods.store):
            return f"namespace {namespace} is not seen although pods in it are, and may be paused: nothing is changed there"
        return ""

    def _unread(self, namespace: str) -> str:
        """Return which object was set aside that may forbid changes in a namespace, and why; pods and slices where the ledger is."""
        caches, ledger = self.caches, service_of(self.limits.ledger_host)
        judged: list[Reflector[Any]] = [caches.namespaces, caches.services, caches.autoscalers]
        members: list[Reflector[Any]] = [caches.pods, caches.endpoints]
        if any(each.undecodable_objects for each in members) and any(
            each.what == LEDGER for each in self._essentials(namespace)
        ):
            judged += members
        alias = ("", "") if ledger is None else (ledger.namespace, ledger.service)
        return _set_aside(judged, lambda key: key[0] == namespace or key in (("", namespace), ("", ""), alias))

    async def silence(self, alerts: AsyncIterable[str]) -> str:
        """
        Return whether all of these alerts are silenced; what cannot be asked counts as silenced, for now (P6).

        One question to Alertmanager, and no more keys are read than up to the first that is not silenced.
        """
        if self.silences is None:
            return ""
        try:
            quiet = await self.silences()
        except ProbeFailed as error:
            return f"it is unknown whether the alerts are silenced: {error}"
        if not quiet:
            return ""
        async for alert in alerts:
            if alert not in quiet:
                return ""
        return "every alert that still fires is silenced in Alertmanager"

    def observer(self) -> ObserverHealth:
        """
        Return how well we see: of failures only those without a known reason, once for each unhealthy upstream and Kubernetes Service.
        """
        views = self.views
        ill = {name for name, view in views.items() if view.healthy is False}
        roots = causes(ill, {name: view.service for name, view in views.items()})
        nodes, now = self.caches.nodes.store, self.clock()
        silent = {name for (_, name), node in nodes.items() if predicates.stopped_reporting(node)}
        back = {name for (_, name), node in nodes.items() if predicates.has_recovered(node, now, self.start_up)}
        mute = (views[name] for name in roots if not reasons.reason_known(views[name].pods, silent | back))
        return ObserverHealth(
            stale_reason=self.stale_reason,
            mute=len({each.reached_by for each in mute}),
            seen=len({each.reached_by for each in views.values()}),
            nodes_stale=len(silent),
            nodes_back=len(back),
            nodes=len(nodes),
            names=self.names(),
            checks=self.checks(),
        )
