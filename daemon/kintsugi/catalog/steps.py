"""
Builds steps from their shapes: compiles expressions in their scope, parses commands, checks order and references.

The scope of a step is defined here: its own result after it ran, and the results of steps that have ended by then,
never those of later steps or of siblings that may run at the same time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from kintsugi.catalog.document_builder import DocumentBuilder
from kintsugi.catalog.schema import ApproveShape, ManualShape, StepShape
from kintsugi.catalog.source import Path
from kintsugi.commands.registry import definitions_by_verb
from kintsugi.commands.results import PART, SCANNED
from kintsugi.expressions import ANY, INT, STRING, Expression, ListOf, Scope, TextTemplate, Type
from kintsugi.model.runbooks import (
    ApprovalRequest,
    Await,
    Do,
    InOrder,
    Manual,
    Parallel,
    Run,
    RunChecks,
    RunRunbook,
    Step,
    UndoPolicy,
    UndoStep,
)
from kintsugi.scope.types import Names, StepPlace, step_names

Results = Mapping[str, Names]
"""Step ids, each with the names that its result has for later steps."""

MOST_STEPS = 1000
MOST_LEVELS = 6


def left_behind(own: Names, *, repeated: bool) -> Names:
    """Return what later steps see of a result; of a step that was done for each item, its lists, put together."""
    return {name: kind for name, kind in own.items() if isinstance(kind, ListOf)} if repeated else own


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """The built action of a step: the action, the names of its own result, and the results of the steps inside it."""

    do: Do
    own: Names = field(default_factory=dict)
    inside: Results = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Steps:
    """
    Builds the steps of one list that share their ids: a runbook's, a rollback's or a service's checks.

    `probes_only` refuses everything that changes something; `about` is the service whose database is asked, "" when values
    decide it. `in_rollback`: what is changed here is not taken back again.
    """

    draft: DocumentBuilder[Any]
    about: str
    probes_only: bool = False
    in_rollback: bool = False
    ids: set[str] = field(default_factory=set)

    def in_order(
        self, shapes: Sequence[StepShape], path: Path, place: StepPlace, level: int = 0
    ) -> tuple[tuple[Step, ...], Results]:
        """Build steps that go one after another, each seeing what the earlier ones left."""
        self._check_size(path, level)
        steps: list[Step] = []
        results: dict[str, Names] = {}
        for index, shape in enumerate(shapes):
            inner = (*path, index)
            if shape.needs:
                self.draft.note(
                    (*inner, "needs"), "steps in order need no `needs`: it is for steps under `parallel`", key=True
                )
            if "steps" not in self.draft.unclear:
                earlier = [step.id for step in shapes[:index]]
                self.draft.one_of((*inner, "undoStep"), shape.undo_step, earlier, "earlier step in this list")
            step, left = self._step(shape, inner, place, level)
            steps.append(step)
            place = place.after(left)
            results |= left
        return tuple(steps), results

    def parallel(
        self, shapes: Sequence[StepShape], path: Path, place: StepPlace, level: int
    ) -> tuple[tuple[Step, ...], Results]:
        """Build steps that go at once; a step sees the siblings that it needs, and those that they need."""
        self._check_size(path, level)
        steps: dict[int, Step] = {}
        results: dict[str, Names] = {}
        behind: dict[str, Results] = {}
        for index in self._by_need(shapes, path):
            shape, inner = shapes[index], (*path, index)
            visible = {name: kind for need in shape.needs for name, kind in behind.get(need, {}).items()}
            if shape.undo_step is not None:
                self.draft.note((*inner, "undoStep"), "a step is undone by a later step, not by a parallel one")
            steps[index], left = self._step(shape, inner, place.after(visible), level)
            behind[shape.id] = {**visible, **left}
            results |= left
        return tuple(steps[index] for index in sorted(steps)), results

    def _by_need(self, shapes: Sequence[StepShape], path: Path) -> list[int]:
        """
        Return the positions of steps in an order in which each comes after those that it needs; note unknown needs and
        cycles.
        """
        position = {shape.id: index for index, shape in enumerate(shapes)}
        graph: dict[int, list[int]] = {}
        for index, shape in enumerate(shapes):
            others = tuple(other for other in position if other != shape.id)
            for number, need in enumerate(() if "steps" in self.draft.unclear else shape.needs):
                self.draft.one_of((*path, index, "needs", number), need, others, "step beside this one")
            graph[index] = [position[need] for need in shape.needs if need in others]
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as error:
            ring = " -> ".join(shapes[index].id for index in reversed(error.args[1]))
            self.draft.note((*path, error.args[1][0], "needs"), f"steps wait for each other: {ring}")
            return list(range(len(shapes)))

    def _step(self, shape: StepShape, path: Path, place: StepPlace, level: int) -> tuple[Step, Results]:
        self._claim_id(shape, path)
        draft = self.draft
        for_each = draft.expression((*path, "forEach"), shape.for_each, self._scope(place), ANY)
        inner = place if shape.for_each is None else replace(place, each=self._item(for_each, path))
        scope = self._scope(inner)
        around, self.about = self.about, self._about(shape)
        done = self._do(shape, path, inner, level)
        undo = self._undo(shape, path, inner.after({shape.id: done.own}), level)
        self.about = around
        after = None if f"steps.{shape.id}" in draft.unclear else self._scope(replace(inner, own=done.own))
        step = Step(
            id=shape.id,
            name=shape.name or shape.id,
            do=done.do,
            for_each=for_each,
            max_parallel=shape.max_parallel,
            when=draft.expression((*path, "when"), shape.when, scope),
            unless=draft.expression((*path, "unless"), shape.unless, scope),
            approve=self._approval(shape, path, scope),
            expect=draft.expression((*path, "expect"), shape.expect, after),
            within=draft.deadline(shape.within),
            for_duration=draft.scaled(shape.for_duration),
            progress=draft.expression((*path, "progress"), shape.progress, after, ANY),
            on_failure=shape.on_failure,
            timeout=None if shape.timeout is None else draft.deadline(shape.timeout),
            retries=shape.retries,
            even_if_resolved=shape.even_if_resolved,
            undo=undo,
            scan=draft.known.patterns.get(shape.scan or ""),
            keep=draft.expression((*path, "keep"), shape.keep, after, ListOf(ANY)),
            count=draft.expression((*path, "count"), shape.count, after, INT),
            service=self._service(shape, path, scope),
            needs=tuple(shape.needs),
            place=draft.place(path),
        )
        self._check_keys(shape, path, step)
        repeated = shape.for_each is not None
        own = done.own if step.keep is None else {PART: step.keep.result}
        return step, {**({} if repeated else done.inside), shape.id: left_behind(own, repeated=repeated)}

    def _scope(self, place: StepPlace) -> Scope:
        names = {**dict.fromkeys(self.draft.unclear, ANY), **step_names(place)}
        return Scope(names=names, start_up=self.draft.known.start_up)

    def _about(self, shape: StepShape) -> str:
        """Return the service that a step and what is inside it are about, as far as the document says it."""
        if shape.service is None:
            return self.about
        return "" if "${" in shape.service else shape.service

    def _do(self, shape: StepShape, path: Path, place: StepPlace, level: int) -> _Done:
        match shape:
            case StepShape(run=str(line)):
                return self._run(shape, line, path, self._scope(place))
            case StepShape(steps=[*shapes]):
                ordered, results = self.in_order(shapes, (*path, "steps"), place, level + 1)
                return _Done(do=InOrder(steps=ordered), inside=results)
            case StepShape(parallel=[*shapes]):
                at_once, results = self.parallel(shapes, (*path, "parallel"), place, level + 1)
                return _Done(do=Parallel(steps=at_once), inside=results)
            case StepShape(runbook=str(name)):
                self._refuse_change((*path, "runbook"), "a runbook may change something")
                self.draft.one_of((*path, "runbook"), name, self.draft.known.runbooks, "runbook")
                return _Done(do=RunRunbook(runbook=name))
            case StepShape(checks=str(name)):
                self._check_checks(shape, name, path)
                return _Done(do=RunChecks(checks=name))
            case StepShape(undo_step=str(earlier)):
                self._refuse_change((*path, "undoStep"), "`undoStep` changes something")
                return _Done(do=UndoStep(step=earlier))
            case StepShape(manual=ManualShape() as manual):
                if shape.for_each is not None:
                    self.draft.note((*path, "forEach"), "a person does a manual step once: remove `forEach`", key=True)
                return self._manual(manual, (*path, "manual"), self._scope(place))
            case _:
                return _Done(do=Await())

    def _manual(self, shape: ManualShape, path: Path, scope: Scope) -> _Done:
        self._refuse_change(path, "a person changes something")
        text = self.draft.template((*path, "text"), shape.text, scope)
        command = self.draft.template((*path, "command"), shape.command, scope)
        if text is None:
            return _Done(do=Await())
        expiry = None if shape.expiry is None else self.draft.scaled(shape.expiry)
        return _Done(do=Manual(text=text, command=command, expiry=expiry))

    def _approval(self, shape: StepShape, path: Path, scope: Scope) -> ApprovalRequest | None:
        if isinstance(shape.approve, ApproveShape):
            question = self.draft.template((*path, "approve", "question"), shape.approve.question, scope)
            return None if question is None else ApprovalRequest(question=question, on_no=shape.approve.on_no)
        question = self.draft.template((*path, "approve"), shape.approve, scope)
        return None if question is None else ApprovalRequest(question=question)

    def _run(self, shape: StepShape, line: str, path: Path, scope: Scope) -> _Done:
        command = self.draft.command((*path, "run"), line, scope, service=self.about)
        if command is None:
            self.draft.unclear.add(f"steps.{shape.id}")
            return _Done(do=Await())
        if command.changes:
            self._refuse_change((*path, "run"), f"{command.verb} changes something")
        if command.sends:
            self._check_sent(shape, path)
        own = dict(command.columns())
        if shape.scan is not None:
            own |= self._scanned(shape.scan, path, command.verb)
        return _Done(do=Run(command=command), own=own)

    def _check_sent(self, shape: StepShape, path: Path) -> None:
        """Hold what sends a request to what its author alone knows: how it is taken back, and that it is sent once."""
        if shape.undo is None and not (self.in_rollback or self.probes_only):
            self.draft.note(
                (*path, "run"),
                "this request changes something, and only its author knows how to undo it: write `undo: none`, "
                "`undo: keep`, or `undo` with steps",
            )
        if shape.retries:
            self.draft.note(
                (*path, "retries"), "a request is sent once: the effect of a failed request is unknown", key=True
            )

    def _scanned(self, scan: str, path: Path, verb: str) -> Names:
        if not definitions_by_verb()[verb].reads_logs:
            self.draft.note((*path, "scan"), f"only lines of logs are scanned, and {verb} returns no lines", key=True)
        self.draft.one_of((*path, "scan"), scan, self.draft.known.patterns, "Patterns document")
        return SCANNED

    def _item(self, for_each: Expression | None, path: Path) -> Type:
        if for_each is None or for_each.result == ANY:
            return ANY
        if isinstance(for_each.result, ListOf):
            return for_each.result.item
        self.draft.note((*path, "forEach"), f"it gives a {for_each.result}, not a list")
        return ANY

    def _service(self, shape: StepShape, path: Path, scope: Scope) -> TextTemplate | None:
        template = self.draft.template((*path, "service"), shape.service, scope)
        if template is None or shape.service is None:
            return None
        if template.placeholders:
            if any(placeholder.result not in (STRING, ANY) for placeholder in template.placeholders):
                self.draft.note((*path, "service"), "it takes the name of a service, as in ${each.name}")
        else:
            self.draft.one_of((*path, "service"), shape.service, self.draft.known.services, "service")
        return template

    def _undo(self, shape: StepShape, path: Path, place: StepPlace, level: int) -> UndoPolicy | tuple[Step, ...]:
        if isinstance(shape.undo, list):
            around, self.in_rollback = self.in_rollback, True
            steps, _ = self.in_order(shape.undo, (*path, "undo"), place, level + 1)
            self.in_rollback = around
            return steps
        return UndoPolicy(shape.undo) if shape.undo else UndoPolicy.INVERSE

    def _claim_id(self, shape: StepShape, path: Path) -> None:
        if shape.id in self.ids:
            self.draft.note((*path, "id"), f"the id {shape.id!r} is used twice in this list of steps")
        self.ids.add(shape.id)
        if len(self.ids) == MOST_STEPS + 1:
            self.draft.note(path, f"these are more than {MOST_STEPS} steps: make runbooks of parts of them")

    def _check_size(self, path: Path, level: int) -> None:
        if level == MOST_LEVELS:
            self.draft.note(
                path, f"steps are nested more than {MOST_LEVELS} levels deep: make runbooks of parts of them"
            )

    def _check_checks(self, shape: StepShape, name: str, path: Path) -> None:
        of_all = self.draft.known.checks
        if shape.service in of_all:
            self.draft.one_of(
                (*path, "checks"), name, of_all[shape.service], f"list of checks of {shape.service} called"
            )
        else:
            known = sorted({check for checks in of_all.values() for check in checks})
            self.draft.one_of((*path, "checks"), name, known, "service with checks called")

    def _refuse_change(self, path: Path, what: str) -> None:
        if self.probes_only:
            self.draft.note(path, f"{what}, but checks are probes")

    def _check_keys(self, shape: StepShape, path: Path, step: Step) -> None:
        """Note keys that have no effect beside the others: their author expected one."""
        if f"steps.{shape.id}" in self.draft.unclear:
            return
        changes = not isinstance(step.do, Run | Manual) or (isinstance(step.do, Run) and step.do.command.changes)
        for key, given, wanted, why in (
            (
                "maxParallel",
                shape.max_parallel > 1,
                shape.for_each is not None,
                "it sets how many items of `forEach` run at once",
            ),
            ("scan", shape.scan is not None, shape.run is not None, "it reads the lines of a command"),
            (
                "keep",
                shape.keep is not None,
                not changes and not self.probes_only,
                "it selects the part of a probe's result that goes into the incident",
            ),
            (
                "count",
                shape.count is not None,
                self.probes_only and shape.for_each is None,
                "it is the whole number that a service's check has counted, once",
            ),
            ("timeout", shape.timeout is not None, shape.run is not None, "it limits the time of a command"),
            (
                "retries",
                shape.retries > 0,
                shape.run is not None and changes,
                "only changes are retried; a probe has `within`",
            ),
            (
                "evenIfResolved",
                shape.even_if_resolved,
                shape.run is not None and changes,
                "only a change is skipped when the trigger of the run has ended",
            ),
            ("undo", shape.undo is not None, changes, "only changes of Kintsugi are undone"),
            (
                "progress",
                shape.progress is not None,
                bool(shape.within or shape.timeout),
                "it restarts `within` or `timeout`",
            ),
            ("for", bool(shape.for_duration), shape.expect is not None, "it is how long `expect` must hold unbroken"),
        ):
            if given and not wanted:
                self.draft.note((*path, key), f"`{key}` has no meaning here: {why}", key=True)
