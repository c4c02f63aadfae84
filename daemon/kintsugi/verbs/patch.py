"""
`kubectl patch`: change fields of one object.

A dry run shows the patched object first. Its difference, field by field with a test of each, is judged, written and undone, for
every kind of patch. A pod's resources are changed in place, by its `resize` subresource.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
import orjson
from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.api_objects import found
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import json_content, placed
from kintsugi.actions.difference import difference, pointer, restoring_patch, test
from kintsugi.actions.effect_plan import NOTHING_CHANGED, EffectPlan, EffectStatus, Intent, PatchWrite, undone_by
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.pvcs import check_growth
from kintsugi.actions.verb_bases import SingleObjectVerb, VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import PATCHABLE, is_built_in
from kintsugi.commands.references import namespace_for, single
from kintsugi.commands.verb_definition import Content
from kintsugi.commands.words import content, named_objects, namespace_option, option
from kintsugi.errors import CommandError, Conflict, Refused
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.model.command import ObjectName, Patch, Verb
from kintsugi.model.records import Phase
from kintsugi.verbs.rollout import undo_of
from kintsugi.verbs.scale import check_replicas
from kubeobjects import unstructured
from kubeobjects.quantities import quantity
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS
from kubeobjects.unstructured import Unstructured

_NO_PATCH = "a wrong field of other kinds cannot be undone safely"
_KINDS = {"strategic": PatchKind.STRATEGIC, "merge": PatchKind.MERGE, "json": PatchKind.JSON}

RESIZE = "resize"
"""The subresource (Kubernetes 1.33 and later)."""

_GROUPS = ("initContainers", "containers")
_MEMORY, _RESTARTS = "memory", "RestartContainer"
_ABSENT = object()

_OF_ANY_KIND = ("/spec", "/metadata/labels", "/metadata/annotations")
"""The fields that are patched of kinds that are not built in: owners, finalizers and status belong to their controllers."""


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
    if not is_built_in(target.resource):
        if kind == "strategic":
            raise parsed.misused(
                f"there is no strategic merge patch of a {target.resource.singular}: write --type=merge"
            )
        if why := _out_of_bounds(target, _paths(given)):
            raise parsed.misused(why)
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
        discovered=True,
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
        fields = tuple(str(operation["path"]) for operation in changed if operation["op"] != "test")
        preconditions.check(
            preconditions.managed(loaded.asked, loaded.obj, context), _out_of_bounds(loaded.asked, fields)
        )
        present, wanted = unstructured.replicas(loaded.obj), unstructured.replicas(after)
        scaled = loaded.asked.resource in (DEPLOYMENTS, STATEFULSETS, REPLICASETS) or not is_built_in(
            loaded.asked.resource
        )
        if scaled and present != wanted:
            await check_replicas(clients.kube, loaded, present, wanted)
        intent = PatchIntent(uid=loaded.uid, fields=fields)
        if (noted := check_growth(loaded, after)) is not None:
            return loaded.patch(bound, after, intent, noted)
        whole = restoring_patch(loaded.asked, command.namespace, loaded.obj, after)
        undo = await undo_of(clients, loaded, after, whole, written=command.patch)
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
        made = all(_at(obj, path) == value for path, value in wanted.items())
        return EffectStatus.DONE if made else EffectStatus.NOT_DONE

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} patched"


VERBS = (PatchVerb(),)


def _paths(patch: Sequence[object] | Mapping[str, object]) -> Iterator[str]:
    """Yield the fields that a patch writes, as JSON Pointers; of a merge patch down to the parts of `metadata`."""
    if isinstance(patch, Mapping):
        for key, value in patch.items():
            inner = value if key == "metadata" and isinstance(value, Mapping) else ()
            yield from (pointer(key, each) for each in inner) if inner else (pointer(key),)
        return
    for each in patch:
        if isinstance(each, Mapping) and each.get("op") != "test":
            yield from (str(each[key]) for key in ("path", "from") if key in each)


def _out_of_bounds(asked: ObjectName, paths: Iterable[str]) -> str:
    """Refuse to write other fields than those of `_OF_ANY_KIND`, of a kind that is not built in."""
    wrong = [each for each in paths if not any(f"{each}/".startswith(f"{field}/") for field in _OF_ANY_KIND)]
    if is_built_in(asked.resource) or not wrong:
        return ""
    what = wrong[0] or "the whole object"
    return f"{asked}: {what} is not changed: of a {asked.resource.singular} only {', '.join(_OF_ANY_KIND)} are"


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
    asked = command.object
    obj = await found(kube, asked.resource, asked.name, command.namespace)
    return obj is None or (bool(asked.uid) and unstructured.uid(obj) != asked.uid)


def _resized(loaded: LoadedTarget, command: Patch, after: Unstructured) -> EffectPlan:
    """
    Return the plan of a change of a pod's resources in place.

    Raises Refused for another service's pod, and in a recovery for all but more memory within what the service allows.
    A container that its resize policy would restart is left as it is while it is ready.
    """
    preconditions.check(preconditions.foreign_pod(loaded.asked, loaded.obj, loaded.context))
    if loaded.context.phase is Phase.FORWARD:
        preconditions.check(*(why for each in _pairs(loaded.obj, after) for why in _refusals(loaded, *each)))
    operations = difference(loaded.obj, after)
    fields = {str(each["path"]): each["value"] for each in operations if each["op"] in ("add", "replace")}
    back = restoring_patch(loaded.asked, command.namespace, loaded.obj, after)
    return EffectPlan(
        command=command,
        intent=loaded.identified(PatchIntent(uid=loaded.uid, fields=tuple(fields), written=fields)),
        undo=undone_by(replace(back, subresource=command.subresource)),
        write=PatchWrite(
            operations=(test(pointer("metadata", "uid"), loaded.uid), *operations), subresource=command.subresource
        ),
    )


def _pairs(before: Unstructured, after: Unstructured) -> Iterator[tuple[Unstructured, Unstructured]]:
    for group in _GROUPS:
        old, new = (unstructured.nested_maps(obj, "spec", group) for obj in (before, after))
        yield from zip(old, new, strict=True)


def _refusals(loaded: LoadedTarget, old: Unstructured, new: Unstructured) -> Iterator[str]:
    """Yield why a container is not changed so."""
    if old == new:
        return
    name = unstructured.nested_string(old, "name")
    had, gets = (_without_memory(each) for each in (old, new))
    if had != gets:
        yield f"{loaded.asked}: of container {name} more than its memory would be changed"
    present, wanted = (_limit(each) for each in (old, new))
    if quantity(wanted or None) < quantity(present or None):
        yield f"{loaded.asked}: a recovery never lowers a memory limit (of {name}, from {present} to {wanted})"
    yield _above(loaded.context, f"the memory limit of {name}", wanted)
    if _is_restarted(old) and name in _ready(loaded.obj):
        yield f"{loaded.asked}: its resize policy would restart container {name}, which is ready"


def _above(context: ChangeContext, what: str, wanted: str) -> str:
    ceiling = context.max_allowed.memory
    if not ceiling:
        return f"{what} is not raised: {context.service or 'its service'} declares no maxAllowed.memory"
    if quantity(wanted or None) > quantity(ceiling):
        return f"{what} is not raised to {wanted}: maxAllowed.memory of {context.service} is {ceiling}"
    return ""


def _limit(container: Unstructured) -> str:
    return str(unstructured.nested_field(container, "resources", "limits", _MEMORY) or "")


def _without_memory(container: Unstructured) -> Unstructured:
    for kind in ("limits", "requests"):
        container = unstructured.without_field(container, "resources", kind, _MEMORY)
    return container


def _is_restarted(container: Unstructured) -> bool:
    policies = unstructured.nested_maps(container, "resizePolicy")
    return any((each.get("resourceName"), each.get("restartPolicy")) == (_MEMORY, _RESTARTS) for each in policies)


def _ready(pod: Unstructured) -> frozenset[str]:
    found = [
        each
        for part in ("containerStatuses", "initContainerStatuses")
        for each in unstructured.nested_maps(pod, "status", part)
    ]
    return frozenset(unstructured.nested_string(each, "name") for each in found if each.get("ready") is True)


def _at(obj: object, path: str) -> object:
    """Return the value at a JSON Pointer; an object that equals no other where the path is absent."""
    for part in path.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(obj, Mapping):
            obj = obj.get(key, _ABSENT)
        elif isinstance(obj, list) and key.isdecimal() and int(key) < len(obj):
            obj = obj[int(key)]
        else:
            return _ABSENT
    return obj
