"""What kubectl cannot do: the moves of docs/faults.md, each a function by the name that the page calls it. What lasts is undone after the row."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.stage import Stage, lose_folder
from tests.faults.webhook import expired_webhook
from tests.harness import network_policies
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.components import NODE, SECOND
from tests.harness.disks import mounted
from tests.harness.faults import Faults
from tests.harness.helm import Helm
from tests.harness.images import WEB_GOOD
from tests.harness.manifests import FAULTS
from tests.harness.registry import served
from tests.harness.second_node import SecondNode
from tests.harness.waiting import wait_for

_PROGRAMS: Mapping[str, str] = {"postgres": "postgres", "redis": "redis-server", "skipper": "skipper"}
"""What runs in a container of this name; in all others it is the application's own program."""

_KIB = {"": 1 / 1024, "Ki": 1, "Mi": 1 << 10, "Gi": 1 << 20}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Of which service a move is: its pods are in a namespace, and are found anew each time."""

    stage: Stage
    application: str
    service: str
    namespace: str
    pods: Callable[[], Sequence[Object]]

    @property
    def cluster(self) -> RealCluster:
        """Return the cluster."""
        return self.stage.cluster

    def pod(self, name: str) -> Object:
        """Return a pod by its name."""
        return self.cluster.get("pod", name, self.namespace)

    def folder(self, pod: str) -> Path:
        """Return where the volume of a pod of a StatefulSet lies on the node."""
        claim = self.cluster.get("pvc", f"data-{pod}", self.namespace)
        volume = self.cluster.get("persistentvolume", claim["spec"]["volumeName"])
        return Path(volume["spec"]["hostPath"]["path"])


def program_of(pod: Object, application: str) -> str:
    """Return what runs in a pod of an application, which need not be one of the row's service."""
    return _PROGRAMS.get(pod["spec"]["containers"][0]["name"], application.removesuffix("s"))


Move = Callable[[Scene, Sequence[str]], None]


def _registry(scene: Scene, words: Sequence[str]) -> None:
    """`@registry IMAGE ANSWER [for SECONDSs]`."""
    name, status, *limit = words
    scene.stage.remove_image(served(name))
    seconds = float(limit[1].removesuffix("s")) if limit else None
    scene.stage.registry.answer(name, int(status), seconds=seconds)


def _mark(scene: Scene, words: Sequence[str]) -> None:
    """`@mark POD MARK`, or `all` for every pod of the workload."""
    *names, mark = words
    owners = [scene.service] if names == ["all"] else [scene.pod(each)["metadata"]["uid"] for each in names]
    Path(FAULTS).mkdir(parents=True, exist_ok=True)
    for each in owners:
        Path(FAULTS, f"{each}.{mark}").touch()


def _kill(scene: Scene, words: Sequence[str]) -> None:
    pod = scene.pod(words[0])
    Faults(scene.cluster).kill(pod, program_of(pod, scene.application))


def _hang(scene: Scene, words: Sequence[str]) -> None:
    pod = scene.pod(words[0])
    faults = Faults(scene.cluster)
    hanging = faults.hang(pod, program_of(pod, scene.application))
    scene.stage.undo.callback(faults.end, hanging)


def _lose_folder(scene: Scene, words: Sequence[str]) -> None:
    path = scene.folder(words[0])
    lose_folder(path)
    scene.stage.undo.callback(path.mkdir, parents=True, exist_ok=True)


def _small_disk(scene: Scene, words: Sequence[str]) -> None:
    """Mount it over the folder, and have the pod made anew on it."""
    scene.stage.undo.enter_context(mounted(scene.folder(words[0]), options="size=8m"))
    scene.cluster.kubectl("-n", scene.namespace, "delete", "pod", words[0], "--grace-period=1", limit=120)


def _fill(scene: Scene, words: Sequence[str]) -> None:
    """Fill it to the last byte, also what the program's own file had."""
    folder = scene.folder(words[0])
    content = b"full" * 4096
    with (folder / "filling").open("ab", buffering=0) as filling:
        for file in folder.glob("parcels"):
            file.unlink()
        while True:
            try:
                filling.write(content)
            except OSError:
                return


def _dns(scene: Scene, words: Sequence[str]) -> None:
    assert list(words) == ["stop"]
    scene.stage.names.stop()
    scene.stage.undo.callback(scene.stage.names.start)


def _observer(scene: Scene, words: Sequence[str]) -> None:
    assert list(words) == ["dns", "stop"]
    scene.stage.observer_names.stop()
    scene.stage.undo.callback(scene.stage.observer_names.start)


def _policies(scene: Scene, _words: Sequence[str]) -> None:
    scene.stage.undo.enter_context(network_policies.enforced(scene.cluster))


def _node(scene: Scene, words: Sequence[str]) -> None:
    assert list(words) == ["silent"]
    scene.stage.undo.enter_context(scene.cluster.node_silent())


def _second_node(scene: Scene, words: Sequence[str]) -> None:
    """`@second-node [lost | no-network | disk-pressure]`."""
    node = scene.stage.undo.enter_context(scene.cluster.second_node())
    if scene.service == "reception":
        _spread(scene, node, scene.pods)
    match list(words):
        case ["lost"]:
            node.lose()
        case ["no-network"]:
            # Beside the DaemonSet's a second one of others is there: of one alone nobody could tell whether it is the node.
            others = scene.stage.application(scene.application)
            _spread(scene, node, lambda: others.pods("deployment/stamps", scene.namespace))
            subprocess.run(["ip", "link", "set", SECOND.bridge, "down"], check=True)
        case ["disk-pressure"]:
            node.start_again(evicts_below="99.9%")


def _spread(scene: Scene, node: SecondNode, found: Callable[[], Sequence[Object]]) -> None:
    """Have a pod of a workload on each node: the scheduler spreads what it places anew."""

    def is_there() -> bool:
        pods = found()
        ready = [each for each in pods if {"type": "Ready", "status": "True"}.items() <= _ready(each).items()]
        if len(ready) != len(pods):
            return False
        if any(each["spec"]["nodeName"] == node.name for each in pods):
            return True
        scene.cluster.api.delete("pod", pods[0]["metadata"]["name"], scene.namespace)
        return False

    wait_for(is_there, within=60, every=0.5, describe=lambda: [each["status"] for each in found()])


def _ready(pod: Object) -> Mapping[str, Any]:
    found = (each for each in pod["status"].get("conditions", []) if each["type"] == "Ready")
    return next(found, {})


def _fill_node(scene: Scene, _words: Sequence[str]) -> None:
    """Ask for all memory but a little by one pod, and for more than is left by another, of the same priority."""
    name = "filling"
    group = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    scene.cluster.apply({**group, "value": 1000, "preemptionPolicy": "Never"})
    scene.stage.undo.callback(scene.cluster.api.delete, "priorityclass", name)
    free = _free_kib(scene.cluster)
    for each, asked in (("first", free - (8 << 10)), ("waiting", 24 << 10)):
        scene.cluster.apply(_asking(f"{name}-{each}", scene.namespace, f"{asked}Ki", name))
        scene.stage.undo.callback(scene.cluster.api.delete, "pod", f"{name}-{each}", scene.namespace, grace=1)

    def is_full() -> bool:
        phases = [scene.pod(f"{name}-{each}")["status"]["phase"] for each in ("first", "waiting")]
        return phases == ["Running", "Pending"]

    wait_for(is_full, within=60, describe="the node is full")


def _free_kib(cluster: RealCluster) -> int:
    """Return how much memory of the first node nobody has asked for."""
    there = _kib(cluster.get("node", NODE)["status"]["allocatable"]["memory"])
    asked = (
        _kib(container.get("resources", {}).get("requests", {}).get("memory", "0"))
        for pod in cluster.list("pod")
        if pod["spec"].get("nodeName") == NODE and pod["status"]["phase"] in ("Running", "Pending")
        for container in pod["spec"]["containers"]
    )
    return int(there - sum(asked))


def _kib(quantity: str) -> float:
    number = quantity.rstrip("KMGi")
    return int(number) * _KIB[quantity.removeprefix(number)]


def _asking(name: str, namespace: str, memory: str, priority: str) -> Object:
    container = {"name": "app", "image": WEB_GOOD, "resources": {"requests": {"memory": memory}}}
    spec = {"priorityClassName": priority, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _webhook(scene: Scene, words: Sequence[str]) -> None:
    assert list(words) == ["expired"]
    scene.stage.undo.enter_context(expired_webhook(scene.cluster, scene.namespace, scene.stage.folder))


def _helm(scene: Scene, words: Sequence[str]) -> None:
    """A command of helm, about a release that is installed first in place of the plain objects."""
    release = scene.service
    application = scene.stage.application(scene.application)
    chart = application.chart(release, scene.stage.folder / f"{release}-chart")
    application.replace(release)
    helm = Helm(folder=scene.stage.folder, kubeconfig=scene.cluster.kubeconfig, namespace=scene.namespace)
    helm.run("install", release, chart.name)
    scene.stage.undo.callback(helm.run, "uninstall", release)
    wait_for(application.complete, within=60, describe=application.incomplete)
    helm.run(*words)


MOVES: Mapping[str, Move] = {
    "@registry": _registry,
    "@mark": _mark,
    "@kill": _kill,
    "@hang": _hang,
    "@lose-folder": _lose_folder,
    "@small-disk": _small_disk,
    "@fill": _fill,
    "@dns": _dns,
    "@observer": _observer,
    "@policies": _policies,
    "@node": _node,
    "@second-node": _second_node,
    "@fill-node": _fill_node,
    "@webhook": _webhook,
    "helm": _helm,
}
"""The moves that the tests can make, by the page's names."""
