"""`kintsugi check`: run the checks of a service on one pod alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions import api_objects
from kintsugi.actions.probe import PodAnswer, ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.references import place_of, single
from kintsugi.commands.words import namespace_option
from kintsugi.errors import NotFound, ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectCommand, ObjectName, Verb
from kintsugi.model.hosts import PodAddress, address_of
from kubeobjects import unstructured
from kubeobjects.kept import KubeService, Pod
from kubeobjects.resources import PODS, SERVICES


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckPod(ObjectCommand):
    """Ask one pod what the checks of its service ask."""


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

    async def read(
        self, clients: VerbClients, command: CheckPod, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Find where the pod is asked, and ask. Raises ProbeFailed where no check asks it by itself."""
        pod = await read_address(clients.kube, command.object, command.namespace)
        answer = PodAnswer(met=None, text="its checks are not available here")
        if probe_context.checks is not None:
            answer = await probe_context.checks.ask_pod(probe_context.service, pod)
        if answer.met is None:
            raise ProbeFailed(f"{command.object}: {answer.text}")
        text = f"{command.object}: {answer.text or 'the pod answers'}"
        failed = "" if answer.met else text
        return Result(names={"met": answer.met, "answer": answer.text}, summary=text, failed=failed)


VERBS = (CheckVerb(),)


async def read_address(kube: KubeClient, asked: ObjectName, namespace: str) -> PodAddress:
    """Read the address of a pod. Raises KubeError: NotFound where it is gone, also where another one has its name."""
    pod = await kube.get(PODS, asked.name, namespace)
    if asked.uid and unstructured.uid(pod) != asked.uid:
        raise NotFound(f"{asked} is gone: another pod has its name")
    services = (await kube.list(SERVICES, namespace)).items
    return address_of(api_objects.convert(pod, Pod), [api_objects.convert(each, KubeService) for each in services])
