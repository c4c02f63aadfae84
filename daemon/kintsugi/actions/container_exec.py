"""
Runs a program in one container, with the deadline enforced there, too; the answer counts only if it was the same container.

Kubernetes has no uid precondition for exec. So the pod is read before and after; between the first read and the start of the
program a successor may still take the name, and then the answer is discarded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.actions.pods import default_container, status_of_container
from kintsugi.errors import NotFound, OutcomeUnknown, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.kube.execution import Executed
from kubeobjects import unstructured
from kubeobjects.resources import PODS
from kubeobjects.unstructured import Unstructured

LONGEST_OUTPUT = 1 << 20
"""Bytes that are kept of each output of a program."""

KILL_AFTER = "2"
"""Seconds between asking a program to end and ending it."""

_TIMED_OUT = 124
_NOT_STARTED = (126, 127)
_NO_SUCH_PROGRAM = ("executable file not found", "no such file or directory")
_WRONG_USE = (b"invalid option", b"unrecognized option", b"Usage:")


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
