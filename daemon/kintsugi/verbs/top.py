"""`kubectl top`: read the usage of pods or nodes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from typing_extensions import override

from kintsugi.actions.probe import ProbeContext, Result
from kintsugi.actions.verb_bases import ProbeVerb, VerbClients
from kintsugi.commands import arg_types, flags, results
from kintsugi.commands.arg_types import NAME, REFERENCE
from kintsugi.commands.command_spec import CommandSpec, Flag, ParsedCommand
from kintsugi.commands.references import named, scope_of
from kintsugi.commands.words import option, scope
from kintsugi.errors import NotFound, ProbeFailed, ServerUnavailable
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Command, Verb
from kubeobjects import resources as of
from kubeobjects import unstructured
from kubeobjects.quantities import parse_quantity, whole
from kubeobjects.resources import NODE_METRICS, NODES, POD_METRICS, Resource
from kubeobjects.unstructured import Unstructured

_ABSENT = "the metrics API is not available: is metrics-server installed and ready?"


class Usage(StrEnum):
    """The resource of `kubectl top --sort-by`: the largest users come first."""

    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True, kw_only=True, slots=True)
class Top(Command):
    """Read the usage of pods or nodes from the metrics API; by name, unless `sort_by` says otherwise."""

    resource: Resource
    name: str = ""
    namespace: str | None = None
    labels: str = ""
    sort_by: Usage | None = None


def build(parsed: ParsedCommand) -> Top:
    """Build the command that reads the usage of pods or nodes."""
    found = named(parsed)
    if len(found.objects) > 1 or len(found.resources) > 1:
        raise parsed.misused("it takes pods or nodes, and at most one name")
    name = found.objects[0].name if found.objects else ""
    if name and parsed.text("labels"):
        raise parsed.misused("a name and a selector exclude each other")
    resource = found.objects[0].resource if found.objects else found.resources[0]
    return Top(
        resource=resource,
        name=name,
        namespace=scope_of(parsed, (resource,)),
        labels=parsed.text("labels"),
        sort_by=Usage(parsed.text("sort_by")) if parsed.text("sort_by") else None,
    )


class TopVerb(ProbeVerb[Top]):
    """Asked of the metrics API."""

    command = Top
    allowed_in_page = True
    spec = CommandSpec(
        verb=Verb.TOP,
        changes=False,
        usage="kubectl top pods|nodes [NAME | -l SELECTOR] [-n NS | -A] [--sort-by=cpu|memory]",
        example="kubectl top nodes",
        flags=(
            *flags.KUBECTL,
            *(flags.EVERYWHERE, flags.LABELS, flags.NO_HEADERS, Flag(names=("--containers",))),
            Flag(names=("--sort-by",), key="sort_by", kind=arg_types.USAGE),
        ),
        arguments=(REFERENCE, NAME),
        build=build,
        resources=(of.PODS, of.NODES),
        result=results.USAGE,
    )

    @override
    def words(self, command: Top) -> Iterator[str]:
        yield from [command.resource.plural, *([command.name] if command.name else [])]
        yield from [*scope(command.namespace, command.resource), *option("-l", command.labels)]
        yield from option("--sort-by=", command.sort_by or "")

    async def read(
        self, clients: VerbClients, command: Top, *, deadline: timedelta, probe_context: ProbeContext
    ) -> Result:
        """Read usage. Raises ProbeFailed when the metrics API is not there, or knows nothing of what is asked for yet."""
        of_nodes = command.resource == NODES
        namespace = None if of_nodes else command.namespace
        metrics = await _metrics(clients.kube, NODE_METRICS if of_nodes else POD_METRICS, command, namespace)
        objects = await _objects(clients.kube, command, namespace)
        if of_nodes:
            items = [_use_of_node(each, objects) for each in metrics]
        else:
            items = [_use_of_pod(each, objects) for each in metrics]
        items = _sorted(items, command)
        busiest = max(items, key=lambda use: _number(use, "cpu_millicores"), default=None)
        most = f", {busiest['name']} uses most ({busiest['cpu_millicores']}m CPU)" if busiest else ""
        return Result(names={"items": items}, summary=f"{len(items)} {command.resource.plural}{most}")


VERBS = (TopVerb(),)


async def _metrics(kube: KubeClient, resource: Resource, command: Top, namespace: str | None) -> Sequence[Unstructured]:
    try:
        if command.name:
            return [await kube.get(resource, command.name, namespace)]
        return (await kube.list(resource, namespace, labels=command.labels)).items
    except NotFound as error:
        if command.name and command.name in str(error):
            raise ProbeFailed(f"there are no metrics of {command.resource.singular}/{command.name}") from error
        raise ProbeFailed(_ABSENT) from error
    except ServerUnavailable as error:
        raise ProbeFailed(f"{_ABSENT} ({error})") from error


async def _objects(kube: KubeClient, command: Top, namespace: str | None) -> dict[tuple[str, str], Unstructured]:
    if command.name:
        found: Sequence[Unstructured] = [await kube.get(command.resource, command.name, namespace)]
    else:
        found = (await kube.list(command.resource, namespace, labels=command.labels)).items
    return {_key(each): each for each in found}


def _key(obj: Unstructured) -> tuple[str, str]:
    return unstructured.nested_string(obj, "metadata", "namespace"), unstructured.name(obj)


def _use_of_node(metrics: Unstructured, nodes: dict[tuple[str, str], Unstructured]) -> dict[str, object]:
    allocatable = unstructured.nested_map(nodes.get(_key(metrics), {}), "status", "allocatable")
    return _use(metrics, [unstructured.nested_map(metrics, "usage")], [allocatable])


def _use_of_pod(metrics: Unstructured, pods: dict[tuple[str, str], Unstructured]) -> dict[str, object]:
    """Sum the containers. A pod is limited only where every container is."""
    containers = unstructured.nested_maps(pods.get(_key(metrics), {}), "spec", "containers")
    limits = [unstructured.nested_map(container, "resources", "limits") for container in containers]
    usage = [
        unstructured.nested_map(container, "usage") for container in unstructured.nested_maps(metrics, "containers")
    ]
    return _use(metrics, usage, limits)


def _use(metrics: Unstructured, usage: Sequence[Unstructured], limits: Sequence[Unstructured]) -> dict[str, object]:
    cpu, memory = _sum(usage, "cpu"), _sum(usage, "memory")
    return {
        "name": unstructured.name(metrics),
        "namespace": unstructured.nested_string(metrics, "metadata", "namespace"),
        "cpu_millicores": whole(cpu * 1000),
        "memory_bytes": whole(memory),
        "cpu_percent": _percent(cpu, _limit(limits, "cpu")),
        "memory_percent": _percent(memory, _limit(limits, "memory")),
    }


def _sorted(items: list[dict[str, object]], command: Top) -> list[dict[str, object]]:
    """Put them in kubectl's order: by place and name, or those first that use most."""
    by_name = sorted(items, key=lambda use: (str(use["namespace"]), str(use["name"])))
    if command.sort_by is None:
        return by_name
    column = {Usage.CPU: "cpu_millicores", Usage.MEMORY: "memory_bytes"}[command.sort_by]
    return sorted(by_name, key=lambda use: _number(use, column), reverse=True)


def _sum(amounts: Sequence[Unstructured], kind: str) -> Decimal:
    return sum((parse_quantity(unstructured.nested_string(each, kind)) or Decimal(0) for each in amounts), Decimal(0))


def _limit(limits: Sequence[Unstructured], kind: str) -> Decimal:
    return _sum(limits, kind) if all(kind in each for each in limits) else Decimal(0)


def _percent(amount: Decimal, limit: Decimal) -> int:
    """Return whole per cent, of thousandths, in floating point and cut off, as kubectl does; 0 where there is no limit."""
    return int(float(whole(amount * 1000)) / float(whole(limit * 1000)) * 100) if limit else 0


def _number(use: Unstructured, key: str) -> int:
    return unstructured.nested_int(use, key)
