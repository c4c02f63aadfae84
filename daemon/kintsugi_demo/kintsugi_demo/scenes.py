"""
The scenes: three clusters, what breaks in them, and what must be so at the end.

A scene only breaks things; what becomes of them is Kintsugi's work.
"""

import asyncio
import hashlib
import os
import secrets
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

from kintsugi.errors import KintsugiError
from kintsugi.model.api_types import IncidentDetail
from kintsugi.model.manual import RecoverRequest
from kintsugi.model.records import IncidentState
from kintsugi.model.services import STACK as ALL_SERVICES
from kintsugi_demo import SceneName, shop
from kintsugi_demo.shop import DATABASE, NAMESPACE, WEB_LABELS
from kintsugi_demo.stage import WHO, DemoCluster, DemoStage, wait_until
from kubediagnosis.causes import CauseKind
from kubeobjects import resources
from kubesim import EmbeddedCluster
from kubesim.postgres import programs_folder

CACHE_SERVICE, API_SERVICE, WEB_SERVICE, INGRESS = "cache-service", "api-service", "web-service", "ingress-controller"
LABELS: Mapping[str, Mapping[str, str]] = {
    DATABASE: {"app": DATABASE},
    CACHE_SERVICE: {"app": "cache"},
    API_SERVICE: {"app": "api"},
    WEB_SERVICE: WEB_LABELS,
    INGRESS: shop.INGRESS_LABELS,
}
"""The labels of the pods of each service, upstreams first."""

BACKED_UP, LATER = 1000, 12
"""Orders that are in the backup, and orders that came after it."""

_ASKED_AGAIN = 5
"""Seconds, more than the rule `scaled-to-zero` waits before it asks: without the no it would ask again within them."""

COUNT = "SELECT count(*) FROM orders"
RUNBOOK, WHY = "full-stack-recovery", "five services are down"

Incidents = Mapping[str, IncidentDetail]
"""The newest incident of each service."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoScene:
    """
    One fault on a cluster, and the expected end of the incident of `service`.

    `rejects` is the reason with which a person rejects what is asked, "" for a person who approves. `check` returns a problem that
    the end does not show, or "".
    """

    name: SceneName
    on: DemoCluster
    break_it: Callable[[DemoStage], Awaitable[None]]
    service: str
    end: IncidentState = IncidentState.RECOVERED
    rejects: str = ""
    check: Callable[[DemoStage, Incidents], Awaitable[str]] | None = None


async def crash_one(stage: DemoStage) -> None:
    """Let one pod of the web service crash again and again."""
    stage.cluster.faults.crash_loop(uids(stage.cluster, WEB_SERVICE)[0])


async def check_cause_found(_: DemoStage, incidents: Incidents) -> str:
    """Return the problem when the cause of the undone change was not found; "" for none."""
    found = {cause.kind for each in incidents[API_SERVICE].diagnoses for cause in each.diagnosis.causes}
    return "" if CauseKind.IMAGE_PULL in found else "the cause was not found"


async def roll_out(stage: DemoStage, name: str, image: str) -> None:
    """Roll out an image of a Deployment, as a person does."""
    found = stage.cluster.get(resources.DEPLOYMENTS, name, NAMESPACE)
    assert found is not None, name
    [container] = found["spec"]["template"]["spec"]["containers"]
    change(stage, name, {"template": {"spec": {"containers": [{**container, "image": image}]}}})


def change(stage: DemoStage, name: str, spec: Mapping[str, object]) -> None:
    """Apply fields of the spec of a Deployment."""
    metadata = {"name": name, "namespace": NAMESPACE}
    stage.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


async def scale_to_zero(stage: DemoStage) -> None:
    """Scale the web service to zero, as a person does."""
    stage.write(f"       $ kubectl scale deployment/{shop.WEB} --replicas=0 -n {NAMESPACE}")
    change(stage, shop.WEB, {"replicas": 0})


async def check_left_alone(stage: DemoStage, _: Incidents) -> str:
    """Return the problem when, for a while after the no, the web service is scaled up or a person is asked again; "" for none."""
    await asyncio.sleep(_ASKED_AGAIN)
    found = stage.cluster.get(resources.DEPLOYMENTS, shop.WEB, NAMESPACE)
    if found is None or found["spec"]["replicas"] != 0:
        return "it was scaled up in spite of the no"
    asked = await stage.ask(lambda daemon: daemon.incidents(service=WEB_SERVICE, open_only=True, limit=1))
    return "a person is asked again" if asked else ""


async def take_orders(cluster: EmbeddedCluster) -> None:
    """Make the application's database, with orders in it."""
    await psql(cluster, "CREATE ROLE app LOGIN", "CREATE DATABASE app OWNER app", database="postgres")
    columns = "id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now()"
    await psql(cluster, "SET ROLE app", f"CREATE TABLE orders ({columns})", orders(BACKED_UP))


async def back_up(cluster: EmbeddedCluster) -> None:
    """Take orders, make a backup of them as people do, with its checksum beside it, and take some more orders."""
    await take_orders(cluster)
    dump = await postgres(cluster, "pg_dump", "-Fc", "app")
    name = f"app-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    folder = cluster.disk_of(shop.BACKUPS_CLAIM, NAMESPACE) / "backup-bucket" / DATABASE
    folder.mkdir(parents=True)
    (folder / name).write_bytes(dump)
    (folder / f"{name}.sha256").write_text(f"{hashlib.sha256(dump).hexdigest()}  {name}\n")
    await psql(cluster, orders(LATER))


async def damage(stage: DemoStage) -> None:
    """Write zeros over the write-ahead log on disk, and kill the server."""
    data = stage.cluster.disk_of(shop.DATABASE_CLAIM, NAMESPACE)
    segments = sorted((data / "pg_wal").glob("0*"))
    for each in segments:
        each.write_bytes(b"\0" * each.stat().st_size)
    stage.write(f"       $ dd if=/dev/zero of=pg_wal/{segments[-1].name}; kill -9 postgres")
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)


async def check_rows_are_back(stage: DemoStage, _: Incidents) -> str:
    """Return the problem when the database does not have the rows of its backup, and those alone; "" for none."""
    found = await psql(stage.cluster, COUNT)
    stage.write(f"       $ psql -d app -c '{COUNT}': {found} (before the damage: {BACKED_UP + LATER})")
    return "" if found == str(BACKED_UP) else f"{found} orders instead of the {BACKED_UP} of the backup"


def orders(count: int) -> str:
    """Return the statement by which so many orders come."""
    return f"INSERT INTO orders SELECT FROM generate_series(1, {count})"


async def psql(cluster: EmbeddedCluster, *statements: str, database: str = "app") -> str:
    """Execute statements as the database's administrator, and return what they print. Raises KintsugiError."""
    words = [word for each in statements for word in ("-c", each)]
    printed = await postgres(cluster, "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, *words)
    return printed.decode().strip()


async def postgres(cluster: EmbeddedCluster, program: str, *words: str) -> bytes:
    """Run one of PostgreSQL's programs on the cluster's database, and return its output. Raises KintsugiError."""
    [address] = cluster.resolve(f"{DATABASE}.{NAMESPACE}")
    pipe, environment = asyncio.subprocess.PIPE, {**os.environ, "PGPASSWORD": shop.DATABASE_PASSWORD}
    command = (str(programs_folder() / program), "-h", address, "-U", "postgres", *words)
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=environment)
    printed, problem = await process.communicate()
    if process.returncode:
        raise KintsugiError(f"{program} ended with {process.returncode}: {problem.decode(errors='replace').strip()}")
    return printed


async def break_everything(stage: DemoStage) -> None:
    """Let database and cache crash again and again, and the other three hang for good; start the recovery by hand."""
    faults = stage.cluster.faults
    for service in LABELS:
        break_pod = faults.crash_loop if service in (DATABASE, CACHE_SERVICE) else faults.make_unready
        for uid in uids(stage.cluster, service):
            break_pod(uid)
    await wait_until(stage.are_all_unready, "all five to be unready")
    request = RecoverRequest(runbook=RUNBOOK, why=WHY, key=secrets.token_hex(8))
    while not (shown := await stage.ask(lambda daemon: daemon.recover(request))).allowed:
        await asyncio.sleep(0.3)
    stage.write(f"       {WHO} starts the run by hand: $ kintsugi recover {RUNBOOK} --why {WHY!r}")
    await stage.ask(lambda daemon: daemon.recover(request, digest=shown.digest))


async def check_level_by_level(_: DemoStage, incidents: Incidents) -> str:
    """Return what is wrong unless each service had one run, none before that of what it depends on had ended."""
    runs = {service: [each.run for each in detail.runs] for service, detail in incidents.items()}
    if {service: len(each) for service, each in runs.items()} != dict.fromkeys((ALL_SERVICES, *LABELS), 1):
        return f"runs: {', '.join(f'{service} {len(each)}' for service, each in runs.items())}"
    for upstream, dependent in pairwise((DATABASE, API_SERVICE, WEB_SERVICE, INGRESS)):
        ended = runs[upstream][0].steps_finished_at
        if ended is None or runs[dependent][0].started < ended:
            return f"the run of {dependent} began before {upstream} was recovered"
    return ""


def uids(cluster: EmbeddedCluster, service: str) -> Sequence[str]:
    """Return the uids of a service's pods."""
    return [str(each["metadata"]["uid"]) for each in cluster.find(resources.PODS, None, LABELS[service])]


WEB_CLUSTER = DemoCluster(
    name="web",
    about="a cluster with the shop in it",
    services=(API_SERVICE, WEB_SERVICE),
    speed=10,
    factor=0.01,  # thirty minutes become eighteen seconds
    manifests=lambda _: shop.shop(),
)
DATABASE_CLUSTER = DemoCluster(
    name="database",
    about="a cluster with a real PostgreSQL, a backup of it and a real S3 server",
    services=(DATABASE, CACHE_SERVICE, API_SERVICE),
    speed=100,  # three starts of a crash loop are soon seen, and soon over
    factor=0.05,  # real programs take real time: less would be too short for them
    images=shop.images,
    manifests=lambda _: shop.back_office(),
    prepare=back_up,
)
STACK_CLUSTER = DemoCluster(
    name="stack",
    about="a cluster with five services (real programs, except the cache)",
    services=tuple(LABELS),
    speed=100,
    factor=0.05,
    images=shop.images,
    manifests=shop.stack,
    prepare=take_orders,
    verify="30s",  # real programs are scaled down the least: wait less long for them
)

SCENES: Sequence[DemoScene] = (
    DemoScene(name=SceneName.CRASH_LOOP, on=WEB_CLUSTER, break_it=crash_one, service=WEB_SERVICE),
    DemoScene(
        name=SceneName.MISSING_IMAGE,
        on=WEB_CLUSTER,
        break_it=partial(roll_out, name=shop.API, image=shop.MISSING),
        service=API_SERVICE,
        check=check_cause_found,
    ),
    DemoScene(
        name=SceneName.BAD_ROLLOUT,
        on=WEB_CLUSTER,
        break_it=partial(roll_out, name=shop.WEB, image=shop.CRASHING),
        service=WEB_SERVICE,
        end=IncidentState.ROLLED_BACK,
    ),
    DemoScene(
        name=SceneName.REJECTED,
        on=WEB_CLUSTER,
        break_it=scale_to_zero,
        service=WEB_SERVICE,
        end=IncidentState.CANCELLED,
        rejects="it is scaled to 0 for a migration",
        check=check_left_alone,
    ),
    DemoScene(
        name=SceneName.DATA_LOSS, on=DATABASE_CLUSTER, break_it=damage, service=DATABASE, check=check_rows_are_back
    ),
    DemoScene(
        name=SceneName.FULL_STACK,
        on=STACK_CLUSTER,
        break_it=break_everything,
        service=ALL_SERVICES,
        check=check_level_by_level,
    ),
)
