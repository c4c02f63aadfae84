"""Ways to break things, each bound to a pod's uid or to a revision. No test lifts a fault: only a remedy ends it."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_BAD
from tests.harness.manifests import FAULTS


class Faults:
    """Breaks what runs in one cluster."""

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster = cluster

    def crash_loop(self, *pods: Object) -> None:
        """Make these very pods exit with 1, now and at each restart; a pod with another uid is well."""
        for pod in pods:
            self._mark(pod, "crash")

    def make_unready(self, *pods: Object) -> None:
        """Make these very pods answer 404 on /health for as long as they live."""
        for pod in pods:
            self._mark(pod, "unready")

    def bad_rollout(self, deployment: Object, *, image: str = WEB_BAD) -> None:
        """Roll a Deployment out to a version whose pods exit with 1 and never become ready."""
        metadata = deployment["metadata"]
        container = deployment["spec"]["template"]["spec"]["containers"][0]["name"]
        self._cluster.kubectl(
            "-n", metadata["namespace"], "set", "image", f"deployment/{metadata['name']}", f"{container}={image}"
        )

    def lose_volume(self, claim: Object) -> None:
        """Take the volume away from under a bound claim: the claim becomes Lost."""
        name = claim["spec"]["volumeName"]
        self._cluster.api.delete("persistentvolume", name)
        # The protection that keeps a bound volume from going is what a storage failure does not know of.
        self._cluster.api.patch("persistentvolume", name, {"metadata": {"finalizers": None}})

    def kill(self, pod: Object, program: str) -> None:
        """Kill a pod's first process of a program without a word, from outside: process 1 takes no signal from within."""
        os.kill(self._processes(pod, program)[0], signal.SIGKILL)

    def hang(self, pod: Object, program: str) -> Sequence[int]:
        """Let all processes whose command line begins so hang, for as long as this very pod lives, and return them."""
        found = self._processes(pod, program)
        assert found, f"no process of {program} is in pod {pod['metadata']['name']}: nothing would hang"
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        return found

    def end(self, processes: Sequence[int]) -> None:
        """End processes that hang, those that are still there: their pod may have minutes to end by itself."""
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _processes(self, pod: Object, program: str) -> Sequence[int]:
        """Return a pod's processes by how their command line begins, the oldest first."""
        assert self._cluster.machine, "the machine of a lent cluster is not ours to send signals on"
        uid = pod["metadata"]["uid"].replace("-", "_")
        folders = (each for each in Path("/proc").iterdir() if each.name.isdecimal())
        found = [int(each.name) for each in folders if uid in _read(each / "cgroup").replace("-", "_")]
        return sorted(pid for pid in found if _read(Path(f"/proc/{pid}/cmdline")).startswith(program))

    def _mark(self, pod: Object, fault: str) -> None:
        """Leave the mark in the node's folder of faults; on a lent cluster, through the pod itself."""
        metadata = pod["metadata"]
        mark = f"{metadata['uid']}.{fault}"
        if self._cluster.ours:
            Path(FAULTS).mkdir(parents=True, exist_ok=True)
            Path(FAULTS, mark).touch()
        else:
            place = ("-n", metadata["namespace"], "exec", metadata["name"])
            self._cluster.kubectl(*place, "--", "touch", f"/faults/{mark}")


def _read(file: Path) -> str:
    """Return what a file of a process says, "" when the process has ended."""
    try:
        return file.read_text()
    except OSError:
        return ""
