"""
The commands of a run or of its rollback, each planned on the live object as the run will plan it. Planning only reads.

A command that would be refused is shown as a comment with the reason: the workload is paused, managed by GitOps, or was
changed by another client since the run changed it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kintsugi.actions.change_verb import ObjectVerb, namespace_of, object_of
from kintsugi.commands import decode, parse, render
from kintsugi.commands.registry import definition_of
from kintsugi.errors import CommandError, DecryptionFailed, KubeError, Refused
from kintsugi.executor import RETRYABLE_ERRORS
from kintsugi.model.command import Command
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.runner.context import ClusterView, RunProber, StepScope
from kintsugi.runner.report import undo_texts
from kintsugi.runner.rollback import undo_of


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
        return _with_reason(render(planned), why)

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

    async def _planned(self, command: Command, scope: StepScope, path: StepPath) -> tuple[Command, str]:
        """Return a change as its effect would be, and why it would be refused now."""
        if not isinstance(definition_of(command), ObjectVerb):
            return command, ""
        changed = f"{namespace_of(command)}/{object_of(command)}"
        if changed in self._changed:
            return command, ""
        blank = StepRecord(run=self.run.id, path=str(path), state=StepState.PLANNED, phase=scope.phase)
        planned = command
        try:
            context = self.observed.change_context(self.run, scope, blank)
            planned = (await self.prober.plan_effect(command, context)).command
        except RETRYABLE_ERRORS:
            pass
        except (Refused, KubeError, CommandError, DecryptionFailed) as refusal:
            return command, str(refusal)
        self._changed.add(changed)
        return planned, ""


def _with_reason(text: str, why: str) -> str:
    return f"# {text.removeprefix('# ')}: {why}" if why else text
