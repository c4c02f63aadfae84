"""Which pods and containers a command means: a pod by name, a workload's, or those that a selector chooses."""

from collections.abc import Sequence

from kintsugi.actions import live
from kintsugi.actions.live import Live
from kintsugi.errors import NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.objects.facts import controller_of
from kintsugi.objects.kept import LabelSelector, Pod
from kintsugi.objects.resources import DEPLOYMENTS, PODS, REPLICASETS
from kintsugi.objects.selectors import Selector

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def pods_of(kube: KubeClient, asked: ObjectName, namespace: str) -> Sequence[Live]:
    """Read the pod, or the pods of the workload. Raises NotFound also for another object of that name."""
    obj = await kube.get(asked.resource, asked.name, namespace)
    if asked.uid and live.uid(obj) != asked.uid:
        raise NotFound(f"{asked} (uid {asked.uid}) is gone: another one has its name", status=404)
    if asked.resource == PODS:
        return [obj]
    selector = Selector.of(live.kept(live.mapping(obj, "spec", "selector"), LabelSelector))
    return (await kube.list(PODS, namespace, labels=str(selector))).items


async def made_by(kube: KubeClient, asked: ObjectName, workload: Live) -> list[Pod]:
    """Read the pods that a workload has made, of whichever template; a Deployment's are made by its ReplicaSets."""
    selector = Selector.of(live.kept(live.mapping(workload, "spec", "selector"), LabelSelector))
    listing = await kube.list(PODS, live.text(workload, "metadata", "namespace"), labels=str(selector))
    found = [live.kept(each, Pod) for each in listing.items]
    return [pod for pod in found if _is_made_by(pod, asked, live.uid(workload))]


def _is_made_by(pod: Pod, asked: ObjectName, uid: str) -> bool:
    owner = controller_of(pod)
    if owner is None:
        return False
    return owner.kind == REPLICASETS.kind if asked.resource == DEPLOYMENTS else owner.uid == uid


def default_container(pod: Live) -> str:
    """Name the container that kubectl takes without -c: the annotated one, else the first; "" when there is none."""
    names = [live.text(each, "name") for each in live.entries(pod, "spec", "containers")]
    marked = live.text(pod, "metadata", "annotations", _DEFAULT_CONTAINER)
    return marked if marked in names else next(iter(names), "")


def status_of_container(pod: Live, container: str) -> Live:
    """Give what the kubelet says of a container, empty when it has said nothing yet."""
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    statuses = [each for kind in kinds for each in live.entries(pod, "status", kind)]
    return next((each for each in statuses if live.text(each, "name") == container), {})
