"""The stage of the stories: namespace `production` with the web service in it, and the daemon as a process."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from tests.harness import manifests, tiers
from tests.harness import stack as stacks
from tests.harness.api import ApiError
from tests.harness.cluster import RealCluster
from tests.harness.coredns import CoreDns
from tests.harness.daemon import DaemonProcess, kubeconfig
from tests.harness.notices import NoticeReceiver, receiver
from tests.harness.second_node import SecondNode
from tests.harness.stack import ServiceStack
from tests.harness.stack_manifests import INGRESS
from tests.harness.waiting import wait_for

NAMESPACE = "production"
PAUSED = "kintsugi.dev/paused"
# In this order: what makes others goes first.
KINDS = (
    "hpa",
    "cronjob",
    "job",
    "deployment",
    "statefulset",
    "replicaset",
    "pod",
    "service",
    "ingress",
    "persistentvolumeclaim",
    "pdb",
    "quota",
)

# Durations are scaled and a cluster is not: after a rollback its pods have five times this, scaled, to be replaced.
TIME_FOR_PODS = {"KINTSUGI_WATCHDOG__VERIFY": "10m"}
# The same of what depends on an upstream: it is ready some real seconds after that, and its alert clears when a test says so.
TIME_FOR_DEPENDENTS = {"KINTSUGI_GUARDS__SERVING_FOR": "10m", "KINTSUGI_WATCHDOG__ALERT_LAG": "1h"}

# What ends a run's waits is left nearly as it is in the shipped files, but where a story is about such an end.
PATIENT = 10.0
HASTY = 1.0

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def production(cluster: RealCluster) -> Iterator[str]:
    """Return the namespace of the shipped rules, empty before and after the test."""
    present = {each["metadata"]["name"] for each in cluster.list("namespace")}
    if NAMESPACE not in present:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    clear(cluster)
    yield NAMESPACE
    clear(cluster)


@pytest.fixture
def notices() -> Iterator[NoticeReceiver]:
    """Return who is called."""
    with receiver() as made:
        yield made


@pytest.fixture
def second(own_cluster: RealCluster, production: str) -> Iterator[SecondNode]:
    """Have a second node."""
    with own_cluster.second_node() as node:
        yield node


@pytest.fixture(scope="module")
def names(cluster: RealCluster) -> Iterator[None]:
    """Let pods of the cluster look the names of Services up; those of a lent one can."""
    if not cluster.ours:
        yield
        return
    server = CoreDns(cluster)
    server.start()
    yield
    server.stop()


@pytest.fixture
def stack(request: pytest.FixtureRequest, own_cluster: RealCluster, production: str) -> Iterator[ServiceStack]:
    """Return the services of the shipped rules (those of the parameter, else all), up, in their namespaces; they go with the test."""
    wanted = getattr(request, "param", tuple(tiers.Tier))
    reason = tiers.obstacle(wanted)
    if reason:
        pytest.skip(reason)
    try:
        yield stacks.stack(own_cluster, production, wanted)
    finally:
        clear(own_cluster, INGRESS)


def clear(cluster: RealCluster, namespace: str = NAMESPACE) -> None:
    """Take everything out of a namespace, and wait until it is gone."""
    for kind in KINDS:
        for each in cluster.list(kind, namespace):
            remove(cluster, kind, each["metadata"]["name"], namespace)
    for each in cluster.list("persistentvolume"):
        remove(cluster, "persistentvolume", each["metadata"]["name"])
    cluster.api.patch("namespace", namespace, {"metadata": {"annotations": {PAUSED: None}}})
    wait_for(
        lambda: not cluster.list("pod", namespace) and not cluster.list("persistentvolumeclaim", namespace),
        within=60,
        describe=lambda: [each["metadata"]["name"] for each in cluster.list("pod", namespace)],
    )


def remove(cluster: RealCluster, kind: str, name: str, namespace: str | None = None) -> None:
    """Delete an object that may be gone by now."""
    try:
        cluster.api.delete(kind, name, namespace, grace=1)
    except ApiError as error:
        if error.status != 404:
            raise


@pytest.fixture
def web(cluster: RealCluster, production: str) -> str:
    """Deploy the web service and the API that it depends on, ready behind a routed address, which is returned."""
    cluster.apply(*manifests.tier(production, "api"), *manifests.web_stack(production))
    for name in ("web-app-deployment", "api-deployment"):
        cluster.kubectl("rollout", "status", f"deployment/{name}", "-n", production, "--timeout=60s")
    return cluster.load_balancer_address("web-app-service", production)


@pytest.fixture
def two(cluster: RealCluster, web: str, production: str) -> str:
    """Run the web service with two pods only, and return its address."""
    cluster.kubectl("scale", "deployment/web-app-deployment", "--replicas=2", "-n", production)
    return web


@pytest.fixture
async def actions(cluster: RealCluster) -> AsyncIterator[Actions]:
    """Yield the actions as the administrator."""
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as kube:
        yield Actions(kube, Clients.restricted_to(AddressRule()))


@pytest.fixture
def daemon(cluster: RealCluster, tmp_path: Path) -> Iterator[StartDaemon]:
    """Return what starts a daemon on the cluster, synced; all of them are stopped at the end of the test."""
    started: list[DaemonProcess] = []

    def start(**settings: object) -> DaemonProcess:
        settings.setdefault("kubeconfig", kubeconfig(cluster, "default"))
        settings.setdefault("deadlines", PATIENT)
        made = DaemonProcess(folder=tmp_path / f"daemon-{len(started)}", **settings)  # type: ignore[arg-type]
        started.append(made)
        return made.start().wait_ready()

    yield start
    for each in started:
        each.stop()
        if each.process is not None and each.process.returncode not in (0, -9):
            print(each.tail())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all of this folder `cluster`: some need no cluster, and yet root, or what is installed and built for one."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.cluster)
