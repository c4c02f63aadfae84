"""
The pods and containers that a command means, and programs that are run in them.

A program has its deadline enforced in the container, too, and its answer counts only if it was the same container: Kubernetes has
no uid precondition for exec. So the pod is read before and after; between the first read and the start of the program a
successor may still take the name, and then the answer is discarded.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions import api_objects
from kintsugi.commands.selectors import selector_of
from kintsugi.errors import NotFound, OutcomeUnknown, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.kube.execution import Executed
from kintsugi.model.command import ObjectName
from kubeobjects import unstructured
from kubeobjects.kept import LabelSelector, Pod
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS, SERVICES, Resource
from kubeobjects.unstructured import Unstructured

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

LONGEST_OUTPUT = 1 << 20
"""Bytes that are kept of each output of a program."""

KILL_AFTER = "2"
"""Seconds between asking a program to end and ending it."""

_TIMED_OUT = 124
_NOT_STARTED = (126, 127)
_NO_SUCH_PROGRAM = ("executable file not found", "no such file or directory")
_WRONG_USE = (b"invalid option", b"unrecognized option", b"Usage:")


async def pods_of(kube: KubeClient, asked: ObjectName, namespace: str) -> Sequence[Unstructured]:
    """
    Read the pod, the pods that the workload has made, or those that the Service selects. Raises NotFound also for another object of
    that name, ProbeFailed for a Service without a selector.
    """
    obj = await kube.get(asked.resource, asked.name, namespace)
    if asked.uid and unstructured.uid(obj) != asked.uid:
        raise NotFound(f"{asked} (uid {asked.uid}) is gone: another one has its name", status=404)
    if asked.resource == PODS:
        return [obj]
    if asked.resource == SERVICES:
        selector = unstructured.nested_map(obj, "spec", "selector")
        if not selector:
            raise ProbeFailed(f"{asked} has no selector: name a pod or a workload")
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        return (await kube.list(PODS, namespace, labels=labels)).items
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


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRef:
    """One running container of one pod: `uid` is the pod's, `id` the container's own."""

    pod: str
    namespace: str
    name: str
    uid: str
    id: str
    image: str

    def __str__(self) -> str:
        return f"{self.pod}/{self.name}"


class ContainerExec:
    """Runs programs in containers; remembers which images have no `timeout`."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._without_timeout: set[str] = set()

    async def run(self, container: ContainerRef, argv: Sequence[str], *, within: timedelta) -> Executed:
        """
        Run a program to its end.

        Raises OutcomeUnknown when its end was not seen, or the container was replaced meanwhile; ProbeFailed when it took too
        long; Refused when the container has no such program.
        """
        executed = await self._bounded(container, argv, within)
        await self._check_same(container)
        return executed

    async def _bounded(self, container: ContainerRef, argv: Sequence[str], within: timedelta) -> Executed:
        """Run under `timeout`, which ends the program also when the connection is lost; without it where the image has none."""
        if container.image not in self._without_timeout:
            seconds = max(1, int(within.total_seconds() * 0.8))
            guarded = ("timeout", "-k", KILL_AFTER, str(seconds), *argv)
            try:
                executed = await self._plain(container, guarded, within)
            except OutcomeUnknown as error:
                if not _lacks("timeout", str(error)):
                    raise
            else:
                if executed.exit_code == _TIMED_OUT:
                    raise ProbeFailed(f"{container}: {argv[0]} has not ended within {seconds} s")
                if not _not_understood(executed):
                    return executed
            self._without_timeout.add(container.image)
        return await self._plain(container, argv, within)

    async def _plain(self, container: ContainerRef, argv: Sequence[str], within: timedelta) -> Executed:
        try:
            return await self._kube.execute(
                container.pod,
                container.namespace,
                argv,
                container=container.name,
                limit_bytes=LONGEST_OUTPUT,
                deadline=within,
            )
        except OutcomeUnknown as error:
            if _lacks(argv[0], str(error)) and argv[0] != "timeout":
                raise Refused(f"{container}: there is no {argv[0]} in this container") from error
            raise

    async def _check_same(self, container: ContainerRef) -> None:
        try:
            pod = await self._kube.get(PODS, container.pod, container.namespace)
        except NotFound as error:
            raise OutcomeUnknown(f"{container} was deleted while the program ran: its answer is ignored") from error
        status = status_of_container(pod, container.name)
        if unstructured.nested_string(pod, "metadata", "deletionTimestamp"):
            raise OutcomeUnknown(f"{container} is being deleted: its answer is ignored")
        if unstructured.uid(pod) != container.uid or unstructured.nested_string(status, "containerID") != container.id:
            raise OutcomeUnknown(f"{container} was replaced while the program ran: its answer is ignored")


def running(pod: Unstructured, name: str = "") -> ContainerRef:
    """Return a pod's running container: the named one, else kubectl's default. Raises ProbeFailed when it does not run."""
    name = name or default_container(pod)
    status = status_of_container(pod, name)
    if "running" not in unstructured.nested_map(status, "state"):
        state = next(iter(unstructured.nested_map(status, "state")), "not started")
        reason = unstructured.nested_string(status, "state", state, "reason") or state
        raise ProbeFailed(f"{unstructured.name(pod)}/{name} does not run ({reason})")
    return ContainerRef(
        pod=unstructured.name(pod),
        namespace=unstructured.nested_string(pod, "metadata", "namespace"),
        name=name,
        uid=unstructured.uid(pod),
        id=unstructured.nested_string(status, "containerID"),
        image=unstructured.nested_string(status, "imageID") or unstructured.nested_string(status, "image"),
    )


def _lacks(program: str, text: str) -> bool:
    """Return whether an error says that a program was never started, because it is missing."""
    return f'"{program}"' in text and any(words in text for words in _NO_SUCH_PROGRAM)


def _not_understood(executed: Executed) -> bool:
    """Return whether `timeout` itself failed: an old one without -k, or one that the shell did not find."""
    if executed.exit_code in _NOT_STARTED:
        return b"timeout" in executed.stderr + executed.stdout
    return executed.exit_code != 0 and b"timeout" in executed.stderr and any(w in executed.stderr for w in _WRONG_USE)
