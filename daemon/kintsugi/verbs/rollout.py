"""
The common parts of the commands of `kubectl rollout`, and `pause` and `resume`; the others have a module each.

An undo names the revision with the former pod template, so that its secrets stay in that revision.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from msgspec import UNSET, UnsetType
from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import WITH_A_KEY, holds_secret
from kintsugi.actions.difference import Operation, pointer, restoring_patch, test
from kintsugi.actions.effect_plan import EffectPlan, Intent, record_without_undo, undone_by
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.verb_bases import SingleObjectVerb, VerbClients
from kintsugi.actions.workload_reads import find_revisions
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.references import named, place_of, single
from kintsugi.commands.verb_definition import PolicyRule, VerbDefinition
from kintsugi.commands.words import duration, namespace_option, number, switch
from kintsugi.errors import NotYet, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectCommand, ObjectName, Patch, TemplateReference, Verb
from kintsugi.model.records import UndoRecord
from kubediagnosis.templates import template_digest, template_of, unstamped_digest
from kubediagnosis.workload_revisions import Revision, current_of
from kubeobjects import unstructured
from kubeobjects.resources import DEPLOYMENTS, WORKLOADS, Resource
from kubeobjects.unstructured import Unstructured

_NOTHING = "[]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout(ObjectCommand):
    """
    history, undo, status, restart, pause or resume of one workload; history without a name is that of all of a type.

    An undo with a `template` goes back to that one, also under another number; no runbook can contain it. One `to_kept` goes to the
    last good template in the ledger. `current` is the revision that an undo expects to be in force, 0 for any.
    """

    verb: Verb
    revision: int = 0
    timeout: timedelta | None = None
    template: TemplateReference | None = None
    to_kept: bool = False
    current: int = 0


def build_rollout(verb: Verb) -> Callable[[ParsedCommand], Rollout]:
    """Make the builder of one `kubectl rollout` command; the history of a whole type is a probe, too."""

    def build(parsed: ParsedCommand) -> Rollout:
        whole = _whole_type(parsed) if verb is Verb.ROLLOUT_HISTORY else None
        if parsed.on("to_kept") and parsed.number("revision"):
            raise parsed.misused("--to-revision and --to-good-template exclude each other: give one of them")
        return Rollout(
            verb=verb,
            object=whole or single(parsed),
            namespace=place_of(parsed),
            revision=parsed.number("revision") or 0,
            to_kept=parsed.on("to_kept"),
            current=parsed.number("current") or 0,
            timeout=parsed.duration("timeout"),
        )

    return build


def _whole_type(parsed: ParsedCommand) -> ObjectName | None:
    """Return the type whose objects are meant, all of them, None where one is named."""
    found = named(parsed)
    if len(found.resources) != 1:
        return None
    if parsed.number("revision"):
        raise parsed.misused("--revision belongs to one workload: name it")
    return ObjectName(resource=found.resources[0], name="")


class RolloutIntent(Intent, frozen=True, kw_only=True):
    """
    The digest of the template that was found, the revision (0 for none) and its template, and where it goes back `to`.

    `had` and `gets` say in words in what both templates differ; `kept`: it goes to the template that the ledger keeps, `to` being the number
    that it had. Of a restart the stamp that is written; of a pause or its
    end, whether it was paused before.
    """

    template: str | UnsetType = UNSET
    revision: int | UnsetType = UNSET
    revision_template: str | UnsetType = UNSET
    to: int | UnsetType = UNSET
    to_template: str | UnsetType = UNSET
    had: str | UnsetType = UNSET
    gets: str | UnsetType = UNSET
    kept: bool | UnsetType = UNSET
    restarted_at: str | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


class RolloutDefinition(VerbDefinition[Rollout]):
    """The base of all commands of `kubectl rollout`, which share one type: `verb` tells them apart."""

    command = Rollout
    verb: Verb

    @override
    def is_of(self, command: Rollout) -> bool:
        return command.verb is self.verb


class RolloutVerb(RolloutDefinition, SingleObjectVerb[Rollout]):
    """
    The base of the four commands that change the workload.

    Every change of a workload leaves a digest of its pod template on it, so that a later undo or rollback recognises a
    template that was changed since, and leaves it unchanged (E17).
    """

    intent = RolloutIntent
    rules = tuple(PolicyRule(api_group=each.group, resource=each.plural, verb="patch") for each in ROLLED_OUT)
    rolls_out = True

    @override
    def words(self, command: Rollout) -> Iterator[str]:
        yield from [str(command.object), *number("--to-revision=", command.revision or None)]
        yield from switch("--to-good-template", command.to_kept)
        yield from number("--current-revision=", command.current or None)
        yield from [*duration("--timeout=", command.timeout), *namespace_option(command.namespace)]

    def opposes(self, command: Rollout, undo: Rollout) -> bool:
        """Return whether both go in one direction."""
        return command.verb is undo.verb


def changing(
    verb: Verb, *, option: str = "", own: tuple[Flag, ...] = (), resources: tuple[Resource, ...] = ROLLED_OUT
) -> CommandSpec:
    """Return the row of one that changes its workload, with its own flags."""
    return CommandSpec(
        verb=verb,
        changes=True,
        usage=f"{verb} TYPE/NAME{option} [-n NS]",
        example=f"{verb} deployment/web",
        flags=(*flags.KUBECTL, *flags.CHANGES, *own),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build_rollout(verb),
        resources=resources,
    )


def intent_of(loaded: LoadedTarget, revisions: tuple[Revision, ...]) -> RolloutIntent:
    """Return what a change of the template remembers of what it found."""
    current = current_of(revisions)
    return RolloutIntent(
        uid=loaded.uid,
        template=template_digest(template_of(loaded.obj)),
        revision=current.number if current else 0,
        revision_template=current.template if current else "",
    )


def same_template(loaded: LoadedTarget) -> Operation:
    """Return the test that a workload has the judged template."""
    return test(pointer("spec", "template"), template_of(loaded.obj))


def back_to(command: Rollout, former: Revision | None) -> UndoRecord:
    """Return the way back to the revision that was there."""
    if former is None:
        return record_without_undo(
            "the revision before this change has no number yet: a rollback to it is not possible"
        )
    return undone_by(replace(command, verb=Verb.ROLLOUT_UNDO, revision=former.number, timeout=None, current=0))


def annotations_of(obj: Unstructured) -> Mapping[str, object]:
    """Return the annotations of a workload."""
    return unstructured.nested_map(obj, "metadata", "annotations")


async def undo_by_revision(kube: KubeClient, loaded: LoadedTarget, after: Unstructured) -> UndoRecord:
    """
    Write down where the former values of a pod template are: a secret stays in its revision.

    Raises Refused when no revision holds them, NotYet while the controller has not made it.
    """
    former = loaded.obj
    template, left = (unstructured.nested_map(obj, "spec", "template") for obj in (former, after))
    if loaded.asked.resource not in WORKLOADS or template == left:
        raise Refused(
            f"{loaded.asked}: to undo this a secret would have to be kept, and no revision holds it; {WITH_A_KEY}"
        )
    if unstructured.nested_int(former, "spec", "revisionHistoryLimit", default=10) < 1:
        raise Refused(
            f"{loaded.asked} keeps no old revisions: its former template, which holds a secret, would be lost; {WITH_A_KEY}"
        )
    revision = current_of(await find_revisions(kube, loaded.asked, former, loaded.context.good))
    if revision is None:
        raise NotYet(f"{loaded.asked} has no revision yet that holds its template")
    reference = TemplateReference(uid=revision.uid, digest=template_digest(revision.pods), over=unstamped_digest(left))
    back = Rollout(
        verb=Verb.ROLLOUT_UNDO,
        object=loaded.asked,
        namespace=loaded.namespace,
        revision=revision.number,
        template=reference,
    )
    others = restoring_patch(
        loaded.asked,
        loaded.namespace,
        *(unstructured.without_field(obj, "spec", "template") for obj in (former, after)),
    )
    return undone_by(back, *([others] if others.patch != _NOTHING else []))


async def undo_of(
    clients: VerbClients, loaded: LoadedTarget, after: Unstructured, patch: Patch, *, written: str = ""
) -> UndoRecord:
    """
    Return the way back of a change whose former values `patch` restores: by their revision, if a secret is among them.

    Where no revision holds them the patch is encrypted; raises as `undo_by_revision` without a key. `written` is as for
    `holds_secret`.
    """
    if not holds_secret(patch, written=written):
        return undone_by(patch)
    try:
        return await undo_by_revision(clients.kube, loaded, after)
    except Refused:
        if not clients.encrypts:
            raise
        return undone_by(patch)


class RolloutPauseVerb(RolloutVerb):
    """One of the two directions; its undo is the other one, if the Deployment was not so before."""

    def __init__(self, *, pause: bool) -> None:
        self.verb = Verb.ROLLOUT_PAUSE if pause else Verb.ROLLOUT_RESUME
        self._pause = pause
        self.spec = changing(self.verb, resources=(DEPLOYMENTS,))

    def conflict_key(self, command: Rollout) -> object:
        """Return that both directions are about the same."""
        return RolloutPauseVerb

    @override
    async def plan_effect(self, clients: VerbClients, command: Rollout, context: ChangeContext) -> EffectPlan:
        loaded = await load_target(clients.kube, command.object, command.namespace, context)
        bound = replace(command, object=loaded.asked)
        if loaded.asked.resource != DEPLOYMENTS:
            raise Refused(f"{loaded.asked}: only Deployments can be paused and resumed")
        preconditions.check(preconditions.managed(loaded.asked, loaded.obj, loaded.context))
        present = unstructured.nested_field(loaded.obj, "spec", "paused") is True
        intent = RolloutIntent(uid=loaded.uid, paused=present)
        if present is self._pause:
            return loaded.already(bound, intent)
        after = (
            unstructured.with_field(loaded.obj, "spec", "paused", value=True)
            if self._pause
            else unstructured.without_field(loaded.obj, "spec", "paused")
        )
        back = replace(bound, verb=Verb.ROLLOUT_RESUME if self._pause else Verb.ROLLOUT_PAUSE)
        return loaded.patch(bound, after, intent, undone_by(back))

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} {'paused' if self._pause else 'resumed'}"


VERBS = (RolloutPauseVerb(pause=True), RolloutPauseVerb(pause=False))
