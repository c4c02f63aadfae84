"""
The full story: five services that depend on each other. The database goes and takes its dependents with it; then all five break.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

from kintsugi.cli.demo.database_scene import administrator, take_orders
from kintsugi.cli.demo.pager import DemoAlertmanager
from kintsugi.cli.demo.part import DemoPart
from kintsugi.cli.demo.scene import DemoScene
from kintsugi.cli.demo.scenes import SceneName
from kintsugi.cli.demo.shop import NAMESPACE, WEB
from kintsugi.cli.demo.stack import INGRESS, INGRESS_SERVICE, foundations, stack_images, workloads
from kintsugi.cli.demo.stage import TIMEOUT, WHO, DemoStage, wait_until, with_retries
from kintsugi.cli.options import Manually
from kintsugi.cli.recover_command import request_of
from kintsugi.errors import Refused
from kintsugi.kube.steady_clock import wall_clock
from kintsugi.model.records import Incident, IncidentState, RunRecord
from kintsugi.model.services import STACK
from kintsugi.settings import Settings
from kubeobjects import resources
from kubesim import EmbeddedCluster
from kubesim.manifest import is_true

DATABASE, CACHE, API, WEB_NAME, INGRESS_NAME = CHAIN_AND_CACHE = (
    "database",
    "cache-service",
    "api-service",
    "web-service",
    "ingress-controller",
)
LABELS: Mapping[str, Mapping[str, str]] = {
    DATABASE: {"app": "database"},
    CACHE: {"app": "cache"},
    API: {"app": "api"},
    WEB_NAME: {"app": "web-app"},
    INGRESS_NAME: {"app.kubernetes.io/name": INGRESS_SERVICE},
}
PODS = 8
RUNBOOK, WHY = "full-stack-recovery", "five services are down"
ALERTS: Sequence[tuple[str, Mapping[str, str]]] = (
    (INGRESS_NAME, {"namespace": INGRESS, "deployment": INGRESS_SERVICE}),
    (WEB_NAME, {"namespace": NAMESPACE, "deployment": WEB}),
    (API, {"namespace": NAMESPACE, "deployment": "api-deployment"}),
    (DATABASE, {"namespace": NAMESPACE, "statefulset": "database"}),
)
"""The last of the chain is heard of first, the cause last."""


async def furnish(cluster: EmbeddedCluster, folder: Path) -> None:
    """Put the five services up, with orders in the database."""
    for manifest in foundations():
        cluster.apply(manifest)

    def address(service: str) -> str:
        found = cluster.get(resources.SERVICES, service, NAMESPACE)
        assert found is not None, service
        return str(found["spec"]["clusterIP"])

    for manifest in workloads(address):
        cluster.apply(manifest)

    def are_ready() -> bool:
        found = cluster.find(resources.PODS)
        return len(found) == PODS and all(is_true(pod, "Ready") for pod in found)

    await wait_until(are_ready, "the pods of the five services")
    async with administrator(cluster, folder) as kube:
        await take_orders(kube)


def adapt(settings: Settings) -> Settings:
    """Wait less long for what is scaled down the least: real programs; and hold for longer than a slow machine takes."""
    watchdog = replace(settings.watchdog, verify=timedelta(seconds=30))
    return replace(settings, watchdog=watchdog, guards=replace(settings.guards, hold_limit=timedelta(hours=1)))


async def lose_the_database(stage: DemoStage) -> None:
    """Make the database crash again and again, and the API hang for good; send the alerts in the worst order."""
    crash(stage, DATABASE)
    hang(stage, API)
    await wait_until(lambda: stage.ready(INGRESS_NAME) == 0, "the ingress to be unready after the database")
    for service, labels in ALERTS:
        kind = "StatefulSetReplicasMismatch" if "statefulset" in labels else "DeploymentReplicasMismatch"
        named = {"alertname": f"Kube{kind}", **labels, "severity": "warning"}
        pager = DemoAlertmanager(stage.url, named, lambda service=service: not stage.is_healthy(service))  # type: ignore[misc]
        stage.teller.write(
            f"       alert: {named['alertname']} {labels.get('deployment') or labels.get('statefulset')}"
        )
        stage.life.spawn_once(f"pager {service}", pager.resolve(await pager.fire()))


async def break_everything(stage: DemoStage) -> None:
    """Let database and cache crash again and again, and the other three hang for good."""
    for service in (DATABASE, CACHE):
        crash(stage, service)
    for service in (API, WEB_NAME, INGRESS_NAME):
        hang(stage, service)
    await wait_until(lambda: not any(map(stage.ready, stage.services)), "all five to be unready")
    await start_by_hand(stage)


async def start_by_hand(stage: DemoStage) -> None:
    """Start the recovery of all services, as `kintsugi recover` does, as soon as there is no objection."""
    request = request_of(RUNBOOK, Manually(), why=WHY)
    deadline = wall_clock() + TIMEOUT
    while not (shown := await with_retries(lambda: stage.client.recover(request))).allowed:
        if wall_clock() > deadline:
            raise Refused(shown.text)
        await asyncio.sleep(0.3)
    stage.teller.write(f"       {WHO} starts the run by hand: $ kintsugi recover {RUNBOOK} --why {WHY!r}")
    await with_retries(lambda: stage.client.recover(request, digest=shown.digest))


async def check_cause_first(stage: DemoStage) -> str:
    """
    Return the problem unless the database was repaired first, held services had a reason, and those that recovered by
    themselves had no run.
    """
    incidents = await newest(stage)
    runs = {name: await runs_of(stage, each) for name, each in incidents.items()}
    if set(incidents) != {DATABASE, API, WEB_NAME, INGRESS_NAME}:
        return f"incidents of {', '.join(incidents)}"
    causes = {DATABASE}
    for name in (API, WEB_NAME, INGRESS_NAME):
        if not causes & stage.held.get(name, set()):
            return f"{name} was not held for {' or '.join(sorted(causes))}"
        causes.add(name)  # whoever is noticed late is held for what is being recovered by then
    for name in (WEB_NAME, INGRESS_NAME):
        if runs[name] or not incidents[name].reason.startswith("upstream: "):
            return f"{name} did not recover with its upstream: {incidents[name].reason}"
    if [len(runs[name]) for name in (DATABASE, API)] != [1, 1]:
        return "database and API did not have one run each"
    return (
        ""
        if runs[DATABASE][0].started < runs[API][0].started
        else "the run of api-service began before that of database"
    )


async def level_by_level(stage: DemoStage) -> str:
    """Return what is wrong unless each service had one run, none before that of what it depends on had ended."""
    runs = {name: await runs_of(stage, each) for name, each in (await newest(stage)).items()}
    if {name: len(each) for name, each in runs.items()} != dict.fromkeys((STACK, *stage.services), 1):
        return f"runs: {', '.join(f'{name} {len(each)}' for name, each in runs.items())}"
    for upstream, dependent in pairwise((DATABASE, API, WEB_NAME, INGRESS_NAME)):
        ended = runs[upstream][0].steps_finished_at
        if ended is None or runs[dependent][0].started < ended:
            return f"the run of {dependent} began before {upstream} was recovered"
    return ""


async def newest(stage: DemoStage) -> Mapping[str, Incident]:
    """Return the newest incident of each service."""
    return {each.service: each for each in reversed(await stage.core.ledger.incidents.newest(limit=50))}


async def runs_of(stage: DemoStage, incident: Incident) -> Sequence[RunRecord]:
    """Return the runs of an incident."""
    return await stage.core.ledger.runs.of_incident(incident.id)


def crash(stage: DemoStage, service: str) -> None:
    """Let the pods of a service crash-loop until they are made anew."""
    for uid in uids(stage, service):
        stage.cluster.faults.crash_loop(uid)


def hang(stage: DemoStage, service: str) -> None:
    """Let the pods of a service be unready until they are made anew."""
    for uid in uids(stage, service):
        stage.cluster.faults.make_unready(uid)


def uids(stage: DemoStage, service: str) -> Sequence[str]:
    """Return the uids of a service's pods."""
    return [str(each["metadata"]["uid"]) for each in stage.cluster.find(resources.PODS, None, LABELS[service])]


CAUSE_FIRST = DemoScene(
    name=SceneName.CAUSE_FIRST,
    title="The database fails, and with it api-service, web-service and ingress-controller; api-service still hangs when the database is back",
    rule="database-alerts",
    waits="the runs of database and then api-service, while the other services are held and recover with them",
    break_it=lose_the_database,
    service=DATABASE,
    end=IncidentState.RECOVERED,
    check=check_cause_first,
)
FULL_STACK = DemoScene(
    name=SceneName.FULL_STACK,
    title="database and cache-service crash; api-service, web-service and ingress-controller hang; each service has a fault of its own",
    waits="the run about all services, which a person starts, and for its child runs",
    break_it=break_everything,
    service=STACK,
    end=IncidentState.RECOVERED,
    check=level_by_level,
)


def _part(scene: DemoScene) -> DemoPart:
    """Make a part of one scene: with a ledger of its own, no cooldown of the one before holds it back."""
    return DemoPart(
        name=scene.name,
        place="stack",
        about="a cluster with five services (real programs, except the cache)",
        services=CHAIN_AND_CACHE,
        speed=100,
        factor=0.05,
        furnish=furnish,
        images=stack_images,
        adapt=adapt,
        scenes=(scene,),
    )


PARTS = (_part(CAUSE_FIRST), _part(FULL_STACK))
