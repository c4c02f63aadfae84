"""
The services of a catalog with their selectors: the document's, else that of the workload, once it was seen.

A service whose workload was never seen selects nothing. One whose workload is gone keeps the last selector: its pods may still be
there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

from kintsugi.commands.selectors import selector_of
from kintsugi.decisions.matcher import ServiceIndex
from kintsugi.errors import UsageError
from kintsugi.model.services import Service
from kintsugi.model.views import Workload
from kubeobjects.kept import Object
from kubeobjects.selectors import NOTHING, Selector


class ServiceSelectors:
    """
    The index of services by the pods that they select; `services` are those of the catalog, each with its selector
    known so far.
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
        except UsageError:
            return NOTHING  # it has none, or one in a language of later versions: no pod is taken for its own

    def of_pod(self, pod: Object) -> tuple[Service, ...]:
        """Return the services whose selector matches this pod."""
        return self._index.selecting(pod.metadata.namespace, pod.metadata.labels)

    def names_in(self, namespace: str) -> frozenset[str]:
        """Name the services of a namespace."""
        return self._index.names_in(namespace)
