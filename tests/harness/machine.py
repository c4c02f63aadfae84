"""A whole single-node Kubernetes on this machine: started, taken apart piece by piece, and stopped without a trace."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.harness import cgroups, components, images, network
from tests.harness.access import Access
from tests.harness.api import ApiClient
from tests.harness.certificates import Authority
from tests.harness.components import Layout
from tests.harness.parts import Parts
from tests.harness.processes import Program
from tests.harness.waiting import HopelessError, wait_for

ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER = "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"
KUBELET, PROXY, CONTAINERD = "kubelet", "kube-proxy", "containerd"
GRACE = 50
"""Seconds that a node may be silent before it is NotReady."""

_START_LIMIT = 180.0


class ClusterError(Exception):
    """The cluster did not come up; the message carries the last lines of the logs."""


class Machine:
    """The processes of one cluster, and all that they leave in the machine."""

    def __init__(self, parts: Parts) -> None:
        """Lay out certificates and configuration; nothing runs yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="cluster-", dir=network.run_folder()))
        self.folder.chmod(0o755)
        cgroup = f"{self.folder.parent.name}/{self.folder.name}"
        self.layout = Layout(folder=self.folder, authority=Authority(self.folder / "certificates"), cgroup=cgroup)
        self.parts = parts
        self.start_seconds = 0.0
        self._programs = {program.name: program for program in self._describe()}
        self.kubeconfig = self.layout.login(components.ADMIN, "system:masters")
        self._api = ApiClient(Access.read(self.kubeconfig))

    def start(self) -> None:
        """Start everything and return when the node is Ready. Raises ClusterError; then nothing is left running."""
        began = time.monotonic()
        atexit.register(self.stop)
        try:
            self._start()
        except BaseException as error:
            report = self.report()
            self.stop()
            if isinstance(error, Exception):
                raise ClusterError(f"{error}\n{report}") from error
            raise
        self.start_seconds = time.monotonic() - began
        print(f"cluster: Ready {self.start_seconds:.1f} s after its start ({self.folder})", file=sys.stderr)

    def stop(self) -> None:
        """Kill what was started, unmount, and remove cgroups and files. Nothing happens the second time."""
        atexit.unregister(self.stop)
        if not self.folder.exists():
            return
        for name in (KUBELET, CONTROLLER_MANAGER, SCHEDULER, PROXY, CONTAINERD):
            self._programs[name].stop()
        kill_shims(str(self.layout.containerd))
        cgroups.kill(self.layout.cgroup)
        for name in (API_SERVER, ETCD):
            self._programs[name].stop()
        unmount_below(self.folder)
        cgroups.remove(self.layout.cgroup)
        _clear_network()
        shutil.rmtree(self.folder)

    def program(self, name: str) -> Program:
        """Return one of the seven programs. Raises LookupError for another name."""
        try:
            return self._programs[name]
        except KeyError:
            raise LookupError(f"no component {name!r}; there are {', '.join(self._programs)}") from None

    def give_up_nodes_after(self, seconds: int) -> None:
        """Start the controller manager again with another grace period for nodes that are silent."""
        program = self.program(CONTROLLER_MANAGER)
        program.stop()
        arguments = components.controller_manager(self.layout, node_monitor_grace_period=seconds)
        program.arguments = [self._path(CONTROLLER_MANAGER), *arguments]
        program.start()

    def start_component(self, name: str) -> None:
        """Start a stopped component and wait until it serves."""
        self.program(name).start()
        ready = self._ready_checks().get(name)
        if ready is not None:
            wait_for(ready, within=_START_LIMIT, describe=f"{name} serves")

    def compact(self) -> None:
        """Compact etcd to its newest revision, so that it cannot replay any earlier change."""
        revision = _etcd("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        _etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    def load(self, names: Sequence[str]) -> None:
        """Make images and import them into containerd."""
        for name in names:
            archive = images.image(name).write(self.folder / "image.tar")
            self.load_archive(archive)
            archive.unlink()

    def load_archive(self, archive: Path) -> None:
        """Import a docker-archive into containerd. Raises ClusterError."""
        images_of(self.layout, "import", str(archive))

    def tag_image(self, name: str, other: str) -> None:
        """Let an image of the node be known by another name, too. Raises ClusterError."""
        images_of(self.layout, "tag", "--force", f"docker.io/library/{name}", other)

    def report(self) -> str:
        """Return which components run, and the last lines of every log."""
        parts = [
            f"--- {name} ({'runs' if program.pid else 'does not run'})\n{program.tail()}"
            for name, program in self._programs.items()
        ]
        return "\n".join(parts)

    def _describe(self) -> list[Program]:
        layout = self.layout
        arguments = {
            ETCD: components.etcd(layout),
            API_SERVER: components.api_server(layout),
            CONTROLLER_MANAGER: components.controller_manager(layout, node_monitor_grace_period=GRACE),
            SCHEDULER: components.scheduler(layout),
            KUBELET: components.kubelet(layout),
            PROXY: components.proxy(layout),
            CONTAINERD: components.containerd(layout),
        }
        return [
            Program(name=name, arguments=[self._path(name), *rest], log=self.folder / f"{name}.log")
            for name, rest in arguments.items()
        ]

    def _path(self, name: str) -> str:
        return CONTAINERD if name == CONTAINERD else str(self.parts.binary(name))

    def _ready_checks(self) -> dict[str, Callable[[], object]]:
        return {
            ETCD: lambda: _etcd("/v3/kv/range", {"key": "AA=="}),
            API_SERVER: lambda: self._api.request("GET", "/readyz") == "ok",
            CONTAINERD: self.layout.containerd.is_socket,
        }

    def _start(self) -> None:
        cgroups.make(self.layout.cgroup)
        for name in (ETCD, CONTAINERD):
            self._programs[name].start()
        self.start_component(ETCD)
        self._programs[API_SERVER].start()
        self.start_component(CONTAINERD)
        self.load(images.AT_START)
        self.start_component(API_SERVER)
        for name in (CONTROLLER_MANAGER, SCHEDULER, KUBELET, PROXY):
            self._programs[name].start()
        self._api.apply(_endpoint_of_api_server())
        wait_for(self._node_is_ready, within=_START_LIMIT, describe="the node is Ready")
        wait_for(
            lambda: self._api.get("serviceaccount", "default", "default"),
            within=_START_LIMIT,
            describe="default account",
        )

    def _node_is_ready(self) -> bool:
        dead = [program.name for program in self._programs.values() if program.pid is None]
        if dead:
            raise HopelessError(f"ended by itself: {', '.join(dead)}")
        node = self._api.get("node", components.NODE)
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        return ready and not node["spec"].get("taints")


def _endpoint_of_api_server() -> dict[str, object]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [network.NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
    }


def _etcd(path: str, body: object) -> dict[str, dict[str, str]]:
    request = urllib.request.Request(components.ETCD + path, json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=5) as answer:
        decoded: dict[str, dict[str, str]] = json.load(answer)
    return decoded


def images_of(layout: Layout, *words: str) -> None:
    """Change the images of a node by a command of ctr. Raises ClusterError."""
    command = ["ctr", f"--address={layout.containerd}", "-n", "k8s.io", "images", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)} exited {done.returncode}: {done.stderr.strip()}")


def kill_shims(address: str) -> None:
    """Kill containerd's shims, which outlive it; ours are those that were given our socket."""
    shims = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _is_shim(pid, address)]  # noqa: PTH208
    for pid in shims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(_is_shim(pid, address) for pid in shims), within=10, describe="shims are gone")


def _is_shim(pid: int, address: str) -> bool:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return "containerd-shim" in words[0] and address in words
    return False


def unmount_below(folder: Path) -> None:
    """Unmount what containerd and the kubelet mounted below a folder, the newest first."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in reversed([place for place in mounted if place.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", place.encode().decode("unicode_escape")], check=True)


def _clear_network() -> None:
    """Remove the pods' bridge and kube-proxy's rules, so that another cluster can follow in the same namespace."""
    subprocess.run(["ip", "link", "delete", "cni0"], check=False, capture_output=True)
    for table in ("nat", "filter", "mangle"):
        for what in ("-F", "-X"):
            subprocess.run(["iptables", "-w", "-t", table, what], check=False, capture_output=True)
