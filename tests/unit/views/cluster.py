"""Services in a cluster that is told, web most of all, over caches without a server."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from kintsugi.kube.object_cache import Change, Key, ObjectCache, Subscriber
from kintsugi.model.catalog import Catalog
from kintsugi.model.views import ServiceView
from kintsugi.views import Caches, ServiceViews
from kubeobjects.kept import (
    Deployment,
    KubeService,
    LabelSelector,
    Metadata,
    Namespace,
    Object,
    ObjectReference,
    OwnerReference,
    Pod,
    PodTemplate,
    ReplicaSet,
)
from kubeobjects.network import (
    SERVICE_NAME,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ServicePort,
    ServiceSpec,
)
from kubeobjects.resources import Resource
from kubeobjects.workloads import DeploymentSpec, DeploymentStatus
from tests.unit.factories import pod, shop, virtual_clock


class ScriptedReflector:
    """A reflector whose objects are put in by the test."""

    def __init__(self, _kube: object, resource: Resource, _kept: object) -> None:
        self.resource = resource
        self.mirror: ObjectCache[Any] = ObjectCache()
        self.store: Mapping[Key, Any] = self.mirror.objects
        self.undecodable_objects: Mapping[Key, str] = self.mirror.undecodable_objects
        self.synced = True
        self.problem = ""
        self.silent_for = 0.0
        self.silence = timedelta(seconds=60)
        self.sends_bookmarks = True
        self.gaps = 0

    def age(self, _now: float) -> float:
        """Return the seconds since the server was last heard."""
        return self.silent_for

    async def wait_synced(self, _within: timedelta) -> None:
        """Wait for the first list: for ever, where there is none."""
        if not self.synced:
            await asyncio.Event().wait()

    def subscribe(self, subscriber: Subscriber[Any]) -> None:
        """Call `subscriber` with every change."""
        self.mirror.subscribe(subscriber)

    def keep_only(self, wanted: Callable[[Any], bool]) -> None:
        """Keep what is wanted."""
        self.wanted = wanted

    def put(self, item: Object) -> None:
        """Let an object be so."""
        self.mirror.put((item.metadata.namespace, item.metadata.name), item)

    def drop(self, item: Object) -> None:
        """Let an object be gone."""
        self.mirror.remove((item.metadata.namespace, item.metadata.name))


def scripted_caches() -> Any:
    """Make caches of nothing; with a pod its namespace is there."""
    caches: Any = Caches.of(None, ScriptedReflector)  # type: ignore[arg-type]

    def note(change: Change[Pod]) -> None:
        name = change.subject.metadata.namespace
        if ("", name) not in caches.namespaces.store:
            caches.namespaces.put(Namespace(metadata=Metadata(name=name)))

    caches.pods.subscribe(note)
    return caches


REVISION = "deployment.kubernetes.io/revision"


class FakeCaches:
    """What the daemon sees; `services` are its views of it."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.caches = scripted_caches()
        self.versions = 0
        self.clock_problem = ""
        self.services = ServiceViews(
            self.caches,
            catalog or shop(),
            clock=virtual_clock,
            stale_after=timedelta(seconds=30),
            clock_problem=lambda: self.clock_problem,
        )

    def seen(self) -> ServiceView:
        """Look at the service web now."""
        self.services.refresh()
        return self.services.views["web"]

    def deploy(
        self,
        revision: int = 1,
        *,
        replicas: int = 3,
        rolled_out: bool = True,
        selects: Mapping[str, str] | None = None,
        name: str = "web",
    ) -> None:
        """Let a Deployment ask for a revision, whose template is called `hash-N`."""
        meta = Metadata(
            name=name,
            namespace="production",
            uid=f"uid-{name}",
            generation=revision,
            annotations={REVISION: str(revision)},
            resource_version=self.version(),
        )
        updated = replicas if rolled_out else 1
        status = DeploymentStatus(
            observed_generation=revision,
            replicas=replicas,
            updated_replicas=updated,
            ready_replicas=replicas,
            available_replicas=replicas,
        )
        template = PodTemplate(metadata=Metadata(labels={"app": name}))
        selector = LabelSelector(match_labels={"app": name} if selects is None else dict(selects))
        spec = DeploymentSpec(replicas=replicas, template=template, selector=selector)
        self.caches.deployments.put(Deployment(metadata=meta, spec=spec, status=status))
        owner = OwnerReference(kind="Deployment", name=name, uid=f"uid-{name}", controller=True)
        replica_set = Metadata(
            name=f"{name}-{revision}",
            namespace="production",
            uid=f"uid-{name}-{revision}",
            labels={"pod-template-hash": f"hash-{revision}"},
            annotations={REVISION: str(revision)},
            owner_references=(owner,),
            resource_version=self.version(),
        )
        self.caches.replica_sets.put(ReplicaSet(metadata=replica_set))

    def expose(
        self,
        name: str = "web-front",
        *,
        selector: dict[str, str] | None = None,
        cluster_ip: str = "10.0.0.7",
        ports: tuple[ServicePort, ...] = (ServicePort(port=80),),
        unready_too: bool = False,
    ) -> None:
        """Let a Kubernetes Service lead to the pods; `unready_too` lists those that are not ready as if they were."""
        wanted = {"app": "web"} if selector is None else selector
        spec = ServiceSpec(cluster_ip=cluster_ip, selector=wanted, ports=ports, publish_not_ready_addresses=unready_too)
        meta = Metadata(name=name, namespace="production", resource_version=self.version())
        self.caches.services.put(KubeService(metadata=meta, spec=spec))

    def point(self, service: str, addresses: Mapping[str, bool]) -> None:
        """Let a Kubernetes Service have endpoints, each ready or not, on a TCP and a UDP port: pods that are named as their addresses."""
        endpoints = tuple(
            Endpoint(
                addresses=(address,),
                conditions=EndpointConditions(ready=ready),
                target_ref=ObjectReference(kind="Pod", name=address),
            )
            for address, ready in addresses.items()
        )
        meta = Metadata(name=f"{service}-1", namespace="production", labels={SERVICE_NAME: service})
        ports = (EndpointPort(port=5432), EndpointPort(port=5433, protocol="UDP"))
        self.caches.endpoints.put(EndpointSlice(metadata=meta, endpoints=endpoints, ports=ports, address_type="IPv4"))

    def conceal(self, name: str) -> None:
        """Let a Kubernetes Service be gone, with its endpoints."""
        self.caches.services.drop(self.caches.services.store["production", name])
        self.caches.endpoints.drop(self.caches.endpoints.store["production", f"{name}-1"])

    def undeploy(self, name: str = "web") -> None:
        """Let a Deployment be gone."""
        self.caches.deployments.drop(self.caches.deployments.store["production", name])

    def answer(
        self, ready: int, unready: int = 0, *, ports: tuple[EndpointPort, ...] = (EndpointPort(port=80),)
    ) -> None:
        """Let so many endpoints stand behind that Service."""
        labels, version = {"kubernetes.io/service-name": "web-front"}, self.version()
        metadata = Metadata(name="web-front-1", namespace="production", labels=labels, resource_version=version)
        endpoints = tuple(
            Endpoint(conditions=EndpointConditions(ready=each)) for each in (True,) * ready + (False,) * unready
        )
        self.caches.endpoints.put(EndpointSlice(metadata=metadata, endpoints=endpoints, ports=ports))

    def run(
        self,
        name: str,
        *,
        ready: bool = True,
        restarts: int = 0,
        uid: str = "",
        app: str = "web",
        template: str = "",
        made: datetime | None = None,
    ) -> None:
        """Let a pod be so."""
        labels = {"app": app} | ({"pod-template-hash": template} if template else {})
        found = pod(name, ready=ready, restarts=restarts, uid=uid, labels=labels, version=self.version(), made=made)
        self.caches.pods.put(found)

    def gone(self, name: str) -> None:
        """Let a pod be gone."""
        self.caches.pods.drop(pod(name))

    def version(self) -> str:
        """Return the next resourceVersion."""
        self.versions += 1
        return str(self.versions)


def well_cluster() -> FakeCaches:
    """Return a cluster in which web is well with revision 1."""
    cluster = FakeCaches()
    cluster.deploy()
    for name in ("web-1", "web-2", "web-3"):
        cluster.run(name)
    cluster.services.refresh()
    return cluster


def whole_cluster(catalog: Catalog | None = None) -> FakeCaches:
    """Return a cluster in which web is well behind its Kubernetes Service, and at which nobody has looked yet."""
    cluster = FakeCaches(catalog)
    cluster.deploy()
    cluster.expose()
    cluster.answer(3)
    for name in ("web-1", "web-2", "web-3"):
        cluster.run(name)
    return cluster
