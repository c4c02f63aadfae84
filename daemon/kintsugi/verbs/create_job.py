"""
`kubectl create job --from=cronjob/NAME`: what a CronJob does at its time, done now, as a Job that is watched to its end.

It is off by default. The right to do it is `instantiate` on CronJobs, which Kubernetes itself gives no meaning to: the chart
grants it by its value `cronJobs`, and the admission policy of Jobs asks for it, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import UNSET
from typing_extensions import override

from kintsugi.actions import api_objects, job_effect
from kintsugi.actions.change_context import RUN, STEP, ChangeContext
from kintsugi.actions.effect_plan import CreateWrite, EffectPlan, record_without_undo
from kintsugi.actions.job_effect import JobIntent, JobStage, JobState
from kintsugi.actions.loaded_target import load_target
from kintsugi.actions.verb_bases import JobVerb, VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import Argument, CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import objects, place_of
from kintsugi.commands.verb_definition import PolicyRule
from kintsugi.commands.words import namespace_option
from kintsugi.errors import Refused
from kintsugi.expressions import DOUBLE, INT, STRING, Struct
from kintsugi.model.command import Command, ObjectName
from kubeobjects import predicates, unstructured
from kubeobjects.kept import Job
from kubeobjects.resources import CRONJOBS, JOBS
from kubeobjects.unstructured import Unstructured

RIGHT = "instantiate"
"""The verb of the right to make Jobs of CronJobs."""

_NO_COMMAND = "a Job does what a CronJob has: name it with --from=cronjob/NAME"
_NOT_UNDONE = "a Job that has run cannot be undone"


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateJob(Command):
    """Make the Job `name` of a CronJob's template, in the namespace of both."""

    name: str
    cronjob: str
    namespace: str


def build(parsed: ParsedCommand) -> CreateJob:
    """Build `kubectl create job` of one Job, from a CronJob that is named."""
    (name,) = parsed.exactly(1)
    source = parsed.text("from")
    (cronjob,) = objects(parsed, (Argument(text=source, value=source, kind=arg_types.REFERENCE),))
    return CreateJob(name=name.text, cronjob=cronjob.name, namespace=place_of(parsed))


class CreateJobVerb(JobVerb[CreateJob]):
    """Its Job is the CronJob's as kubectl makes it, with the labels of the step; it counts against the CronJob's history."""

    command = CreateJob
    has_undo = False
    spec = CommandSpec(
        verb="kubectl create job",
        changes=True,
        usage="kubectl create job NAME --from=cronjob/NAME [-n NS]",
        example="kubectl create job reindex-now --from=cronjob/reindex",
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("--from",), key="from", kind=arg_types.REFERENCE, required=True),
            Flag(names=("--image",), kind=arg_types.TEXT, refused=_NO_COMMAND),
        ),
        arguments=(arg_types.NAME,),
        build=build,
        resources=(CRONJOBS,),
        only=_NO_COMMAND,
        result={"job": Struct("JobResult", {"name": STRING, "succeeded": INT, "failed": INT, "seconds": DOUBLE})},
    )
    rules = (
        *(PolicyRule(api_group=CRONJOBS.group, resource=CRONJOBS.plural, verb=verb) for verb in ("get", RIGHT)),
        *(PolicyRule(api_group=JOBS.group, resource=JOBS.plural, verb=verb) for verb in ("get", "create", "delete")),
    )

    @override
    def words(self, command: CreateJob) -> Iterator[str]:
        yield from [command.name, f"--from=cronjob/{command.cronjob}", *namespace_option(command.namespace)]

    @override
    def namespace(self, command: CreateJob) -> str:
        return command.namespace

    @override
    async def plan_effect(self, clients: VerbClients, command: CreateJob, context: ChangeContext) -> EffectPlan:
        kube, namespace, labels = clients.kube, command.namespace, context.labels
        if not await kube.can_i(RIGHT, CRONJOBS, namespace):
            raise Refused(f"Kintsugi may make no Job of a CronJob in {namespace}: the chart's value `cronJobs` is off")
        there = await job_effect.find(kube, command.name, namespace, labels)
        write = None
        if there is None:
            asked = ObjectName(resource=CRONJOBS, name=command.cronjob)
            cronjob = (await load_target(kube, asked, namespace, context)).obj
            write = CreateWrite(manifest=manifest(command.name, namespace, cronjob, labels))
        return EffectPlan(
            command=command,
            intent=JobIntent(
                uid=unstructured.uid(there) if there else "",
                job=command.name,
                namespace=namespace,
                run=labels[RUN],
                step=labels[STEP],
                already=there is not None or UNSET,
            ),
            undo=record_without_undo(_NOT_UNDONE),
            write=write,
        )

    @override
    async def watch(self, clients: VerbClients, plan: EffectPlan, context: ChangeContext) -> JobState:
        async def judge(job: Unstructured, pods: Sequence[Unstructured]) -> JobState:
            return state_of(job, pods, context.now)

        intent = plan.remembered(JobIntent)
        return await job_effect.read(clients.kube, intent.job, intent.namespace, judge)


VERBS = (CreateJobVerb(),)


def manifest(name: str, namespace: str, cronjob: Unstructured, labels: Mapping[str, str]) -> Unstructured:
    """Return the Job as `kubectl create job --from` makes it, with labels besides."""
    template = unstructured.nested_map(cronjob, "spec", "jobTemplate")
    annotations = unstructured.nested_map(template, "metadata", "annotations")
    owner = {"kind": CRONJOBS.kind, "name": unstructured.name(cronjob), "uid": unstructured.uid(cronjob)}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**unstructured.labels(template), **labels},
            "annotations": {**annotations, "cronjob.kubernetes.io/instantiate": "manual"},
            "ownerReferences": [{"apiVersion": CRONJOBS.api_version, **owner, "controller": True}],
        },
        "spec": unstructured.nested_map(template, "spec"),
    }


def state_of(job: Unstructured, pods: Sequence[Unstructured], now: datetime) -> JobState:
    """Return the state of a Job by its conditions and its counts; of one that failed with what its pods say."""
    status, ended = api_objects.convert(job, Job).status, unstructured.nested_string(job_effect.end_of(job), "type")
    condition = predicates.condition_of(status.conditions, ended)
    until = (condition.last_transition_time if condition else None) or now
    seconds = (until - status.start_time).total_seconds() if status.start_time else 0.0
    counts = {"succeeded": status.succeeded, "failed": status.failed, "seconds": seconds}
    names = {"job": {"name": unstructured.name(job), **counts}}
    if ended == "Complete":
        return JobState(stage=JobStage.DONE, names=names)
    if ended:
        failed = [pod for pod in pods if unstructured.nested_string(pod, "status", "phase") == "Failed"]
        pod = failed[-1] if failed else None
        message = unstructured.nested_string(job_effect.terminated(pod), "message").strip()
        why = "; ".join(filter(None, (*job_effect.end_words(job, pod), message)))
        return JobState(stage=JobStage.FAILED, names=names, why=f"job/{unstructured.name(job)} has failed: {why}")
    if any(map(job_effect.has_started, pods)):
        return JobState(stage=JobStage.RUNNING, names=names)
    return JobState(stage=JobStage.STARTING, names=names, why=job_effect.waits_for(pods[-1] if pods else None))
