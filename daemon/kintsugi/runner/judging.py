"""
Gathers what the watchdog judges by, for one run: what was found and left, how the service is now.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kintsugi.commands import decode
from kintsugi.model.command import Rollout
from kintsugi.model.documents import RollbackThen, Runbook, Service
from kintsugi.model.records import Incident, Phase, StepState
from kintsugi.model.trigger import Trigger
from kintsugi.model.views import ServiceView
from kintsugi.priorities import upstreams_of
from kintsugi.runner.journal import Journal
from kintsugi.runner.tools import Tools
from kintsugi.runner.trigger import clear_since
from kintsugi.watchdog import Call, Deadline, Judgement, Patience, Progress, Suspicion, at_deadline, watch

FOUND = "@found"
LEFT = "@left"
"""Paths of what a run noted of the workload: as it was found, and as our last change of its template left it."""

STOPPED = "stopped at"
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

    @property
    def view(self) -> ServiceView | None:
        """Give the service as it is now."""
        return self.tools.world.views.get(self.journal.run.service)

    async def note_found(self) -> None:
        """Write down, once, how the workload was found."""
        if self.view is not None:
            await self.journal.note(FOUND, "How the workload was found", facts_of(self.view), now=self.tools.clock())

    async def note_left(self) -> None:
        """Write down, once, how the workload was left, if our own steps changed its template."""
        if self.view is not None and any(self._changes_template()):
            await self.journal.note(LEFT, "How the workload was left", facts_of(self.view), now=self.tools.clock())

    def judge(self, incident: Incident, trigger: Trigger) -> Judgement:
        """Judge now: before the deadline whether it helped, after it whether to go back."""
        view, now = self.view, self.tools.clock()
        if view is None:
            return Judgement(call=Call.HAND_OVER, reason=f"{self.journal.run.service} is no longer in the catalog")
        progress = Progress(
            deadline=self.journal.run.deadline,
            walked=self.journal.run.walked,
            changed=self.journal.changed,
            clear_since=clear_since(incident, trigger),
            stuck=self._is_stuck,
        )
        if now >= progress.deadline and not view.healthy:
            return self._after_deadline(view, now)
        return watch(view, progress, self.patience, now=now)

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
        return Suspicion(
            known_good=view.template in self.tools.world.good(view.name),
            ours=view.template != "" and noted == view.template,
            upstream=self._ailing_upstream(view.name),
            managers=tuple(each for each in view.managers if not each.startswith("HPA ")),
        )

    def _ailing_upstream(self, service: str) -> str:
        views = self.tools.world.views
        for name in upstreams_of(service, self.services):
            view = views.get(name)
            if view is not None and view.desired > 0 and view.healthy is not True:
                return name
        return ""

    def _changes_template(self) -> Iterable[bool]:
        for step in self.journal.changes(Phase.FORWARD):
            if step.command is not None and step.state is StepState.DONE:
                yield isinstance(decode(step.command), Rollout)


def facts_of(view: ServiceView) -> dict[str, object]:
    """Give what is noted of a workload."""
    return {"template": view.template, "revision": view.revision, "desired": view.desired, "ready": view.ready}
