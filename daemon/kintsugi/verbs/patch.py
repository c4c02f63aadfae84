"""
`kubectl patch`: change fields of one object.

A dry run shows the patched object first. Its difference, field by field with a test of each, is judged, written and undone, for
every kind of patch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec
import orjson
from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.change_verb import SingleObjectVerb
from kintsugi.actions.claim_growth import check_growth
from kintsugi.actions.difference import difference, pointer, restoring_patch, test
from kintsugi.actions.effect_plan import NOTHING_CHANGED, EffectPlan, EffectStatus, Intent, PatchWrite, undone_by
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.pod_resize import RESIZE, check_resize, has_values, written
from kintsugi.actions.replica_changes import check_replicas
from kintsugi.actions.secret_checks import holds_secret, json_content, placed
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import PATCHABLE
from kintsugi.commands.references import namespace_for, single
from kintsugi.commands.verb_definition import Content
from kintsugi.commands.words import content, named_objects, namespace_option, option
from kintsugi.errors import CommandError, Conflict, NotFound, Refused
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.model.command import Patch, Verb
from kintsugi.model.records import Phase
from kintsugi.verbs.undo_by_revision import undo_by_revision
from kubeobjects import unstructured
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS
from kubeobjects.unstructured import Unstructured

_NO_PATCH = "a wrong field of other kinds cannot be undone safely"
_KINDS = {"strategic": PatchKind.STRATEGIC, "merge": PatchKind.MERGE, "json": PatchKind.JSON}


def build(parsed: ParsedCommand) -> Patch:
    """Build `kubectl patch` of one object; what the patch must be depends on its kind."""
    kind = parsed.text("kind") or "strategic"
    if kind not in _KINDS:
        raise parsed.misused(f"--type={kind} is not known: it is one of {', '.join(_KINDS)}")
    patch = parsed.text("patch")
    wanted, word = (list, "a list of operations") if kind == "json" else (dict, "an object")
    if not isinstance(given := json.loads(patch), wanted) or not given:
        raise parsed.misused(f"a {kind} patch is {word} that is not empty")
    target, subresource = single(parsed), parsed.text("subresource")
    if subresource and (subresource, target.resource) != (RESIZE, PODS):
        raise parsed.misused(
            f"--subresource={subresource} of a {target.resource.singular} is not patched: only {RESIZE} of a pod is"
        )
    return Patch(
        object=target,
        namespace=namespace_for(parsed, (target.resource,)),
        patch=patch,
        kind=kind,
        subresource=subresource,
    )


class PatchIntent(Intent, frozen=True, kw_only=True):
    """
    The fields that are written, as JSON Pointers; of a subresource with their values, which alone show that it was
    made.
    """

    fields: tuple[str, ...] = ()
    written: Mapping[str, object] = msgspec.field(default_factory=dict)


class PatchVerb(SingleObjectVerb[Patch]):
    """Changes fields of an object; its undo restores the former values where ours are unchanged."""

    command = Patch
    completes_restore = True
    writes_template = True
    intent = PatchIntent
    spec = CommandSpec(
        verb=Verb.PATCH,
        changes=True,
        usage="kubectl patch TYPE NAME -p JSON [--type=strategic|merge|json] [--subresource=resize] [-n NS]",
        example='kubectl patch pv data -p \'{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}\'',
        flags=(
            *(*flags.KUBECTL, *flags.CHANGES),
            Flag(names=("-p", "--patch"), key="patch", kind=arg_types.JSON, required=True),
            Flag(names=("--type",), key="kind", kind=arg_types.PATCH_TYPE),
            Flag(names=("--subresource",), key="subresource", kind=arg_types.SUBRESOURCE),
        ),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=PATCHABLE,
        only=_NO_PATCH,
    )

    def words(self, command: Patch) -> Iterator[str]:
        """Yield the object, and the patch, or with which key it is kept encrypted."""
        yield from named_objects((command.object,))
        yield from option("--subresource=", command.subresource)
        yield from [f"--type={command.kind}", "-p"]
        yield content(command.patch, encrypted=command.encrypted)
        yield from namespace_option(command.namespace)

    @override
    def content(self, command: Patch) -> Content:
        return Content(text=command.patch, kind=command.kind, encrypted=command.encrypted)

    @override
    def with_content(self, command: Patch, content: Content) -> Patch:
        return replace(command, patch=content.text, encrypted=content.encrypted)

    def payload(self, command: Patch) -> object:
        """Return the patch, unless it is encrypted: one of JSON as the fields that its operations are about."""
        if command.encrypted:
            return []
        content = json_content(command.patch)
        return [placed(each) for each in content] if command.kind == "json" else content

    async def plan_effect(self, clients: VerbClients, command: Patch, context: ChangeContext) -> EffectPlan:
        """Judge a patch; where it is encrypted, its undo may hold a secret."""
        if command.subresource and context.phase is Phase.UNDO and await _is_gone(clients.kube, command):
            # Its successor has the resources of the template.
            intent = PatchIntent(uid=command.object.uid, already=True)
            return EffectPlan(command=command, intent=intent, undo=NOTHING_CHANGED)
        loaded = await load_target(clients.kube, command.object, command.namespace, context)
        bound = replace(command, object=loaded.asked)
        after = await _tried(clients.kube, bound)
        changed = difference(loaded.obj, after)
        if not changed:
            return loaded.already(bound, PatchIntent(uid=loaded.uid))
        if bound.subresource:
            return _resized(loaded, bound, after)
        preconditions.check(preconditions.managed(loaded.asked, loaded.obj, context))
        await _check_scale(clients.kube, loaded, after)
        fields = tuple(str(operation["path"]) for operation in changed if operation["op"] != "test")
        intent = PatchIntent(uid=loaded.uid, fields=fields)
        if (noted := check_growth(loaded, after)) is not None:
            return loaded.patch(bound, after, intent, noted)
        whole = restoring_patch(loaded.asked, command.namespace, loaded.obj, after)
        if not holds_secret(whole, written=command.patch):
            return loaded.patch(bound, after, intent, undone_by(whole))
        try:
            undo = await undo_by_revision(clients.kube, loaded, after)
        except Refused:
            if not clients.encrypts:
                raise
            undo = undone_by(whole)
        return loaded.patch(bound, after, intent, undo)

    def rolled_out(self, facts: Mapping[str, object]) -> bool:
        """Return whether a written field is one of the pod template."""
        fields = facts.get("fields")
        return isinstance(fields, list | tuple) and any(str(each).startswith("/spec/template/") for each in fields)

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """
        Return whether a patch was made: of a subresource by its present values, since no mark of ours is kept with it.
        """
        wanted = plan.remembered(PatchIntent).written
        if not wanted:
            return await super().effect_status(kube, plan)
        obj = await self.find(kube, plan)
        if obj is None:
            return EffectStatus.UNKNOWN
        return EffectStatus.DONE if has_values(obj, wanted) else EffectStatus.NOT_DONE

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} patched"


VERBS = (PatchVerb(),)


async def _tried(kube: KubeClient, command: Patch) -> Unstructured:
    """
    Return the patched object by a dry run.

    Raises CommandError for a patch that is not JSON, Refused when a test in it fails, KubeError if it is not accepted.
    """
    try:
        content = orjson.loads(command.patch)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"the patch of {command.object} is not JSON: {error}") from error
    asked = command.object
    namespace = command.namespace or None
    try:
        return await kube.patch(
            asked.resource,
            asked.name,
            namespace,
            content,
            kind=_KINDS[command.kind],
            dry_run=True,
            subresource=command.subresource or None,
        )
    except Conflict as error:
        raise Refused(f"{asked} is not as the patch expects it: it has been changed since ({error})") from error


async def _is_gone(kube: KubeClient, command: Patch) -> bool:
    """Return whether the very object is not there any more."""
    try:
        obj = await kube.get(command.object.resource, command.object.name, command.namespace)
    except NotFound:
        return True
    return bool(command.object.uid) and unstructured.uid(obj) != command.object.uid


def _resized(loaded: LoadedTarget, command: Patch, after: Unstructured) -> EffectPlan:
    """Return the plan of a change of a pod's resources in place. Raises Refused as `check_resize`."""
    check_resize(loaded, after)
    operations = difference(loaded.obj, after)
    fields = written(operations)
    back = restoring_patch(loaded.asked, command.namespace, loaded.obj, after)
    return EffectPlan(
        command=command,
        intent=loaded.identified(PatchIntent(uid=loaded.uid, fields=tuple(fields), written=fields)),
        undo=undone_by(replace(back, subresource=command.subresource)),
        write=PatchWrite(
            operations=(test(pointer("metadata", "uid"), loaded.uid), *operations), subresource=command.subresource
        ),
    )


async def _check_scale(kube: KubeClient, loaded: LoadedTarget, after: Unstructured) -> None:
    """Refuse a patch of `spec.replicas` as a scale is refused."""
    present, wanted = unstructured.replicas(loaded.obj), unstructured.replicas(after)
    if loaded.asked.resource in (DEPLOYMENTS, STATEFULSETS, REPLICASETS) and present != wanted:
        await check_replicas(kube, loaded, present, wanted)
