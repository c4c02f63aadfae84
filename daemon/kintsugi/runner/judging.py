"""
Gathers what the watchdog judges by, for one run: what was found and left, how the service is now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from kintsugi.commands import decode
from kintsugi.model.command import Rollout, Verb
from kintsugi.model.documents import RollbackThen, Runbook, Service
from kintsugi.model.records import Incident, Phase, StepRecord, StepState
from kintsugi.model.trigger import Trigger
from kintsugi.model.views import ServiceView
from kintsugi.priorities import upstreams_of
from kintsugi.runner.journal import Journal
from kintsugi.runner.tools import Tools
from kintsugi.runner.trigger import clear_since
from kintsugi.watchdog import (
    Call,
    Deadline,
    Judgement,
    Patience,
    Progress,
    Suspicion,
    after_rollback,
    at_deadline,
    end_of,
    in_the_end,
    unfinished,
    watch,
)

FOUND = "@found"
LEFT = "@left"
"""Paths of what a run noted of the workload: as it was found, and as our last change of its template left it."""

TAKEN_UP = "@taken-up"
"""Path under which it is kept when a process first took the run up after its deadline."""

WRITES_TEMPLATE = frozenset({Verb.ROLLOUT_RESTART, Verb.ROLLOUT_UNDO})

STOPPED = "stopped"
"""How the reason of a run begins whose steps were not all done."""


@dataclass(kw_only=True)
class Judging:
    """The watchdog's eyes for one run."""

    tools: Tools
    journal: Journal
    runbook: Runbook
    services: Mapping[str, Service]
    patience: Patience
    looked_since: datetime | None = None
    rolled_back_since: datetime | None = None

    @property
    def view(self) -> ServiceView | None:
        """Give the service as it is now."""
        return self.tools.world.views.get(self.journal.run.service)

    @property
    def is_well(self) -> bool:
        """Return whether the service is healthy now, its rollout complete, and each pod ready that was made since."""
        view = self.view
        return view is not None and view.healthy is True and not unfinished(view, self.journal.run.started)

    async def note_found(self) -> None:
        """Write down, once, how the workload was found, and that nobody was there when the deadline came."""
        now = self.tools.clock()
        if self.view is not None:
            await self.journal.note(FOUND, "How the workload was found", facts_of(self.view), now=now)
        if now >= self.journal.run.deadline:
            await self.journal.note(TAKEN_UP, "Taken up after its deadline", {"since": now}, now=now)

    async def note_left(self) -> None:
        """Write down, once, how the workload was left, if our own steps changed its template."""
        if self.view is not None and any(self._rollouts()):
            await self.journal.note(LEFT, "How the workload was left", facts_of(self.view), now=self.tools.clock())

    def judge(self, incident: Incident, trigger: Trigger) -> Judgement:
        """Judge now: before the deadline whether it helped, after it whether to go back."""
        view, now = self.view, self.tools.clock()
        if view is None:
            return Judgement(call=Call.HAND_OVER, reason=f"{self.journal.run.service} is no longer in the catalog")
        progress = self._progress(incident, trigger)
        if now >= progress.deadline and not view.healthy:
            judgement = self._after_deadline(view, now)
        else:
            judgement = watch(view, progress, self.patience, now=now)
        if judgement.call is Call.WAIT and now >= end_of(progress, self.patience):
            return in_the_end(view, progress, self.patience, now=now)
        return judgement

    def judge_rollback(self) -> Judgement:
        """
        Judge a rollback whose changes are made: RECOVERED when the service is well by them.

        Its time counts from when this process first asked: one that was away looks again before it says anything (P5).
        """
        view, run, now = self.view, self.journal.run, self.tools.clock()
        self.rolled_back_since = self.rolled_back_since or now
        if view is None:
            return Judgement(call=Call.HAND_OVER, reason=f"{run.service} is no longer in the catalog")
        progress = Progress(began=run.started, deadline=run.deadline, walked=self.rolled_back_since)
        return after_rollback(view, progress, self.patience, now=now)

    def _progress(self, incident: Incident, trigger: Trigger) -> Progress:
        run, since = self.journal.run, self.journal.fact(TAKEN_UP, "since")
        return Progress(
            began=run.started,
            deadline=run.deadline,
            walked=run.walked,
            taken_up=since if isinstance(since, datetime) else None,
            changed=self.journal.changed,
            clear_since=clear_since(incident, trigger),
            stuck=self._is_stuck,
        )

    @property
    def _is_stuck(self) -> bool:
        """Tell whether nothing is left to try: the steps were not all done, and there is nothing to go back to."""
        parks = self.runbook.rollback.then is RollbackThen.PARK
        return parks and self.journal.run.reason.startswith(STOPPED)

    def _after_deadline(self, view: ServiceView, now: datetime) -> Judgement:
        if not view.fresh:
            self.looked_since = None
        self.looked_since = self.looked_since or now
        terms = Deadline(
            when=self.runbook.rollback.when, then=self.runbook.rollback.then, looked_since=self.looked_since
        )
        return at_deadline(view, self._suspicion(view), terms, self.patience, now=now)

    def _suspicion(self, view: ServiceView) -> Suspicion:
        noted = self.journal.fact(LEFT, "template") or self.journal.fact(FOUND, "template")
        ours = view.template != "" and noted == view.template
        failing = self._before_our_restarts() if ours else ""
        return Suspicion(
            known_good=bool(({view.template, failing} - {""}) & self.tools.world.good(view.name)),
            ours=ours,
            upstream=self._ailing_upstream(view.name),
            managers=tuple(each for each in view.managers if not each.startswith("HPA ")),
        )

    def _before_our_restarts(self) -> str:
        """Return the template that our restarts have stamped, "" when this run did anything else to it, or nothing."""
        writes = [(step, command) for step, command in self._rollouts() if command.verb in WRITES_TEMPLATE]
        if not writes or any(command.verb is not Verb.ROLLOUT_RESTART for _, command in writes):
            return ""
        return str(writes[0][0].facts.get("revision_template", ""))

    def _ailing_upstream(self, service: str) -> str:
        views = self.tools.world.views
        for name in upstreams_of(service, self.services):
            view = views.get(name)
            if view is not None and view.desired > 0 and view.healthy is not True:
                return name
        return ""

    def _rollouts(self) -> Iterator[tuple[StepRecord, Rollout]]:
        """Yield the run's own changes of the service's workload by `rollout`, oldest first."""
        view = self.view
        for step in self.journal.changes(Phase.FORWARD):
            command = decode(step.command) if step.command is not None and step.state is StepState.DONE else None
            if isinstance(command, Rollout) and view is not None and is_workload_of(command, view.service):
                yield step, command


def is_workload_of(command: Rollout, service: Service) -> bool:
    """Return whether a command is about a service's workload."""
    asked, own = command.object, service.workload
    return (asked.resource, asked.name, command.namespace) == (own.resource, own.name, service.namespace)


def facts_of(view: ServiceView) -> dict[str, object]:
    """Give what is noted of a workload."""
    return {"template": view.template, "revision": view.revision, "desired": view.desired, "ready": view.ready}
