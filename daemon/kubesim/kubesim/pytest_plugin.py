"""The pytest plugin of kubesim: the fixture `kubesim_cluster`, and the marker `kubesim` for its configuration."""

from collections.abc import Iterator

import pytest

from kubesim.background import BackgroundCluster, in_background

SPEED = 20.0
"""The default speed of a cluster, relative to Kubernetes; the marker may set another."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", "kubesim(speed=20, images=None, nodes=('node-1',)): what the fixture kubesim_cluster starts with"
    )


@pytest.fixture
def kubesim_cluster(request: pytest.FixtureRequest) -> Iterator[BackgroundCluster]:
    """Run a cluster for one test, synchronous or not: `url`, `kubeconfig`, `apply`, `get`, `find`, `until`."""
    marker = request.node.get_closest_marker("kubesim")
    with in_background(**{"speed": SPEED, **(marker.kwargs if marker is not None else {})}) as cluster:
        yield cluster
