"""A second node: a kubelet and a containerd of its own beside the first ones, in the same network, and its sudden end."""

import json
import shutil
import subprocess
from dataclasses import replace

from tests.harness import cgroups, components, images
from tests.harness.api import ApiClient, ApiError
from tests.harness.components import SECOND, Layout
from tests.harness.machine import CONTAINERD, KUBELET, images_of, kill_shims, unmount_below
from tests.harness.network import BRIDGE
from tests.harness.parts import Parts
from tests.harness.processes import Program
from tests.harness.waiting import wait_for

_START_LIMIT = 120.0


class SecondNode:
    """The node and its pods; kube-proxy's rules are those of the first one, whose network it shares."""

    def __init__(self, layout: Layout, parts: Parts, api: ApiClient) -> None:
        folder = layout.folder / SECOND.name
        folder.mkdir()
        folder.chmod(0o755)
        self._layout = replace(layout, folder=folder, cgroup=f"{layout.cgroup}-{SECOND.name}", place=SECOND)
        self._api = api
        kubelet = [str(parts.binary(KUBELET)), *components.kubelet(self._layout)]
        self._containerd = self._program(CONTAINERD, [CONTAINERD, *components.containerd(self._layout)])
        self._kubelet = self._program(KUBELET, kubelet)
        self.name = SECOND.name

    def start(self) -> None:
        """Start it, with the images that every node has from the start, and return when it is Ready."""
        cgroups.make(self._layout.cgroup)
        subprocess.run(["ip", "address", "add", f"{SECOND.address}/32", "dev", BRIDGE], check=True)
        self._containerd.start()
        wait_for(self._layout.containerd.is_socket, within=_START_LIMIT, describe=self._containerd.tail)
        for name in images.AT_START:
            archive = images.image(name).write(self._layout.folder / "image.tar")
            images_of(self._layout, "import", str(archive))
            archive.unlink()
        self._kubelet.start()
        wait_for(self._is_ready, within=_START_LIMIT, describe=self._kubelet.tail)

    def start_again(self, *, evicts_below: str) -> None:
        """Start its kubelet again, which evicts pods while less than this share of the disk is free: `10%`."""
        file = self._layout.folder / "kubelet.json"
        config = json.loads(file.read_text())
        config["evictionHard"]["nodefs.available"] = evicts_below
        self._kubelet.stop()
        file.write_text(json.dumps(config))
        self._kubelet.start()

    def lose(self) -> None:
        """Let it go as a machine goes that loses its power: nobody on it says a last word."""
        self._kubelet.stop()
        self._containerd.stop()
        kill_shims(str(self._layout.containerd))
        cgroups.kill(self._layout.cgroup)
        subprocess.run(["ip", "link", "delete", SECOND.bridge], check=False, capture_output=True)

    def remove(self) -> None:
        """Take it out of the cluster with its pods, which nobody else would for a minute, and out of the machine."""
        self.lose()
        for pod in self._api.list("pod"):
            if pod["spec"].get("nodeName") == self.name:
                self._delete("pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
        self._delete("node", self.name)
        subprocess.run(["ip", "address", "delete", f"{SECOND.address}/32", "dev", BRIDGE], check=False)
        unmount_below(self._layout.folder)
        shutil.rmtree(self._layout.folder)
        cgroups.remove(self._layout.cgroup)

    def _delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete an object that may be gone by now."""
        try:
            self._api.delete(kind, name, namespace, grace=0)
        except ApiError as error:
            if error.status != 404:
                raise

    def _program(self, name: str, arguments: list[str]) -> Program:
        return Program(name=f"{name}-2", arguments=arguments, log=self._layout.folder / f"{name}.log")

    def _is_ready(self) -> bool:
        node = self._api.get("node", self.name)
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
        return ready and not node["spec"].get("taints")
