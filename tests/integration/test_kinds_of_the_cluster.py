"""Steps read objects of kinds that are not built in: the daemon takes them from the API server's discovery, `init` for a file."""

import asyncio
from pathlib import Path

import pytest

from kintsugi.actions.api_objects import by_name, listed
from kintsugi.app.daemon import learn_kinds
from kintsugi.errors import Forbidden
from kintsugi.kube.client import KubeClient
from kintsugi.model.command import ObjectName
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE
from kubeobjects import discovery
from kubesim import EmbeddedCluster
from kubesim.apiserver.api_faults import Fault, FaultKind
from kubesim.storage.kinds import CERTIFICATES
from tests.harness.daemon import command
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged

pytestmark = pytest.mark.long

CERTIFICATE: Json = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "web", "namespace": NAMESPACE},
    "spec": {"secretName": "web-tls"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
RUNBOOK = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: certificates}
spec:
  title: Look at the certificates
  steps:
    - id: all
      run: kubectl get certificates
      expect: items.all(each, each.spec.secretName == "web-tls") && size(items) == 1
    - {id: ready, run: kubectl wait cert/web --for=condition=Ready}
    - {id: described, run: "kubectl describe certificates.cert-manager.io web", expect: 'text.contains("web-tls")'}
    - {id: each, forEach: steps.all.items, run: "kubectl get ${each}"}
    - {id: guards, run: kubectl get validatingwebhookconfigurations, expect: size(items) == 0}
"""


async def test_a_runbook_reads_objects_of_a_custom_resource_definition(tmp_path: Path) -> None:
    async with staged(tmp_path, documents=RUNBOOK) as stage:
        stage.cluster.apply(CERTIFICATE)
        begun = await stage.begun("certificates", service="web")
        ended = await stage.ended(begun["incident"])
        states = {each["path"]: each["state"] for each in ended["runs"][0]["steps"]}
        assert set(states) >= {"all", "ready", "described", "guards"}, states
        assert set(states.values()) == {"done"}, ended


async def test_a_catalog_that_comes_to_name_a_kind_is_taken_by_a_daemon_that_could_not_read_it_before(
    tmp_path: Path,
) -> None:
    """The kinds are read anew before changed files; `validate`, which sees no cluster, takes them from the file of `init`."""
    async with staged(tmp_path) as stage:
        catalog = tmp_path / "catalog"
        added = tmp_path / "added.yaml"
        added.write_text(RUNBOOK)
        before = discoveries(stage)
        added.replace(catalog / "added.yaml")
        wish = {"why": "a test", "service": "web"}
        await eventually(
            lambda: stage.daemon.post("/api/v1/runbooks/certificates/recover", wish)[0] == 200,
            within=TIMEOUT,
            describe=stage.daemon.tail,
        )
        assert discoveries(stage) == before + 1

        file, made = catalog / "added.yaml", tmp_path / "made"
        alone = await asyncio.to_thread(command, "validate", "--alone", file)
        assert (alone.code, "`kintsugi init` writes the types of the cluster" in alone.out) == (1, True), alone
        kubeconfig = tmp_path / "kubeconfig"
        wrote = await asyncio.to_thread(command, "init", made, "--kubeconfig", kubeconfig, "-n", NAMESPACE)
        assert f"{made}/kinds.yaml: the types of the cluster" in wrote.err, wrote
        known = await asyncio.to_thread(command, "validate", "--alone", file, made / "kinds.yaml")
        assert known.code == 0, known


async def test_what_was_known_of_the_types_stays_when_the_api_server_does_not_list_them(tmp_path: Path) -> None:
    async with EmbeddedCluster.start() as cluster:
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"))
        discovery.forget()
        for path in ("", "/api", "/apis"):
            if path:
                cluster.api_faults.order(Fault(kind=FaultKind.ERROR, path=path))
            await learn_kinds(settings)
            found = discovery.find_any("cert")
            assert found is not None
            assert found.qualified == "certificates.cert-manager.io"
        discovery.forget()


async def test_a_read_that_is_forbidden_says_how_the_right_is_granted(tmp_path: Path) -> None:
    async with EmbeddedCluster.start() as cluster:
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig", "reader", ()))
        granted = r"cannot {} .*; .*rbac.readKinds: \[certificates.cert-manager.io\] grants it"
        async with KubeClient.connect(settings) as kube:
            with pytest.raises(Forbidden, match=granted.format("list")):
                await listed(kube, CERTIFICATES, NAMESPACE, labels="")
            with pytest.raises(Forbidden, match=granted.format("get")):
                await by_name(kube, [ObjectName(resource=CERTIFICATES, name="web")], NAMESPACE)


def discoveries(stage: ManualStage) -> int:
    """Count how often all groups were asked for."""
    return [each.path for each in stage.cluster.requests].count("/apis")
