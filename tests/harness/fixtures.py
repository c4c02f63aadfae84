"""The real parts as pytest fixtures: a cluster and a PostgreSQL server a run, the rest a test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness import alertmanager as alertmanagers
from tests.harness import cluster as clusters
from tests.harness import network
from tests.harness import product_image as product_images
from tests.harness import prometheus as prometheuses
from tests.harness.alertmanager import Alertmanager
from tests.harness.cluster import RealCluster
from tests.harness.daemon import TOKEN
from tests.harness.faults import Faults
from tests.harness.postgres import Postgres
from tests.harness.prometheus import Prometheus
from tests.harness.tally import note


class StartAlertmanager(Protocol):
    """Starts Alertmanagers that send to a webhook with a bearer token; they end with the test."""

    def __call__(self, webhook: str, *, token: str = TOKEN, replicas: int = 1) -> Alertmanager:
        """Start and return them when all are ready."""


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """Return the run's cluster: the one of KINTSUGI_TEST_KUBECONFIG, else one of our own.

    A node of ours may be silent for as long as any: a story that takes the API server away is not about nodes.
    """
    reason = clusters.obstacle()
    if reason:
        pytest.skip(reason)
    lent = os.environ.get(clusters.KUBECONFIG)
    found = RealCluster.existing(Path(lent)) if lent else RealCluster.start()
    if found.ours:
        note(request.config, f"Ready {found.machine.start_seconds:.1f} s after its start")
    yield found
    found.stop()


@pytest.fixture(scope="session")
def product_image(cluster: RealCluster) -> str:
    """Return the name of the product's own image, built from the tree as it is and known to the run's cluster.

    On a lent cluster its owner has loaded the archive of `python -m tests.harness.product_image`.
    """
    if cluster.ours:
        reason = product_images.obstacle()
        if reason:
            pytest.skip(reason)
        cluster.load_archive(product_images.archive())
    return product_images.NAME


@pytest.fixture
def own_cluster(cluster: RealCluster) -> RealCluster:
    """Return the run's cluster where its components may be stopped and its audit log read."""
    if not cluster.ours:
        pytest.skip(f"{clusters.KUBECONFIG} names a lent cluster, whose components are left alone")
    return cluster


@pytest.fixture
def namespace(cluster: RealCluster) -> Iterator[str]:
    """Return the name of a fresh namespace whose default service account is ready."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def faults(cluster: RealCluster) -> Faults:
    """Return the ways to break what runs in the cluster."""
    return Faults(cluster)


@pytest.fixture
def alertmanager() -> Iterator[StartAlertmanager]:
    """Return what starts real Alertmanagers."""
    reason = alertmanagers.obstacle()
    if reason:
        pytest.skip(reason)
    with ExitStack() as stack:

        def start(webhook: str, *, token: str = TOKEN, replicas: int = 1) -> Alertmanager:
            folder = stack.enter_context(scratch("alertmanager-"))
            token_file = folder / "token"
            token_file.write_text(token)
            started = Alertmanager(folder=folder, webhook=webhook, token_file=token_file, replicas=replicas)
            stack.callback(started.stop)
            started.start()
            return started

        yield start


@pytest.fixture(scope="session")
def prometheus() -> Iterator[Prometheus]:
    """Return the run's Prometheus, which scrapes itself."""
    reason = prometheuses.obstacle()
    if reason:
        pytest.skip(reason)
    with scratch("prometheus-") as folder:
        server = Prometheus(folder=folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Return the run's PostgreSQL server. A test that stops or freezes it must bring it back."""
    with scratch("postgres-") as folder:
        server = Postgres.prepare(folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[str]:
    """Return the URL of an empty database of this test's own, `postgresql://…`."""
    dsn = postgres_server.create_database()
    yield dsn
    postgres_server.drop_database(dsn)


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """Have a folder that other users can enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=network.run_folder()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
