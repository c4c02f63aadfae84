"""A verb that a worker executes, in a Job of its own; the effect is the Job, whose outcome is watched."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from typing_extensions import override

from kintsugi.actions import job_plan, job_progress, jobs
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import JobVerb
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.job_manifest import CONTAINER
from kintsugi.actions.job_progress import LogContents, WorkerContainer, WorkerStage, WorkerStatus
from kintsugi.actions.result import Result
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.actions.worker_job_spec import WorkerJobSpec
from kintsugi.commands.results import ObjectType
from kintsugi.commands.verb_definition import C
from kintsugi.expressions import Type
from kintsugi.model.worker_commands import WorkerCommand
from kintsugi.model.worker_log import lines_of, names_of
from kintsugi.model.worker_results import Failed, LastLine


class WorkerVerb(JobVerb[C]):
    """
    The base of the verbs that a worker executes; planning and applying are the same for all of them: `actions.jobs`.
    """

    intent = jobs.WorkerIntent
    begins_section = False

    @abstractmethod
    def touches(self, command: C) -> str:
        """Return the object that a lost worker may have touched."""

    async def settle(
        self, clients: VerbClients, command: C, lost: WorkerStatus, context: ChangeContext
    ) -> WorkerStatus:
        """Return the outcome of a worker that ended without a last line: it has failed, unless a verb asks further."""
        why = f"{lost.why}; nothing but {self.touches(command)} was touched"
        return replace(lost, stage=WorkerStage.FAILED, why=why)

    @override
    async def watch(self, clients: VerbClients, plan: EffectPlan, context: ChangeContext) -> WorkerStatus:
        intent = plan.remembered(jobs.WorkerIntent)
        status = await job_progress.read(clients.kube, intent.job, intent.namespace, WORKER)
        if status.stage is WorkerStage.STARTING:
            return job_progress.stuck_if_not_started(status, clients.restore.start_timeout, context.now)
        if status.stage is not WorkerStage.LOST:
            return status
        assert isinstance(plan.command, self.command), plan.command
        return await self.settle(clients, plan.command, status, context)

    def columns(self, command: C, type_of: ObjectType) -> Mapping[str, Type]:
        """Return nothing besides what the row names."""
        return {}

    @override
    async def plan_effect(self, clients: VerbClients, command: C, context: ChangeContext) -> EffectPlan:
        assert isinstance(command, WorkerCommand), command
        order = WorkerJobSpec(command=command, context=context, settings=clients.restore)
        return await job_plan.plan_effect(clients.kube, order)

    @override
    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        return await jobs.apply(clients.kube, plan)

    @override
    async def reread(self, clients: VerbClients, plan: EffectPlan) -> Result:
        return jobs.found(plan)

    @override
    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        return await jobs.probe(clients.kube, plan)


def read_log(output: bytes) -> LogContents:
    """Read the log of a worker: its last line says how the work ended."""
    lines = lines_of(output)
    last = next((line for line in reversed(lines) if isinstance(line, LastLine)), None)
    names = names_of(lines)
    if isinstance(last, Failed):
        return LogContents(names=names, end=WorkerStage.FAILED, why=last.reason)
    return LogContents(names=names, end=WorkerStage.DONE if last is not None else None)


WORKER = WorkerContainer(name=CONTAINER, read_log=read_log)
