"""
What the guards and the runner need to know of the world now: one place that puts views, caches and limits together.
"""

from collections.abc import AsyncIterable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.circumstances import Circumstances as ChangeCircumstances
from kintsugi.drills import DrillQuestion
from kintsugi.errors import ProbeFailed
from kintsugi.guards import Circumstances, Limits, Observer, holds_ledger
from kintsugi.model.documents import Catalog, Mode, Rule, Service
from kintsugi.model.essentials import Essential, essential, essentials, ledger_hosts, with_claims
from kintsugi.model.records import GoodRevision, RunRecord, StepRecord
from kintsugi.model.views import ServiceView
from kintsugi.objects import facts
from kintsugi.planner import Plan
from kintsugi.priorities import Hold, Upstream, hold, upstreams_of
from kintsugi.runner.memory import Bearings
from kintsugi.services import Caches, Services

PAUSED = "kintsugi.dev/paused"
"""Annotation of a namespace that pauses all rules in it; its value is the reason."""

MOST_GOOD = 20
"""Good revisions remembered of a workload: twice what Kubernetes keeps of a Deployment (revisionHistoryLimit)."""


class Silences(Protocol):
    """Who knows which alerts people have silenced: the poller, where Alertmanager's address is given."""

    async def suppressed(self) -> frozenset[str]: ...


@dataclass(kw_only=True)
class World:
    """
    The facts of this moment. `mode` is the global one; `start_up` is what a pod may take to become ready.

    `remembered` are the good revisions by workload uid, template and number, as the ledger knows them.
    """

    services: Services
    caches: Caches
    limits: Limits
    mode: Mode
    hold_limit: timedelta
    clock: Callable[[], datetime]
    start_up: timedelta = facts.START_UP_ALLOWANCE
    silences: Silences | None = None
    remembered: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def views(self) -> Mapping[str, ServiceView]:
        """Give the services as they are now."""
        return self.services.views

    @property
    def blind(self) -> str:
        """Say why nothing can be trusted now; empty when it can."""
        return self.services.blind

    @property
    def clock_problem(self) -> str:
        """Return why the clock cannot be trusted now; empty when it can."""
        return self.services.clock_problem

    def mode_of(self, rule: str) -> Mode:
        """Return how far runs of a rule may go now. A rule that somebody has taken out of the catalog acts no more."""
        found = self.services.catalog.rules.get(rule)
        return found.mode.at_most(self.mode) if found is not None else Mode.OBSERVE

    def good(self, service: str) -> frozenset[str]:
        """Name the pod templates of a service's workload that were seen good."""
        view = self.views.get(service)
        workload = view.workload if view is not None else None
        return frozenset(self.remembered.get(workload.metadata.uid, ())) if workload is not None else frozenset()

    def last_good(self, service: str) -> int:
        """Give the number of the newest good revision that is not the current one; 0 when none is known."""
        view = self.views.get(service)
        if view is None or view.workload is None:
            return 0
        known = self.remembered.get(view.workload.metadata.uid, {})
        return max((number for template, number in known.items() if template != view.template), default=0)

    def remember(self, revisions: tuple[GoodRevision, ...]) -> None:
        """Know these revisions to be good; of each workload the last `MOST_GOOD` by number."""
        for each in revisions:
            known = self.remembered.setdefault(each.workload, {})
            known[each.template] = each.number
            if len(known) > MOST_GOOD:
                del known[min(known, key=known.__getitem__)]

    def forget_all_but(self, workloads: Collection[str]) -> None:
        """Forget the revisions of workloads that are not there any more."""
        for gone in self.remembered.keys() - set(workloads):
            del self.remembered[gone]

    def circumstances(self, run: RunRecord, at: Bearings, step: StepRecord) -> ChangeCircumstances:
        """Say for whom a change is made."""
        view = self.views.get(at.service)
        return ChangeCircumstances(
            phase=step.phase,
            incident=run.incident,
            run=run.id,
            path=step.path,
            now=self.clock(),
            service=at.service,
            namespace=view.service.namespace if view is not None else run.namespace,
            selector=view.service.selector if view is not None else None,
            workload=view.service.workload if view is not None else None,
            good=self.good(at.service),
            startup=self.start_up,
            protected=self.limits.protected,
            env=view.service.env if view is not None else {},
            ledger_host=self.limits.ledger_host,
            essentials=with_claims(self._essentials(), self.caches.pods.store.values()),
            off_limits=self._off_limits(view),
            may_stop=at.restoring.may_stop if at.restoring is not None else frozenset(),
        )

    def claim(self, rule: Rule, plan: Plan, held: Hold | None, *, approved: bool) -> Circumstances:
        """Say what the guards judge a claim by, besides its history."""
        view = self.views.get(plan.service.name)
        return Circumstances(
            rule=rule,
            service=plan.service,
            mode=rule.mode.at_most(self.mode),
            locks=plan.locks,
            observer=self.observer(),
            hold=held,
            managers=view.managers if view is not None else (),
            paused_by_annotation=self.annotation_pause(plan.service.namespace),
            approved=approved,
            addresses=self._addresses(view) if view is not None else frozenset(),
            essential=self._essential(view),
        )

    def drill(self, service: Service, *, scheduled: bool) -> DrillQuestion:
        """Say what a drill is judged by, besides its history."""
        view = self.views.get(service.name)
        return DrillQuestion(
            service=service,
            view=view,
            mode=self.mode,
            scheduled=scheduled,
            blind=self.blind,
            paused_by_annotation=self.annotation_pause(service.namespace),
            holds_ledger=self._off_limits(view),
        )

    def _off_limits(self, view: ServiceView | None) -> str:
        """Say why nothing of a service may be changed, whichever runbook of another one has come to it."""
        if view is None:
            return ""
        if what := self._essential(view):
            return f"{view.name} is {what}: nothing is ever changed there"
        return holds_ledger(view.service, self._addresses(view), self.limits) if self.limits.ledger_host else ""

    def _essentials(self, namespace: str = "") -> tuple[Essential, ...]:
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
        known = self._essentials(view.service.namespace)
        found = (essential(view.service.namespace, each, known) for each in labels)
        return next((what for what in found if what), "")

    def _addresses(self, view: ServiceView) -> frozenset[str]:
        """Name where a service is reached: its pods, and the Services in front of them."""
        pods = [pod for pod in view.pods if pod.status.pod_ip]
        found = {pod.status.pod_ip for pod in pods}
        for front in self.caches.services.store.values():
            chosen = front.spec.selector.items()
            same_place = front.metadata.namespace == view.service.namespace
            if same_place and chosen and any(chosen <= pod.metadata.labels.items() for pod in view.pods):
                found |= {f"{front.metadata.name}.{front.metadata.namespace}", front.spec.cluster_ip}
                found |= {point.ip or point.hostname for point in front.status.load_balancer.ingress}
        return frozenset(found - {"", "None"})

    def hold(self, service: Service, catalog: Catalog, recovering: frozenset[str], since: datetime) -> Hold | None:
        """Say for which upstream a service must wait."""
        upstream = Upstream(views=self.views, recovering=recovering - {service.name}, limit=self.hold_limit)
        return hold(service, catalog.services, upstream, since=since)

    def annotation_pause(self, namespace: str) -> str:
        """Give a person's pause that stands on the namespace itself: it is reachable without us (reliability S10)."""
        found = self.caches.namespaces.store.get(("", namespace))
        reason = found.metadata.annotations.get(PAUSED) if found is not None else None
        return (
            f"paused by annotation {PAUSED} on namespace {namespace}: {reason or 'no reason given'}"
            if reason is not None
            else ""
        )

    async def silence(self, alerts: AsyncIterable[str]) -> str:
        """
        Say that all of these alerts are silenced; what cannot be asked counts as silenced, for now (P6).

        One question to Alertmanager, and no more keys are read than up to the first that is not silenced.
        """
        if self.silences is None:
            return ""
        try:
            quiet = await self.silences.suppressed()
        except ProbeFailed as error:
            return f"it cannot be known whether the alerts are silenced: {error}"
        if not quiet:
            return ""
        async for alert in alerts:
            if alert not in quiet:
                return ""
        return "everything that goes on is silenced in Alertmanager"

    def observer(self) -> Observer:
        """Say how well we see: failures under one unhealthy upstream count once."""
        views = self.views
        ill = {name for name, view in views.items() if view.healthy is False}
        services = {name: view.service for name, view in views.items()}
        roots = {name for name in ill if not ill & set(upstreams_of(name, services))}
        nodes = self.caches.nodes.store.values()
        return Observer(
            blind=self.blind,
            sick=len(roots),
            seen=len(views),
            nodes_stale=sum(not facts.ready(node) for node in nodes),
            nodes=len(nodes),
        )
