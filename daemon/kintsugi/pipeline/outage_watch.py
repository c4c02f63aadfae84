"""
Watches the services that are down: diagnoses them again and again, and notifies a person before an outage is silent (P11).

The guards and runs ask it for the current fault of a service, since another fault is not held back by what was about
the one before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from kintsugi.decisions import outage_notices
from kintsugi.decisions.guards import covers_run
from kintsugi.decisions.outage_notices import OutageTimings
from kintsugi.decisions.priorities import unhealthy_dependents, unhealthy_upstream
from kintsugi.ledger import Ledger
from kintsugi.model.outages import NoticeState, Outage
from kintsugi.model.records import RunRecord
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.telemetry import Containment, FailureScope, Listeners
from kubediagnosis.causes import Diagnosis
from kubediagnosis.headline import headline
from kubeobjects.lines import Lines, line, lines

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 4
"""Diagnoses of one look: each reads the API a dozen times, and the changes of runs come first."""


@dataclass(kw_only=True)
class OutageWatch:
    """
    The outages of services. `diagnose` diagnoses one in bounded time. `notifies` is False where no way of notice is configured: then
    an Event tells, by `on_notice`.

    `activities` returns what happens with each service now, as `kintsugi services` shows it. `on_fault` is called with each service
    whose fault became known, or is another one now, and has signals evaluated again that were refused because of the one before.
    `unnotified` has by service for how long nobody repairs its fault or knows of it.
    """

    ledger: Ledger
    observed: ObservedState
    diagnose: Callable[[Service], Awaitable[Diagnosis]]
    containment: Containment
    timings: OutageTimings
    notifies: bool
    activities: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    outages: dict[str, Outage] = field(default_factory=dict)
    unnotified: dict[str, timedelta] = field(default_factory=dict)
    on_fault: Callable[[str], Awaitable[object]] | None = None
    _well_since: dict[str, datetime] = field(default_factory=dict)
    _found: dict[str, Diagnosis] = field(default_factory=dict)
    _saved: dict[str, Outage] | None = None

    def __post_init__(self) -> None:
        """`on_notice` hears of each service of which a person is notified, and the text; `on_needless` of needless restarts."""
        self.on_notice: Listeners[[str, str]] = Listeners(self.containment)
        self.on_needless: Listeners[[str, int]] = Listeners(self.containment)

    def note_notified(self, service: str) -> None:
        """Note that a person was notified of a service's fault in another way."""
        known = self.outages.get(service)
        if known is not None and known.fault not in known.notified:
            self.outages[service] = replace(known, notified=(*known.notified, known.fault))

    async def step(self) -> None:
        """Look at each service; nothing is concluded while the cluster is not seen. Raises LedgerUnavailable, StaleEpoch."""
        if self.observed.stale_reason:
            return
        await self._recall()
        now, views = self.observed.clock(), self.observed.views
        down = [
            view for view in views.values() if outage_notices.is_down(view, start_up=self.observed.start_up, now=now)
        ]
        for view in down:
            known, well_since = self.outages.get(view.name), self._well_since.pop(view.name, None)
            self.outages[view.name] = outage_notices.observed(known, view, well_since, now=now)
        for view in views.values():
            if view.name not in self.outages and view.healthy_since is not None:
                self._well_since[view.name] = view.healthy_since
        for name in self.outages.keys() - {view.name for view in down}:
            if name not in views or views[name].healthy is not None:
                self._forget(name)
        await self._diagnose(down)
        for view in down:
            with self.containment.around(FailureScope.SERVICE, view.name):
                await self._notify(view)
                await self._judge_restarts(view.name, now)
        await self._save()

    async def _recall(self) -> None:
        if self._saved is None:
            self._saved = {each.service: each for each in await self.ledger.outbox.outages()}
            self.outages.update(self._saved)

    async def _save(self) -> None:
        saved, current = self._saved or {}, dict(self.outages)
        changed = [each for name, each in current.items() if saved.get(name) != each]
        await self.ledger.outbox.save_outages(changed, saved.keys() - current.keys())
        self._saved = current

    def _forget(self, name: str) -> None:
        for known in (self.outages, self.unnotified, self._found):
            known.pop(name, None)

    async def _diagnose(self, down: Sequence[ServiceView]) -> None:
        """Diagnose the services whose turn it is, those that wait longest first."""
        now = self.observed.clock()
        due = [view for view in down if outage_notices.is_diagnosis_due(self.outages[view.name], self.timings, now=now)]
        due.sort(key=lambda view: self.outages[view.name].diagnosed or self.outages[view.name].fault_since)
        await asyncio.gather(*(self._diagnose_one(view.service) for view in due[:MOST_AT_ONCE]))

    async def _diagnose_one(self, service: Service) -> None:
        found = await self.diagnose(service)
        known = self.outages.get(service.name)
        if known is not None:
            self.outages[service.name] = current = outage_notices.diagnosed(known, found, now=self.observed.clock())
            if self.on_fault is not None and (current.fault != known.fault or known.diagnosed is None):
                await self.on_fault(service.name)
            if found.causes or service.name not in self._found:
                self._found[service.name] = found

    async def _notify(self, view: ServiceView) -> None:
        outage, now = self.outages[view.name], self.observed.clock()
        upstream = unhealthy_upstream(view.name, self.observed.views)
        if outage_notices.is_explained(outage, self.outages.get(upstream)):
            self.unnotified.pop(view.name, None)
            return
        repair, state = await self._repair_at(view, now), await self._notice_state(outage)
        if state is NoticeState.SENT:
            self.note_notified(view.name)
        held_back = state is NoticeState.NONE and await self._is_held_back(view.name, now)
        if outage_notices.is_notice_due(outage, state, repair, self.timings, held_back=held_back, now=now):
            if view.name not in self._found:  # an earlier process has diagnosed it
                await self._diagnose_one(view.service)
                outage = self.outages[view.name]
            text = await self._text(view, outage)
            notice = await self.ledger.outbox.put_outage_notice(text, now) if self.notifies else ""
            state = NoticeState.WAITING if self.notifies else NoticeState.SENT
            self.outages[view.name] = outage = replace(outage, notice=notice, notified=(*outage.notified, outage.fault))
            log.warning("outage notice written", service=view.name, since=str(outage.since), text=text)
            self.on_notice.notify(view.name, view.name, text)
        self.unnotified[view.name] = outage_notices.unnotified_for(outage, state, repair, self.timings, now=now)

    async def _judge_restarts(self, service: str, now: datetime) -> None:
        """Judge by hindsight the restarts of some minutes ago that were made for the fault that still stands."""
        fault, ago = self.outages[service].fault, self.timings.hindsight
        if fault.kind is not None:
            found = await self.ledger.incidents.note_needless(service, fault, since=now - 1.5 * ago, until=now - ago)
            if found:
                log.warning("restarts were needless", service=service, count=found, fault=str(fault))
                self.on_needless.notify(service, service, found)

    async def _is_held_back(self, service: str, now: datetime) -> bool:
        holding = await self.ledger.signals.holding(self.observed.services.catalog.rules_of(service))
        return outage_notices.is_held_back(holding.values(), self.observed.limits.recheck_after, now=now)

    async def _notice_state(self, outage: Outage) -> NoticeState:
        notices = await self.ledger.outbox.notices_of(outage)
        incidents = {each.incident for each in notices if each.incident is not None}
        diagnoses = await self.ledger.incidents.diagnoses_of(*incidents)
        known = outage_notices.notice_state(outage, notices, diagnoses)
        return NoticeState.SENT if known is NoticeState.WAITING and not self.notifies else known

    async def _repair_at(self, view: ServiceView, now: datetime) -> datetime | None:
        run = self.observed.under_way().runs.get(view.name)
        if run is None:
            return None
        return outage_notices.repair_at(
            run, await self.ledger.incidents.last_change(run.id), paused=await self._is_paused(run, now), now=now
        )

    async def _is_paused(self, run: RunRecord, now: datetime) -> bool:
        pauses = await self.ledger.people.pauses(now)
        return any(covers_run(each, run) for each in pauses) or self.observed.annotation_pause(run.namespace) != ""

    async def _text(self, view: ServiceView, outage: Outage) -> Lines:
        """Return the notice: what is down since when, the cause, why nothing is repaired, who suffers, the next command."""
        activities = await self.activities() if self.activities is not None else {}
        happens = activities.get(view.name) or "Kintsugi makes no change"
        found = self._found.get(view.name)
        problem = "its rollout is stuck" if view.rollout_stuck and view.serving else "down"
        names = frozenset(self.outages)
        suffering = unhealthy_dependents(view.name, names, self.observed.services.catalog.services)
        place, workload = view.service.namespace, view.service.workload
        return lines(
            line(each)
            for each in (
                f"{view.name}: {problem} since {outage.since:%H:%M:%S}, {view.ready} of {view.desired} pods ready",
                f"problem: {headline(found) if found is not None else 'the cause is not known yet'}",
                f"now: {happens}",
                *([f"also affected: {', '.join(suffering)}"] if suffering else []),
                f"next: kintsugi diagnose {workload} -n {place}",
            )
        )
