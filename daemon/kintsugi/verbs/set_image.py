"""`kubectl set image`: set the images of a workload's containers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from typing_extensions import override

from kintsugi.actions.effect_plan import EffectPlan, Intent, undone_by
from kintsugi.actions.loaded_target import LoadedTarget
from kintsugi.actions.verb_bases import VerbClients
from kintsugi.commands import arg_types, flags
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.kinds import ROLLED_OUT
from kintsugi.commands.references import place_of
from kintsugi.commands.template_args import CONTAINER_IMAGE, pairs, target
from kintsugi.commands.words import namespace_option
from kintsugi.verbs.set_template import SetCommand, SetVerb, containers_of, name_of
from kubediagnosis.templates import template_of, unstamped_digest
from kubeobjects import unstructured
from kubeobjects.unstructured import Unstructured

_ALL = "*"


@dataclass(frozen=True, kw_only=True, slots=True)
class SetImage(SetCommand):
    """Set images by container, `*` for all."""

    images: Mapping[str, str] = field(default_factory=dict)


class SetImageIntent(Intent, frozen=True, kw_only=True):
    """The former images of the containers that get another one."""

    former: Mapping[str, str]


def build(parsed: ParsedCommand) -> SetImage:
    """Build `kubectl set image` of one workload."""
    images = {name: str(image) for name, image in pairs(parsed).items()}
    if _ALL in images and len(images) > 1:
        raise parsed.misused("* means all containers: name no other container beside it")
    return SetImage(object=target(parsed), namespace=place_of(parsed), images=images)


class SetImageVerb(SetVerb[SetImage]):
    """Its undo sets the former images, unless somebody has changed the template meanwhile."""

    command = SetImage
    intent = SetImageIntent
    spec = CommandSpec(
        verb="kubectl set image",
        changes=True,
        usage="kubectl set image TYPE/NAME CONTAINER=IMAGE… | *=IMAGE [-n NS]",
        example="kubectl set image deployment/web web=nginx:1.27",
        flags=(*flags.KUBECTL, *flags.CHANGES),
        arguments=(arg_types.REFERENCE, arg_types.NAME),
        build=build,
        resources=ROLLED_OUT,
        marks=True,
        mark=CONTAINER_IMAGE,
    )

    @override
    def words(self, command: SetImage) -> Iterator[str]:
        yield str(command.object)
        yield from (f"{name}={image}" for name, image in command.images.items())
        yield from namespace_option(command.namespace)

    def opposes(self, command: SetImage, undo: SetImage) -> bool:
        """Return whether a container gets the image that it had."""
        return any(_wanted(command.images, name) == image for name, image in undo.images.items())

    def objection(self, command: SetImage, loaded: LoadedTarget) -> str:
        """Refuse a container that is not there, in kubectl's words."""
        known = [name_of(each) for each in containers_of(loaded.obj)]
        for name in command.images:
            if name != _ALL and name not in known:
                return f'{command.object}: unable to find container named "{name}": it has {", ".join(known)}'
        return ""

    @override
    def changed(self, command: SetImage, container: Unstructured) -> Unstructured:
        wanted = _wanted(command.images, name_of(container))
        return {**container, "image": wanted} if wanted else container

    @override
    async def planned(
        self, clients: VerbClients, command: SetImage, loaded: LoadedTarget, after: Unstructured
    ) -> EffectPlan:
        images = {name_of(each): _image_of(each) for each in containers_of(loaded.obj)}
        former = {
            name: images[name] for each in containers_of(after) if images.get(name := name_of(each)) != _image_of(each)
        }
        intent = SetImageIntent(uid=loaded.uid, former=former)
        back = replace(command, images=former, over=unstamped_digest(template_of(after)))
        return loaded.patch(command, after, intent, undone_by(back))

    @override
    def summary(self, plan: EffectPlan) -> str:
        assert isinstance(plan.command, SetImage), plan.command
        images, former = plan.command.images, plan.remembered(SetImageIntent).former
        changes = [f"{name} from {image} to {_wanted(images, name)}" for name, image in sorted(former.items())]
        return f"{self.object_of(plan)} image updated{': ' if changes else ''}{', '.join(changes)}"


VERBS = (SetImageVerb(),)


def _wanted(images: Mapping[str, str], name: str) -> str:
    """Return the image that a container is to have, "" where nothing is said of it."""
    return images.get(name) or images.get(_ALL, "")


def _image_of(container: Unstructured) -> str:
    return unstructured.nested_string(container, "image")
