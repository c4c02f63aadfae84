"""`kubectl rollout history`: the revisions of a workload, or of all of a type."""

from collections.abc import Sequence
from datetime import timedelta

from kintsugi.actions import api_objects
from kintsugi.actions.api_objects import by_name
from kintsugi.actions.probe import ProbeContext, Result, of_objects
from kintsugi.actions.verb_bases import VerbClients
from kintsugi.actions.workload_reads import find_revisions, last_good_of
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Verb
from kintsugi.verbs.rollout import REVISION, ReadOnlyRolloutVerb, Rollout, build_rollout
from kubediagnosis.workload_revisions import Revision, current_of
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured


class RolloutHistoryVerb(ReadOnlyRolloutVerb):
    """The revisions of one workload; without a name those of all of a type."""

    verb = Verb.ROLLOUT_HISTORY
    previewed = True
    spec = CommandSpec(
        verb=Verb.ROLLOUT_HISTORY,
        changes=False,
        usage="kubectl rollout history TYPE/NAME | TYPE [--revision=N] [-n NS]",
        example="kubectl rollout history deployment/web",
        flags=(*flags.KUBECTL, REVISION, flags.OUTPUT),
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


VERBS = (RolloutHistoryVerb(),)


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
