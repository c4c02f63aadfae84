"""
Drives a run about all services from its state in the ledger to its end: its steps probe, and start child runs.

It changes nothing itself, so that there is nothing to undo: the recoveries of its children stay, and the notice to a
person names the healthy services and the others. Each child has its own incident, locks, watchdog and undo. While a
child waits for a person its parent waits, too: that time does not count towards the parent's deadline.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

import structlog
from typing_extensions import override

from kintsugi.ledger import Ledger
from kintsugi.model.manual import Override
from kintsugi.model.records import IncidentState, Phase, RunRecord, RunUpdate
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import HELPED, ChildCall, Children, RunnerDeps
from kintsugi.runner.deadlines import DeadlineClock
from kintsugi.runner.driver import Driver, Ends, until_stopped
from kintsugi.runner.ends import TOO_LATE, ExecutionAborted, ExecutionStopped, TriggerResolved, WritesForbidden
from kintsugi.runner.interpreter import Interpreter
from kintsugi.runner.journal import Journal
from kintsugi.runner.report import asking, child_summary, not_watched, section, undo_section
from kintsugi.telemetry import SECRETS
from kubeobjects.lines import Line, Lines, line, lines

log = structlog.get_logger(__name__)

WAITS_FOR = "child"
"""The note, for each step, of the run that it waits for, which others may have started."""

GOES_ON = "a person has answered, and the run continues"


@dataclass(kw_only=True)
class ChildWaits:
    """
    The child runs of one run. `catch_up` moves the run's deadline past the time of waiting.

    All of them are read once; afterwards only those that are open, and each of the others once it is over: this is asked at
    each look, and a run may have started hundreds.
    """

    deps: RunnerDeps
    ledger: Ledger
    journal: Journal
    children: Children
    catch_up: Callable[[], Awaitable[None]]
    _known: dict[str, RunRecord] = field(default_factory=dict)
    _joined: set[str] = field(default_factory=set)
    _has_read: bool = False

    @property
    def ended(self) -> Mapping[str, datetime]:
        """Return when the last child run of each service ended, by the last look, of services without an open one."""
        known = self._known.values()
        underway = {each.service for each in known if each.finished is None}
        over = sorted((each.finished, each.service) for each in known if each.finished is not None)
        return {service: finished for finished, service in over if service not in underway}

    async def run(self, call: ChildCall) -> RunRecord:
        """Start or join a child run, and return it when it is over. Raises ExecutionStopped, LedgerUnavailable, StaleEpoch."""
        await self.journal.flush()
        await self.catch_up()  # what is left of the deadline is what the child may take
        child = await self.children.start(replace(call, run=self.journal.run))
        path, facts = StepPath.noted(WAITS_FOR, call.step), {"run": child.id, "incident": child.incident}
        await self.journal.note(path, "The run that it waits for", facts, now=self.deps.clock())
        self._joined.add(child.id)
        return await self.children.until_over(child)

    async def all(self) -> Sequence[RunRecord]:
        """Return the child runs that were started or waited for so far, as they are now, oldest first."""
        found = await self._read()
        self._known |= found  # at once: another look may be under way
        over = {run for run, each in self._known.items() if each.finished is not None}
        for run in (self._known.keys() | self._joined) - found.keys() - over:
            self._known[run] = await self.ledger.incidents.run(run)
        return sorted(self._known.values(), key=lambda each: (each.started, each.id))

    async def _read(self) -> dict[str, RunRecord]:
        """Read what may have changed of the runs that were started: at first all of them, then those that are open."""
        if self._has_read:
            return {each.id: each for each in await self.ledger.incidents.open_children_of(self.journal.run.id)}
        started = await self.ledger.incidents.children_of(self.journal.run.id)
        self._joined.update(self._noted())
        self._has_read = True
        return {each.id: each for each in started}

    def _noted(self) -> Sequence[str]:
        notes = [each for each in self.journal.all() if each.step_path.note == WAITS_FOR]
        return [str((each.result or {})["run"]) for each in notes]


@dataclass(kw_only=True)
class StackDriver(Driver):
    """One run about all services. A person may end it: the runs that it has started go on by themselves."""

    children: Children
    clock: DeadlineClock = field(init=False)
    waits: ChildWaits = field(init=False)

    def __post_init__(self) -> None:
        after = self.runbook.rollback.after
        self.clock = DeadlineClock(deps=self.deps, ledger=self.ledger, journal=self.journal, after=after)
        self.waits = ChildWaits(
            deps=self.deps,
            ledger=self.ledger,
            journal=self.journal,
            children=self.children,
            catch_up=self.clock.catch_up,
        )
        self.clock.others = self.waits.all

    @override
    async def drive(self) -> RunRecord:
        if not self.run.state.is_final:
            state, reason = await self._execute_steps()
            await self._move(state, reason)
        return self.run

    async def _execute_steps(self) -> tuple[IncidentState, str]:
        interpreter = Interpreter(self.context(self.run.deadline), self.catalog, self.waits.run)
        execution = interpreter.execute_steps(self.runbook.steps, self.scope(Phase.FORWARD))
        try:
            await until_stopped(
                execution, self._reasons_to_stop, lambda: self.deps.poll_interval, name=f"steps of {self.run.id}"
            )
        except TriggerResolved as cleared:
            return IncidentState.CANCELLED, cleared.why
        except WritesForbidden as stop:
            return IncidentState.NEEDS_OPERATOR, stop.why
        except ExecutionAborted as stop:
            return IncidentState.NEEDS_OPERATOR, stop.summary
        return await self._evaluate()

    async def _evaluate(self) -> tuple[IncidentState, str]:
        """Evaluate a finished execution: it has recovered if the services are healthy now, whatever its steps expected."""
        unhealthy = self._unhealthy()
        if unhealthy:
            text = f"every step was done, but these services are not healthy: {', '.join(unhealthy)}"
            return IncidentState.NEEDS_OPERATOR, text
        children = await self.waits.all()
        what = [child_summary(each) for each in children] or ["no run was needed"]
        text = "; ".join(["every service is healthy", *what])
        return IncidentState.RECOVERED if children else IncidentState.NO_ACTION, text

    async def _reasons_to_stop(self) -> Ends:
        """Return why the execution must end now: a person's request, or the deadline."""
        if self._ended:
            return [TriggerResolved(RUN, f"{self._ended}; its child runs continue on their own")]
        await self._notify_waiting()
        waits = self.run.state is IncidentState.AWAITING_APPROVAL or await self.clock.check()
        over = self.run.deadline <= self.deps.clock()
        return [ExecutionStopped(RUN, TOO_LATE)] if over and not waits else []

    async def _notify_waiting(self) -> None:
        """Write into the incident that a child waits for a person and how to answer, and afterwards that it continues."""
        if self.run.state is not IncidentState.RUNNING:
            return
        text = asking(await self.waits.all())
        updates = RunUpdate(awaits_person=bool(text))
        if not text and self.run.awaits_person:
            text = GOES_ON
        if text and text != self.run.reason:
            await self.journal.move(self.run.state, text, self.deps.clock(), updates=updates)
            log.info("stack run waiting", run=self.run.id, why=text)

    async def _move(self, state: IncidentState, reason: str) -> None:
        unwatched = not_watched(self.journal.all(), self.deps.prometheus)
        reason = f"{reason}; {unwatched}" if unwatched else reason
        text = await self._handed_over(reason) if state is IncidentState.NEEDS_OPERATOR else reason
        now = self.deps.clock()
        await self.journal.move(state, text, now, updates=RunUpdate(steps_finished_at=now))
        log.info("run state changed", run=self.run.id, incident=self.incident.id, state=state, reason=reason)

    async def _handed_over(self, reason: str) -> Lines:
        """Return the message for a person: the started runs with their outcomes, and the services that are (not) healthy."""
        children = await self.waits.all()
        open_runs = [f"kintsugi incident {each.incident}" for each in children if each.finished is None]
        unhealthy = self._unhealthy()
        parts = (
            [line(SECRETS.text(reason))],
            section("Started", [child_summary(each) for each in children]),
            section("Still running, each with its own watchdog", open_runs),
            section("Not healthy", unhealthy),
            section("Healthy", [name for name in self.deps.observed.views if name not in unhealthy]),
            *[await self._left_by(each) for each in children if each.finished is not None and each.state not in HELPED],
            section("To continue after the repair", self._commands(unhealthy)),
            [line("Recovered services keep their changes; nothing is undone there.")],
        )
        return lines(chain.from_iterable(parts))

    async def _left_by(self, child: RunRecord) -> Sequence[Line]:
        """Return the commands that undo the changes of a child that did not help."""
        made = [each for each in await self.ledger.incidents.steps(child.id, strict=False) if each.changes]
        title = f"Undo commands of {child.runbook} on {child.service}, newest first"
        return undo_section(title, made)

    def _commands(self, unhealthy: list[str]) -> list[str]:
        """
        Return the commands that start the remaining recoveries: service by service, or all of them again.

        They overrule both guards that follow a run that did not help: a person who has repaired something wants to go on now.
        """
        views = self.deps.observed.views
        own = [f"kintsugi recover {views[name].service.runbook} --service {name}" for name in unhealthy]
        everything = f"kintsugi recover {self.runbook.name} --service {self.run.service}"
        how = f"--override {Override.HANDED_OVER} --override {Override.COOLDOWN} --why ..."
        return [f"{command} {how}" for command in (*own, everything)] if unhealthy else []

    def _unhealthy(self) -> list[str]:
        """Return the services that are not known to be healthy, by priority."""
        views = sorted(self.deps.observed.views.values(), key=lambda view: (view.service.priority, view.name))
        return [view.name for view in views if view.healthy is not True]
