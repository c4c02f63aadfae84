"""
The bases of the verbs: of those that only read, and of those that change something.

A change is judged, made, probed when its answer was lost, and summarised in a line. `Actions` calls the verb of a command.
This module has the common parts; a module of `kintsugi.verbs` has the verb's own.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import msgspec
from typing_extensions import override

from kintsugi.actions import job_effect
from kintsugi.actions.api_objects import found
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import (
    RUN_ANNOTATION,
    CreateWrite,
    DeleteWrite,
    EffectPlan,
    EffectStatus,
    Intent,
    PatchWrite,
)
from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.actions.job_effect import JobIntent, JobState
from kintsugi.actions.pods import ContainerExec
from kintsugi.actions.probe import ProbeContext, Result, of_objects
from kintsugi.clients.clients import Clients
from kintsugi.commands.registry import definition_of
from kintsugi.commands.results import ObjectType
from kintsugi.commands.verb_definition import C, VerbDefinition
from kintsugi.errors import CommandError, Conflict, KubeError, NotFound, Refused
from kintsugi.expressions import Type
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.model.command import Command, ObjectCommand, ObjectName, ObjectsCommand
from kintsugi.settings import RestoreSettings
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

Single = TypeVar("Single", bound=ObjectCommand)
Several = TypeVar("Several", bound=ObjectsCommand)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerbClients:
    """The clients for the cluster and for probes, the settings of workers, the good templates; `encrypts`: an undo may hold a secret."""

    kube: KubeClient
    clients: Clients
    containers: ContainerExec
    restore: RestoreSettings = field(default_factory=RestoreSettings)
    encrypts: bool = False
    templates: GoodTemplates = field(default_factory=GoodTemplates)


class ProbeVerb(VerbDefinition[C]):
    """A verb whose commands change nothing. `lasts`: until its deadline, when it ends by itself with what it has seen."""

    lasts = False

    def columns(self, command: C, type_of: ObjectType) -> Mapping[str, Type]:
        """Return nothing besides what the row names."""
        return {}

    @abstractmethod
    async def read(
        self, clients: VerbClients, command: C, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Ask; see `Actions.read` for what it raises."""


class ChangeVerb(VerbDefinition[C]):
    """A verb whose commands change something; its methods raise as those of `Actions`. `intent` is the type of its intents."""

    intent: type[Intent] = Intent

    def split(self, command: C) -> tuple[Command, ...]:
        """Split a change of several objects into changes of one object each, in order."""
        return (command,)

    @abstractmethod
    async def plan_effect(self, clients: VerbClients, command: C, context: ChangeContext) -> EffectPlan:
        """Judge a change by the current objects; nothing is changed."""

    @abstractmethod
    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Make a judged change by one write, by none where the object is as requested already."""

    @abstractmethod
    async def reread(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Read the object of a change again."""

    @abstractmethod
    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        """Return whether a change whose answer was lost was made."""


class JobVerb(ChangeVerb[C]):
    """A verb whose commands create a Job each, which the run watches to its end: a Job effect."""

    intent: type[Intent] = JobIntent
    makes_job = True

    def columns(self, command: C, type_of: ObjectType) -> Mapping[str, Type]:
        """Return nothing besides what the row names."""
        return {}

    @abstractmethod
    async def watch(self, clients: VerbClients, plan: EffectPlan, context: ChangeContext) -> JobState:
        """Return the state of the Job that was made; KubeError says nothing about it."""

    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Create the Job; one that exists already is ours, and is left as it is. Raises Conflict when it is not."""
        if not plan.already:
            if not isinstance(plan.write, CreateWrite):
                raise Refused(
                    f"job/{plan.remembered(JobIntent).job}: a change prepared before a restart is not applied"
                )
            await job_effect.create(clients.kube, plan, plan.write.manifest)
        return job_effect.made(plan)

    async def reread(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Return that the Job is there: its state is watched."""
        return job_effect.made(plan)

    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        """Return whether the Job was made: by its name, and the labels of its step."""
        if plan.already:
            return EffectStatus.DONE
        try:
            await job_effect.ours(clients.kube, plan)
        except NotFound:
            return EffectStatus.NOT_DONE
        except Conflict:
            return EffectStatus.UNKNOWN
        return EffectStatus.DONE


class ObjectVerb(ChangeVerb[C]):
    """A verb whose commands change one object of the cluster each."""

    @abstractmethod
    def summary(self, plan: EffectPlan) -> str:
        """Return a line that says what a change did, or would have done if it was needed."""

    async def write(self, clients: VerbClients, plan: EffectPlan) -> Unstructured | None:
        """Make the one write, and return the object after it; None when it is gone."""
        answer = await send(clients.kube, plan, self.object_of(plan), self.namespace_of(plan))
        try:
            return await self.find(clients.kube, plan)
        except KubeError:
            # The change is made and answered, even if its object cannot be read again now.
            return None if isinstance(plan.write, DeleteWrite) else answer

    async def find(self, kube: KubeClient, plan: EffectPlan) -> Unstructured | None:
        """Read the object of a change; None when it is gone, or another one has its name."""
        asked = self.object_of(plan)
        obj = await found(kube, asked.resource, asked.name, self.namespace_of(plan))
        if obj is None or unstructured.uid(obj) != plan.intent.uid:
            return None
        return unstructured.without_managed_fields(obj)

    async def effect_status(self, kube: KubeClient, plan: EffectPlan) -> EffectStatus:
        """
        Return whether a change was made: by the mark that is written together with it.

        UNKNOWN when an object that was to be changed is gone; NOT_DONE is true of now: a request that is still on its way
        may yet arrive.
        """
        obj = await self.find(kube, plan)
        if obj is None:
            return EffectStatus.UNKNOWN
        return EffectStatus.DONE if is_marked(obj, plan) else EffectStatus.NOT_DONE

    async def apply(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Make the write, and read its object again."""
        obj = await self.find(clients.kube, plan) if plan.already else await self.write(clients, plan)
        return self._result(plan, obj)

    async def reread(self, clients: VerbClients, plan: EffectPlan) -> Result:
        """Read the object: `items`, empty when it is gone."""
        return self._result(plan, await self.find(clients.kube, plan))

    async def probe(self, clients: VerbClients, plan: EffectPlan) -> EffectStatus:
        """Return what `effect_status`; raises KubeError when the cluster cannot be asked."""
        return EffectStatus.DONE if plan.already else await self.effect_status(clients.kube, plan)

    def object_of(self, plan: EffectPlan) -> ObjectName:
        """Return the object of a change."""
        assert isinstance(plan.command, self.command), plan.command
        (asked,) = self.objects(plan.command)
        return asked

    def namespace_of(self, plan: EffectPlan) -> str | None:
        """Return the namespace of a change's object, None for one that lives in none."""
        assert isinstance(plan.command, self.command), plan.command
        return self.namespace(plan.command) if self.object_of(plan).resource.namespaced else None

    def _result(self, plan: EffectPlan, obj: Unstructured | None) -> Result:
        items = [] if obj is None else [unstructured.without_managed_fields(obj)]
        done = "nothing to do: " if plan.already else ""
        return of_objects(items, named=1, summary=f"{done}{self.summary(plan)}")


class SeveralObjectsVerb(ObjectVerb[Several]):
    """A verb whose commands name the objects that they change, one after the other."""

    @override
    def objects(self, command: Several) -> tuple[ObjectName, ...]:
        return command.objects

    @override
    def namespace(self, command: Several) -> str:
        return command.namespace

    @override
    def split(self, command: Several) -> tuple[Command, ...]:
        return tuple(replace(command, objects=(each,)) for each in command.objects)


class SingleObjectVerb(ObjectVerb[Single]):
    """A verb whose commands name the one object that they change."""

    @override
    def objects(self, command: Single) -> tuple[ObjectName, ...]:
        return (command.object,)

    @override
    def namespace(self, command: Single) -> str:
        return command.namespace


def read_intent(command: Command, facts: Mapping[str, object]) -> Intent:
    """Return an intent of the ledger with the type of the command's verb. Raises CommandError where it cannot be read."""
    verb = definition_of(command)
    kind = verb.intent if isinstance(verb, ChangeVerb) else Intent
    try:
        return msgspec.convert(facts, kind)
    except msgspec.ValidationError as error:
        raise CommandError(f"the intent of a {type(command).__name__} cannot be read: {error}") from error


def is_marked(obj: Unstructured, plan: EffectPlan) -> bool:
    """Return whether an object carries the mark of this very change."""
    return unstructured.nested_string(obj, "metadata", "annotations", RUN_ANNOTATION) == plan.intent.mark


def removal_status(obj: Unstructured | None) -> EffectStatus:
    """Return whether an object was removed: its uid is gone, or terminating."""
    going = obj is None or bool(unstructured.nested_string(obj, "metadata", "deletionTimestamp"))
    return EffectStatus.DONE if going else EffectStatus.NOT_DONE


async def send(kube: KubeClient, plan: EffectPlan, asked: ObjectName, namespace: str | None) -> Unstructured:
    """Make the one write of a change. Raises Refused for a plan that was read from the ledger: it is judged again first."""
    match plan.write:
        case PatchWrite(operations=operations, subresource=subresource):
            return await kube.patch(
                asked.resource, asked.name, namespace, operations, kind=PatchKind.JSON, subresource=subresource or None
            )
        case DeleteWrite(grace=grace):
            uid = plan.intent.uid
            return await kube.delete(asked.resource, asked.name, namespace, uid=uid, grace=grace)
        case CreateWrite(manifest=manifest, subresource=""):
            return await kube.create(asked.resource, namespace, manifest)
        case CreateWrite(manifest=manifest, subresource=subresource):
            return await kube.create(asked.resource, namespace, manifest, name=asked.name, subresource=subresource)
        case _:
            raise Refused(f"{asked}: a change prepared before a restart is not applied: prepare it again")


def is_change(command: Command | None) -> bool:
    """Return whether a command changes an object of the cluster."""
    return command is not None and isinstance(definition_of(command), ObjectVerb)


def object_of(command: Command) -> ObjectName:
    """Return the single object of a change. Raises Refused for a command over several: `split` comes first."""
    verb = definition_of(command)
    if not isinstance(verb, ObjectVerb):
        raise Refused(f"{type(command).__name__} is a probe: there is nothing to change")
    objects = verb.objects(command)
    if len(objects) != 1:
        raise Refused(f"a change is made object by object, not of {len(objects)} at once")
    return objects[0]


def is_same_object(one: Command, other: Command) -> bool:
    """Return whether two changes are about one object: of the same kind, name and namespace."""
    first, second = object_of(one), object_of(other)
    return (first.resource, first.name, namespace_of(one)) == (second.resource, second.name, namespace_of(other))


def namespace_of(command: Command) -> str | None:
    """Return the namespace of a change's object or Job, None for an object that lives in none."""
    verb = definition_of(command)
    if isinstance(verb, JobVerb):
        return verb.namespace(command) or None
    if isinstance(verb, ObjectVerb) and object_of(command).resource.namespaced:
        return verb.namespace(command)
    return None
