"""Finds the pods and containers that a command means: a pod by name, a workload's, or those that a selector chooses."""

from collections.abc import Sequence

from kintsugi.actions import unstructured
from kintsugi.actions.unstructured import Unstructured
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.objects.kept import LabelSelector, Pod
from kintsugi.objects.predicates import controller_of
from kintsugi.objects.selectors import selector_of
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def pods_of(kube: KubeClient, asked: ObjectName, namespace: str) -> Sequence[Unstructured]:
    """Read the pod, or the pods of the workload. Raises NotFound also for another object of that name."""
    obj = await kube.get(asked.resource, asked.name, namespace)
    if asked.uid and unstructured.uid(obj) != asked.uid:
        raise NotFound(f"{asked} (uid {asked.uid}) is gone: another one has its name", status=404)
    if asked.resource == PODS:
        return [obj]
    selector = selector_of(unstructured.convert(unstructured.nested_map(obj, "spec", "selector"), LabelSelector))
    return (await kube.list(PODS, namespace, labels=str(selector))).items


async def made_by(kube: KubeClient, asked: ObjectName, workload: Unstructured) -> list[Pod]:
    """Read the pods that a workload has made, of whichever template; a Deployment's are made by its ReplicaSets."""
    selector = selector_of(unstructured.convert(unstructured.nested_map(workload, "spec", "selector"), LabelSelector))
    found = kube.iter_objects(
        PODS, Pod, unstructured.nested_string(workload, "metadata", "namespace"), labels=str(selector)
    )
    return [pod async for pod in found if _is_made_by(pod, asked, unstructured.uid(workload))]


def _is_made_by(pod: Pod, asked: ObjectName, uid: str) -> bool:
    owner = controller_of(pod)
    if owner is None:
        return False
    return owner.kind == REPLICASETS.kind if asked.resource == DEPLOYMENTS else owner.uid == uid


def default_container(pod: Unstructured) -> str:
    """
    Return the name of the container that kubectl takes without -c: the annotated one, else the first; "" for none.
    """
    names = [unstructured.nested_string(each, "name") for each in unstructured.nested_maps(pod, "spec", "containers")]
    marked = unstructured.nested_string(pod, "metadata", "annotations", _DEFAULT_CONTAINER)
    return marked if marked in names else next(iter(names), "")


def status_of_container(pod: Unstructured, container: str) -> Unstructured:
    """Return what the kubelet says of a container, empty when it has said nothing yet."""
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    statuses = [each for kind in kinds for each in unstructured.nested_maps(pod, "status", kind)]
    return next((each for each in statuses if unstructured.nested_string(each, "name") == container), {})
