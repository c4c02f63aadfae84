"""Where faults are made: one cluster with both applications' parts, the registry, the folder of files, and the marks."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml

from tests.faults import page
from tests.faults.application import Application
from tests.harness import parcels, stack_manifests
from tests.harness.api import ApiError, Object
from tests.harness.certificates import Authority
from tests.harness.cluster import RealCluster
from tests.harness.components import NODE
from tests.harness.coredns import CoreDns
from tests.harness.fixtures import scratch
from tests.harness.images import PARCEL_GOOD, POSTGRES, REDIS, SHOP_GOOD, SKIPPER, WEB_BAD
from tests.harness.machine import images_of, unmount_below
from tests.harness.manifests import FAULTS
from tests.harness.metrics_server import MetricsServer
from tests.harness.registry import Registry, served
from tests.harness.stack_manifests import INGRESS

PRODUCTION = "production"
WEBHOOKS = "validatingwebhookconfiguration"
NAMESPACES: Mapping[str, str] = {"parcels": parcels.PARCELS, "shop": PRODUCTION}
OBSERVER = "127.0.0.53"
"""Where the daemon asks for names, which runs beside the cluster: its pods ask elsewhere."""
_SHOP_IMAGES = (POSTGRES, REDIS, SKIPPER, SHOP_GOOD)


@dataclass(kw_only=True)
class Stage:
    """What a fault needs; applications are set up when a fault first asks for them. `undo` is called after the fault."""

    cluster: RealCluster
    registry: Registry
    names: CoreDns
    observer_names: CoreDns
    folder: Path
    undo: ExitStack = field(default_factory=ExitStack)
    _applications: dict[str, Application] = field(default_factory=dict)

    def application(self, name: str) -> Application:
        """Return an application that is up."""
        if name not in self._applications:
            made = parcels_in(self.cluster, self.folder) if name == "parcels" else shop_in(self.cluster, self.folder)
            made.set_up()
            self._applications[name] = made
        self._applications[name].until_ready()
        return self._applications[name]

    def remove_image(self, name: str) -> None:
        """Let the node not have an image."""
        images_of(self.cluster.machine.layout, "rm", "--sync", name)

    def measure(self, namespace: str) -> None:
        """Have the metrics of a namespace's pods until the fault is over."""
        server = MetricsServer(self.cluster)
        server.start()
        self.undo.callback(server.stop)
        server.offer(namespace=namespace, pods=len(self.cluster.list("pod", namespace)))
        self.undo.callback(_withdraw, server)

    def restore(self) -> None:
        """Have everything as before any fault."""
        self.undo.close()
        self.registry.forget()
        for mark in Path(FAULTS).glob("*"):
            mark.unlink()
        node = {"spec": {"unschedulable": None, "taints": None}}
        self.cluster.api.patch("node", NODE, node)
        for webhook in self.cluster.list(WEBHOOKS):
            self.cluster.api.delete(WEBHOOKS, webhook["metadata"]["name"])
        for each in self._applications.values():
            each.restore()


@contextmanager
def stage(cluster: RealCluster) -> Iterator[Stage]:
    """Have a stage, with a name server of the cluster and a registry; what it has set up is gone in the end."""
    names, observer_names = CoreDns(cluster), CoreDns(cluster, address=OBSERVER)
    names.start()
    observer_names.start()
    with scratch("faults-") as folder, Registry().running() as registry, observer_names.asked_here():
        made = Stage(cluster=cluster, registry=registry, names=names, observer_names=observer_names, folder=folder)
        try:
            yield made
        finally:
            made.undo.close()
            for each in made._applications.values():
                each.remove()
            names.stop()
            observer_names.stop()


def parcels_in(cluster: RealCluster, folder: Path) -> Application:
    """Return parcels, not yet set up."""
    _load(cluster, PARCEL_GOOD, WEB_BAD)
    authority = Authority(folder / "parcels")
    tls = authority.server("reception", "reception", "reception.parcels")
    authority.expired("expired", "reception", "reception.parcels")
    volumes = parcels.volumes()
    _make_folders(volumes)
    objects = [*parcels.configuration(tls), *volumes, *parcels.services(), *parcels.workloads()]
    return Application(cluster=cluster, objects=objects, claimed=frozenset({"data-depot-0", "data-depot-1"}))


def shop_in(cluster: RealCluster, folder: Path) -> Application:
    """Return shop, not yet set up: the stack of the shipped rules, with its images from the registry."""
    _load(cluster, *_SHOP_IMAGES, WEB_BAD)
    tls = Authority(folder / "shop").server("ingress-controller", "ingress-controller.ingress", stack_manifests.HOST)
    spaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in (PRODUCTION, INGRESS)]
    parts: list[Object] = [
        *spaces,
        *stack_manifests.services(PRODUCTION),
        *stack_manifests.database(PRODUCTION),
        *stack_manifests.cache(PRODUCTION),
        *stack_manifests.api(PRODUCTION),
        *stack_manifests.web(PRODUCTION),
        *stack_manifests.ingress(PRODUCTION, tls),
    ]
    objects = [_pulled(each) for each in parts]
    return Application(cluster=cluster, objects=objects, claimed=frozenset({"data-cache-0"}))


def _load(cluster: RealCluster, *names: str) -> None:
    """Let the node have images by the names that they have at the registry."""
    cluster.load_images(*names)
    for each in names:
        cluster.machine.tag_image(each, served(each))


def _make_folders(volumes: Any) -> None:
    for each in volumes:
        if each["kind"] == "PersistentVolume":
            Path(each["spec"]["hostPath"]["path"]).mkdir(parents=True)


def _pulled(wanted: Object) -> Object:
    """Return a workload whose images come from the registry; other objects as they are."""
    for container in wanted.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
        container |= {"image": served(container["image"]), "imagePullPolicy": "IfNotPresent"}
    return wanted


def lay_out(folder: Path) -> frozenset[str]:
    """Write the files that commands name into a folder, those that the page shows as they stand there; return their names."""
    files = {**{name: yaml.safe_load(content) for name, content in page.files().items()}, **_made(folder)}
    for name, content in files.items():
        (folder / name).write_text(yaml.safe_dump(content))
    return frozenset(files)


def _made(folder: Path) -> Mapping[str, Object]:
    """Return the files that the page says the tests make: values that nobody else knows, and one version of a Deployment."""
    newer = parcels.reception()
    [container] = newer["spec"]["template"]["spec"]["containers"]
    container["image"] = served("parcel:2.1")
    canary = parcels.reception()
    canary["metadata"]["name"] = "reception-canary"
    canary["spec"] |= {"replicas": 1, "selector": {"matchLabels": {"track": "canary"}}}
    canary["spec"]["template"]["metadata"]["labels"]["track"] = "canary"
    canary["spec"]["template"]["spec"]["containers"][0]["image"] = served("parcel:deaf")
    token, pair = token_hex(8), folder / "parcels"
    both = [parcels.token_secret(each, token) for each in ("consignments-token", "depot-token")]
    expired = {f"tls.{end}": file.read_text() for end in ("crt", "key") if (file := pair / f"expired.{end}").exists()}
    return {
        "expired-tls.yaml": parcels.tls_secret(expired),
        "reception-2.1.yaml": newer,
        "reception-canary.yaml": canary,
        "wrong-token.yaml": parcels.token_secret("consignments-token", token_hex(8)),
        "rotated-tokens.yaml": {"apiVersion": "v1", "kind": "List", "items": both},
    }


def _withdraw(server: MetricsServer) -> None:
    """Take the metrics API away, which a fault may have done."""
    with suppress(ApiError):
        server.withdraw()


def lose_folder(path: Path) -> None:
    """Take a volume's folder away from the node."""
    unmount_below(path)
    shutil.rmtree(path)
