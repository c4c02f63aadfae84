"""`kubectl label` and `annotate`: set or remove marks of one object."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from typing_extensions import override

from kintsugi.actions import preconditions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.difference import restoring_patch
from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION, EffectPlan, Intent, undone_by
from kintsugi.actions.loaded_target import load_target
from kintsugi.actions.verb_bases import SeveralObjectsVerb, VerbClients
from kintsugi.commands import flags
from kintsugi.commands.arg_types import LABEL_VALUE, NAME, REFERENCE
from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.kinds import MARKABLE
from kintsugi.commands.references import kinds_of, namespace_for, objects
from kintsugi.commands.words import named_objects, namespace_option, switch
from kintsugi.model.command import SetMetadata, Verb
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured


class SetMetadataIntent(Intent, frozen=True, kw_only=True):
    """The former values, None for none."""

    former: Mapping[str, object]


class SetMetadataVerb(SeveralObjectsVerb[SetMetadata]):
    """Labels or annotations; their undo restores the former values where ours are unchanged."""

    command = SetMetadata
    intent = SetMetadataIntent

    def __init__(self, verb: Verb) -> None:
        self._verb = verb
        self.spec = CommandSpec(
            verb=verb,
            changes=True,
            usage=f"{verb} TYPE NAME… KEY=VALUE… | KEY-… [--overwrite] [-n NS]",
            example=f"{verb} pod web-1 quarantined=yes",
            flags=(*flags.KUBECTL, *flags.CHANGES, Flag(names=("--overwrite",), key="overwrite")),
            arguments=(REFERENCE, NAME),
            build=self.build,
            resources=MARKABLE,
            discovered=True,
            marks=True,
        )

    def build(self, parsed: ParsedCommand) -> SetMetadata:
        """Build the command."""
        marks = [argument.value for argument in parsed.arguments if isinstance(argument.value, tuple)]
        found = objects(
            parsed, tuple(argument for argument in parsed.arguments if not isinstance(argument.value, tuple))
        )
        if not marks:
            raise parsed.misused("it sets nothing")
        values: dict[str, str | None] = dict(marks)
        if len(values) != len(marks):
            raise parsed.misused("a key is given twice")
        if self._verb is Verb.LABEL:
            _check_labels(values)
        return SetMetadata(
            verb=self._verb,
            objects=found,
            namespace=namespace_for(parsed, kinds_of(found)),
            values=values,
            overwrite=parsed.on("overwrite"),
        )

    @override
    def is_of(self, command: SetMetadata) -> bool:
        return command.verb is self._verb

    @override
    def words(self, command: SetMetadata) -> Iterator[str]:
        yield from named_objects(command.objects)
        yield from (f"{key}-" if value is None else f"{key}={value}" for key, value in command.values.items())
        yield from [*switch("--overwrite", command.overwrite), *namespace_option(command.namespace)]

    def conflict_key(self, command: SetMetadata) -> object:
        """Return the verb: labels and annotations are two things."""
        return command.verb

    def opposes(self, command: SetMetadata, undo: SetMetadata) -> bool:
        """Return whether a mark gets the value that it had."""
        return any(key in undo.values and undo.values[key] == value for key, value in command.values.items())

    def payload(self, command: SetMetadata) -> object:
        """Return the marks, as annotations."""
        return {"annotations": dict(command.values)}

    @override
    async def plan_effect(self, clients: VerbClients, command: SetMetadata, context: ChangeContext) -> EffectPlan:
        loaded = await load_target(clients.kube, command.objects[0], command.namespace, context)
        bound = replace(command, objects=(loaded.asked,))
        kind = "labels" if command.verb is Verb.LABEL else "annotations"
        present = unstructured.nested_map(loaded.obj, "metadata", kind)
        preconditions.check(_reserved(command), _taken(bound, present))
        after = unstructured.with_field(loaded.obj, "metadata", kind, value=_marked(command, present))
        intent = SetMetadataIntent(uid=loaded.uid, former={key: present.get(key) for key in command.values})
        undo = undone_by(restoring_patch(loaded.asked, command.namespace, loaded.obj, after))
        return loaded.patch(bound, after, intent, undo)

    @override
    def summary(self, plan: EffectPlan) -> str:
        return f"{self.object_of(plan)} {'labeled' if self._verb is Verb.LABEL else 'annotated'}"


VERBS = (SetMetadataVerb(Verb.LABEL), SetMetadataVerb(Verb.ANNOTATE))


def _check_labels(values: dict[str, str | None]) -> None:
    for key, value in values.items():
        if value is not None and not LABEL_VALUE.fullmatch(value):
            raise CommandProblem(
                f"kubectl label: {value!r} cannot be the value of the label {key}: at most 63 letters, digits and -_."
            )


def _marked(command: SetMetadata, present: Unstructured) -> dict[str, object]:
    kept = {key: value for key, value in present.items() if key not in command.values}
    return {**kept, **{key: value for key, value in command.values.items() if value is not None}}


def _reserved(command: SetMetadata) -> str:
    ours = sorted({RUN_ANNOTATION, TEMPLATE_ANNOTATION} & set(command.values))
    return f"{ours[0]} is Kintsugi's own key: it names the run that changed an object last" if ours else ""


def _taken(command: SetMetadata, present: Unstructured) -> str:
    """Refuse to overwrite without --overwrite, in kubectl's words."""
    for key, value in command.values.items():
        if value is not None and not command.overwrite and present.get(key, value) != value:
            return f"{command.objects[0]}: {key!r} already has a value ({present[key]}), and --overwrite is false"
    return ""
