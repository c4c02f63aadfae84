"""Looks at the API server itself: whether it is well, in its own words, and which rights our identity has."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kubesim import EmbeddedCluster, Rule
from kubesim.apiserver.api_faults import Fault, FaultKind
from tests.harness.results import named


async def test_the_health_and_the_usage_are_read_as_they_are_answered_and_an_error_is_an_answer(tmp_path: Path) -> None:
    async with (
        EmbeddedCluster.start() as embedded,
        KubeClient.connect(KubeSettings(kubeconfig=embedded.kubeconfig(tmp_path / "kubeconfig"))) as kube,
    ):
        well = await read(kube, "kubectl get --raw '/readyz?verbose'")
        assert well == {"status": 200, "body": "ok"}
        version = await read(kube, "kubectl get --raw=/version")
        assert version["json"]["major"] == "1"
        usage = await read(kube, "kubectl get --raw /apis/metrics.k8s.io/v1beta1/namespaces/production/pods")
        assert usage["json"]["items"] == []
        embedded.api_faults.order(Fault(kind=FaultKind.ERROR, path="/readyz"))
        actions = Actions(kube, Clients.restricted_to(AddressRule()))
        unwell = await actions.read(parse("kubectl get --raw /readyz"), deadline=timedelta(seconds=10))
        assert (unwell.names["status"], unwell.failed) == (500, "/readyz: 500 Internal Server Error")


async def test_the_rights_of_a_namespace_are_listed_as_rules(tmp_path: Path) -> None:
    rules = (
        Rule(verbs=("get", "list"), resources=("pods",), groups=("",), names=("web-1",)),
        Rule(verbs=("delete",), resources=("pods",), groups=("",), namespaces=("ingress",)),
    )
    async with (
        EmbeddedCluster.start() as embedded,
        KubeClient.connect(
            KubeSettings(kubeconfig=embedded.kubeconfig(tmp_path / "kubeconfig", "reader", rules))
        ) as kube,
    ):
        found = await read(kube, "kubectl auth can-i --list")
        rule = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-1"]}
        assert found == {"rules": [{**rule, "nonResourceURLs": []}], "incomplete": False}


async def read(kube: KubeClient, line: str) -> dict[str, Any]:
    """Return the result of a command that succeeds."""
    actions = Actions(kube, Clients.restricted_to(AddressRule()))
    result = await actions.read(parse(line, namespace="production"), deadline=timedelta(seconds=10))
    assert not result.failed
    return named(result)
