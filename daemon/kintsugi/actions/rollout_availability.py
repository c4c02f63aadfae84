"""
The number of good pods that a workload keeps if the first new pods of a rollout never become ready.

Pure. The rules are those of the controllers: Recreate ends all pods at once, a rolling update as many as may be
unavailable.
"""

import re
from collections.abc import Sequence

from kubeobjects import predicates, unstructured
from kubeobjects.kept import Pod
from kubeobjects.resources import DAEMONSETS, DEPLOYMENTS, Resource
from kubeobjects.unstructured import Unstructured

_NUMBER = re.compile(r"[0-9]{1,10}")


def good_pods(pods: Sequence[Pod]) -> list[Pod]:
    """Return the pods that are ready and not terminating."""
    return [pod for pod in pods if predicates.ready(pod) and not predicates.terminating(pod)]


def survivors(resource: Resource, workload: Unstructured, pods: Sequence[Pod]) -> int:
    """Count the good pods of a Deployment, StatefulSet or DaemonSet that its rollout would not end before a new one is ready."""
    good = good_pods(pods)
    if resource == DEPLOYMENTS:
        return _of_deployment(workload, len(good))
    if unstructured.nested_string(workload, "spec", "updateStrategy", "type") == "OnDelete":
        return len(good)
    return _of_daemon_set(workload, len(good)) if resource == DAEMONSETS else _of_stateful_set(workload, pods)


def how_it_rolls(resource: Resource, workload: Unstructured) -> str:
    """Name the strategy by which the workload's pods are replaced, for people."""
    field = "strategy" if resource == DEPLOYMENTS else "updateStrategy"
    unavailable = unstructured.nested_field(workload, "spec", field, "rollingUpdate", "maxUnavailable")
    kind = unstructured.nested_string(workload, "spec", field, "type") or "RollingUpdate"
    return kind if unavailable is None or kind != "RollingUpdate" else f"{kind}, maxUnavailable {unavailable}"


def _of_deployment(workload: Unstructured, good: int) -> int:
    """Recreate keeps none; a rolling update lowers what is available no further than `replicas` less `maxUnavailable`."""
    strategy = unstructured.nested_map(workload, "spec", "strategy")
    if strategy.get("type") == "Recreate":
        return 0
    replicas, rolling = unstructured.replicas(workload), unstructured.nested_map(strategy, "rollingUpdate")
    surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return min(good, max(replicas - unavailable, 0))


def _of_stateful_set(workload: Unstructured, pods: Sequence[Pod]) -> int:
    """Each pod from `partition` on goes, the last ordinal first; the next one waits until it is ready again."""
    rolling = unstructured.nested_map(workload, "spec", "updateStrategy", "rollingUpdate")
    partition = unstructured.nested_int(rolling, "partition") + unstructured.nested_int(
        workload, "spec", "ordinals", "start"
    )
    at_once = max(_share(rolling.get("maxUnavailable", 1), unstructured.replicas(workload), up=True), 1)
    updated = sorted((pod for pod in pods if _ordinal(pod) >= partition), key=_ordinal, reverse=True)
    first = {pod.metadata.uid for pod in updated[:at_once]}
    return sum(pod.metadata.uid not in first for pod in good_pods(pods))


def _of_daemon_set(workload: Unstructured, good: int) -> int:
    """Without a surge, pods go as long as no more than `maxUnavailable` are unavailable."""
    rolling = unstructured.nested_map(workload, "spec", "updateStrategy", "rollingUpdate")
    desired = unstructured.nested_int(workload, "status", "desiredNumberScheduled")
    if _share(rolling.get("maxSurge", 0), desired, up=True) > 0:
        return good
    at_once = max(_share(rolling.get("maxUnavailable", 1), desired, up=True), 1)
    return good - min(good, max(at_once - max(desired - good, 0), 0))


def _share(value: object, whole: int, *, up: bool) -> int:
    """Resolve a number or a percentage (IntOrString); what is neither counts as none."""
    if isinstance(value, int):
        return value
    text = str(value).removesuffix("%")
    if not _NUMBER.fullmatch(text):
        return 0
    share = int(text) * whole
    return -(-share // 100) if up else share // 100


def _ordinal(pod: Pod) -> int:
    _, _, number = pod.metadata.name.rpartition("-")
    return int(number) if _NUMBER.fullmatch(number) else -1
