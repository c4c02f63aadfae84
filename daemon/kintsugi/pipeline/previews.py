"""
Previews a run before a person is asked about it: the changes that it would make now, with their values. And a rollback before a
person confirms it: its commands, the difference of the templates, and the data it would lose.

The steps are evaluated in the order of the interpreter, and nothing is changed. Cheap reads of the cluster are made, the diagnosis
among them; each change is planned on the live object. After the first change, the state of the services is unknown: steps that
depend on it are shown as possible. The run itself evaluates each step when the step begins.

The lost data are the writes since a restore resumed traffic, as far as they are known: the restoring runbook names the step
(`rollback.dataLossCheck`) that counted the writes of every table by then. The same query is run again; the difference exists
only on the new volume.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kintsugi.actions.command_secrets import holds_secret
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.probe import ANONYMOUS_PROBE
from kintsugi.actions.verb_bases import ObjectVerb, namespace_of, object_of
from kintsugi.actions.workload_reads import find_revisions
from kintsugi.commands import decode, parse, render
from kintsugi.commands.registry import definition_of, definitions_by_verb
from kintsugi.decisions.planner import Plan, RunPreview, digest_of
from kintsugi.decisions.remedies import adopted_clause
from kintsugi.durations import format_duration
from kintsugi.errors import CommandError, DecryptionFailed, EvaluationError, KubeError, ProbeFailed, Refused
from kintsugi.executor import RETRYABLE_ERRORS
from kintsugi.expressions import Bindings, Expression
from kintsugi.kube.client import KubeClient
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import RollbackPreview
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.records import Incident, IncidentState, Phase, RunRecord, SeenWorkload, StepRecord, StepState
from kintsugi.model.remedies import RemedyKind
from kintsugi.model.runbooks import CommandTemplate, InOrder, Manual, Parallel, Run, Runbook, RunRunbook, Step, UndoStep
from kintsugi.model.services import Service, WorkloadRef
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.context import ClusterView, ReadContext, RunProber, StepScope
from kintsugi.runner.ends import ExpectationUndecided
from kintsugi.runner.interpreter import scope_of_child
from kintsugi.runner.journal import recalled
from kintsugi.runner.report import undo_texts
from kintsugi.runner.restoring import restore_of
from kintsugi.runner.rollback import undo_of
from kintsugi.runner.sections import Section, sections
from kintsugi.runner.seen_workload import seen_of
from kintsugi.runner.wait import probe
from kintsugi.scope.values import StepOutcome
from kintsugi.telemetry import SECRETS, Containment, FailureScope
from kubediagnosis.headline import headline, latest
from kubediagnosis.templates import difference, template_fields, template_of
from kubediagnosis.workload_revisions import current_of

MOST_PLANNED = 20
"""The most changes that are planned on the live object; others are shown as they are bound."""

_LIVE = frozenset({"service", "services"})
"""The names whose values are others after a change."""

_UNKNOWN = frozenset({"passed", "answered"})
"""What is not known of a step that was not executed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePlanner:
    """
    Plans the changes of one run, forward and back.

    `_changed` are the objects that a command before has changed by then: how they are after it is not known.
    """

    prober: RunProber
    observed: ClusterView
    run: RunRecord
    _changed: set[str] = field(default_factory=set)

    async def forward(self, command: Command, scope: StepScope) -> str:
        """Return a change of a step as it would be made now, with the values that its effect reads from the live object."""
        planned, why = await self._planned(command, scope, RUN)
        if planned is not None:
            undo = "; ".join(map(SECRETS.text, planned.undo.texts)) or planned.undo.note
            return f"{render(planned.command)}  # undo: {undo}"
        return _with_reason(render(command), why)

    async def step(self, text: str) -> str:
        """Return a command of the runbook's own rollback; one that rolls no workload back, or has no values yet, as it is."""
        try:
            command = parse(text, namespace=self.run.namespace)
        except CommandError:
            return text
        if not definition_of(command).rolls_back:
            return text
        return _with_reason(text, await self._refusal(command, self.run.service, Phase.ROLLBACK, RUN))

    async def undos(self, made: Sequence[StepRecord]) -> list[str]:
        """Return the commands that undo the run's changes and were not made yet, newest first."""
        undone, found = [step for step in made if step.phase is Phase.UNDO], list[str]()
        for step in reversed([step for step in made if step.phase is Phase.FORWARD]):
            texts = undo_texts([step, *undone])
            why = await self._refused_undo(step) if texts else ""
            found += [_with_reason(text, why) for text in texts]
        return found

    async def _refused_undo(self, step: StepRecord) -> str:
        """Return why the undo of a change would be refused; of several commands those after the first depend on it."""
        if step.undo is None or len(step.undo.commands) != 1:
            return ""
        try:
            undo, service = undo_of(step, step.undo, self.observed, self.run.service)
            path = step.step_path.undone_by(0)
            return await self._refusal(decode(undo.commands[0]), service, Phase.UNDO, path)
        except CommandError as error:
            return str(error)

    async def _refusal(self, command: Command, service: str, phase: Phase, path: StepPath) -> str:
        """Return why a change would be refused now, "" where it would be made, or was not judged."""
        scope = StepScope(phase=phase, service=service, runbook=self.run.runbook, parameters=self.run.parameters)
        return (await self._planned(command, scope, path))[1]

    async def _planned(self, command: Command, scope: StepScope, path: StepPath) -> tuple[EffectPlan | None, str]:
        """Return the plan of a change, None where it is not planned, and why it would be refused now."""
        if not isinstance(definition_of(command), ObjectVerb):
            return None, ""
        changed = f"{namespace_of(command)}/{object_of(command)}"
        if changed in self._changed:
            return None, ""
        blank = StepRecord(run=self.run.id, path=str(path), state=StepState.PLANNED, phase=scope.phase)
        planned = None
        try:
            context = self.observed.change_context(self.run, scope, blank)
            planned = await self.prober.plan_effect(command, context)
        except RETRYABLE_ERRORS:
            pass
        except (Refused, KubeError, CommandError, DecryptionFailed) as refusal:
            return None, str(refusal)
        self._changed.add(changed)
        return planned, ""


def _with_reason(text: str, why: str) -> str:
    return f"# {text.removeprefix('# ')}: {why}" if why else text


async def no_preview(_incident: Incident, _bound: Plan) -> RunPreview | None:
    """Return no preview: the default where nothing makes any."""
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPreviewer:
    """Makes previews, each within a time limit. Nothing is changed, and nothing is kept."""

    deps: RunnerDeps
    ledger: Ledger
    active_catalog: ActiveCatalog
    containment: Containment
    within: timedelta

    async def preview(self, incident: Incident, bound: Plan) -> RunPreview | None:
        """Return the preview of a run of a plan; of a plan for all services there is none."""
        service = bound.service
        if not isinstance(service, Service):
            return None
        alert = await self.ledger.signals.alert_that_began(incident.id)
        context = replace(self._context(incident, bound), alert=alert)
        planner = ChangePlanner(prober=self.deps.prober, observed=self.deps.observed, run=context.journal.run)
        evaluation = _Evaluation(context=context, catalog=self.active_catalog.catalog, planner=planner)
        scope = StepScope(
            phase=Phase.FORWARD,
            service=service.name,
            runbook=bound.runbook.name,
            parameters=bound.parameters,
            alert=context.alert,
            section=Section.of(bound.runbook, service, bound.parameters, RUN),
        )
        with self.containment.around(FailureScope.INCIDENT, incident.id) as call:
            try:
                async with asyncio.timeout(self.within.total_seconds()):
                    await evaluation.steps(bound.runbook.steps, scope)
            except TimeoutError:
                return RunPreview(unknown=f"they were not determined within {format_duration(self.within)}")
            except EvaluationError as error:
                return RunPreview(unknown=str(error))
        if call.error is not None:
            return RunPreview(unknown=f"{type(call.error).__name__}: {call.error}")
        return RunPreview(
            commands=tuple(evaluation.commands),
            possible=tuple(evaluation.possible),
            reason=evaluation.reason,
            needs_person=evaluation.needs_person,
        )

    def _context(self, incident: Incident, bound: Plan) -> ReadContext:
        """Return the context of a run that does not exist."""
        run = RunRecord(
            id="",
            incident=incident.id,
            service=bound.service.name,
            namespace=bound.service.namespace,
            rule=incident.rule,
            runbook=bound.runbook.name,
            catalog=self.active_catalog.catalog.digest,
            parameters=bound.parameters,
            epoch=0,
            state=IncidentState.RUNNING,
            started=self.deps.clock(),
            deadline=bound.deadline,
        )
        return ReadContext(deps=self.deps, journal=Journal(run, self.ledger, ()), incident=incident)


@dataclass(kw_only=True)
class _Evaluation:
    """One evaluation of the steps; `changed` once a change comes before the step that is evaluated."""

    context: ReadContext
    catalog: Catalog
    planner: ChangePlanner
    commands: list[str] = field(default_factory=list)
    possible: list[str] = field(default_factory=list)
    reason: str = ""
    needs_person: bool = False
    changed: bool = False

    async def steps(self, steps: Sequence[Step], scope: StepScope) -> None:
        """Evaluate steps in order."""
        for step in steps:
            await self._step(step, scope)

    async def _step(self, step: Step, scope: StepScope) -> None:
        items = await self._items(step, scope)
        places = [scope] if items is None else [replace(scope, item=each) for each in items]
        answers = [await self._is_wanted(step, place) for place in places]
        if items is None and answers != [False]:
            answers = [None]
        wanted = [place for place, answer in zip(places, answers, strict=True) if answer]
        if not wanted and None not in answers:
            scope.outcomes[step.id] = StepOutcome(ran=False, met=False)
            return
        before = len(self.commands)
        for place in wanted:
            await self._do(step, place)
        if None in answers:
            await self._note_possible(step, scope)
        self.changed = self.changed or len(self.commands) > before or bool(self.possible)

    async def _items(self, step: Step, scope: StepScope) -> Sequence[object] | None:
        """Return the items of a step, [None] without `forEach`; None where they are not known."""
        if step.for_each is None:
            return [scope.item]
        try:
            found = step.for_each.evaluate(self._names(step.for_each.variables, scope))
        except EvaluationError:
            return None
        return found if isinstance(found, list) else [found]

    async def _is_wanted(self, step: Step, scope: StepScope) -> bool | None:
        """Return whether a step would be executed, None where that is not known."""
        when = True if step.when is None else self._holds(step.when, scope)
        unless = False if step.unless is None else self._holds(step.unless, scope)
        if when is False or unless is True:
            return False
        return None if when is None or unless is None else True

    def _holds(self, condition: Expression, scope: StepScope) -> bool | None:
        try:
            return condition.evaluate(self._names(condition.variables, scope)) is True
        except EvaluationError:
            return None

    def _names(self, variables: frozenset[str], scope: StepScope) -> Mapping[str, object]:
        """Return the known values of some names: CEL answers `unknown && false` by false."""
        names = self.context.names(scope)
        hidden = _LIVE if self.changed else ()
        known = {each: names[each] for each in variables if each.partition(".")[0] not in hidden and each in names}
        return Bindings(known, names.lost)

    async def _do(self, step: Step, scope: StepScope) -> None:
        if step.service is not None:
            scope = replace(scope, service=self.context.text(step.service, scope))
        if step.approve is not None:
            self.commands.append("# a person is asked again")
        outcome = StepOutcome(ran=True, met=True, lost=_UNKNOWN)
        match step.do:
            case Run(command=command) if command.changes:
                self.commands += await self._texts(command, scope)
            case Run(command=command) if self._is_read(command) and step.for_each is None:
                outcome = await self._read(step, scope)
            case InOrder(steps=steps) | Parallel(steps=steps):
                await self.steps(steps, scope.below(step.id))
            case RunRunbook(runbook=name):
                runbook = self.catalog.runbooks[name]
                service = self.catalog.services[runbook.service or scope.service]
                alert = self.context.alert_for(service.name)
                await self.steps(runbook.steps, scope_of_child(runbook, service, scope, scope.path(step.id), alert))
            case UndoStep(step=earlier):
                self.commands.append(f"# the change of step {earlier} is undone")
            case Manual():
                self.commands.append("# a person does a manual step")
            case _:
                pass
        scope.outcomes[step.id] = outcome

    def _is_read(self, command: CommandTemplate) -> bool:
        """Return whether a preview makes a read: a diagnosis always, since the steps after it depend on its remedy."""
        definition = definitions_by_verb()[command.verb]
        return definition.diagnoses or (definition.previewed and not self.changed)

    async def _read(self, step: Step, scope: StepScope) -> StepOutcome:
        """Make a read once, and keep the remedy that it has found."""
        try:
            ended = await probe(self.context, replace(step, within=timedelta(0), for_duration=timedelta(0)), scope)
        except ExpectationUndecided as undecided:
            self.reason = self.reason or undecided.why
            return StepOutcome(ran=True, met=False, lost=_UNKNOWN)
        if isinstance(step.do, Run) and definitions_by_verb()[step.do.command.verb].diagnoses:
            why = str(ended.result.get("reason", "")) or f"the diagnosis had no answer: {ended.error}"
            self.reason = SECRETS.text(why)
            self.needs_person = ended.result.get("remedy") == RemedyKind.HAND_OVER
        return StepOutcome(ran=ended.ran, met=ended.met, result=ended.result, lost=ended.lost)

    async def _texts(self, template: CommandTemplate, scope: StepScope) -> Sequence[str]:
        """Return the commands of a step; as written where a value is read only when the step begins, or may be a secret."""
        try:
            bound = self.context.bound(template, scope)
        except (CommandError, EvaluationError):
            return [f"{template.source} (its values are read when the step begins)"]
        if holds_secret(bound, written=template.source):
            return [template.source]
        return [await self._text(each, scope) for each in self.context.deps.prober.split(bound)]

    async def _text(self, command: Command, scope: StepScope) -> str:
        if len(self.commands) >= MOST_PLANNED or self.possible:
            return render(command)
        return await self.planner.forward(command, scope)

    async def _note_possible(self, step: Step, scope: StepScope) -> None:
        """Note the changes of a step of which it is not known whether it will be executed."""
        name = step.name or step.id
        match step.do:
            case Run(command=command) if command.changes:
                self.possible += [f"{name}: {each}" for each in await self._texts(command, scope)]
            case InOrder(steps=steps) | Parallel(steps=steps):
                for each in steps:
                    await self._note_possible(each, scope.below(step.id))
            case RunRunbook(runbook=runbook):
                self.possible.append(f"{name}: runbook {runbook}")
            case UndoStep(step=earlier):
                self.possible.append(f"{name}: undo of {earlier}")
            case _:
                pass


COUNTED = ("inserted", "updated", "deleted")
COUNT_TIMEOUT = timedelta(seconds=20)
KEPT = "both volumes are kept; the removed data stay on the new volume"

Counts = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataLoss:
    """
    One thing that would be lost, for people in `text`.

    `scale` is the text that a person confirms: with numbers rounded to powers of ten, since a live database changes
    meanwhile, and one more row does not make it another question.
    """

    text: str
    scale: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackPreviewer:
    """Previews the rollbacks of runs. `prober` runs commands that only look; nothing is changed, and nothing is kept."""

    ledger: Ledger
    active_catalog: ActiveCatalog
    observed: ObservedState
    prober: RunProber
    kube: KubeClient

    async def preview(self, run: RunRecord) -> RollbackPreview:
        """Return the commands and losses of a run's rollback, with their digest."""
        catalog = await self.active_catalog.by_digest(run.catalog)
        steps = await self.ledger.incidents.steps(run.id, strict=False)
        commands = await self._undo_commands(run, catalog.runbooks[run.runbook], steps)
        losses = await losses_of(self.prober, run, catalog, steps)
        number, workload = self._good_revision(run, commands), self.workload(run)
        changes = await self._changes(run, number)
        adopted = number in self.observed.adopted(run.service).values()
        identity = (workload.uid, workload.template, workload.revision) if workload is not None else ()
        return RollbackPreview(
            begun=False,
            text=f"{run.runbook} on {run.service} would be rolled back{adopted_clause(number) if adopted else ''}",
            commands=commands,
            losses=tuple(loss.text for loss in losses),
            wrong=await self._wrong(run),
            changes=changes,
            digest=digest_of(run.id, *commands, *(repr(loss.scale) for loss in losses), changes, repr(identity)),
        )

    def workload(self, run: RunRecord) -> SeenWorkload | None:
        """Return the workload of a run's service as it is shown now, None where the service is no longer in the catalog."""
        view = self.observed.views.get(run.service)
        return seen_of(view) if view is not None else None

    async def _wrong(self, run: RunRecord) -> str:
        kept = await self.ledger.incidents.diagnoses_of(run.incident)
        found = latest([each.diagnosis for each in kept])
        return headline(found) if found is not None else ""

    def _good_revision(self, run: RunRecord, commands: Sequence[str]) -> int:
        """Return the number of the last good revision if a rollback leads to it, 0 otherwise."""
        number = self.observed.last_good(run.service)
        return number if any(f"--to-revision={number} " in command for command in commands) else 0

    async def _changes(self, run: RunRecord, number: int) -> str:
        """Return the rollback's difference of templates, where it leads to the last good revision `number`."""
        view = self.observed.views.get(run.service)
        if view is None or not number:
            return ""
        return await difference_to(self.kube, view.service.workload, run.namespace, number)

    def _written(self, command: CommandTemplate, run: RunRecord) -> str:
        """Return a command of the rollback as text; where its values come only later, with the revision that it would go to."""
        view, number = self.observed.views.get(run.service), self.observed.last_good(run.service)
        if definitions_by_verb()[command.verb].rolls_back and view is not None and number:
            return f"kubectl rollout undo {view.service.workload} --to-revision={number} -n {run.namespace}"
        return command.source

    async def _undo_commands(self, run: RunRecord, runbook: Runbook, steps: Sequence[StepRecord]) -> tuple[str, ...]:
        """Return the commands of a rollback: the runbook's own, as far as they are known now, then each undo."""
        made = [step for step in steps if step.changes and step.state is StepState.DONE]
        planner = ChangePlanner(prober=self.prober, observed=self.observed, run=run)
        own = [self._written(step.do.command, run) for step in runbook.rollback.steps if isinstance(step.do, Run)]
        written = [await planner.step(command) for command in own]
        return (*written, *await planner.undos(made))


async def losses_of(
    prober: RunProber, run: RunRecord, catalog: Catalog, steps: Sequence[StepRecord]
) -> tuple[DataLoss, ...]:
    """Return the losses if a run were rolled back now; none when it has restored nothing."""
    found: list[DataLoss] = []
    for path, runbook in sections(catalog.runbooks[run.runbook], catalog):
        restored = restored_at(path, steps) if runbook.replaces_data else None
        if restored is not None:
            found += [await _since(prober, path, runbook, steps, restored), DataLoss(text=KEPT, scale=(KEPT,))]
    return tuple(found)


async def _since(
    prober: RunProber, path: StepPath, runbook: Runbook, steps: Sequence[StepRecord], restored: datetime
) -> DataLoss:
    """Return the writes since a step counted them, or why they cannot be known."""
    everything = f"all writes since the restore at {_clock(restored)}"
    counted = next((each for each in steps if each.step_path == path.down(runbook.rollback.data_loss_check)), None)
    if not runbook.rollback.data_loss_check or counted is None or counted.met is not True or counted.finished is None:
        why = "the amount is unknown, because no step counted the rows before traffic resumed"
        return _unknown(str(path), f"{everything}; {why}")
    try:
        answer = await prober.read(parse(counted.text), deadline=COUNT_TIMEOUT, probe_context=ANONYMOUS_PROBE)
    except (CommandError, KubeError, ProbeFailed, Refused) as error:
        return _unknown(str(path), f"{everything}; the amount is unknown now: {error}")
    return written_since(counts(recalled(counted.result)), counts(answer.names), counted.finished)


def restored_at(path: StepPath, steps: Iterable[StepRecord]) -> datetime | None:
    """Return when a restore at a path put data into the database, None when it did not."""
    moments = [
        step.finished
        for step in steps
        if step.phase is Phase.FORWARD
        and step.step_path.is_below(path)
        and step.state is StepState.DONE
        and step.changes
        and restore_of(step) is not None
    ]
    return max((moment for moment in moments if moment is not None), default=None)


def counts(names: Mapping[str, object]) -> Counts:
    """Return the inserts, updates and deletes by table from the rows of the counting query."""
    rows = names.get("rows")
    found: dict[str, tuple[int, ...]] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and {"schemaname", "relname", *COUNTED} <= row.keys():
            numbers = [row[name] for name in COUNTED]
            found[f"{row['schemaname']}.{row['relname']}"] = tuple(
                int(each) for each in numbers if isinstance(each, int)
            )
    return found


def written_since(before: Counts, now: Counts, moment: datetime) -> DataLoss:
    """Return the difference by table. Counters that decreased (the server has crashed since) are ignored."""
    zeros = (0,) * len(COUNTED)
    differences = {
        table: tuple(after - earlier for after, earlier in zip(seen, before.get(table, zeros), strict=True))
        for table, seen in now.items()
    }
    if not now or before.keys() - now.keys() or any(min(each) < 0 for each in differences.values()):
        why = "the amount is unknown, because the counters were reset"
        return _unknown(_clock(moment), f"all writes since {_clock(moment)}; {why}")
    lines = [
        f"{table}: " + ", ".join(f"{number} rows {name}" for number, name in zip(each, COUNTED, strict=True) if number)
        for table, each in differences.items()
        if any(each)
    ]
    text = f"written since {_clock(moment)}: " + ("; ".join(lines) or "no counted writes")
    scale = sorted(
        f"{table}: {[len(str(number)) if number else 0 for number in each]}" for table, each in differences.items()
    )
    return DataLoss(text=text, scale=(_clock(moment), *scale))


def _unknown(what: str, text: str) -> DataLoss:
    return DataLoss(text=text, scale=(what, "unknown"))


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


async def difference_to(kube: KubeClient, workload: WorkloadRef, namespace: str, number: int) -> str:
    """Return from which revision to which it would go, and what each has; "" where that cannot be read."""
    asked = ObjectName(resource=workload.resource, name=workload.name)
    try:
        found = await kube.get(workload.resource, workload.name, namespace)
        revisions = await find_revisions(kube, asked, found, ())
    except KubeError:
        return ""
    target, current = next((each for each in revisions if each.number == number), None), current_of(revisions)
    if target is None or current is None:
        return ""
    had, gets = difference(template_fields(template_of(found)), template_fields(target.pods))
    left, right = (f" ({words})" if words else "" for words in (had, gets))
    return f"{workload} from revision {current.number}{left} to {number}{right}"
