"""The service web in a cluster that is told: a Deployment, its ReplicaSets, pods and a Kubernetes Service."""

from datetime import timedelta

from kintsugi.objects.kept import Deployment, Metadata, OwnerReference, PodTemplate, ReplicaSet, Service
from kintsugi.objects.network import ServicePort, ServiceSpec
from kintsugi.objects.workloads import DeploymentSpec, DeploymentStatus
from kintsugi.services import Services
from tests.unit.factories import pod, shop, virtual_clock
from tests.unit.services.caches import told_caches

REVISION = "deployment.kubernetes.io/revision"


class Cluster:
    """What the daemon sees; `services` are its views of it."""

    def __init__(self) -> None:
        self.caches = told_caches()
        self.versions = 0
        self.clock_problem = ""
        self.services = Services(
            self.caches,
            shop(),
            clock=virtual_clock,
            stale_after=timedelta(seconds=30),
            clock_problem=lambda: self.clock_problem,
        )

    def deploy(self, revision: int = 1, *, replicas: int = 3, rolled_out: bool = True) -> None:
        """Let the Deployment ask for a revision, whose template is called `hash-N`."""
        meta = Metadata(
            name="web",
            namespace="production",
            uid="uid-web",
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
        template = PodTemplate(metadata=Metadata(labels={"app": "web"}))
        spec = DeploymentSpec(replicas=replicas, template=template)
        self.caches.deployments.put(Deployment(metadata=meta, spec=spec, status=status))
        owner = OwnerReference(kind="Deployment", name="web", uid="uid-web", controller=True)
        replica_set = Metadata(
            name=f"web-{revision}",
            namespace="production",
            uid=f"uid-web-{revision}",
            labels={"pod-template-hash": f"hash-{revision}"},
            annotations={REVISION: str(revision)},
            owner_references=(owner,),
            resource_version=self.version(),
        )
        self.caches.replica_sets.put(ReplicaSet(metadata=replica_set))

    def expose(self, name: str = "web-front", *, selector: dict[str, str] | None = None) -> None:
        """Let a Kubernetes Service lead to the pods."""
        spec = ServiceSpec(
            cluster_ip="10.0.0.7",
            selector={"app": "web"} if selector is None else selector,
            ports=(ServicePort(port=80),),
        )
        self.caches.services.put(Service(metadata=Metadata(name=name, namespace="production"), spec=spec))

    def run(self, name: str, *, ready: bool = True, restarts: int = 0, uid: str = "", app: str = "web") -> None:
        """Let a pod be so."""
        self.caches.pods.put(
            pod(name, ready=ready, restarts=restarts, uid=uid, labels={"app": app}, version=self.version())
        )

    def gone(self, name: str) -> None:
        """Let a pod be gone."""
        self.caches.pods.drop(pod(name))

    def version(self) -> str:
        """Give the next resourceVersion."""
        self.versions += 1
        return str(self.versions)
