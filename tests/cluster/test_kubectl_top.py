"""`kubectl top` on a real metrics-server: our figures are those that the real kubectl prints, in the same units and order."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import ProbeFailed
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from tests.cluster.kubectl import attempt, kubectl
from tests.cluster.usage import PODS, MeasuredNamespace, Row, of_one_measurement, row
from tests.harness.cluster import KUBECONFIG, RealCluster
from tests.harness.parts import obstacle as missing_parts
from tests.harness.results import named

SOON = timedelta(seconds=20)
OF_PODS = ("NAME", "CPU(cores)", "MEMORY(bytes)")
OF_NODES = ("NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)")


@pytest.fixture
async def actions(cluster: RealCluster) -> AsyncIterator[Actions]:
    """Yield the actions as the administrator."""
    async with KubeClient.connect(KubeSettings(kubeconfig=cluster.kubeconfig)) as kube:
        yield Actions(kube, Clients.restricted_to(AddressRule()))


@pytest.fixture(scope="module")
def usage(measured: MeasuredNamespace | None, cluster: RealCluster) -> Iterator[str]:
    """Yield the namespace that is measured; the cluster has a metrics API meanwhile."""
    if measured is None:
        lent = f"{KUBECONFIG} names a lent cluster: its metrics API, if it has one, knows nothing of our pods yet"
        pytest.skip(missing_parts("metrics-server") or lent)
    measured.server.offer(namespace=measured.namespace, pods=PODS)
    yield measured.namespace
    measured.server.withdraw()


@pytest.mark.parametrize("line", ["kubectl top nodes", "kubectl top pods"])
async def test_without_a_metrics_api_both_say_so(own_cluster: RealCluster, actions: Actions, line: str) -> None:
    theirs = attempt(own_cluster, "default", line)

    assert (theirs.code, "Metrics API not available" in theirs.err) == (1, True), theirs
    with pytest.raises(ProbeFailed, match="metrics API is not available"):
        await actions.read(parse(line, namespace="default"), deadline=SOON)


@pytest.mark.parametrize(
    ("line", "columns"),
    [
        ("kubectl top nodes", OF_NODES),
        ("kubectl top node {node}", OF_NODES),
        ("kubectl top no -l kubernetes.io/os=linux", OF_NODES),
        ("kubectl top nodes --sort-by=cpu", OF_NODES),
        ("kubectl top nodes --sort-by=memory", OF_NODES),
        ("kubectl top pods", OF_PODS),
        ("kubectl top pod pair", OF_PODS),
        ("kubectl top po -l app=large", OF_PODS),
        ("kubectl top pods -l 'app in (small,pair),app!=pair'", OF_PODS),
        ("kubectl top pods -n {usage}", OF_PODS),
        ("kubectl top pods --sort-by=memory", OF_PODS),
        ("kubectl top pods -A", ("NAMESPACE", *OF_PODS)),
        ("kubectl top pods --all-namespaces -l app=small", ("NAMESPACE", *OF_PODS)),
    ],
)
async def test_usage_is_what_kubectl_prints_row_by_row(
    cluster: RealCluster, usage: str, actions: Actions, line: str, columns: Sequence[str]
) -> None:
    line = line.format(node=cluster.list("node")[0]["metadata"]["name"], usage=usage)

    async def ours() -> list[Row]:
        result = await actions.read(parse(line, namespace=usage), deadline=SOON)
        return [row(each, columns) for each in named(result)["items"]]

    told, printed = await of_one_measurement(cluster, ours, lambda: kubectl(cluster, usage, line))

    assert printed[0] == columns
    assert told == printed[1:]
    assert told


async def test_by_cpu_those_that_use_as_much_may_change_places(
    cluster: RealCluster, usage: str, actions: Actions
) -> None:
    """kubectl's order of them is chance; ours is by name. `--no-headers` changes nothing for us."""
    line = "kubectl top pods -A --sort-by=cpu --no-headers"
    columns = ("NAMESPACE", *OF_PODS)

    async def ours() -> list[Row]:
        result = await actions.read(parse(line, namespace=usage), deadline=SOON)
        return [row(each, columns) for each in named(result)["items"]]

    told, printed = await of_one_measurement(cluster, ours, lambda: kubectl(cluster, usage, line))

    assert sorted(told) == sorted(printed)
    assert [each[2] for each in told] == [each[2] for each in printed]


async def test_no_usage_is_made_up_for_a_pod_that_is_not_there(
    cluster: RealCluster, usage: str, actions: Actions
) -> None:
    """A name fails, a selector takes nothing: as with kubectl."""
    line = "kubectl top pod nobody"
    theirs = attempt(cluster, usage, line)
    assert (theirs.code, "not found" in theirs.err) == (1, True), theirs
    with pytest.raises(ProbeFailed, match="there are no metrics of pod/nobody"):
        await actions.read(parse(line, namespace=usage), deadline=SOON)

    line = "kubectl top pods -l app=nobody"
    theirs = attempt(cluster, usage, line)
    assert (theirs.code, theirs.out) == (0, ""), theirs
    assert (await actions.read(parse(line, namespace=usage), deadline=SOON)).names["items"] == []
