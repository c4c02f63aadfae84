"""`kubectl rollout undo`: go back to a revision."""

from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs
from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.command_secrets import hide
from kintsugi.actions.difference import Operation, pointer, test
from kintsugi.actions.difference import difference as difference_of
from kintsugi.actions.effect_plan import (
    RUN_ANNOTATION,
    TEMPLATE_ANNOTATION,
    EffectPlan,
    PatchWrite,
    record_without_undo,
)
from kintsugi.actions.loaded_target import LoadedTarget, load_target
from kintsugi.actions.verb_bases import VerbClients
from kintsugi.actions.workload_reads import find_revisions, last_good_of
from kintsugi.commands import arg_types
from kintsugi.commands.command_spec import Flag
from kintsugi.errors import KintsugiError, Refused
from kintsugi.model.command import ObjectName, TemplateReference, Verb
from kintsugi.model.records import Phase, UndoRecord
from kintsugi.verbs.rollout import (
    Rollout,
    RolloutIntent,
    RolloutVerb,
    annotations_of,
    back_to,
    changing,
    intent_of,
    same_template,
    undo_by_revision,
)
from kintsugi.verbs.set_template import dry_run, edited, not_over
from kubediagnosis.ports import KeptTemplate
from kubediagnosis.templates import (
    differ_in_stamp_only,
    difference,
    template_digest,
    template_fields,
    template_of,
)
from kubediagnosis.workload_revisions import Revision, current_of
from kubeobjects import unstructured
from kubeobjects.metadata import REVISION
from kubeobjects.resources import DEPLOYMENTS
from kubeobjects.unstructured import Unstructured

_TO_REVISION = Flag(names=("--to-revision",), key="revision", kind=arg_types.NATURAL)
_TO_KEPT = Flag(names=("--to-good-template",), key="to_kept")
_CURRENT = Flag(names=("--current-revision",), key="current", kind=arg_types.NATURAL)

# Annotations that a Deployment keeps when it goes back; the others come from the ReplicaSet (kubectl's own list).
_KEPT_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)


class RolloutUndoVerb(RolloutVerb):
    """
    Goes back to a revision; its own undo goes to the one before, where that was seen good.

    kubectl has no `--current-revision`, the revision that is expected to be in force, and no `--to-good-template`, which goes back
    to the last good template in the ledger where Kubernetes has no good revision any more.
    """

    verb = Verb.ROLLOUT_UNDO
    spec = changing(
        Verb.ROLLOUT_UNDO,
        option=" [--to-revision=N | --to-good-template] [--current-revision=N]",
        own=(_TO_REVISION, _TO_KEPT, _CURRENT),
    )
    writes_template = True
    rolls_back = True

    async def plan_effect(self, clients: VerbClients, command: Rollout, context: ChangeContext) -> EffectPlan:
        """Judge an undo: to a revision by its number, to the named template, or to the last good one in the ledger."""
        loaded = await load_target(clients.kube, command.object, command.namespace, context)
        bound = replace(command, object=loaded.asked)
        reference = bound.template
        preconditions.check(
            preconditions.paused(loaded.asked, loaded.obj, "roll back"),
            preconditions.managed(loaded.asked, loaded.obj, context),
            edited_since(loaded) if reference is None else not_over(loaded, reference.over),
        )
        revisions = await find_revisions(clients.kube, loaded.asked, loaded.obj, context.good)
        preconditions.check(_overtaken(bound, revisions))
        if reference is not None:
            return _to_template(bound, loaded, revisions, reference)
        if bound.to_kept:
            return await _to_kept(clients, bound, loaded, revisions)
        return _to_revision(bound, loaded, revisions)

    @override
    def summary(self, plan: EffectPlan) -> str:
        intent = plan.remembered(RolloutIntent)
        had, gets = (f" ({words})" if words else "" for words in (intent.had, intent.gets))
        to = f"its last good template{gets} from the ledger" if intent.kept is True else f"{intent.to}{gets}"
        return f"{self.object_of(plan)} rolled back from revision {intent.revision}{had} to {to}"


VERBS = (RolloutUndoVerb(),)


def _to_revision(command: Rollout, loaded: LoadedTarget, revisions: tuple[Revision, ...]) -> EffectPlan:
    target = target_of(loaded.asked, revisions, command.revision, loaded.context.phase)
    after = unstructured.with_field(_annotated(command, loaded.obj, target), "spec", "template", value=target.pods)
    former = current_of(revisions)
    undo = back_to(command, former) if former is not None and former.good else _never_back(former)
    bound = replace(command, revision=target.number)
    return loaded.patch(
        bound, after, _going_to(loaded, revisions, target), undo, same_template(loaded), *_same_number(loaded)
    )


async def _to_kept(
    clients: VerbClients, command: Rollout, loaded: LoadedTarget, revisions: tuple[Revision, ...]
) -> EffectPlan:
    """Put the last good template back as the ledger keeps it, where Kubernetes has no good revision; all of it or nothing."""
    asked = loaded.asked
    found = await clients.templates.find(asked.resource.singular, loaded.namespace, asked.name, loaded.obj)
    preconditions.check(_refuse_kept_template(loaded, revisions, found))
    assert found is not None, asked
    wanted = unstructured.with_field(loaded.obj, "spec", "template", value=found.pods)
    try:
        after = await dry_run(clients.kube, loaded, wanted, "")
    except KintsugiError as error:
        hide(error, PatchWrite(operations=difference_of(loaded.obj, wanted)))
        raise
    intent = structs.replace(_going_to(loaded, revisions, found), kept=True)
    undo = await undo_by_revision(clients.kube, loaded, after)
    return loaded.patch(command, after, intent, undo, same_template(loaded), *_same_number(loaded))


def _to_template(
    command: Rollout, loaded: LoadedTarget, revisions: tuple[Revision, ...], reference: TemplateReference
) -> EffectPlan:
    """Restore a former template from its revision."""
    target = referred(loaded.asked, revisions, reference)
    after = unstructured.with_field(loaded.obj, "spec", "template", value=target.pods)
    undo = record_without_undo("it is itself the undo of a change")
    bound = replace(command, revision=target.number)
    return loaded.patch(bound, after, _going_to(loaded, revisions, target), undo, same_template(loaded))


def _same_number(loaded: LoadedTarget) -> tuple[Operation, ...]:
    """Return the test that a Deployment is at the judged revision; a path within an absent map would fail any patch."""
    annotations = annotations_of(loaded.obj)
    return (
        (test(pointer("metadata", "annotations", REVISION), annotations[REVISION]),) if REVISION in annotations else ()
    )


def _overtaken(command: Rollout, revisions: tuple[Revision, ...]) -> str:
    """Refuse where another revision is in force than the one that is expected, or none has its number yet."""
    if not command.current:
        return ""
    current = current_of(revisions)
    if current is not None and current.number == command.current:
        return ""
    found = f"revision {current.number}" if current is not None else "one without a number yet"
    return f"{command.object} is not at revision {command.current} any more, but at {found}: it is left as it is"


def _refuse_kept_template(loaded: LoadedTarget, revisions: tuple[Revision, ...], found: KeptTemplate | None) -> str:
    asked = loaded.asked
    if good := [each.number for each in revisions if each.good and not each.current]:
        return f"revision {good[-1]} of {asked} was seen good: roll back to that revision"
    if found is None:
        return f"no good template of {asked} is kept: a person has to apply one"
    if found.missing:
        return f"the last good template of {asked} is incomplete: the values of {', '.join(found.missing)} are not kept"
    if differ_in_stamp_only(found.pods, template_of(loaded.obj)):
        return f"{asked} has its last good template already: a rollback to it would change nothing"
    return ""


def _going_to(loaded: LoadedTarget, revisions: tuple[Revision, ...], target: Revision | KeptTemplate) -> RolloutIntent:
    had, gets = difference(template_fields(template_of(loaded.obj)), template_fields(target.pods))
    return structs.replace(
        intent_of(loaded, revisions), to=target.number, to_template=target.template, had=had, gets=gets
    )


def edited_since(loaded: LoadedTarget) -> str:
    """Refuse to undo over a template that is not as this run left it (E17)."""
    annotations = annotations_of(loaded.obj)
    ours = str(annotations.get(RUN_ANNOTATION, "")).startswith(f"{loaded.context.run}/")
    left = annotations.get(TEMPLATE_ANNOTATION)
    if not ours and loaded.context.undoes:
        return edited(loaded)  # `kubectl replace`, or another run's change, has taken the mark of the change away
    if loaded.context.phase is Phase.FORWARD or not ours or left is None:
        return ""
    return edited(loaded) if left != template_digest(template_of(loaded.obj)) else ""


def _never_back(former: Revision | None) -> UndoRecord:
    which = f"revision {former.number}" if former else "the revision before"
    return record_without_undo(f"{which} was never seen good: there is no rollback to it")


def _annotated(command: Rollout, obj: Unstructured, target: Revision) -> Unstructured:
    """Return a Deployment the annotations of the revision that it goes back to, as kubectl does."""
    if command.object.resource != DEPLOYMENTS:
        return obj
    present = annotations_of(obj)
    kept = {key: present[key] for key in _KEPT_ANNOTATIONS if key in present}
    theirs = {key: value for key, value in target.annotations.items() if key not in _KEPT_ANNOTATIONS}
    return unstructured.with_field(obj, "metadata", "annotations", value={**theirs, **kept})


def target_of(asked: ObjectName, revisions: Sequence[Revision], number: int, phase: Phase) -> Revision:
    """
    Return the revision for a rollback: the named one, else the last one that was seen good (E13).

    Raises Refused when it does not exist, is the current one, or was never seen good. An undo may also go back over a
    mere restart, whose two revisions differ in nothing else.
    """
    current = current_of(revisions)
    if number == 0:
        good = last_good_of(revisions)
        if good is None:
            raise Refused(f"no earlier revision of {asked} was seen good: a person has to choose one")
        return good
    known = ", ".join(str(revision.number) for revision in revisions) or "none"
    target = next((revision for revision in revisions if revision.number == number), None)
    if target is None:
        raise Refused(f"unable to find specified revision {number} in history: {asked} has {known}")
    if target.current:
        raise Refused(f"{asked} is at revision {number} already: a rollback to it would change nothing")
    over_restart = phase is Phase.UNDO and current is not None and differ_in_stamp_only(current.pods, target.pods)
    if not target.good and not over_restart:
        raise Refused(f"revision {number} of {asked} was never seen good: there is no rollback to it")
    return target


def referred(asked: ObjectName, revisions: Sequence[Revision], reference: TemplateReference) -> Revision:
    """Find the revision that a reference names. Raises Refused when it is gone, or holds another template by now."""
    found = next((revision for revision in revisions if revision.uid == reference.uid), None)
    if found is None:
        raise Refused(f"the revision of {asked} that holds its former template (uid {reference.uid}) is gone")
    if template_digest(found.pods) != reference.digest:
        raise Refused(f"revision {found.number} of {asked} does not hold the former template any more")
    return found
