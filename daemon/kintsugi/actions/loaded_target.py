"""The object of a change as it was just read, and the effect plan that is made from it."""

from dataclasses import dataclass

from msgspec import UNSET, UnsetType, structs

from kintsugi.actions import api_objects, preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.difference import Operation, difference, pointer, test
from kintsugi.actions.effect_plan import (
    NOTHING_CHANGED,
    RUN_ANNOTATION,
    TEMPLATE_ANNOTATION,
    EffectPlan,
    Intent,
    PatchWrite,
)
from kintsugi.commands.kinds import is_built_in
from kintsugi.errors import NotFound, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.records import UndoRecord
from kubediagnosis.templates import template_digest
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedTarget:
    """An object that was read for a change. `asked` is its name with its uid."""

    asked: ObjectName
    namespace: str
    obj: Unstructured
    context: ChangeContext

    @property
    def uid(self) -> str:
        """Return the object's uid."""
        return unstructured.uid(self.obj)

    def identified(self, intent: Intent, *, mark: str | UnsetType = UNSET, already: bool | UnsetType = UNSET) -> Intent:
        """Return an intent with the common fields of its object."""
        return structs.replace(
            intent,
            resource_version=unstructured.nested_string(self.obj, "metadata", "resourceVersion"),
            generation=unstructured.nested_int(self.obj, "metadata", "generation"),
            mark=mark,
            already=already,
        )

    def already(self, command: Command, intent: Intent) -> EffectPlan:
        """Return the plan to write nothing: the object is as requested already."""
        return EffectPlan(command=command, intent=self.identified(intent, already=True), undo=NOTHING_CHANGED)

    def patch(
        self, command: Command, after: Unstructured, intent: Intent, undo: UndoRecord, *tests: Operation
    ) -> EffectPlan:
        """
        Return the plan to patch the object to `after`, with our mark and the digest of the resulting template.

        It tests the uid, every field that it writes, and `tests`. Nothing is written when nothing would change.
        """
        if not difference(self.obj, after):
            return self.already(command, intent)
        mark = self.context.mark
        marked = unstructured.with_field(after, "metadata", "annotations", RUN_ANNOTATION, value=mark)
        template = unstructured.nested_map(after, "spec", "template")
        if template and is_built_in(self.asked.resource):
            marked = unstructured.with_field(
                marked, "metadata", "annotations", TEMPLATE_ANNOTATION, value=template_digest(template)
            )
        identity = test(pointer("metadata", "uid"), unstructured.uid(self.obj))
        return EffectPlan(
            command=command,
            intent=self.identified(intent, mark=mark),
            undo=undo,
            write=PatchWrite(operations=(identity, *tests, *difference(self.obj, marked))),
        )


async def load_target(kube: KubeClient, asked: ObjectName, namespace: str, context: ChangeContext) -> LoadedTarget:
    """
    Read the object of a change from the API (B14) and refuse objects that may not be changed.

    Raises Refused, also for an object that was named with its uid and is gone; NotFound for an unknown name.
    """
    preconditions.check(
        preconditions.protected(namespace if asked.resource.namespaced else "", context),
        preconditions.discovered(asked, namespace, context),
    )
    try:
        with api_objects.naming_the_right(asked.resource, changes=True):
            obj = await kube.get(asked.resource, asked.name, namespace or None)
    except NotFound as error:
        if asked.uid:
            raise Refused(f"{asked} (uid {asked.uid}) is gone already") from error
        raise
    return check_loaded(asked, obj, namespace, context)


def check_loaded(asked: ObjectName, obj: Unstructured, namespace: str, context: ChangeContext) -> LoadedTarget:
    """Return an object that was just read as the target. Raises Refused when it is another one, terminating, or essential."""
    uid = unstructured.uid(obj)
    if asked.uid not in ("", uid):  # B13
        raise Refused(f"{asked} is another object now (uid {uid}): the one that was judged (uid {asked.uid}) is gone")
    preconditions.check(
        preconditions.terminating(asked, obj),
        preconditions.refuse_essential(asked, obj, namespace, context),
    )
    return LoadedTarget(asked=api_objects.named(asked.resource, obj), namespace=namespace, obj=obj, context=context)
