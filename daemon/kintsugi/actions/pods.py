"""Finds the pods and containers that a command means: a pod by name, a workload's, or those that a selector chooses."""

from collections.abc import Collection, Sequence

from kintsugi.actions import api_objects
from kintsugi.commands.selectors import selector_of
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kubeobjects import unstructured
from kubeobjects.kept import LabelSelector, Pod
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS, Resource
from kubeobjects.unstructured import Unstructured

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def pods_of(kube: KubeClient, asked: ObjectName, namespace: str) -> Sequence[Unstructured]:
    """Read the pod, or the pods that the workload has made. Raises NotFound also for another object of that name."""
    obj = await kube.get(asked.resource, asked.name, namespace)
    if asked.uid and unstructured.uid(obj) != asked.uid:
        raise NotFound(f"{asked} (uid {asked.uid}) is gone: another one has its name", status=404)
    if asked.resource == PODS:
        return [obj]
    return await _made_by(kube, asked, obj)


async def made_by(kube: KubeClient, asked: ObjectName, workload: Unstructured) -> list[Pod]:
    """Read the pods that a workload has made, of whichever template; a Deployment's are made by its ReplicaSets."""
    return [api_objects.convert(each, Pod) for each in await _made_by(kube, asked, workload)]


async def _made_by(kube: KubeClient, asked: ObjectName, workload: Unstructured) -> Sequence[Unstructured]:
    """Read the pods that a workload controls: anybody's pod may have its labels."""
    namespace = unstructured.nested_string(workload, "metadata", "namespace")
    selector = selector_of(api_objects.convert(unstructured.nested_map(workload, "spec", "selector"), LabelSelector))

    async def controlled(resource: Resource, by: Collection[str]) -> list[Unstructured]:
        found = (await kube.list(resource, namespace, labels=str(selector))).items
        return [each for each in found if _controller(each) in by]

    makers = {unstructured.uid(workload)}
    if asked.resource == DEPLOYMENTS:
        makers = {unstructured.uid(each) for each in await controlled(REPLICASETS, makers)}
    return await controlled(PODS, makers)


def _controller(obj: Unstructured) -> str:
    """Return the uid of an object's controller, "" for none."""
    owners = unstructured.nested_maps(obj, "metadata", "ownerReferences")
    return next((unstructured.nested_string(each, "uid") for each in owners if each.get("controller") is True), "")


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
