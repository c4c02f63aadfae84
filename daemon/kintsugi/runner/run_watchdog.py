"""Gathers the watchdog's facts for one run: how the workload was found and left, and the service's current state."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.decisions.priorities import unhealthy_upstream
from kintsugi.decisions.watchdog import (
    Progress,
    RollbackEvidence,
    WatchdogDecision,
    WatchdogResult,
    WatchdogTimings,
    after_rollback,
    at_deadline,
    end_of,
    in_the_end,
    progresses,
    rollback_command,
    settling,
    unfinished,
    watch,
)
from kintsugi.errors import KubeError
from kintsugi.model.command import Command
from kintsugi.model.manual import MANUAL
from kintsugi.model.records import Incident, Phase, RunUpdate, SeenWorkload, StepRecord, StepState, Trigger, clear_since
from kintsugi.model.remedies import RemedyKind
from kintsugi.model.runbooks import RollbackThen, Runbook
from kintsugi.model.views import ServiceView
from kintsugi.runner.context import RunnerDeps
from kintsugi.runner.journal import Journal
from kintsugi.runner.report import reason_for
from kintsugi.runner.seen_workload import rollout_verb, seen_of, seen_workload
from kubeobjects.owners import ManagerKind, helm_release


@dataclass(kw_only=True)
class RunWatchdog:
    """The watchdog of one run."""

    deps: RunnerDeps
    journal: Journal
    runbook: Runbook
    timings: WatchdogTimings
    observed_since: datetime | None = None
    rolled_back_since: datetime | None = None

    @property
    def view(self) -> ServiceView | None:
        """Return the current view of the service."""
        return self.deps.observed.views.get(self.journal.run.service)

    @property
    def is_well(self) -> bool:
        """Return whether the service is healthy, its rollout complete, and each pod made since the run began ready."""
        view = self.view
        return view is not None and view.healthy is True and not unfinished(view, self.journal.run.started)

    def rollback_command(self, now: datetime) -> str:
        """Return the command with which a person rolls the workload back, "" where the service is well, or that would not help it."""
        view = self.view
        if view is None or self.is_well:
            return ""
        observed = self.deps.observed
        last_good = observed.last_good(view.name)
        return rollback_command(
            view,
            self._rollback_evidence(view, now),
            last_good=last_good,
            adopted=last_good in observed.adopted(view.name).values(),
            none_good=observed.none_good(view.name),
        )

    @property
    def upstream_cause(self) -> str:
        """
        Return the upstream that is down and explains the service's problem; "" for none.

        "" also where the run has changed anything, since it must finish then, and where a person or another run started
        it.
        """
        run = self.journal.run
        if self.journal.changed or run.parent or run.rule == MANUAL:
            return ""
        return self.deps.observed.explained_by(run.service, run.started)

    async def note_found(self) -> None:
        """Note once how the workload was found, and whether no process ran at the deadline."""
        now = self.deps.clock()
        if self.journal.run.workload_found is None and (seen := await self.seen()) is not None:
            await self.journal.update(RunUpdate(workload_found=seen), deferred=True)
        if now >= self.journal.run.deadline and self.journal.run.taken_up is None:
            await self.journal.update(RunUpdate(taken_up=now))

    async def note_left(self) -> None:
        """
        Note once how the workload was left, if our own steps changed its template.

        A template that somebody else has rolled out meanwhile is theirs: it is not noted, and no rollback takes it back (E37).
        """
        if any(self._rollouts()) and self.journal.run.workload_left is None:
            seen = await self.seen()
            if seen is not None and await self._is_as_left():
                await self.journal.update(RunUpdate(workload_left=seen))

    async def _is_as_left(self) -> bool:
        """Return whether the workload is as this run has left it; what cannot be read is not known to be."""
        view = self.view
        with suppress(KubeError):
            return view is not None and await self.deps.prober.is_as_left(
                view.service.workload, view.service.namespace, self.journal.run.id
            )
        return False

    @property
    def templates(self) -> Iterator[str]:
        """Yield the pod templates of the workload that the run has found, made or left."""
        run = self.journal.run
        yield from (each.template for each in (run.workload_found, run.workload_left) if each is not None)
        for step, _ in self._rollouts():
            yield from (str(step.facts.get(name, "")) for name in ("revision_template", "to_template"))

    @property
    def seen_by_view(self) -> SeenWorkload | None:
        """Return the workload by which the watchdog judges, None where the service is no longer in the catalog."""
        return seen_of(self.view) if self.view is not None else None

    async def seen(self) -> SeenWorkload | None:
        """Return the workload of the service as it is now, None where the service is no longer in the catalog."""
        return await seen_workload(self.deps, self.journal.run.service)

    def waits_anyway(self, incident: Incident) -> bool:
        """Return whether it is too early to judge, whether or not the trigger has ended."""
        view, now = self.view, self.deps.clock()
        progress = self._progress(incident, Trigger())
        if view is None or now >= progress.deadline or progress.stuck:
            return False
        return bool(settling(view, progress, self.timings, now=now))

    def evaluate(self, incident: Incident, trigger: Trigger) -> WatchdogResult:
        """Judge now: before the deadline whether the run helped, after it whether to roll back."""
        view, now = self.view, self.deps.clock()
        if view is None:
            return WatchdogDecision.HAND_OVER.because(f"{self.journal.run.service} is no longer in the catalog")
        progress = self._progress(incident, trigger)
        if now >= progress.deadline and not view.healthy:
            result = self._after_deadline(view, now)
        else:
            result = watch(view, progress, self.timings, now=now)
        if result.decision is WatchdogDecision.WAIT and now >= end_of(progress, self.timings):
            return in_the_end(view, progress, self.timings, now=now)
        return result

    def evaluate_rollback(self) -> WatchdogResult:
        """
        Judge a rollback whose changes are made: RECOVERED when the service is well by them.

        Its time counts from when this process first asked: one that was away looks again before it says anything (P5).
        """
        view, run, now = self.view, self.journal.run, self.deps.clock()
        self.rolled_back_since = self.rolled_back_since or now
        if view is None:
            return WatchdogDecision.HAND_OVER.because(f"{run.service} is no longer in the catalog")
        progress = Progress(began=run.started, deadline=run.deadline, steps_finished_at=self.rolled_back_since)
        return after_rollback(view, progress, self.timings, now=now)

    def _progress(self, incident: Incident, trigger: Trigger) -> Progress:
        run, steps = self.journal.run, () if self.journal.changed else self.journal.all()
        left = reason_for(RemedyKind.HAND_OVER, steps)
        return Progress(
            began=run.started,
            deadline=run.deadline,
            steps_finished_at=run.steps_finished_at,
            taken_up=run.taken_up,
            changed=self.journal.changed,
            clear_since=clear_since(incident, trigger),
            stuck=self._is_stuck
            or (left != "" and not trigger.alerts_only),  # an alert may lag behind what somebody has mended
            untried=left or reason_for(RemedyKind.WAIT, steps),
        )

    @property
    def _is_stuck(self) -> bool:
        """Return whether nothing is left to try: the steps were not all done, and there is nothing to go back to."""
        parks = self.runbook.rollback.then is RollbackThen.LEAVE
        return parks and self.journal.run.stopped_at is not None

    def _after_deadline(self, view: ServiceView, now: datetime) -> WatchdogResult:
        if not view.is_current:
            self.observed_since = None
        self.observed_since = self.observed_since or now
        evidence, since = self._rollback_evidence(view, now), self.observed_since
        return at_deadline(view, evidence, self.runbook.rollback, self.timings, observed_since=since, now=now)

    def _rollback_evidence(self, view: ServiceView, now: datetime) -> RollbackEvidence:
        run = self.journal.run
        seen = run.workload_left or run.workload_found
        noted = seen.template if seen is not None else ""
        last_written_by_us = view.template != "" and noted == view.template
        failing = self._before_our_restarts() if last_written_by_us else ""
        workload = view.workload
        return RollbackEvidence(
            release=helm_release(workload.metadata) if workload is not None else "",
            known_good=bool(({view.template, failing} - {""}) & self.deps.observed.good(view.name)),
            last_written_by_us=last_written_by_us,
            noted=bool(noted),
            upstream=unhealthy_upstream(view.name, self.deps.observed.views),
            managers=tuple(each for each in view.managers if each.kind is not ManagerKind.AUTOSCALER),
            progresses=progresses(view, start_up=self.deps.observed.start_up, now=now),
        )

    def _before_our_restarts(self) -> str:
        """Return the template before our first restart, "" when the run made no restart or another change of the template."""
        writes = [(step, verb) for step, verb in self._rollouts() if verb.writes_template]
        if not writes or not all(verb.restarts for _, verb in writes):
            return ""
        return str(writes[0][0].facts.get("revision_template", ""))

    def _rollouts(self) -> Iterator[tuple[StepRecord, VerbDefinition[Command]]]:
        """Yield the run's own changes of the service's workload that roll it out, oldest first."""
        view = self.view
        for step in self.journal.changes(Phase.FORWARD):
            verb = rollout_verb(step, view.service) if view is not None and step.state is StepState.DONE else None
            if verb is not None:
                yield step, verb
