"""
The first part of the demonstration: a web service with three faults, and the API that it depends on with one.
"""

from pathlib import Path

from kintsugi.cli.demo.pager import DemoAlertmanager
from kintsugi.cli.demo.part import DemoPart
from kintsugi.cli.demo.scene import DemoScene
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.shop import API, CRASHING, MISSING, NAMESPACE, WEB, WEB_LABELS, shop
from kintsugi.cli.demo.stage import DemoStage, wait_until
from kintsugi.model.causes import CauseKind
from kintsugi.model.records import IncidentState
from kubeobjects import resources
from kubesim import EmbeddedCluster

SERVICE, API_SERVICE = "web-service", "api-service"
WANTED = 3
"""Ready pods below which the demonstration's Alertmanager fires."""


async def furnish(cluster: EmbeddedCluster, _: Path) -> None:
    """Put the shop up."""
    for manifest in shop():
        cluster.apply(manifest)


async def crash_one(stage: DemoStage) -> None:
    """Let one pod crash again and again."""
    stage.cluster.faults.crash_loop(pods(stage.cluster)[0])


async def shrink_and_hang(stage: DemoStage) -> None:
    """Leave two copies, as a person might at night, and let one of them hang; Alertmanager wants three."""
    change(stage.cluster, {"replicas": 2})
    await wait_until(lambda: len(pods(stage.cluster)) == 2 and stage.ready(SERVICE) == 2, "two pods to be left")
    stage.cluster.faults.make_unready(pods(stage.cluster)[0])
    await wait_until(lambda: stage.ready(SERVICE) == 1, "the pod that hangs to be unready")
    labels = {"alertname": "KubeDeploymentReplicasMismatch", "namespace": NAMESPACE, "deployment": WEB}
    pager = DemoAlertmanager(stage.url, {**labels, "severity": "warning"}, lambda: stage.ready(SERVICE) < WANTED)
    stage.life.spawn_once("pager", pager.run())


async def roll_out_badly(stage: DemoStage) -> None:
    """Roll out a version that crashes as soon as it starts."""
    roll_out(stage.cluster, WEB, CRASHING)


async def roll_out_missing_image(stage: DemoStage) -> None:
    """Roll out an image that no registry has; the old pods go on serving."""
    roll_out(stage.cluster, API, MISSING)


async def check_cause_found(stage: DemoStage) -> str:
    """Return the problem when the cause of the undone change was not found; "" for none."""
    incidents = await stage.core.ledger.incidents.newest(service=API_SERVICE, limit=1)
    kept = await stage.core.ledger.diagnoses.of_incident(incidents[0].id) if incidents else ()
    found = {cause.kind for each in kept for cause in each.diagnosis.causes}
    return "" if CauseKind.IMAGE_PULL in found else "the cause was not found"


PART = DemoPart(
    name="web",
    place="web",
    about="a cluster with the shop in it",
    services=(API_SERVICE, SERVICE),
    speed=10,
    factor=0.01,  # thirty minutes become eighteen seconds
    furnish=furnish,
    scenes=(
        DemoScene(
            name=SceneName.CRASH_LOOP,
            title="One pod crash-loops",
            rule="web-service-pods-unhealthy",
            waits="the run to recover web-service",
            break_it=crash_one,
            service=SERVICE,
            end=IncidentState.RECOVERED,
        ),
        DemoScene(
            name=SceneName.TOO_FEW_READY,
            title="Too few pods are ready",
            rule="web-service-alerts",
            waits="the run to recover web-service",
            break_it=shrink_and_hang,
            service=SERVICE,
            end=IncidentState.RECOVERED,
        ),
        DemoScene(
            name=SceneName.MISSING_IMAGE,
            title="An image that does not exist is rolled out",
            rule="api-service-rollout-stuck",
            waits="the cause, and the undo of the rollout",
            break_it=roll_out_missing_image,
            service=API_SERVICE,
            end=IncidentState.RECOVERED,
            check=check_cause_found,
        ),
        DemoScene(
            name=SceneName.BAD_ROLLOUT,
            title="A bad version is rolled out",
            rule="web-service-pods-unhealthy",
            waits="the runbook's steps, its watchdog (30m in the runbook), and the rollback",
            break_it=roll_out_badly,
            service=SERVICE,
            end=IncidentState.ROLLED_BACK,
        ),
    ),
)


def roll_out(cluster: EmbeddedCluster, name: str, image: str) -> None:
    """Roll out an image of a Deployment, as a person does."""
    found = cluster.get(resources.DEPLOYMENTS, name, NAMESPACE)
    assert found is not None, name
    container = {**found["spec"]["template"]["spec"]["containers"][0], "image": image}
    change(cluster, {"template": {"spec": {"containers": [container]}}}, name)


def change(cluster: EmbeddedCluster, spec: dict[str, object], name: str = WEB) -> None:
    """Change a Deployment, as a person does."""
    metadata = {"name": name, "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def pods(cluster: EmbeddedCluster) -> list[str]:
    """Return the uids of the web pods that are not on their way out, the oldest name first."""
    found = cluster.find(resources.PODS, NAMESPACE, WEB_LABELS)
    return sorted(each["metadata"]["uid"] for each in found if not each["metadata"].get("deletionTimestamp"))
