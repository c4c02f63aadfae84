"""
Limits how many pods of a service may be deleted at a time, like a PodDisruptionBudget, for our own deletions.

Pure. A pod that does not serve does not count, so that a recovery of pods that are all down is never delayed. Of several pods
such ones are deleted first, so that none waits for one that is not ready because it was not yet deleted.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from kintsugi.commands.registry import definition_of
from kintsugi.model.change_limits import PodBudget
from kintsugi.model.command import Command
from kintsugi.model.views import ServiceView
from kubeobjects import predicates

T = TypeVar("T")


def pod_deleted_by(command: Command | None) -> str:
    """Return the name of the pod that a change removes, "" for any other change."""
    return definition_of(command).removed_pod(command) if command is not None else ""


def uid_of(name: str, namespace: str, views: Mapping[str, ServiceView]) -> str:
    """Return the uid of a pod in the views, "" for one that no service has."""
    return next(
        (pod.metadata.uid for view in _there(namespace, views) for pod in view.pods if pod.metadata.name == name), ""
    )


def deleted_uid(command: Command, views: Mapping[str, ServiceView]) -> str:
    """Return the uid of the pod that a change removes, "" where it removes none that is in the views."""
    verb = definition_of(command)
    return uid_of(verb.removed_pod(command), verb.namespace(command), views)


def may_remove_any_pod(command: Command | None) -> bool:
    """Return whether the pod that a change removes may belong to any service, as in an eviction from a node."""
    return command is not None and definition_of(command).concerns_any_service


def services_of_removed(command: Command | None, views: Mapping[str, ServiceView]) -> frozenset[str]:
    """Return the services that such a pod belongs to."""
    if command is None or not may_remove_any_pod(command):
        return frozenset()
    verb = definition_of(command)
    name, seen = verb.removed_pod(command), _there(verb.namespace(command), views)
    return frozenset(view.name for view in seen if any(pod.metadata.name == name for pod in view.pods))


def budgets_of(
    name: str, namespace: str, views: Mapping[str, ServiceView], percent: int, *, service: str
) -> tuple[PodBudget, ...]:
    """
    Return the pod budget of each service that a pod belongs to, in the order of their names; none for no pod.

    A pod of a step's `service` may be newer than the service's view: it belongs to the service all the same.
    """
    owners = (
        view
        for view in _there(namespace, views)
        if view.name == service or any(pod.metadata.name == name for pod in view.pods)
    )
    return tuple(pod_budget(view, percent) for view in sorted(owners, key=lambda view: view.name)) if name else ()


def pod_budget(view: ServiceView, percent: int) -> PodBudget:
    """Return the pod budget of a service of which `percent` of the pods, rounded up, may be unavailable."""
    expected = view.desired if view.workload is not None else len(view.pods)
    ready = frozenset(pod.metadata.uid for pod in view.pods if predicates.serves(pod))
    return PodBudget(
        service=view.name,
        expected=expected,
        desired_healthy=expected - -(-expected * percent // 100),
        ready=ready,
        unready=frozenset(pod.metadata.uid for pod in view.pods) - ready,
    )


def serving(views: Iterable[ServiceView]) -> frozenset[str]:
    """Return the uids of the pods that serve: of several pods, these are deleted last."""
    return frozenset(pod.metadata.uid for view in views for pod in view.pods if predicates.serves(pod))


def take_next(waiting: list[tuple[int, T]], uid_of: Callable[[T], str], last: Collection[str]) -> tuple[int, T]:
    """
    Take the next of those that wait: in listed order, but those with a uid in `last` come last.

    A serving pod may have to wait until enough others serve, and must not wait for one that is only deleted after it.
    """
    following = next((each for each in waiting if uid_of(each[1]) not in last), waiting[0])
    waiting.remove(following)
    return following


def _there(namespace: str, views: Mapping[str, ServiceView]) -> list[ServiceView]:
    return [view for view in views.values() if view.service.namespace == namespace]
