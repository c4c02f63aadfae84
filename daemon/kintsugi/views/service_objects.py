"""
Finds the objects of a service: its pods by labels, its Kubernetes Services by the pods that they select, its claims by names.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from kintsugi.decisions.matcher import ServiceIndex
from kintsugi.model.services import Service
from kintsugi.model.views import Workload
from kubeobjects.kept import KubeService, Object, Pod, StatefulSet
from kubeobjects.selectors import NOTHING, Selector, SelectorError, selector_of

_ORDINAL = re.compile(r"0|[1-9][0-9]{0,9}")


class ServiceSelectors:
    """
    The index of services by the pods that they select; `services` are those of the catalog, each with its selector
    known so far: the document's, else that of the workload, once it was seen.

    A service whose workload was never seen selects nothing. One whose workload is gone keeps the last selector: its pods
    may still be there.
    """

    def __init__(self, services: Iterable[Service], workload_of: Callable[[Service], Workload | None]) -> None:
        self._workload_of = workload_of
        self.services = {each.name: each for each in services}
        self._derived: dict[tuple[str, str], list[str]] = defaultdict(list)
        for each in self.services.values():
            if each.selector is NOTHING:
                self._derived[each.namespace, each.workload.name].append(each.name)
        self._derive([name for names in self._derived.values() for name in names])
        self._index = ServiceIndex(self.services.values())

    def seen(self, workload: Object) -> bool:
        """Take the selector of a workload that has changed; return whether a service selects other pods by it."""
        names = self._derived.get((workload.metadata.namespace, workload.metadata.name), ())
        changed = self._derive(names)
        if changed:
            self._index = ServiceIndex(self.services.values())
        return changed

    def _derive(self, names: Iterable[str]) -> bool:
        found = {name: self._selector(self.services[name]) for name in names}
        changed = {name: each for name, each in found.items() if each != self.services[name].selector}
        self.services |= {name: replace(self.services[name], selector=each) for name, each in changed.items()}
        return bool(changed)

    def _selector(self, service: Service) -> Selector:
        workload = self._workload_of(service)
        if workload is None:
            return service.selector
        try:
            return selector_of(workload.spec.selector)
        except SelectorError:
            return NOTHING  # it has none, or one in a language of later versions: no pod is taken for its own

    def of_pod(self, pod: Object) -> tuple[Service, ...]:
        """Return the services whose selector matches this pod."""
        return self._index.selecting(pod.metadata.namespace, pod.metadata.labels)

    def names_in(self, namespace: str) -> frozenset[str]:
        """Name the services of a namespace."""
        return self._index.names_in(namespace)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class PvcNames:
    """
    The claims that pods mount, and those that a StatefulSet makes for its ordinals: TEMPLATE-NAME-ORDINAL.

    The latter are recognised by prefix and ordinal and not listed: a StatefulSet may have 2,000,000 replicas, and the
    API accepts 2^31.
    """

    mounted: frozenset[str]
    prefixes: frozenset[str] = frozenset()
    replicas: int = 0

    @classmethod
    def of(cls, pods: Iterable[Pod], workload: Workload | None, *, from_zero: int | None = None) -> "PvcNames":
        """
        Know the claims of these pods, and those that pods of the workload would mount when none is there.

        While a StatefulSet is scaled to none, they are those of the replicas that it is started with again (`from_zero`), at
        least of its first.
        """
        specs = [pod.spec for pod in pods] + ([workload.spec.template.spec] if workload is not None else [])
        mounted = frozenset(
            volume.persistent_volume_claim.claim_name
            for spec in specs
            for volume in spec.volumes
            if volume.persistent_volume_claim is not None
        )
        if not isinstance(workload, StatefulSet):
            return cls(mounted=mounted)
        templates = workload.spec.volume_claim_templates
        prefixes = frozenset(f"{each.metadata.name}-{workload.metadata.name}" for each in templates)
        return cls(mounted=mounted, prefixes=prefixes, replicas=workload.spec.replicas or from_zero or 1)

    def __contains__(self, name: str) -> bool:
        """Return whether a claim of this name is one of them."""
        if name in self.mounted:
            return True
        prefix, _, ordinal = name.rpartition("-")
        return prefix in self.prefixes and _ORDINAL.fullmatch(ordinal) is not None and int(ordinal) < self.replicas
