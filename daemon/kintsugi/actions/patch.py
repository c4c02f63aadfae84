"""
`kubectl patch`: change fields of one object.

The server is asked first what the patch would make of the object (a dry run). What follows is the difference, field by
field with a test of each: that is what is judged, written and undone, whatever the kind of the patch.
"""

from dataclasses import replace

import orjson

from kintsugi.actions import live, refusals
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.confidential import holds_secret
from kintsugi.actions.difference import difference
from kintsugi.actions.judged import Judged, judge
from kintsugi.actions.live import Live
from kintsugi.actions.prepared import Prepared
from kintsugi.actions.revisions import current_of, find_revisions
from kintsugi.actions.scale import check_replicas
from kintsugi.actions.templates import template_digest, unstamped_digest
from kintsugi.actions.undo import put_back, undone_by
from kintsugi.errors import CommandError, Conflict, NotYet, Refused
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.model.command import Patch, Rollout, TemplateReference, Verb
from kintsugi.model.records import UndoRecord
from kintsugi.objects.resources import DAEMONSETS, DEPLOYMENTS, REPLICASETS, STATEFULSETS

_WITH_REVISIONS = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS)
_NOTHING = "[]"
_KINDS = {"strategic": PatchKind.STRATEGIC, "merge": PatchKind.MERGE, "json": PatchKind.JSON}


async def prepare(kube: KubeClient, command: Patch, circumstances: Circumstances) -> Prepared:
    """Judge a patch. Its undo puts the former values back where ours still stand."""
    judged = await judge(kube, command.object, command.namespace, circumstances)
    bound = replace(command, object=judged.asked)
    after = await _tried(kube, bound)
    changed = difference(judged.obj, after)
    if not changed:
        return judged.already(bound, {})
    refusals.check(refusals.managed(judged.asked, judged.obj, circumstances))
    await _check_scale(kube, judged, after)
    facts = {"fields": [operation["path"] for operation in changed if operation["op"] != "test"]}
    return judged.patch(bound, after, facts, await _way_back(kube, bound, judged, after))


async def _way_back(kube: KubeClient, command: Patch, judged: Judged, after: Live) -> UndoRecord:
    """
    Write down the former values, or where they are: those of a pod template that hold a secret stay in its revision.

    Raises Refused when no revision holds them, NotYet while the controller has not made it.
    """
    former = judged.obj
    whole = put_back(judged.asked, command.namespace, former, after)
    if not holds_secret(whole, written=command.patch):
        return undone_by(whole)
    template, left = (live.mapping(obj, "spec", "template") for obj in (former, after))
    if judged.asked.resource not in _WITH_REVISIONS or template == left:
        raise Refused(f"{judged.asked}: to take this back a secret would have to be kept, and no revision holds it")
    if live.number(former, "spec", "revisionHistoryLimit", default=10) < 1:
        raise Refused(
            f"{judged.asked} keeps no old revisions: its former template, which holds a secret, would be lost"
        )
    revision = current_of(await find_revisions(kube, judged.asked, former, judged.circumstances.good))
    if revision is None:
        raise NotYet(f"{judged.asked} has no revision yet that holds its template")
    reference = TemplateReference(uid=revision.uid, digest=template_digest(revision.pods), over=unstamped_digest(left))
    back = Rollout(
        verb=Verb.ROLLOUT_UNDO,
        object=judged.asked,
        namespace=command.namespace,
        revision=revision.number,
        template=reference,
    )
    others = put_back(
        judged.asked, command.namespace, *(live.without(obj, "spec", "template") for obj in (former, after))
    )
    return undone_by(back, *([others] if others.patch != _NOTHING else []))


async def _tried(kube: KubeClient, command: Patch) -> Live:
    """
    Ask what the patch would make of the object.

    Raises CommandError for a patch that is not JSON, Refused when a test in it fails, KubeError if it is not accepted.
    """
    try:
        content = orjson.loads(command.patch)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"the patch of {command.object} is not JSON: {error}") from error
    asked = command.object
    namespace = command.namespace or None
    try:
        return await kube.patch(asked.resource, asked.name, namespace, content, kind=_KINDS[command.kind], dry_run=True)
    except Conflict as error:
        raise Refused(f"{asked} is not as the patch expects it: somebody has changed it since ({error})") from error


async def _check_scale(kube: KubeClient, judged: Judged, after: Live) -> None:
    """A patch of `spec.replicas` is a scale, and refused like one."""
    present, wanted = live.replicas(judged.obj), live.replicas(after)
    if judged.asked.resource in (DEPLOYMENTS, STATEFULSETS, REPLICASETS) and present != wanted:
        await check_replicas(kube, judged, present, wanted)
