"""
Drives one run of a page: it reads what the page reads about its service, and leaves every other step to a person.

Nothing is changed and nobody is asked, whatever the daemon's mode: only probes are made here. A person is notified of what they
have found, with the other steps of the page as they stand there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog
from typing_extensions import override

from kintsugi.actions.api_objects import summary
from kintsugi.commands import render
from kintsugi.decisions.page_probes import limited, objection, own_objects
from kintsugi.errors import Refused
from kintsugi.model.records import IncidentState, Occasion, Phase, RunRecord, StepRecord, StepState
from kintsugi.model.runbooks import PAGE, PAGE_DIGEST, CommandTemplate, InOrder, Manual, Run, Runbook, Step
from kintsugi.model.step_path import RUN
from kintsugi.runner.context import ReadContext, StepScope
from kintsugi.runner.driver import Driver, until_stopped
from kintsugi.runner.ends import TOO_LATE, ExecutionAborted, ExecutionStopped, TriggerResolved
from kintsugi.runner.journal import recalled, storable
from kintsugi.runner.report import section
from kintsugi.runner.wait import Expectation, poll_once, probe_context
from kintsugi.scope.values import StepOutcome
from kintsugi.telemetry import SECRETS
from kubeobjects import unstructured
from kubeobjects.lines import Lines, counted, line, lines
from kubeobjects.resources import EVENTS

log = structlog.get_logger(__name__)

LEFT = "left to a person"
"""The error of a step of a page that is not run."""

MOST_PROBES = 30
"""Commands of one page that are run; those after them are left to a person."""

MOST_SHOWN = 3
"""Lines of a log, and Events, that the report shows of one command: the newest."""

SUMMARY = "summary"
"""The name under which a result keeps its summary."""

NOT_RUN = "not run"


@dataclass(kw_only=True)
class PageDriver(Driver):
    """One run of a page under way. A person may end it."""

    _context: ReadContext = field(init=False)

    def __post_init__(self) -> None:
        self._context = ReadContext(deps=self.deps, journal=self.journal, incident=self.incident, alert=self.alert)

    @override
    async def drive(self) -> RunRecord:
        view = self.deps.observed.views.get(self.run.service)
        if self.deps.diagnoses is not None and view is not None:
            await self.deps.diagnoses.make(self.incident.id, view.service, Occasion.OPENED)
        state, why = IncidentState.NEEDS_OPERATOR, ""
        try:
            reading = self._all()
            name = f"page {self.run.id}"
            await until_stopped(reading, self._reasons_to_stop, lambda: self.deps.poll_interval, name=name)
        except TriggerResolved as ended:
            state, why = IncidentState.CANCELLED, ended.why
        except ExecutionAborted as stopped:
            why = stopped.why
        await self.journal.move(state, page_report(self.runbook, self.journal.all(), why), self.deps.clock())
        log.info("page read", run=self.run.id, incident=self.incident.id, state=state)
        return self.run

    async def _reasons_to_stop(self) -> list[BaseException | None]:
        if self._ended:
            return [TriggerResolved(RUN, self._ended)]
        return [ExecutionStopped(RUN, TOO_LATE)] if self.deps.clock() >= self.run.deadline else []

    async def _all(self) -> None:
        scope = self.scope(Phase.FORWARD)
        await self._take(self.runbook.steps, scope)
        for step in self.runbook.rollback.steps:
            for each in step.flat():
                if not each.inner:
                    await self._leave(each, scope)

    async def _take(self, steps: Sequence[Step], scope: StepScope) -> None:
        """Take steps in order: a probe is made, unless it depends on anything that only a run of a runbook has."""
        for step in steps:
            match step.do:
                case InOrder(steps=inner):
                    await self._take(inner, scope.below(step.id))
                case Run(command=command) if is_plain_probe(step) and self._made() < MOST_PROBES:
                    await self._probe(step, command, scope)
                case _:
                    await self._leave(step, scope)

    def _made(self) -> int:
        return sum(step.state is StepState.DONE for step in self.journal.all())

    async def _leave(self, step: Step, scope: StepScope) -> None:
        """Keep a step that a person does, with the exact text of the page."""
        record = self._record(step, scope)
        match step.do:
            case Manual(text=said, command=command):
                text = self._context.text(command, scope) if command is not None else ""
                record = replace(record, name=self._context.text(said, scope), text=text)
            case Run(command=probe):
                record = replace(record, text=probe.source)
        await self._save(replace(record, state=StepState.SKIPPED, error=LEFT))

    async def _probe(self, step: Step, command: CommandTemplate, scope: StepScope) -> None:
        """Make one probe, once, and keep its result for the report and for the steps after it."""
        known = self.journal.ended(scope.phase, scope.path(step.id))
        if known is None:
            await self._context.wait_until_current(scope)
            made = _Probe(context=self._context, step=step, command=command, scope=scope)
            seen = await poll_once(_once(step), made.read, lambda result: self._context.names(scope, result))
            known = replace(
                self._record(step, scope),
                state=StepState.DONE,
                verb=str(command.verb),
                text=made.text,
                result=storable(seen.result) or {SUMMARY: seen.result.get(SUMMARY, "")},
                met=seen.met,
                error=seen.error,
            )
            await self._save(known)
            result = seen.result
        else:
            result = recalled(known.result)
        scope.outcomes[step.id] = StepOutcome(ran=True, met=known.met is True, result=result)

    def _record(self, step: Step, scope: StepScope) -> StepRecord:
        blank = self.journal.blank(scope.path(step.id), name=step.name or step.id, phase=scope.phase)
        return replace(blank, started=self.deps.clock())

    async def _save(self, record: StepRecord) -> None:
        """Keep how a step ended, unless that is known since before a restart."""
        if self.journal.known(record.phase, record.step_path) is None:
            now = self.deps.clock()
            await self.journal.save_step(replace(record, finished=now), expect=None, now=now, deferred=True)


@dataclass(kw_only=True)
class _Probe:
    """One probe of a page; `text` is its command, with the values filled in once they are known."""

    context: ReadContext
    step: Step
    command: CommandTemplate
    scope: StepScope
    text: str = field(init=False)

    def __post_init__(self) -> None:
        self.text = self.command.source

    async def read(self) -> Mapping[str, object]:
        """Return what is the service's of the result. Raises KubeError, ProbeFailed, Refused, CommandError, EvaluationError."""
        deps, scope = self.context.deps, self.scope
        view = deps.observed.views.get(scope.service)
        if view is None:
            raise Refused(f"{NOT_RUN}: {scope.service} is no longer in the catalog")
        bound = self.context.bound(self.command, scope)
        self.text = render(bound)
        if why := objection(bound, view):
            raise Refused(f"{NOT_RUN}: {why}")
        command = limited(bound, view)
        self.text = render(command)
        around = probe_context(self.context, self.step, scope)
        result = await deps.prober.read(command, deadline=deps.command_timeout, probe_context=around)
        own = own_objects(result.names, view)
        summed = result.summary if own == result.names else summary(unstructured.nested_maps(own, "items"))
        return {**own, SUMMARY: summed}


def _once(step: Step) -> Expectation:
    """Return a step's expectation for one look: a page waits for nothing."""
    now = timedelta(0)
    return Expectation(expect=step.expect, within=now, for_duration=now, progress=None, every=now)


def is_plain_probe(step: Step) -> bool:
    """Return whether a step is one command that only reads, without a condition, a list, a question or another service."""
    plain = step.for_each is None and step.when is None and step.unless is None
    asks = step.approve is not None or step.service is not None
    return isinstance(step.do, Run) and not step.do.command.changes and plain and not asks


def page_report(runbook: Runbook, steps: Sequence[StepRecord], why: str = "") -> Lines:
    """Return what a run of a page tells a person: what was found, what was not read, and what the page leaves to them."""
    made = [step for step in steps if step.state is StepState.DONE]
    found = [step for step in made if recalled(step.result).get(SUMMARY)]
    unread = [step for step in made if step not in found]
    left = [step for step in steps if step.error == LEFT]
    of = f"the page {runbook.annotations.get(PAGE, runbook.name)} ({runbook.annotations.get(PAGE_DIGEST, runbook.digest)})"
    head = f"No rule is for this alert. Of {of} {counted(len(found), 'command')} {'was' if len(found) == 1 else 'were'} run"
    return lines(
        [
            line(SECRETS.text(f"{head}{f'; {why}' if why else ''}")),
            *section("Found", [text for step in found for text in _found(step)]),
            *section("Left to a person, as on the page", [text for step in left for text in _left(step)]),
            *section("Not read", [f"{step.text}: {step.error}" for step in unread]),
        ]
    )


def _left(step: StepRecord) -> Iterator[str]:
    yield from step.name.split("\n")
    yield from (f"$ {text}" for text in step.text.split("\n") if text)


def _found(step: StepRecord) -> Iterator[str]:
    """Yield the summary of a result; of a log its newest lines, too, and of Events the newest."""
    result = recalled(step.result)
    yield f"{step.text}: {result[SUMMARY]}{'' if step.met else ', not as the page expects'}"
    lines_of_log, items = result.get("lines"), unstructured.nested_maps(result, "items")
    said = [str(each) for each in lines_of_log] if isinstance(lines_of_log, list | tuple) else []
    said += [
        f"{unstructured.nested_string(each, 'reason')}: {unstructured.nested_string(each, 'message')}"
        for each in items
        if unstructured.nested_string(each, "kind") == EVENTS.kind
    ]
    yield from (f"  {text}" for text in said[-MOST_SHOWN:])
