"""`kintsugi check`: run the checks of a service on one pod alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from kintsugi.actions.probe import PodAnswer, ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.command_spec import CommandSpec, ParsedCommand
from kintsugi.commands.references import place_of, single
from kintsugi.commands.words import namespace_option
from kintsugi.errors import NotFound, ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectCommand, ObjectName, Verb
from kintsugi.model.hosts import PodAddress
from kubeobjects import unstructured
from kubeobjects.resources import PODS, SERVICES
from kubeobjects.unstructured import Unstructured


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


async def address_of(kube: KubeClient, asked: ObjectName, namespace: str) -> PodAddress:
    """Read the address of a pod. Raises KubeError: NotFound where it is gone, also where another one has its name."""
    pod = await kube.get(PODS, asked.name, namespace)
    if asked.uid and unstructured.uid(pod) != asked.uid:
        raise NotFound(f"{asked} is gone: another pod has its name")
    services = (await kube.list(SERVICES, namespace)).items
    return PodAddress(
        name=asked.name,
        namespace=namespace,
        ip=unstructured.nested_string(pod, "status", "podIP"),
        ports={key: port for service in services for key, port in _ports(service, pod)},
    )


def _ports(service: Unstructured, pod: Unstructured) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield the ports of a pod that a Service leads to, by the Service's name and by its cluster IP."""
    selector = unstructured.nested_map(service, "spec", "selector")
    if not selector or not selector.items() <= unstructured.labels(pod).items():
        return
    named = dict(_named_ports(pod))
    names = (unstructured.name(service), unstructured.nested_string(service, "spec", "clusterIP"))
    for port in unstructured.nested_maps(service, "spec", "ports"):
        number, target = port.get("port"), port.get("targetPort", port.get("port"))
        leads = target if isinstance(target, int) else named.get(str(target))
        if isinstance(number, int) and leads is not None:
            yield from (((name, number), leads) for name in names if name not in ("", "None"))


def _named_ports(pod: Unstructured) -> Iterator[tuple[str, int]]:
    for container in unstructured.nested_maps(pod, "spec", "containers"):
        for port in unstructured.nested_maps(container, "ports"):
            name, number = port.get("name"), port.get("containerPort")
            if isinstance(name, str) and isinstance(number, int):
                yield name, number
