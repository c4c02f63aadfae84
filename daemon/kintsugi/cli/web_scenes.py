"""
The first part of the demonstration: a web service and three faults.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from kintsugi.cli.narration import Say
from kintsugi.cli.pager import Pager
from kintsugi.cli.stage import Scene, Stage, come, folder_of, watched
from kintsugi.model.records import IncidentState
from kintsugi.objects import resources
from kintsugi.rehearsal import EmbeddedCluster
from kintsugi.rehearsal.shop import CRASHING, NAMESPACE, WEB, WEB_LABELS, shop
from kintsugi.settings import CatalogSettings, HealthSettings, KubeSettings, LedgerSettings, ServerSettings, Settings

SERVICE = "web-service"
SPEED = 10.0
"""How much faster than Kubernetes the embedded cluster lives."""

FACTOR = 0.01
"""What every duration of the shipped files is multiplied by: thirty minutes become eighteen seconds."""

WANTED = 3
"""Ready pods below which the demonstration's Alertmanager fires."""


def set_stage(
    cluster: EmbeddedCluster, folder: Path, catalog: Path | None, say: Say
) -> AbstractAsyncContextManager[Stage]:
    """Put the shop up, and let the daemon watch it."""
    for manifest in shop():
        cluster.apply(manifest)
    kept = folder_of(folder, "web")
    settings = Settings(
        mode="auto",
        durations=FACTOR,
        kube=KubeSettings(kubeconfig=cluster.kubeconfig(kept / "kubeconfig")),
        ledger=LedgerSettings(url=f"sqlite:///{kept / 'ledger.db'}"),
        server=ServerSettings(host="127.0.0.1", port=0, insecure_no_token=True),
        health=HealthSettings(host="127.0.0.1", port=0),
        catalog=CatalogSettings(directory=catalog),
    )
    return watched(cluster, settings, SERVICE, say)


async def crash_one(stage: Stage) -> None:
    """Let one pod crash again and again."""
    stage.cluster.faults.crash_loop(pods(stage.cluster)[0])


async def shrink_and_hang(stage: Stage) -> None:
    """Leave two copies, as a person might at night, and let one of them hang; Alertmanager wants three."""
    change(stage.cluster, {"replicas": 2})
    await come(lambda: len(pods(stage.cluster)) == 2 and stage.ready == 2)
    stage.cluster.faults.make_unready(pods(stage.cluster)[0])
    await come(lambda: stage.ready == 1)
    labels = {"alertname": "KubeDeploymentReplicasMismatch", "namespace": NAMESPACE, "deployment": WEB}
    pager = Pager(stage.url, {**labels, "severity": "warning"}, lambda: stage.ready < WANTED)
    stage.life.spawn_once("pager", pager.run())


async def roll_out_badly(stage: Stage) -> None:
    """Roll out a version that crashes as soon as it starts."""
    found = stage.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
    assert found is not None, WEB
    container = {**found["spec"]["template"]["spec"]["containers"][0], "image": CRASHING}
    change(stage.cluster, {"template": {"spec": {"containers": [container]}}})


SCENES = (
    Scene(title="One pod crash-loops", break_it=crash_one, end=IncidentState.RECOVERED),
    Scene(title="Too few pods are ready", break_it=shrink_and_hang, end=IncidentState.RECOVERED),
    Scene(title="A bad version is rolled out", break_it=roll_out_badly, end=IncidentState.ROLLED_BACK),
)


def change(cluster: EmbeddedCluster, spec: dict[str, object]) -> None:
    """Change the web Deployment, as a person does."""
    metadata = {"name": WEB, "namespace": NAMESPACE}
    cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


def pods(cluster: EmbeddedCluster) -> list[str]:
    """Give the uids of the web pods that are not on their way out, the oldest name first."""
    found = cluster.find(resources.PODS, NAMESPACE, WEB_LABELS)
    return sorted(each["metadata"]["uid"] for each in found if not each["metadata"].get("deletionTimestamp"))
