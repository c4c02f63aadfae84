"""
The check that a service has without one of its own: what its kubelets ask by HTTP, asked through its Kubernetes Service. Pure.

The kubelets ask the pods themselves. The same request to the Service takes the path of its users.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from yarl import URL

from kintsugi.model.views import DerivedCheck, Workload
from kubeobjects.kept import KubeService
from kubeobjects.pods import Container, HttpGet
from kubeobjects.workloads import PodTemplate

_PRINTABLE = re.compile(r"[!-~]*")
_SCHEMES = frozenset({"http", "https"})
_HEADLESS = "None"


def routed_checks(workload: Workload | None, leading: Iterable[KubeService]) -> Iterator[DerivedCheck]:
    """
    Yield what a workload's probe asks, at each port of the Services that lead to its pods by which the probe is reached.

    A probe with a host or headers of its own asks something else, and so does a path that is not of printable letters of ASCII.
    """
    probes = list(_probes(workload.spec.template)) if workload is not None else []
    for service in leading:
        for port in service.spec.ports:
            for asked, targets in probes:
                if (port.target_port or port.port) in targets and 0 < port.port < 65536:
                    yield DerivedCheck(
                        service=service.metadata.name,
                        address=service.spec.cluster_ip.replace(_HEADLESS, ""),
                        scheme=asked.scheme.lower(),
                        port=port.port,
                        path=_path(asked),
                    )


def derived_check(
    workload: Workload | None, leading: Sequence[KubeService], met: Sequence[str] = ()
) -> DerivedCheck | None:
    """
    Return the check that a service has by its probe, None where no Service that leads to its pods has an address.

    Where no port leads to the probe, it is the last of the URLs that were `met` at one of these Services: a port may lead elsewhere
    by now.
    """
    if (found := next((each for each in routed_checks(workload, leading) if each.address), None)) is not None:
        return found
    probed = {_path(asked) for asked, _ in _probes(workload.spec.template)} if workload is not None else set()
    named = {each.spec.cluster_ip: each.metadata.name for each in leading}
    for here in (URL(each, encoded=True) for each in reversed(met)):
        if here.host in named and here.raw_path_qs in probed:
            return DerivedCheck(
                service=named[here.host],
                address=here.host,
                scheme=here.scheme,
                port=here.port or 0,
                path=here.raw_path_qs,
            )
    return None


def _probes(template: PodTemplate) -> Iterator[tuple[HttpGet, frozenset[int | str]]]:
    """Yield what containers are asked when they are ready, else when they live, with what Services call its port."""
    for probe, container in _asked(template.spec.containers):
        plain = not probe.host and not probe.http_headers and probe.scheme.lower() in _SCHEMES
        if plain and _PRINTABLE.fullmatch(probe.path):
            names = {(each.container_port, each.name) for each in container.ports}
            known = {probe.port, *(name for pair in names if probe.port in pair for name in pair)}
            yield probe, frozenset(known - {0, ""})


def _asked(containers: Sequence[Container]) -> Iterator[tuple[HttpGet, Container]]:
    for container in containers:
        for probe in (container.readiness_probe, container.liveness_probe):
            if probe is not None and probe.http_get is not None:
                yield probe.http_get, container
                break


def _path(probe: HttpGet) -> str:
    return f"/{probe.path.lstrip('/')}"
