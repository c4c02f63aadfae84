"""A verb that a worker executes, in a Job of its own; the effect is the Job, whose outcome is watched."""

from abc import abstractmethod
from dataclasses import replace

from typing_extensions import override

from kintsugi.actions import job_progress, jobs
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import JobVerb
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.actions.result import Result
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.actions.worker_job_spec import WorkerJobSpec
from kintsugi.commands.verb_definition import C
from kintsugi.model.command import WorkerCommand


class WorkerVerb(JobVerb[C]):
    """
    The base of the verbs that a worker executes; planning and applying are the same for all of them: `actions.jobs`.
    """

    intent = jobs.WorkerIntent
    begins_section = False

    @abstractmethod
    def touches(self, command: C) -> str:
        """Return the object that a lost worker may have touched."""

    async def settle(self, clients: VerbClients, command: C, lost: JobState, context: ChangeContext) -> JobState:
        """Return the outcome of a worker that ended without a last line: it has failed, unless a verb asks further."""
        why = f"{lost.why}; nothing but {self.touches(command)} was touched"
        return replace(lost, stage=JobStage.FAILED, why=why)

    @override
    async def watch(self, clients: VerbClients, plan: EffectPlan, context: ChangeContext) -> JobState:
        intent = plan.remembered(jobs.WorkerIntent)
        status = await job_progress.read(clients.kube, intent.job, intent.namespace)
        if status.stage is JobStage.STARTING:
            return job_progress.stuck_if_not_started(status, clients.restore.start_timeout, context.now)
        if status.stage not in (JobStage.LOST, JobStage.GONE):
            return status
        assert isinstance(plan.command, self.command), plan.command
        return await self.settle(clients, plan.command, status, context)

    @override
    async def plan_effect(self, clients: VerbClients, command: C, context: ChangeContext) -> EffectPlan:
        assert isinstance(command, WorkerCommand), command
        order = WorkerJobSpec(command=command, context=context, settings=clients.restore)
        return await jobs.plan_effect(clients.kube, order)

    @override
    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        return await jobs.apply(clients.kube, plan)

    @override
    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        return await jobs.probe(clients.kube, plan)
