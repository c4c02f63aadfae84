"""Finds the Kubernetes Services of a workload: by the pods that they select, else by name. Pure."""

from collections.abc import Iterable, Sequence

from kintsugi.model.views import Workload
from kubeobjects.kept import KubeService, StatefulSet


def leading_services(workload: Workload | None, candidates: Iterable[KubeService]) -> Sequence[KubeService]:
    """Return the Kubernetes Services that lead to the workload's pods, by name."""
    labels = workload.spec.template.metadata.labels if workload is not None else {}
    leading = (each for each in candidates if each.spec.selector and each.spec.selector.items() <= labels.items())
    return sorted(leading, key=lambda each: each.metadata.name)


def meant_for(workload: Workload | None, candidates: Iterable[KubeService], led: str) -> KubeService | None:
    """
    Find the Kubernetes Service that should lead to a workload's pods and does not select them.

    It is the one that was seen to lead to them (`led`, its host in the cluster's DNS, "" for none), the one by which a StatefulSet's
    pods have their names, or the one of the workload's own name, in this order. One without a selector has endpoints by hand.
    """
    if workload is None:
        return None
    named = {host_of(each): each for each in candidates if each.spec.selector and each.spec.type != "ExternalName"}
    governing = workload.spec.service_name if isinstance(workload, StatefulSet) else ""
    hosts = [led, *(_host(name, workload.metadata.namespace) for name in (governing, workload.metadata.name))]
    return next((named[each] for each in hosts if each in named), None)


def host_of(kube_service: KubeService | None) -> str:
    """Return the name of a Kubernetes Service in the cluster's DNS, "" without one."""
    return _host(kube_service.metadata.name, kube_service.metadata.namespace) if kube_service is not None else ""


def _host(name: str, namespace: str) -> str:
    return f"{name}.{namespace}.svc"
