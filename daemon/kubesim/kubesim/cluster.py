"""
The embedded cluster: store, API server, controllers and kubelet in one process, over loopback HTTP.

Its contract suite also runs against a real kube-apiserver.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from aiohttp import web

from kubeobjects import resources
from kubeobjects.resources import Resource
from kubesim.apiserver.api_faults import ApiFaults
from kubesim.apiserver.audit import Audit
from kubesim.apiserver.executions import Executions
from kubesim.apiserver.metrics import Metrics
from kubesim.apiserver.operations import Operations
from kubesim.apiserver.paging import Pages
from kubesim.apiserver.patches import merge_patch
from kubesim.apiserver.rights import ALL, Rule, User, Users
from kubesim.apiserver.server import Parts, Server
from kubesim.cluster_time import ClusterTime
from kubesim.controllers.balancers import Balancers
from kubesim.controllers.control import Controller, ControlLoop
from kubesim.controllers.deployments import Deployments
from kubesim.controllers.disruptions import Disruptions
from kubesim.controllers.garbage import INITIAL, GarbageCollector, Namespaces
from kubesim.controllers.jobs import Jobs
from kubesim.controllers.nodes import Nodes, new_node
from kubesim.controllers.replicasets import ReplicaSets
from kubesim.controllers.scheduler import Scheduler
from kubesim.controllers.services import Endpoints, addresses_of
from kubesim.controllers.statefulsets import StatefulSets
from kubesim.controllers.volumes import Claims, Volumes
from kubesim.errors import KubesimError
from kubesim.faults import Faults
from kubesim.images import Image, Images
from kubesim.kubeconfig import write_kubeconfig
from kubesim.kubelet.kubelet import Kubelet
from kubesim.manifest import Json, name_of
from kubesim.runtime.logs import PodLogs
from kubesim.runtime.runtime import Runtime
from kubesim.runtime.tcp_proxies import TcpProxies
from kubesim.storage.addresses import Addresses
from kubesim.storage.kinds import SERVED
from kubesim.storage.registry import DeleteOptions, Registry
from kubesim.storage.store import Store

ADMIN: Final = "kubernetes-admin"

API: Final = ("kubernetes", "default")
DOMAIN: Final = ("svc", "cluster", "local")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """The configuration with which a cluster starts."""

    speed: float = 1.0
    port: int = 0
    images: Mapping[str, Image] | None = None
    nodes: tuple[str, ...] = ("node-1",)
    storage_class: str = "standard"


class EmbeddedCluster:
    """
    A small Kubernetes for one process.

    `async with EmbeddedCluster.start(speed=10) as cluster:`; then `cluster.url` is its API. `faults` break
    workloads, `api_faults` the API, `requests` is the witness of who asked for what.
    """

    def __init__(self, config: ClusterConfig) -> None:
        clock = asyncio.get_running_loop().time
        self.time = ClusterTime(clock=clock, speed=config.speed)
        self.store = Store()
        self.addresses = Addresses()
        self.registry = Registry(self.store, self.addresses, self.time.now)
        self.images = Images(config.images)
        self.faults = Faults()
        self.api_faults = ApiFaults()
        self.users = Users()
        self.requests = Audit()
        self.url = ""
        self.admin_token = secrets.token_urlsafe(24)
        self.users.add(self.admin_token, ADMIN, (ALL,))
        self._config = config
        self._logs = PodLogs(self.time)
        self._pages = Pages()
        self.runtime = Runtime(self.store, self.time, self._logs)
        self._kubelet = Kubelet(self.registry, self.images, self.faults, self._logs, self.runtime)
        self._loop = ControlLoop(self.store, self._controllers())
        self._balancers = Balancers(self.registry, self.addresses)
        self._tcp_proxies = TcpProxies(self.store)
        self._server = Server(self._server_parts())
        self.faults.on_change = self._on_fault
        self.runtime.on_change = lambda key: self._loop.enqueue(self._kubelet, key)

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        speed: float = 1.0,
        port: int = 0,
        *,
        images: Mapping[str, Image] | None = None,
        nodes: Sequence[str] = ("node-1",),
    ) -> AsyncIterator[Self]:
        """
        Run a cluster until the block ends.

        Every delay of Kubernetes is divided by `speed`; `port` 0 takes a free one. Raises KubesimError at
        the end when one of the controllers has failed meanwhile.
        """
        cluster = cls(ClusterConfig(speed=speed, port=port, images=images, nodes=tuple(nodes)))
        async with cluster._running():
            yield cluster
        if cluster._loop.failures:
            raise KubesimError(f"a controller of the embedded cluster failed: {cluster._loop.failures[0]!r}")

    def kubeconfig(
        self, path: Path, account: str | None = None, rules: Iterable[Rule] = (ALL,), *, user: str = ""
    ) -> Path:
        """
        Write a kubeconfig; without an account it is the administrator's.

        An account makes a user of its own, who has just these rules; its name is that of a service account
        unless `user` says otherwise.
        """
        if account is None:
            return write_kubeconfig(path, url=self.url, token=self.admin_token)
        self.users.add(_token_of(account), user or f"system:serviceaccount:default:{account}", rules)
        return write_kubeconfig(path, url=self.url, token=_token_of(account))

    def user(self, account: str) -> User:
        """Find a user, to take rights from or to give them back."""
        return self.users[_token_of(account)]

    def apply(self, manifest: Json) -> Json:
        """Create an object or merge a manifest into the one that exists; namespaces are made when missing."""
        resource = resource_of(manifest)
        metadata = manifest.get("metadata") or {}
        namespace = (metadata.get("namespace") or "default") if resource.namespaced else None
        if namespace is not None and self.store.get(resources.NAMESPACES, None, namespace) is None:
            self.registry.create(resources.NAMESPACES, None, {"metadata": {"name": namespace}})
        name = metadata.get("name", "")
        if name and self.store.get(resource, namespace, name) is not None:
            return self.registry.update(resource, namespace, name, lambda current: dict(merge_patch(current, manifest)))
        created = self.registry.create(resource, namespace, manifest)
        return self.registry.set_status(resource, created, manifest["status"]) if manifest.get("status") else created

    def get(self, resource: Resource, name: str, namespace: str | None = "default") -> Json | None:
        """Find an object; None when it is not there. The answer must not be changed."""
        return self.store.get(resource, namespace if resource.namespaced else None, name)

    def find(
        self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Json]:
        """List objects, those with all these labels."""
        wanted = (labels or {}).items()
        return [
            obj
            for obj in self.store.list(resource, namespace)
            if wanted <= (obj["metadata"].get("labels") or {}).items()
        ]

    def delete(
        self, resource: Resource, name: str, namespace: str | None = "default", *, grace: int | None = None
    ) -> None:
        """Delete an object, as an administrator would."""
        place = namespace if resource.namespaced else None
        self.registry.delete(resource, place, name, DeleteOptions(grace=grace))

    def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a Service by its name, as the cluster's DNS does; none when there is no such Service."""
        return resolve(self.store, host, api=urlsplit(self.url).hostname or "")

    def lose_volume(self, claim: str, namespace: str = "default") -> str:
        """Take the volume from under a claim, whatever protects it; the answer is the volume's name."""
        volume = self._volume_of(claim, namespace)
        self.store.remove(resources.PVS, volume)
        return name_of(volume)

    def disk_of(self, claim: str, namespace: str = "default") -> Path:
        """Return the folder in which a claim's data lie, for programs that are real; what is spoilt there is spoilt."""
        return self.runtime.folders.volume(self._volume_of(claim, namespace))

    def _volume_of(self, claim: str, namespace: str) -> Json:
        found = self.registry.get(resources.PVCS, namespace, claim)
        volume = self.store.get(resources.PVS, None, str(found["spec"].get("volumeName", "")))
        if volume is None:
            raise KubesimError(f"claim {namespace}/{claim} has no volume")
        return volume

    def freeze(self) -> None:
        """Stop answering: requests wait, watches stall, the cluster itself goes on."""
        self._server.freeze()

    def thaw(self) -> None:
        """Answer again."""
        self._server.thaw()

    def compact(self) -> None:
        """Drop the history: watches from older versions and unfinished lists are answered with 410."""
        self.store.compact()
        self._pages.forget()

    def _controllers(self) -> list[Controller]:
        return [
            Namespaces(self.registry),
            Deployments(self.registry, self.time),
            ReplicaSets(self.registry, self.time),
            StatefulSets(self.registry),
            Jobs(self.registry),
            Claims(self.registry),
            Volumes(self.registry),
            Scheduler(self.registry, self.time, self.faults),
            self._kubelet,
            Endpoints(self.registry),
            Disruptions(self.registry),
            Nodes(self.registry, self.time, self.faults),
            GarbageCollector(self.registry),
        ]

    def _server_parts(self) -> Parts:
        metrics = Metrics(self.registry)
        return Parts(
            store=self.store,
            operations=Operations(self.registry, metrics, self._logs, self._pages),
            executions=Executions(self.images, self.runtime),
            users=self.users,
            faults=self.api_faults,
            audit=self.requests,
            pages=self._pages,
            time=self.time,
        )

    def _on_fault(self, _: str) -> None:
        for key in self._kubelet.known():
            self._loop.enqueue(self._kubelet, key)

    @contextlib.asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as cleanups:
            runner = web.AppRunner(
                self._server.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
            )
            await runner.setup()
            cleanups.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", self._config.port)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            cleanups.callback(self._loop.stop)
            # before what makes the kubelet go on: it would start again what ends
            cleanups.push_async_callback(self.runtime.close)
            cleanups.push_async_callback(self._balancers.close)
            cleanups.push_async_callback(self._tcp_proxies.close)
            for part in (self._loop.run(), self._balancers.run(), self._tcp_proxies.run()):
                cleanups.push_async_callback(_ended, asyncio.create_task(part))
            self._furnish()
            yield

    def _furnish(self) -> None:
        """Make what every cluster has: namespaces, nodes, a storage class that provisions."""
        for name in INITIAL:
            self.registry.create(resources.NAMESPACES, None, {"metadata": {"name": name}})
        for name in self._config.nodes:
            body, status = new_node(name, self.time.now())
            self.apply({"apiVersion": "v1", "kind": "Node", **body, "status": status})
        self.apply(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": self._config.storage_class,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "kubesim/host-path",
            }
        )


def resource_of(manifest: Json) -> Resource:
    """Find the resource that a manifest is of; raise KubesimError."""
    for resource in SERVED:
        if (resource.api_version, resource.kind) == (manifest.get("apiVersion"), manifest.get("kind")):
            return resource
    raise KubesimError(f"no resource is served for {manifest.get('apiVersion')!r} {manifest.get('kind')!r}")


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _token_of(account: str) -> str:
    # not the name itself: a daemon masks its token wherever it stands
    return f"token-of-{account}"


def resolve(store: Store, host: str, *, api: str) -> tuple[str, ...]:
    """
    Return the addresses of a name; none when no Service has it.

    A Service is NAME.NAMESPACE, and so on up to NAME.NAMESPACE.svc.cluster.local; one without a cluster IP has the
    addresses of its ready endpoints.
    """
    labels = host.rstrip(".").split(".")
    if len(labels) < 2 or tuple(labels[2:]) != DOMAIN[: len(labels) - 2]:
        return ()
    name, namespace = labels[:2]
    if (name, namespace) == API:
        return (api,)
    return tuple(addresses_of(store, name, namespace))
