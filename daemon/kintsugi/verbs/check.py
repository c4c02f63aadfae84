"""`kintsugi check`: run the checks of a service on one pod alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.pod_addresses import address_of
from kintsugi.actions.probe_context import PodAnswer, ProbeContext
from kintsugi.actions.probe_verb import ProbeVerb
from kintsugi.actions.result import Result
from kintsugi.actions.verb_clients import VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.references import place_of, single
from kintsugi.commands.results import ObjectType
from kintsugi.commands.words import namespace_option
from kintsugi.errors import ProbeFailed
from kintsugi.expressions import Type
from kintsugi.model.command import Command, ObjectName, Verb
from kubeobjects.resources import PODS


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckPod(Command):
    """Ask one pod what the checks of its service ask."""

    object: ObjectName
    namespace: str


def build(parsed: ParsedCommand) -> CheckPod:
    """Build `kintsugi check` of one pod."""
    return CheckPod(object=single(parsed), namespace=place_of(parsed))


class CheckVerb(ProbeVerb[CheckPod]):
    """
    Asks the checks that rules ask on an interval: those that are not met now, else all of them.

    What of a check asks the service by its name, or a program in one of its pods, is asked of this pod; all else as it is.
    """

    command = CheckPod
    spec = CommandSpec(
        verb=Verb.CHECK,
        changes=False,
        usage="kintsugi check POD [-n NS]",
        example="kintsugi check web-1",
        flags=(flags.NAMESPACE,),
        arguments=(arg_types.BARE,),
        build=build,
        resources=(PODS,),
        bare=PODS,
        result=results.ANSWER,
    )

    @override
    def words(self, command: CheckPod) -> Iterator[str]:
        yield from [command.object.name, *namespace_option(command.namespace)]

    @override
    def columns(self, command: CheckPod, type_of: ObjectType) -> Mapping[str, Type]:
        return {}

    async def read(
        self, clients: VerbClients, command: CheckPod, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Find where the pod is asked, and ask. Raises ProbeFailed where no check asks it by itself."""
        pod = await address_of(clients.kube, command.object, command.namespace)
        answer = PodAnswer(met=None, text="its checks are not available here")
        if probe_context.checks is not None:
            answer = await probe_context.checks.ask_pod(probe_context.service, pod)
        if answer.met is None:
            raise ProbeFailed(f"{command.object}: {answer.text}")
        text = f"{command.object}: {answer.text or 'the pod answers'}"
        failed = "" if answer.met else text
        return Result(names={"met": answer.met, "answer": answer.text}, summary=text, failed=failed)


VERBS = (CheckVerb(),)
