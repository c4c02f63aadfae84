"""What is wrong with a workload: read from the embedded cluster, and said by a real daemon wherever a person hears of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.actions.workload_reads import Diagnoser, ServiceFacts
from kintsugi.errors import NotRecorded
from kintsugi.kube.client import KubeClient
from kintsugi.model.records import Target
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import WEB, WEB_LABELS, service, workload
from kubediagnosis.causes import Cause, CauseKind, Diagnosis
from kubeobjects.resources import CONFIGMAPS, DEPLOYMENTS, EVENTS, NODES, PODS, REPLICASETS
from kubesim import EmbeddedCluster
from kubesim.apiserver.rights import Rule
from kubesim.images import GOOD
from tests.harness.notices import receiver
from tests.harness.waiting import eventually
from tests.integration.asked_story import AskedStory
from tests.integration.crash_story import roll_out
from tests.integration.process_stage import NAMESPACE, PYTHON, ProcessStage, config_map

pytestmark = pytest.mark.long

LABELS = {"app": "front"}
SERVES = "import time; time.sleep(3600)"


def deployment(image: str, *, replicas: int = 2, **container: Any) -> dict[str, Any]:
    """Describe a Deployment of pods with one container."""
    pod = {"containers": [{"name": "web", "image": image, **container}]}
    return workload("Deployment", "front", LABELS, pod, replicas=replicas)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ProcessStage]:
    """Yield a cluster with images that serve, and one that runs Python."""
    async with ProcessStage.set(tmp_path, {"web:good": GOOD, "python:3": PYTHON}) as stage:
        yield stage


def ready(stage: ProcessStage) -> int:
    """Return how many pods are ready."""
    found = stage.cluster.get(DEPLOYMENTS, "front", NAMESPACE)
    return int((found or {}).get("status", {}).get("readyReplicas") or 0)


def is_ready(pod: Any) -> bool:
    """Return whether a pod is ready."""
    return all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}]))


async def diagnosed(kube: KubeClient, kind: str = "deployment") -> Diagnosis:
    """Return the diagnosis of the Deployment."""
    diagnoser = Diagnoser(kube=kube, clock=lambda: datetime.now(UTC))
    return await diagnoser.diagnose(Target(kind=kind, namespace=NAMESPACE, name="front"))


async def cause(stage: ProcessStage, kind: CauseKind, of: str = "deployment") -> Cause:
    """Wait until the first cause is of a kind, and return it."""
    seen: list[Diagnosis] = []

    async def first() -> bool:
        seen.append(await diagnosed(stage.kube, of))
        return bool(seen[-1].causes) and seen[-1].causes[0].kind is kind

    await eventually_async(first, lambda: f"{seen[-1:]}")
    return seen[-1].causes[0]


async def eventually_async(condition: Callable[[], Any], describe: Callable[[], str]) -> None:
    """Wait for something that is asked of the API."""
    await eventually(condition, within=15, describe=describe, every=0.1)


async def test_a_workload_that_is_well_has_no_cause(stage: ProcessStage) -> None:
    stage.cluster.apply(deployment("web:good"))
    await stage.until(lambda: ready(stage) == 2)
    found = await diagnosed(stage.kube)
    assert (found.causes, found.unknown) == ((), ())
    assert found.summary == "deployment/front: no problem was found: 2 of 2 pods are ready"


async def test_a_template_of_a_statefulset_is_known_by_its_revision(stage: ProcessStage) -> None:
    """Its pods are labelled with the revision's name, and not with the hash of a template."""

    def stateful(image: str) -> dict[str, Any]:
        made = deployment(image)
        return {**made, "kind": "StatefulSet", "spec": {**made["spec"], "serviceName": "front"}}

    stage.cluster.apply(stateful("web:good"))
    await stage.until(lambda: len([each for each in stage.cluster.find(PODS, NAMESPACE) if is_ready(each)]) == 2)
    stage.cluster.apply(stateful("web:bad"))
    found = await cause(stage, CauseKind.CONTAINER_EXIT, "sts")
    assert (found.object, found.field) == ("statefulset/front", "containers[web].image")


async def test_a_key_that_is_gone_is_the_configmap_s_and_a_name_that_never_was_the_template_s(
    stage: ProcessStage,
) -> None:
    def with_key(name: str) -> dict[str, Any]:
        reference = {"configMapKeyRef": {"name": name, "key": "currency"}}
        return deployment(
            "python:3", replicas=1, args=["-c", SERVES], env=[{"name": "CURRENCY", "valueFrom": reference}]
        )

    stage.cluster.apply(config_map("settings", currency="EUR"))
    stage.cluster.apply(with_key("settings"))
    await stage.until(lambda: ready(stage) == 1)
    created = datetime.fromisoformat(stage.cluster.find(REPLICASETS, NAMESPACE)[0]["metadata"]["creationTimestamp"])
    await stage.until(lambda: datetime.now(UTC) - created > timedelta(seconds=1))
    stage.cluster.apply(with_key("setings"))
    found = await cause(stage, CauseKind.MISSING_CONFIGURATION)
    assert (found.object, found.field) == ("deployment/front", "containers[web].env[CURRENCY]")
    stage.cluster.apply(with_key("settings"))
    stage.cluster.delete(CONFIGMAPS, "settings", NAMESPACE)
    (pod,) = [each for each in stage.cluster.find(PODS, NAMESPACE) if not stage.waiting(each["metadata"]["name"])]
    stage.cluster.delete(PODS, pod["metadata"]["name"], NAMESPACE)

    async def lost() -> bool:
        causes = (await diagnosed(stage.kube)).causes
        return bool(causes) and (causes[0].object, causes[0].field) == ("configmap/settings", "")

    await eventually_async(lost, lambda: f"{stage.cluster.find(PODS, NAMESPACE)}")


async def test_a_cordoned_node_is_the_cause_where_the_template_is_the_good_one(stage: ProcessStage) -> None:
    stage.cluster.apply(deployment("web:good"))
    await stage.until(lambda: ready(stage) == 2)
    (node,) = stage.cluster.find(NODES)
    stage.cluster.apply({**node, "spec": {**node.get("spec", {}), "unschedulable": True}})
    pod = stage.cluster.find(PODS, NAMESPACE)[0]["metadata"]["name"]
    stage.cluster.delete(PODS, pod, NAMESPACE)
    found = await cause(stage, CauseKind.NODE)
    assert (found.object, found.field) == (f"node/{node['metadata']['name']}", "spec.unschedulable")


async def test_a_right_that_is_missing_is_not_known_and_no_error(tmp_path: Path) -> None:
    async with EmbeddedCluster.start(speed=10, images={"web:good": GOOD}) as cluster:
        reference = {"secretKeyRef": {"name": "token", "key": "token"}}
        cluster.apply(deployment("web:good", env=[{"name": "TOKEN", "valueFrom": reference}]))
        few = (Rule(verbs=("get", "list"), resources=("deployments", "replicasets", "pods")),)
        path = cluster.kubeconfig(tmp_path / "kubeconfig", "few", few)
        async with KubeClient.connect(KubeSettings(kubeconfig=path)) as kube:
            found = await diagnosed(kube)
    assert any(each.startswith("secrets of production: no right") for each in found.unknown), found.unknown
    assert any(each.startswith("Events: ") for each in found.unknown), found.unknown


async def test_a_workload_that_is_to_be_gone_is_read_with_what_holds_it(stage: ProcessStage) -> None:
    held = deployment("web:good")
    stage.cluster.apply({**held, "metadata": {**held["metadata"], "finalizers": ["parcels.test/hold"]}})
    stage.cluster.delete(DEPLOYMENTS, "front", NAMESPACE)
    diagnoser = Diagnoser(kube=stage.kube, clock=lambda: datetime.now(UTC))
    found = await diagnoser.facts(Target(kind="deployment", namespace=NAMESPACE, name="front"))
    assert (found.deleted is not None, found.finalizers) == (True, ("parcels.test/hold",))


async def test_another_object_than_a_workload_is_refused(stage: ProcessStage) -> None:
    with pytest.raises(NotRecorded, match="deployment, statefulset, daemonset"):
        await diagnosed(stage.kube, "service")
    with pytest.raises(NotRecorded, match="there is no deployment/front in production"):
        await diagnosed(stage.kube)


def named(name: str, *, replicas: int = 2) -> dict[str, Any]:
    """Describe a Deployment of another name."""
    made, labels = deployment("web:good", replicas=replicas), {"app": name}
    template = {**made["spec"]["template"], "metadata": {"labels": labels}}
    spec = {**made["spec"], "selector": {"matchLabels": labels}, "template": template}
    return {**made, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@pytest.mark.parametrize("name", ["back", f"back.{NAMESPACE}.svc.cluster.local"])
async def test_a_service_that_a_variable_names_is_read_as_an_upstream_that_is_guessed(
    stage: ProcessStage, name: str
) -> None:
    exposed = {f"back.{NAMESPACE}": Target(kind="Deployment", namespace=NAMESPACE, name="back")}
    made = deployment("web:good", env=[{"name": "BACK_URL", "value": f"http://{name}:80"}])
    stage.cluster.apply(made)
    stage.cluster.apply(named("back", replicas=0))
    await stage.until(lambda: ready(stage) == 2)
    clock, declared = (lambda: datetime.now(UTC)), ServiceFacts(service="front", exposed=exposed)
    diagnoser = Diagnoser(kube=stage.kube, clock=clock, declared=lambda _: declared)
    front = Target(kind="deployment", namespace=NAMESPACE, name="front")
    assert (await diagnoser.facts(front, upstreams=False)).upstreams == ()
    facts = await diagnoser.facts(front)
    assert [(each.reference, each.is_guessed) for each in facts.upstreams] == [("deployment/back", True)]


async def test_a_chain_of_upstreams_is_read_to_its_end_and_each_of_them_once(stage: ProcessStage) -> None:
    """Also where it leads back: front needs middle, middle needs back and front."""
    needs = {"front": ("middle",), "middle": ("back", "front"), "back": ()}
    asked: list[str] = []

    def declared(target: Target) -> ServiceFacts:
        asked.append(target.name)
        upstreams = (Target(kind="Deployment", namespace=NAMESPACE, name=name) for name in needs[target.name])
        return ServiceFacts(service=target.name, upstreams=tuple(upstreams))

    async def diagnosed_once() -> Diagnosis:
        asked.clear()
        diagnoser = Diagnoser(kube=stage.kube, clock=lambda: datetime.now(UTC), declared=declared)
        return await diagnoser.diagnose(Target(kind="deployment", namespace=NAMESPACE, name="front"))

    stage.cluster.apply(named("front"))
    stage.cluster.apply(named("middle"))
    stage.cluster.apply(named("back"))
    await stage.until(lambda: ready(stage) == 2)

    async def is_well() -> bool:
        return (await diagnosed_once()).causes == ()

    await eventually_async(is_well, lambda: f"{stage.cluster.find(PODS, NAMESPACE)}")
    stage.cluster.apply(named("back", replicas=0))
    seen: list[Diagnosis] = []

    async def is_named() -> bool:
        seen.append(await diagnosed_once())
        return [(each.kind, each.object, each.field) for each in seen[-1].causes] == [
            (CauseKind.UPSTREAM, "deployment/back", "spec.replicas")
        ]

    await eventually_async(is_named, lambda: f"{seen[-1:]}")
    assert asked == ["front", "middle", "back"]


async def test_a_service_that_leads_to_pods_of_others_is_found_by_those(stage: ProcessStage) -> None:
    stage.cluster.apply(deployment("web:good"))
    stage.cluster.apply(named("other"))
    await stage.until(lambda: ready(stage) == 2)
    both = {"part-of": "shop"}
    for name, labels in (("front", LABELS), ("other", {"app": "other"})):
        changed = named(name)
        changed["spec"]["template"]["metadata"] = {"labels": {**labels, **both}}
        stage.cluster.apply(changed)
        stage.cluster.apply(service(name, 80, selector=both if name == "front" else labels, target=8080))
    found = await cause(stage, CauseKind.SERVICE_ROUTING)
    assert (found.object, found.field) == ("service/front", "spec.selector")


GONE = "shop/web:gone"
LOOK = f"    - {{id: look, run: kubectl get deployment {WEB} -n {NAMESPACE}, expect: 'false', onFailure: escalate}}"
PULLS = f"container web cannot pull image {GONE}"


async def test_a_hand_over_says_first_what_is_wrong(tmp_path: Path) -> None:
    with receiver() as notices:
        async with AskedStory.told(tmp_path, LOOK, **notices.environment) as story:

            def backs_off() -> bool:
                pods = story.cluster.find(PODS, NAMESPACE, WEB_LABELS)
                states = [each["state"] for pod in pods for each in pod["status"].get("containerStatuses", [])]
                return any(each.get("waiting", {}).get("reason") == "ImagePullBackOff" for each in states)

            def called() -> list[dict[str, Any]]:
                return [each for each in notices.taken if each["kind"] == "needs-operator"]

            def told() -> list[str]:
                events = story.cluster.find(EVENTS, NAMESPACE)
                return [each["message"] for each in events if each["reason"] == "KintsugiDiagnosed"]

            await story.live()
            roll_out(story, GONE)
            await story.holds(backs_off)
            await story.fires()
            await story.holds(called)
            notice = called()[0]
            first, second, *_ = notice["text"].splitlines()
            assert first.endswith(f": needs-operator: ImagePull (certain): deployment/{WEB} containers[web].image")
            assert second.startswith(f"problem: deployment/{WEB}: {PULLS}")
            diagnoses = story.incident()["diagnoses"]
            assert [each["occasion"] for each in diagnoses] == ["opened", "hand-over"]
            for each in diagnoses:
                cause = each["diagnosis"]["causes"][0]
                assert (cause["kind"], cause["object"], cause["field"]) == (
                    "ImagePull",
                    f"deployment/{WEB}",
                    "containers[web].image",
                )
            ended = await asyncio.to_thread(story.daemon.command, "diagnose", f"deployment/{WEB}", "-n", NAMESPACE)
            assert ended.code == 1
            assert f"{PULLS}: the registry does not have it" in ended.out.splitlines()[0]
            assert f'failed to pull and unpack image "{GONE}": not found' in ended.out.splitlines()[0]
            ended = await asyncio.to_thread(story.daemon.command, "incident", notice["incident"])
            assert ended.out.splitlines()[1].startswith(f"Cause: ImagePull (certain): deployment/{WEB}"), ended
            await story.holds(lambda: len(told()) == 2)
            assert all("ImagePull (certain)" in each for each in told())
