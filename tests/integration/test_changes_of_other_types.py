"""
Objects of types that are not built in are labelled, annotated, patched and scaled on the embedded cluster, each change with its undo.

A real daemon does so only where its settings name the type.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus
from kintsugi.catalog.scaffold import kinds_document
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import decode, parse
from kintsugi.commands.kinds import allow_changes
from kintsugi.errors import Forbidden, KubeError, Refused
from kintsugi.kube.client import KubeClient, PatchKind
from kintsugi.kube.discovery import read_kinds
from kintsugi.model.command import Command, Patch, SetMetadata
from kintsugi.model.essentials import LEDGER, EssentialService
from kintsugi.model.records import Phase
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE
from kubeobjects import discovery
from kubeobjects.resources import Resource
from kubesim import EmbeddedCluster
from kubesim.storage.kinds import CERTIFICATES, ROLLOUTS
from tests.harness.daemon import command
from tests.integration.manual_stage import Json, staged
from tests.unit.actions.samples import change_context

KINDS = ("certificates.cert-manager.io", "rollouts.argoproj.io")
NAME = "web"
OBJECTS: tuple[Json, ...] = (
    {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "finalizers": ["example.com/held"]},
        "spec": {"secretName": "web-tls", "dnsNames": ["web.example.com"]},
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"tier": "front"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": []}}},
        "status": {"selector": "app=web"},
    },
)
SCALE = "kubectl scale rollout.argoproj.io web --replicas=4"


class Stage:
    """The cluster with its objects, and commands on them as the executor makes them."""

    def __init__(self, cluster: EmbeddedCluster, kube: KubeClient) -> None:
        self.cluster, self.kube = cluster, kube
        self.actions = Actions(kube, Clients.restricted_to(AddressRule()))

    def state(self, resource: Resource) -> Json:
        """Return the object of a kind, without what a server counts, and our own mark."""
        found = self.cluster.get(resource, NAME, NAMESPACE)
        assert found is not None
        metadata = {key: each for key, each in found["metadata"].items() if key in ("labels", "finalizers")}
        notes = found["metadata"].get("annotations", {})
        return {**found, "metadata": metadata, "notes": {k: v for k, v in notes.items() if k != "kintsugi.dev/run"}}

    async def plan(self, line: Command | str, **about: Any) -> EffectPlan:
        """Judge a change."""
        asked = parse(line, namespace=NAMESPACE) if isinstance(line, str) else line
        return await self.actions.plan_effect(asked, change_context(**{"namespace": NAMESPACE, **about}))


@asynccontextmanager
async def stage_of(folder: Path, *rights: Any) -> AsyncIterator[Stage]:
    async with EmbeddedCluster.start() as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for each in OBJECTS:
            cluster.apply(each)
        settings = KubeSettings(kubeconfig=cluster.kubeconfig(folder / "kubeconfig", *rights))
        discovery.forget()
        discovery.set_served(await read_kinds(KubeSettings(kubeconfig=cluster.kubeconfig(folder / "admin"))))
        async with KubeClient.connect(settings) as kube:
            yield Stage(cluster, kube)


@pytest.fixture(autouse=True)
def named() -> Iterator[None]:
    """Let both types be changed, and forget them again."""
    allow_changes(KINDS)
    yield
    allow_changes(())
    discovery.forget()


@pytest.mark.parametrize(
    ("line", "resource", "made"),
    [
        ("kubectl label certificate web tier=front", CERTIFICATES, {"metadata": {"labels": {"tier": "front"}}}),
        ("kubectl label rollout.argoproj.io web tier-", ROLLOUTS, {}),
        (
            "kubectl annotate certificate web cert-manager.io/renew=now",
            CERTIFICATES,
            {"notes": {"cert-manager.io/renew": "now"}},
        ),
        (
            """kubectl patch certificate web --type=merge -p '{"spec":{"dnsNames":null,"duration":"1h"}}'""",
            CERTIFICATES,
            {"spec": {"secretName": "web-tls", "duration": "1h"}},
        ),
        (
            """kubectl patch certificate web --type=json -p '[{"op":"add","path":"/spec/dnsNames/-","value":"b"}]'""",
            CERTIFICATES,
            {"spec": {"secretName": "web-tls", "dnsNames": ["web.example.com", "b"]}},
        ),
        (SCALE, ROLLOUTS, {"spec": {"replicas": 4, "template": {"spec": {"containers": []}}}}),
    ],
)
async def test_an_object_of_a_named_type_is_changed_as_it_was_shown_and_put_back(
    tmp_path: Path, line: str, resource: Resource, made: Json
) -> None:
    async with stage_of(tmp_path) as stage:
        before = stage.state(resource)
        plan = await stage.plan(line)
        assert stage.state(resource) == before, "a judgement changes nothing"
        assert await stage.actions.probe(plan) is EffectStatus.NOT_DONE
        await stage.actions.apply(plan)
        assert await stage.actions.probe(plan) is EffectStatus.DONE
        after = stage.state(resource)
        assert after != before
        assert {key: after[key] if key != "metadata" else {"labels": after[key]["labels"]} for key in made} == made
        for back in map(decode, plan.undo.commands):
            await stage.actions.apply(await stage.plan(back, phase=Phase.UNDO))
        assert stage.state(resource) == before


async def test_nothing_of_another_type_is_changed_where_it_is_in_doubt(tmp_path: Path) -> None:
    """Neither elsewhere than in the service's namespace, nor beside an essential, nor once its type is named no more."""
    database = EssentialService(namespace=NAMESPACE, service="ledger", labels=frozenset(), what=LEDGER)
    async with stage_of(tmp_path) as stage:
        label = parse("kubectl label certificate web a=b", namespace=NAMESPACE)
        plan = await stage.plan(label)
        assert isinstance(plan.command, SetMetadata)
        for about, why in (
            ({"namespace": "elsewhere"}, "changed only in the service's namespace"),
            ({"namespace": ""}, "changed only in the service's namespace"),
            ({"essentials": (database,)}, "may belong to the database of our own ledger"),
            ({"protected": frozenset({NAMESPACE})}, "it is protected"),
        ):
            with pytest.raises(Refused, match=why):
                await stage.plan(label, **about)
        operations = '[{"op":"remove","path":"/metadata/finalizers"}]'
        beyond = Patch(object=plan.command.objects[0], namespace=NAMESPACE, patch=operations, kind="json")
        with pytest.raises(Refused, match="/metadata/finalizers is not changed"):
            await stage.plan(beyond)
        allow_changes(KINDS[1:])
        for each in (label, *map(decode, plan.undo.commands)):
            with pytest.raises(Refused, match=r"not among the types that may be changed.*rbac\.changeKinds"):
                await stage.plan(each, phase=Phase.UNDO)


async def test_a_type_is_scaled_only_by_its_own_subresource_and_as_a_workload_is(tmp_path: Path) -> None:
    """E14 and B21 hold, too."""
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "maxReplicas": 9,
            "scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": NAME},
        },
    }
    async with stage_of(tmp_path) as stage:
        with pytest.raises(Refused, match=r"no scale subresource.*kubectl patch --type=merge"):
            await stage.plan("kubectl scale certificate web --replicas=2")
        for lower in (
            "kubectl scale rollout.argoproj.io web --replicas=1",
            """kubectl patch rollout.argoproj.io web --type=merge -p '{"spec":{"replicas":1}}'""",
        ):
            with pytest.raises(Refused, match="never lowers"):
                await stage.plan(lower)
        stage.cluster.apply(scaler)
        with pytest.raises(Refused, match="HorizontalPodAutoscaler web"):
            await stage.plan(SCALE)


async def test_a_right_that_is_missing_is_named_with_its_value(tmp_path: Path) -> None:
    async with stage_of(tmp_path, "changer", ()) as stage:
        with pytest.raises(Forbidden, match=r"rbac\.changeKinds: \[certificates\.cert-manager\.io\] grants it"):
            await stage.plan("kubectl label certificate web a=b")


async def test_the_embedded_cluster_refuses_a_strategic_merge_patch_of_a_defined_type(tmp_path: Path) -> None:
    """As the API server does: only types that are built into it have lists whose items have a key."""
    async with stage_of(tmp_path) as stage:
        with pytest.raises(KubeError, match="unknown format - accepted media types include: application/json-patch"):
            await stage.kube.patch(CERTIFICATES, NAME, NAMESPACE, {"spec": {}}, kind=PatchKind.STRATEGIC)


RUNBOOK = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: renewal}
spec:
  title: Renew the certificate
  rehearsal: true
  service: web
  rollback: {after: 1h}
  steps:
    - {id: marked, run: kubectl annotate certificate web cert-manager.io/renew=now}
    - {id: longer, run: "kubectl patch certificate web --type=merge -p '{\\"spec\\":{\\"duration\\":\\"1h\\"}}'"}
    - {id: more, run: kubectl scale rollout.argoproj.io/web --replicas=4, expect: item.spec.replicas == 4, within: 1m}
"""


@pytest.mark.long
async def test_a_rehearsal_changes_objects_of_the_types_that_the_settings_name_and_puts_them_back(
    tmp_path: Path,
) -> None:
    setting = {"KINTSUGI_GUARDS__CHANGE_KINDS": ",".join(KINDS)}
    async with staged(tmp_path, documents=RUNBOOK, **setting) as stage:
        for each in OBJECTS:
            stage.cluster.apply(each)
        begun = await stage.begun("renewal")
        ended = await stage.ended(begun["incident"])
        assert (ended["incident"]["kind"], ended["incident"]["state"]) == ("rehearsal", "passed"), ended
        steps = {each["path"]: each["state"] for each in ended["runs"][0]["steps"]}
        assert [steps.get(f"{each}#0") for each in ("marked", "longer", "more")] == ["done"] * 3, steps
        for resource, sent in zip((CERTIFICATES, ROLLOUTS), OBJECTS, strict=True):
            found = stage.cluster.get(resource, NAME, NAMESPACE)
            assert found is not None
            assert found["spec"] == sent["spec"], ended
            assert "cert-manager.io/renew" not in found["metadata"].get("annotations", {})


async def test_validate_takes_the_types_that_it_is_told(tmp_path: Path) -> None:
    runbook, kinds = tmp_path / "renewal.yaml", tmp_path / "kinds.yaml"
    runbook.write_text(RUNBOOK.replace("  rehearsal: true\n  service: web\n", ""))
    kinds.write_text(kinds_document((CERTIFICATES, ROLLOUTS)))
    check = ("validate", "--alone", runbook, kinds)
    refused = await asyncio.to_thread(command, *check)
    assert (refused.code, refused.out.count("is not among the types that may be changed")) == (1, 3), refused
    told = await asyncio.to_thread(command, *check, *(word for each in KINDS for word in ("--change-kind", each)))
    assert told.code == 0, told
