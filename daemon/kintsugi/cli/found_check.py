"""A first check of a workload: the request of its own readiness probe, sent through a Service that leads to it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kintsugi.actions import unstructured
from kintsugi.actions.unstructured import Unstructured
from kintsugi.model.hosts import service_of

_PATH = "/"
_PLAIN = re.compile(r"[!-~]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class _HttpProbe:
    """A probe by HTTP: its place, and the container's port, by its number and its name."""

    place: str
    secure: bool
    ports: frozenset[object]


def leading_services(workload: Unstructured, services: Iterable[Unstructured]) -> Sequence[Unstructured]:
    """Return the Kubernetes Services of the workload's namespace that lead to its pods, by name."""
    labels = unstructured.labels(unstructured.nested_map(workload, "spec", "template"))
    place = unstructured.nested_string(workload, "metadata", "namespace")
    return [
        each
        for each in sorted(services, key=unstructured.name)
        if unstructured.nested_string(each, "metadata", "namespace") == place
        and (selector := unstructured.nested_map(each, "spec", "selector"))
        and selector.items() <= labels.items()
    ]


def check_url(workload: Unstructured, services: Iterable[Unstructured]) -> str:
    """
    Return the URL at which one of the Services that lead to a workload answers what its readiness probe asks, "" where none does.

    That is a probe by `httpGet` without a host or headers of its own, at a port that the Service leads to, and whose path has
    only printable letters of ASCII.
    """
    probes = list(_probes(unstructured.nested_map(workload, "spec", "template")))
    for service in services:
        for port in unstructured.nested_maps(service, "spec", "ports"):
            target = unstructured.nested_field(port, "targetPort") or unstructured.nested_field(port, "port")
            if found := next((each for each in probes if target in each.ports), None):
                return _url(service, unstructured.nested_int(port, "port"), found)
    return ""


def _probes(template: Unstructured) -> Iterator[_HttpProbe]:
    for container in unstructured.nested_maps(template, "spec", "containers"):
        asked = unstructured.nested_map(container, "readinessProbe", "httpGet")
        if not asked or "host" in asked or "httpHeaders" in asked or not _PLAIN.fullmatch(str(asked.get("path", ""))):
            continue
        port, ports = asked.get("port"), unstructured.nested_maps(container, "ports")
        numbers = {each.get("containerPort"): each.get("name") for each in ports}
        known = {port, *(pair for each in numbers.items() if port in each for pair in each)}
        yield _HttpProbe(
            place=unstructured.nested_string(asked, "path") or _PATH,
            secure=asked.get("scheme") == "HTTPS",
            ports=frozenset(known - {None, ""}),
        )


def _url(service: Unstructured, port: int, probe: _HttpProbe) -> str:
    host = f"{unstructured.name(service)}.{unstructured.nested_string(service, 'metadata', 'namespace')}"
    if str(service_of(host)) != host or not 1 <= port <= 65535:
        return ""
    scheme, usual = ("https", 443) if probe.secure else ("http", 80)
    place = f"/{probe.place.lstrip('/')}"
    return f"{scheme}://{host}{'' if port == usual else f':{port}'}{place}"
