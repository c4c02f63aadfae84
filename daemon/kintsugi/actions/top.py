"""`kubectl top`: what pods or nodes use, from the metrics API."""

from collections.abc import Sequence
from decimal import Decimal

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.actions.quantity import parse_quantity, whole
from kintsugi.actions.result import Result
from kintsugi.errors import NotFound, ProbeFailed, ServerUnavailable
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import Top, Usage
from kintsugi.objects.resources import NODE_METRICS, NODES, POD_METRICS, Resource

_ABSENT = "the metrics API is not available: is metrics-server installed and ready?"


async def read(kube: KubeClient, command: Top) -> Result:
    """Read usage. Raises ProbeFailed when the metrics API is not there, or knows nothing of what is asked for yet."""
    of_nodes = command.resource == NODES
    namespace = None if of_nodes else command.namespace
    metrics = await _metrics(kube, NODE_METRICS if of_nodes else POD_METRICS, command, namespace)
    objects = await _objects(kube, command, namespace)
    if of_nodes:
        items = [_use_of_node(each, objects) for each in metrics]
    else:
        items = [_use_of_pod(each, objects) for each in metrics]
    items = _sorted(items, command)
    busiest = max(items, key=lambda use: _number(use, "cpu_millicores"), default=None)
    most = f", {busiest['name']} uses most ({busiest['cpu_millicores']}m CPU)" if busiest else ""
    return Result(names={"items": items}, summary=f"{len(items)} {command.resource.plural}{most}")


async def _metrics(kube: KubeClient, resource: Resource, command: Top, namespace: str | None) -> Sequence[Live]:
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


async def _objects(kube: KubeClient, command: Top, namespace: str | None) -> dict[tuple[str, str], Live]:
    if command.name:
        found: Sequence[Live] = [await kube.get(command.resource, command.name, namespace)]
    else:
        found = (await kube.list(command.resource, namespace, labels=command.labels)).items
    return {_key(each): each for each in found}


def _key(obj: Live) -> tuple[str, str]:
    return live.text(obj, "metadata", "namespace"), live.name(obj)


def _use_of_node(metrics: Live, nodes: dict[tuple[str, str], Live]) -> dict[str, object]:
    allocatable = live.mapping(nodes.get(_key(metrics), {}), "status", "allocatable")
    return _use(metrics, [live.mapping(metrics, "usage")], [allocatable])


def _use_of_pod(metrics: Live, pods: dict[tuple[str, str], Live]) -> dict[str, object]:
    """Sum the containers. A pod is limited only where every container is."""
    containers = live.entries(pods.get(_key(metrics), {}), "spec", "containers")
    limits = [live.mapping(container, "resources", "limits") for container in containers]
    usage = [live.mapping(container, "usage") for container in live.entries(metrics, "containers")]
    return _use(metrics, usage, limits)


def _use(metrics: Live, usage: Sequence[Live], limits: Sequence[Live]) -> dict[str, object]:
    cpu, memory = _sum(usage, "cpu"), _sum(usage, "memory")
    return {
        "name": live.name(metrics),
        "namespace": live.text(metrics, "metadata", "namespace"),
        "cpu_millicores": whole(cpu * 1000),
        "memory_bytes": whole(memory),
        "cpu_percent": _percent(cpu, _limit(limits, "cpu")),
        "memory_percent": _percent(memory, _limit(limits, "memory")),
    }


def _sorted(items: list[dict[str, object]], command: Top) -> list[dict[str, object]]:
    """Put them in kubectl's order: by place and name, or those first that use most."""
    by_name = sorted(items, key=lambda use: (str(use["namespace"]), str(use["name"])))
    match command.sort_by:
        case Usage.CPU:
            return sorted(by_name, key=lambda use: _number(use, "cpu_millicores"), reverse=True)
        case Usage.MEMORY:
            return sorted(by_name, key=lambda use: _number(use, "memory_bytes"), reverse=True)
        case None:
            return by_name


def _sum(amounts: Sequence[Live], kind: str) -> Decimal:
    return sum((parse_quantity(live.text(each, kind)) or Decimal(0) for each in amounts), Decimal(0))


def _limit(limits: Sequence[Live], kind: str) -> Decimal:
    return _sum(limits, kind) if all(kind in each for each in limits) else Decimal(0)


def _percent(amount: Decimal, limit: Decimal) -> int:
    """Give whole per cent, of thousandths, in floating point and cut off, as kubectl does; 0 where there is no limit."""
    return int(float(whole(amount * 1000)) / float(whole(limit * 1000)) * 100) if limit else 0


def _number(use: Live, key: str) -> int:
    return live.number(use, key)
