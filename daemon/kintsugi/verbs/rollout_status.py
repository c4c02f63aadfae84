"""
`kubectl rollout status`: read the progress of a rollout, in kubectl's words (polymorphichelpers/rollout_status.go).

`kubectl rollout history`: read the revisions of a workload, or of all of a type.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions import api_objects
from kintsugi.actions.api_objects import by_name
from kintsugi.actions.probe import ProbeContext, Result, of_objects
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.actions.workload_reads import find_revisions, last_good_of
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import duration, namespace_option, number
from kintsugi.expressions import Type
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Verb
from kintsugi.verbs.rollout import Rollout, RolloutDefinition, build_rollout
from kintsugi.verbs.wait import poll_until
from kubediagnosis.workload_revisions import Revision, current_of
from kubeobjects import metadata, unstructured
from kubeobjects.kept import DaemonSet, Deployment, StatefulSet
from kubeobjects.predicates import condition_of
from kubeobjects.unstructured import Unstructured

_REVISION = Flag(names=("--revision",), key="revision", kind=arg_types.NATURAL)
_ROLLING = "RollingUpdate"


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutStatus:
    """One look at a rollout. `error`: it will not come to an end by itself."""

    message: str
    done: bool = False
    error: bool = False


class ReadOnlyRolloutVerb(RolloutDefinition, ProbeVerb[Rollout]):
    """The base of both commands."""

    @override
    def words(self, command: Rollout) -> Iterator[str]:
        about = str(command.object) if command.object.name else command.object.resource.singular
        yield from [about, *number("--revision=", command.revision or None)]
        yield from [*duration("--timeout=", command.timeout), *namespace_option(command.namespace)]

    @override
    def columns(self, command: Rollout, type_of: ObjectType) -> Mapping[str, Type]:
        if not command.object.name:
            return results.items((), (command.object.resource,), type_of)
        return results.items((command.object,), (), type_of)


class RolloutHistoryVerb(ReadOnlyRolloutVerb):
    """The revisions of one workload; without a name those of all of a type."""

    verb = Verb.ROLLOUT_HISTORY
    previewed = True
    spec = CommandSpec(
        verb=Verb.ROLLOUT_HISTORY,
        changes=False,
        usage="kubectl rollout history TYPE/NAME | TYPE [--revision=N] [-n NS]",
        example="kubectl rollout history deployment/web",
        flags=(*flags.KUBECTL, _REVISION, flags.OUTPUT),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build_rollout(Verb.ROLLOUT_HISTORY),
        resources=ROLLED_OUT,
        result=results.REVISIONS,
    )

    async def read(
        self, clients: VerbClients, command: Rollout, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Read the revisions of a workload, or of all of a type."""
        if not command.object.name:
            return await _histories(clients.kube, command, probe_context.good)
        (workload,) = await by_name(clients.kube, (command.object,), command.namespace)
        found = await find_revisions(clients.kube, command.object, workload, probe_context.good)
        if command.revision:
            found = tuple(revision for revision in found if revision.number == command.revision)
        current, good_one = current_of(found), last_good_of(found)
        known = ", ".join(str(revision.number) for revision in found if revision.good) or "none"
        result = of_objects([workload], named=1, summary="")
        return Result(
            names={
                **result.names,
                "revisions": _columns(workload, found),
                **({"lastGood": _column(workload, good_one)} if good_one else {}),
            },
            summary=f"{len(found)} revisions, now at {current.number if current else '?'}, known to be good: {known}",
            failed="" if found else _no_history(command),
        )


class RolloutStatusVerb(ReadOnlyRolloutVerb):
    """It lasts until the rollout has ended, or cannot end."""

    verb = Verb.ROLLOUT_STATUS
    lasts = True
    spec = CommandSpec(
        verb=Verb.ROLLOUT_STATUS,
        changes=False,
        usage="kubectl rollout status TYPE/NAME [--timeout=DURATION] [-n NS]",
        example="kubectl rollout status deployment/web --timeout=5m",
        flags=(*flags.KUBECTL, flags.TIMEOUT, Flag(names=("-w", "--watch")), _REVISION),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build_rollout(Verb.ROLLOUT_STATUS),
        resources=ROLLED_OUT,
        result=results.PROGRESS,
    )

    async def read(
        self, clients: VerbClients, command: Rollout, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Watch a rollout until it has ended or cannot end; kubectl's own wait has no end without --timeout."""

        async def read_once() -> tuple[Unstructured, RolloutStatus]:
            (workload,) = await by_name(clients.kube, (command.object,), command.namespace)
            return workload, status_of(workload, command.revision)

        within = min(command.timeout or deadline, deadline)
        workload, status = await poll_until(read_once, lambda seen: seen[1].done or seen[1].error, within=within)
        failed = "" if status.done else status.message
        if not status.done and not status.error:
            failed = f"timed out waiting for the condition ({status.message})"
        names = of_objects([workload], named=1, summary="").names
        return Result(
            names={**names, "complete": status.done, "message": status.message},
            summary=failed or status.message,
            failed=failed,
        )


VERBS = (RolloutHistoryVerb(), RolloutStatusVerb())


async def _histories(kube: KubeClient, command: Rollout, good: frozenset[str]) -> Result:
    """Read the revisions of all workloads of a type."""
    listing = await kube.list(command.object.resource, command.namespace)
    workloads = [unstructured.without_managed_fields(each) for each in listing.items]
    revisions: list[dict[str, object]] = []
    for workload in workloads:
        asked = api_objects.named(command.object.resource, workload)
        revisions += _columns(workload, await find_revisions(kube, asked, workload, good))
    result = of_objects(workloads, named=0, summary="")
    return Result(
        names={**result.names, "revisions": revisions},
        summary=f"{len(revisions)} revisions of {len(workloads)} {command.object.resource.plural}",
        failed="" if revisions else "no rollout history found",
    )


def _columns(workload: Unstructured, found: Sequence[Revision]) -> list[dict[str, object]]:
    return [_column(workload, revision) for revision in found]


def _column(workload: Unstructured, revision: Revision) -> dict[str, object]:
    """Return what expressions see of a revision."""
    return {
        "workload": unstructured.name(workload),
        "number": revision.number,
        "current": revision.current,
        "good": revision.good,
        "cause": revision.cause,
        "images": revision.images,
        "created": revision.created,
    }


def _no_history(command: Rollout) -> str:
    return "unable to find the specified revision" if command.revision else "no rollout history found"


def status_of(workload: Unstructured, revision: int = 0) -> RolloutStatus:
    """Return how far a Deployment, StatefulSet or DaemonSet is; of a `revision`, when one is named."""
    match unstructured.nested_string(workload, "kind"):
        case "StatefulSet":
            return _of_stateful_set(api_objects.convert(workload, StatefulSet), workload)
        case "DaemonSet":
            return _of_daemon_set(api_objects.convert(workload, DaemonSet))
        case _:
            return _of_deployment(api_objects.convert(workload, Deployment), workload, revision)


def _of_deployment(kept: Deployment, workload: Unstructured, revision: int) -> RolloutStatus:
    name, status = kept.metadata.name, kept.status
    running = kept.metadata.annotations.get(metadata.REVISION, "0")
    if revision and str(revision) != running:
        return _error(f"desired revision ({revision}) is different from the running revision ({running})")
    if kept.metadata.generation > status.observed_generation:
        return _waiting("Waiting for deployment spec update to be observed...")
    progressing = condition_of(status.conditions, "Progressing")
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        return _error(f'deployment "{name}" exceeded its progress deadline')
    wanted = unstructured.replicas(workload)
    rollout = f'Waiting for deployment "{name}" rollout to finish'
    if status.updated_replicas < wanted:
        return _waiting(f"{rollout}: {status.updated_replicas} out of {wanted} new replicas have been updated...")
    if status.replicas > status.updated_replicas:
        old = status.replicas - status.updated_replicas
        return _waiting(f"{rollout}: {old} old replicas are pending termination...")
    if status.available_replicas < status.updated_replicas:
        return _waiting(
            f"{rollout}: {status.available_replicas} of {status.updated_replicas} updated replicas are available..."
        )
    return _done(f'deployment "{name}" successfully rolled out')


def _of_daemon_set(kept: DaemonSet) -> RolloutStatus:
    name, status = kept.metadata.name, kept.status
    if kept.spec.update_strategy.type != _ROLLING:
        return _error(f"rollout status is only available for {_ROLLING} strategy type")
    if kept.metadata.generation > status.observed_generation:
        return _waiting("Waiting for daemon set spec update to be observed...")
    desired = status.desired_number_scheduled
    rollout = f'Waiting for daemon set "{name}" rollout to finish'
    if status.updated_number_scheduled < desired:
        return _waiting(f"{rollout}: {status.updated_number_scheduled} out of {desired} new pods have been updated...")
    if status.number_available < desired:
        return _waiting(f"{rollout}: {status.number_available} of {desired} updated pods are available...")
    return _done(f'daemon set "{name}" successfully rolled out')


def _of_stateful_set(kept: StatefulSet, workload: Unstructured) -> RolloutStatus:
    status = kept.status
    if kept.spec.update_strategy.type != _ROLLING:
        return _error(f"rollout status is only available for {_ROLLING} strategy type")
    if status.observed_generation == 0 or kept.metadata.generation > status.observed_generation:
        return _waiting("Waiting for statefulset spec update to be observed...")
    wanted = unstructured.replicas(workload)
    if status.ready_replicas < wanted:
        return _waiting(f"Waiting for {wanted - status.ready_replicas} pods to be ready...")
    if unstructured.nested_field(workload, "spec", "updateStrategy", "rollingUpdate") is not None:
        return _partitioned(kept, workload, wanted)
    if status.update_revision != status.current_revision:
        return _waiting(
            f"waiting for statefulset rolling update to complete {status.updated_replicas} pods "
            f"at revision {status.update_revision}..."
        )
    return _done(
        f"statefulset rolling update complete {status.current_replicas} pods at revision {status.current_revision}..."
    )


def _partitioned(kept: StatefulSet, workload: Unstructured, wanted: int) -> RolloutStatus:
    partition = unstructured.nested_field(workload, "spec", "updateStrategy", "rollingUpdate", "partition")
    updated = kept.status.updated_replicas
    if isinstance(partition, int) and updated < wanted - partition:
        return _waiting(
            f"Waiting for partitioned roll out to finish: {updated} out of {wanted - partition} new pods have been updated..."
        )
    return _done(f"partitioned roll out complete: {updated} new pods have been updated...")


def _waiting(message: str) -> RolloutStatus:
    return RolloutStatus(message=message)


def _done(message: str) -> RolloutStatus:
    return RolloutStatus(message=message, done=True)


def _error(message: str) -> RolloutStatus:
    return RolloutStatus(message=message, error=True)
