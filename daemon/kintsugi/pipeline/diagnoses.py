"""
Diagnoses: on demand, and in the background, each within a time limit, so that nothing waits long for it.

Some facts are shown by no object: the workload's dependencies, its checks, and the observer's health. `DeclaredWorkloads` has them.

Those in the background are of incidents: one when the incident is opened, others before a rollback or a hand-over. Of verdicts
without an incident, which are kept with the verdict; of an observed one a person is notified, too, once an episode of a service.
And of services that are well: what Kubernetes' objects show to be wrong is a warning, and a rule has a person notified.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from kintsugi.actions.workload_reads import ServiceFacts
from kintsugi.decisions.breaker import ObserverHealth, breaker_reason
from kintsugi.errors import KubeError, LedgerUnavailable, NotRecorded
from kintsugi.ledger import Incidents, Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.hosts import service_of
from kintsugi.model.records import (
    KeptDiagnosis,
    Occasion,
    Reason,
    Signal,
    SignalStatus,
    Target,
    Verdict,
    VerdictKind,
)
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.telemetry import Containment, FailureScope, Listeners
from kintsugi.views import ServiceViews
from kubediagnosis.causes import Diagnosis
from kubediagnosis.facts import CheckFacts, ObserverFacts
from kubediagnosis.headline import headline
from kubeobjects.lines import line, lines
from kubeobjects.predicates import START_UP_ALLOWANCE
from kubeobjects.resources import find

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Diagnoses that are made at one time: each reads a dozen times."""

MOST_WAITING = 1000
"""The most queued incidents; others are found again by the next look at open incidents."""

MOST_REMEMBERED = 10_000
"""The most incidents that are remembered as queued, and facts that are remembered as logged."""

MOST_VERDICTS = 100
"""Verdicts that wait for a diagnosis; of a storm that is enough, for all of one service say the same."""

_NOT_DIAGNOSED = frozenset(
    {Reason.FOREIGN_TARGET, Reason.NO_TARGET, Reason.NO_NAMESPACE, Reason.UNMANAGED, Reason.UNANSWERABLE}
)
"""Reasons of a refusal after which the service is not diagnosed: the signal is about something else, or its object is unknown."""

INTERVAL = timedelta(minutes=1)
"""The shortest time between two diagnoses of a service that is well."""

SHORTEST_PAUSE = timedelta(seconds=2)
"""The pause between two diagnoses, each of some twenty reads: more than 30 services are diagnosed less often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredWorkloads:
    """
    The catalog's services, by their workloads.

    `answers` returns the last results of a service's checks, `observer` the observer's health. A failing `share` of
    nodes or services puts the observer in doubt. `view` returns the view of a service, None where that is not current.
    `start_up` is the time that a pod may take to become ready.
    """

    catalog: Callable[[], Catalog]
    answers: Callable[[str], tuple[CheckFacts, ...]]
    observer: Callable[[], ObserverHealth]
    share: float
    view: Callable[[str], ServiceView | None] = lambda _: None
    start_up: timedelta = START_UP_ALLOWANCE

    def __call__(self, target: Target) -> ServiceFacts:
        """Return the declared facts of a workload; for one without a service only the observer's health."""
        services, observer = self.catalog().services, self.observer()
        sight = ObserverFacts(stale=observer.stale_reason, doubt=breaker_reason(observer, self.share))
        service = next((each for each in services.values() if _is_of(each, target)), None)
        if service is None:
            return ServiceFacts(observer=sight, start_up=self.start_up)
        upstreams, view = (services[name] for name in service.depends_on if name in services), self.view(service.name)
        return ServiceFacts(
            service=service.name,
            checks=self.answers(service.name),
            upstreams=tuple(_target(each) for each in upstreams),
            exposed=self._exposed(services, service),
            observer=sight,
            serving=view.serving if view is not None else None,
            lost_service=view.lost_service if view is not None else "",
            missing_since=view.missing_since if view is not None else None,
            recreate=f"kintsugi manifest {service.name} | kubectl apply -f -",
            start_up=self.start_up,
        )

    def _exposed(self, services: Mapping[str, Service], asking: Service) -> Mapping[str, Target]:
        """Return the workloads of the other services by the names of their Kubernetes Services."""
        found: dict[str, Target] = {}
        for each in services.values():
            view = self.view(each.name) if each.name != asking.name else None
            host = service_of(view.host) if view is not None and view.host else None
            if host is not None:
                found[str(host)] = _target(each)
        return found


def _is_of(service: Service, target: Target) -> bool:
    workload = service.workload
    return (service.namespace, workload.name) == (target.namespace, target.name) and workload.resource == find(
        target.kind
    )


def _target(service: Service) -> Target:
    return Target(kind=service.workload.resource.kind, namespace=service.namespace, name=service.workload.name)


class IncidentDiagnoses:
    """
    Makes diagnoses and keeps them, and tells `on_kept` of each; `run` makes the queued ones in the background.

    `diagnose_workload` may raise NotRecorded and KubeError; `within` is the time limit of each diagnosis.
    """

    def __init__(
        self,
        diagnose_workload: Callable[[Target], Awaitable[Diagnosis]],
        incidents: Incidents,
        *,
        clock: Callable[[], datetime],
        within: timedelta,
        containment: Containment,
    ) -> None:
        self._diagnose_workload = diagnose_workload
        self._incidents = incidents
        self._clock = clock
        self.within = within
        self._containment = containment
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting: asyncio.Queue[tuple[str, Service]] = asyncio.Queue(maxsize=MOST_WAITING)
        self._asked: set[str] = set()
        self.on_kept: Listeners[[Service, KeptDiagnosis]] = Listeners(containment)

    def ask(self, incident: str, service: Service) -> None:
        """Queue the diagnosis of an incident, once, and do not wait for it."""
        if incident not in self._asked and not self._waiting.full():
            if len(self._asked) >= MOST_REMEMBERED:
                self._asked.clear()  # those that are open are asked for again, and found to be made
            self._asked.add(incident)
            self._waiting.put_nowait((incident, service))

    async def run(self) -> None:
        """Make the queued diagnoses, a few at a time, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._work(), name="diagnoses")

    async def make(self, incident: str, service: Service, occasion: Occasion) -> None:
        """
        Diagnose a service's workload and keep the result; the first diagnosis of an incident is not made twice.

        Returns within the time limit; the result then says why nothing was found. Raises LedgerUnavailable, StaleEpoch.
        """
        if occasion is Occasion.OPENED and await self._incidents.diagnoses_of(incident):
            return
        found = KeptDiagnosis(incident=incident, occasion=occasion, diagnosis=await self.diagnose(service))
        await self._incidents.keep_diagnosis(found)
        first = found.diagnosis.causes[0] if found.diagnosis.causes else None
        cause = first.kind if first is not None else "none"
        log.info("diagnosis made", incident=incident, occasion=occasion, cause=cause, text=found.diagnosis.summary)
        self.on_kept.notify(incident, service, found)

    async def diagnose(self, service: Service) -> Diagnosis:
        """Return the diagnosis of a service's workload within the time limit; it names what could not be read."""
        workload, within = service.workload, self.within
        target = Target(kind=workload.resource.singular, namespace=service.namespace, name=workload.name)
        why = ""
        with self._containment.around(FailureScope.SERVICE, service.name) as call:
            try:
                async with asyncio.timeout(within.total_seconds()), self._places:
                    return await self._diagnose_workload(target)
            except TimeoutError:
                why = f"the workload was not read within {within.total_seconds():g}s"
            except (KubeError, NotRecorded) as error:
                why = str(error)
        if call.error is not None:
            why = f"{type(call.error).__name__}: {call.error}"
        return Diagnosis(
            object=str(workload),
            namespace=service.namespace,
            at=self._clock(),
            summary=f"{workload}: no cause is known",
            unknown=(f"{workload}: {why}",),
        )

    async def _work(self) -> None:
        while True:
            incident, service = await self._waiting.get()
            try:
                with self._containment.around(FailureScope.INCIDENT, incident):
                    await self.make(incident, service, Occasion.OPENED)
            except LedgerUnavailable as error:
                self._asked.discard(incident)  # the next look at open incidents asks again
                log.warning("diagnosis not kept", incident=incident, error=str(error))


@dataclass(eq=False)
class VerdictDiagnoses:
    """
    Adds the diagnosis of their service to verdicts without an incident; `run` does so in the background.

    With `on_notice`, which is called with the service then, a person is notified of observed ones.
    """

    diagnoses: IncidentDiagnoses
    ledger: Ledger
    active_catalog: ActiveCatalog
    clock: Callable[[], datetime]
    containment: Containment
    on_notice: Callable[[str], None] | None
    _waiting: asyncio.Queue[tuple[str, Verdict, Service]] = field(
        default_factory=lambda: asyncio.Queue(maxsize=MOST_VERDICTS)
    )
    _seen: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _found: dict[str, tuple[str, str]] = field(default_factory=dict)

    def note(self, signal: Signal, verdict: Verdict) -> None:
        """
        Take note of a verdict. Of the signals of one service that fire together the first is diagnosed.

        One that is judged again says the same again.
        """
        rule = self.active_catalog.catalog.rules.get(verdict.rule)
        service = self.active_catalog.catalog.services.get(rule.service) if rule is not None else None
        if service is None or signal.status is not SignalStatus.FIRING or not _has_no_incident(verdict):
            return
        found, _ = self._found.get(service.name, ("", ""))
        is_unproven = signal.id not in self._seen[service.name] or signal.id == found
        if is_unproven and not self._waiting.full():
            self._seen[service.name].add(signal.id)
            self._waiting.put_nowait((signal.id, verdict, service))

    async def run(self) -> None:
        """Make the queued diagnoses, one after another, until cancelled."""
        while True:
            signal, verdict, service = await self._waiting.get()
            try:
                with self.containment.around(FailureScope.SIGNAL, signal):
                    await self._diagnose(signal, verdict, service)
            except LedgerUnavailable as error:
                self._seen[service.name].discard(signal)
                log.warning("diagnosis of a verdict not kept", signal=signal, error=str(error))

    async def _diagnose(self, signal: str, verdict: Verdict, service: Service) -> None:
        name = service.name
        first, text = self._found.get(name, ("", ""))
        if first == signal:
            await self.ledger.signals.add_to_verdict(signal, text)
            return
        firing = set(await self.ledger.signals.firing_among(self._seen[name]))
        others = firing - {signal}
        self._seen[name] = firing | {signal}
        if others:
            return  # the episode has its diagnosis
        found = headline(await self.diagnoses.diagnose(service))
        log.info("verdict diagnosed", signal=signal, service=name, text=found)
        self._found[name] = (signal, f"; problem: {found}")
        await self.ledger.signals.add_to_verdict(*self._found[name])
        if self.on_notice is not None and verdict.kind is VerdictKind.OBSERVED:
            observed = f"observed: {name}: rule {verdict.rule}: {verdict.text}"
            following = f"next: kintsugi diagnose {service.workload} -n {service.namespace}"
            text = lines((line(f"problem: {found}"), line(observed), line(following)))
            await self.ledger.outbox.put_observed_notice(text, self.clock())
            self.on_notice(name)


def _has_no_incident(verdict: Verdict) -> bool:
    """Return whether a verdict is about its service and has no incident."""
    if verdict.kind is VerdictKind.OBSERVED:
        return verdict.reason is Reason.MODE
    return verdict.kind is VerdictKind.REFUSED and not verdict.incident and verdict.reason not in _NOT_DIAGNOSED


@dataclass(kw_only=True)
class WarningWatch:
    """
    `diagnose_alone` diagnoses a workload without its upstreams, each of which costs as many reads again.

    `interval` is the shortest time between two diagnoses of a service, `pause` that between two of any, `within` the limit of one.
    """

    services: ServiceViews
    diagnose_alone: Callable[[Target], Awaitable[Diagnosis]]
    containment: Containment
    within: timedelta
    interval: timedelta = INTERVAL
    pause: timedelta = SHORTEST_PAUSE
    _unknown: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Diagnose one service after another, until cancelled."""
        while True:
            names = sorted(self.services.catalog.services)
            if not names:
                await asyncio.sleep(self.interval.total_seconds())
            for name in names:
                await asyncio.sleep(max(self.interval / len(names), self.pause).total_seconds())
                with self.containment.around(FailureScope.SERVICE, name):
                    await self.diagnose(name)

    async def diagnose(self, name: str) -> None:
        """Diagnose a service that is well. One that is not has no warnings: others diagnose it."""
        view = self.services.views.get(name)
        if view is None or not view.is_current or self.services.stale_reason:
            return
        if not (view.healthy and view.serving and view.rollout_complete):
            self.services.note_warnings(name, ())
            return
        workload = view.service.workload
        target = Target(kind=workload.resource.singular, namespace=view.service.namespace, name=workload.name)
        try:
            async with asyncio.timeout(self.within.total_seconds()):
                found = await self.diagnose_alone(target)
        except (KubeError, NotRecorded, TimeoutError):
            return  # what was known stays so until the next time
        self.services.note_warnings(name, tuple(each.text for each in found.causes if each.is_warning))
        self._log_unknown(name, found)

    def _log_unknown(self, name: str, found: Diagnosis) -> None:
        if len(self._unknown) > MOST_REMEMBERED:
            self._unknown.clear()
        for what in sorted(set(found.unknown) - self._unknown):
            self._unknown.add(what)
            log.info("diagnosis incomplete", service=name, unknown=what)
