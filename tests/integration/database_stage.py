"""
A real PostgreSQL in the embedded cluster, backups of it in a real S3, who writes to it, and the daemon that watches.

The database's pod, its volume, the worker's Jobs and what they run are real processes and folders of this machine.
"""

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from kintsugi.app.core import Core
from kintsugi.app.daemon import start
from kintsugi.app.lifecycle import Lifecycle
from kintsugi.app.serving import operator_service
from kintsugi.catalog.library import shipped_paths
from kintsugi.kube.client import KubeClient
from kintsugi.model.api_types import Answerer, AnswerRequest, RollbackPreview
from kintsugi.model.questions import Answer, AnswerSource
from kintsugi.model.records import Incident, IncidentState, RunKind, StepRecord
from kintsugi.settings import (
    CatalogSettings,
    HealthSettings,
    KubeSettings,
    LedgerSettings,
    RestoreSettings,
    S3Settings,
    ServerSettings,
    Settings,
)
from kintsugi_demo.shop import deployment, secret, service, worker_image, workload
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS, PVS, Resource
from kubesim import EmbeddedCluster, Image
from kubesim.postgres import postgres_image
from tests.harness.s3 import KEY, REGION, SECRET, S3Server
from tests.harness.waiting import WaitedTooLongError, eventually, in_loop
from tests.integration.process_stage import CLAIM_TEMPLATES

NAMESPACE = "production"
USER = "kintsugi"
API, NIGHTLY, DATABASE = "api-deployment", "nightly", "database"
POD, CLAIM = "database-0", "data-database-0"
SPEED, FACTOR = 10.0, 0.1
"""How much faster than Kubernetes the cluster lives, and what every duration of the shipped files is multiplied by."""

TIMEOUT = 120.0
"""Seconds that anything here may take on a machine that does much else."""

DRILL_ENDS = (IncidentState.PASSED, IncidentState.FAILED, IncidentState.CANCELLED, IncidentState.NEEDS_OPERATOR)
WORKER, POSTGRES = "kintsugi:test", "postgres:16"
SHOP = (
    "CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now())",
    "INSERT INTO orders SELECT FROM generate_series(1, 1000)",
)

Json = dict[str, Any]
Change = tuple[str, str, str]
"""A file of the catalog, words in it, and what stands there instead."""
Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True)
class DatabaseStage:
    """The cluster, what is on it, and the daemon. `about` is the service whose incidents are looked at."""

    cluster: EmbeddedCluster
    core: Core
    s3: S3Server
    folder: Path
    about: str = DATABASE

    @classmethod
    @asynccontextmanager
    async def set(
        cls,
        folder: Path,
        *,
        database: Sequence[Json],
        images: Mapping[str, Image] | None = None,
        rules: str = "",
        changed: Sequence[Change] = (),
    ) -> AsyncIterator["DatabaseStage"]:
        """
        Have a shop that is well, with a database of one's own making, and the daemon that watches it.

        `rules` are documents of one's own, `changed` what of the shipped ones is changed.
        """
        s3 = S3Server(folder=folder / "s3")
        s3.start()
        s3.empty()
        found = {POSTGRES: postgres_image(), WORKER: worker_image(), **(images or {})}
        async with EmbeddedCluster.start(speed=SPEED, images=found) as cluster:
            for manifest in (*related_objects(), *database):
                cluster.apply(manifest)
            life = Lifecycle(shutdown=timedelta(seconds=20))
            try:
                await eventually(lambda: is_ready(cluster), within=TIMEOUT, every=0.1)
                told = settings(folder, cluster, s3)
                change(folder / "catalog", changed)
                if rules:
                    (folder / "catalog" / "rules" / "own.yaml").write_text(rules)
                core = await start(told, life, ready=lambda _: None, loopback=True)
                stage = cls(cluster=cluster, core=core, s3=s3, folder=folder)
                await stage.until(lambda: core.services.views[DATABASE].healthy is True)
                yield stage
            finally:
                await life.stop()
                s3.stop()

    async def fill(self, *statements: str) -> None:
        """Do statements in the application's database."""
        for statement in statements:
            await self.psql(statement, "app")

    async def psql(self, statement: str, database: str = "postgres") -> str:
        """Do a statement in the database's pod, and give what it says."""
        return await psql(self.core.kube, statement, database)

    async def back_up(self, name: str, *, proven: bool = True) -> None:
        """Dump the application's database, as people do, and put it where its backups are."""
        words = ["pg_dump", "-Fc", "-U", "postgres", "-d", "app"]
        done = await self.core.kube.execute(POD, NAMESPACE, words, limit_bytes=64 * 1024 * 1024)
        assert done.exit_code == 0, done.stderr.decode()
        recorded = {"sha256": hashlib.sha256(done.stdout).hexdigest()} if proven else {}
        self.s3.put(f"database/{name}", done.stdout, metadata=recorded)

    async def tell_connections(self) -> None:
        """Have the database's server write down every connection to it from now on."""
        await self.psql("ALTER SYSTEM SET log_connections = on")
        await self.psql("SELECT pg_reload_conf()")
        await self.connections()

    async def connections(self, *, since: Sequence[str] = ()) -> list[str]:
        """
        Return the connections that were made since, but for those of probes and of the service's own checks.

        One of ours is the last of them, and is left out: when it is written down, all before it are.
        """
        name = f"mark_{token_hex(8)}"
        await self.psql("SELECT 1", f"dbname=app application_name={name}")

        async def written() -> list[str]:
            told = [line for line in await self._log() if "connection authorized" in line]
            return told if any(name in line for line in told) else []

        told = await self._come(written)
        others = [line for line in told if "database=postgres application_name=psql" not in line]
        return [line for line in others if line not in since and "application_name=mark_" not in line]

    async def _log(self) -> list[str]:
        chunks = self.core.kube.logs(POD, NAMESPACE, container="postgres", deadline=timedelta(seconds=30))
        return b"".join([chunk async for chunk in chunks]).decode().splitlines()

    def corrupt(self) -> None:
        """Write rubbish over the middle of the control file, and let the server be started again."""
        control = self.cluster.disk_of(CLAIM, NAMESPACE) / "global" / "pg_control"
        content = bytearray(control.read_bytes())
        content[40:80] = os.urandom(40)
        control.write_bytes(content)
        self.cluster.delete(PODS, POD, NAMESPACE, grace=0)

    def get(self, resource: Resource, name: str) -> Json:
        """Find an object; it must be there."""
        found: Json | None = self.cluster.get(resource, name, NAMESPACE if resource.namespaced else None)
        assert found is not None, f"{resource.plural}/{name} is not there"
        return found

    def replicas(self, name: str = API) -> int:
        """Return how many copies of a Deployment are asked for."""
        return int(self.get(resources.DEPLOYMENTS, name)["spec"]["replicas"])

    def volume(self, claim: str = CLAIM) -> str:
        """Name the volume that the database's claim is bound to."""
        return str(self.get(PVCS, claim)["spec"]["volumeName"])

    def policy(self, volume: str) -> str:
        """Return what becomes of a volume when its claim goes."""
        return str(self.get(PVS, volume)["spec"]["persistentVolumeReclaimPolicy"])

    async def incident(self) -> Incident:
        """Return the newest incident of the database."""
        found = await self.core.ledger.incidents.newest(limit=1, service=self.about)
        assert found, "there is no incident"
        return found[0]

    async def steps(self) -> Mapping[str, StepRecord]:
        """Return the steps of the newest incident's run, by path."""
        incident = await self.incident()
        (run,) = await self.core.ledger.incidents.runs_of(incident.id)
        return {step.path: step for step in await self.core.ledger.incidents.steps(run.id)}

    async def reaches(self, *states: IncidentState) -> Incident:
        """Wait until the newest incident is in one of these states."""

        async def has() -> Incident | None:
            found = await self.core.ledger.incidents.newest(limit=1, service=self.about)
            return found[0] if found and found[0].state in states else None

        return await self._come(has)

    async def question(self) -> str:
        """Wait until a person is asked, and return the question."""

        async def is_asked() -> str | None:
            found = await self.core.ledger.incidents.newest(limit=1, service=self.about)
            if not found or found[0].state is not IncidentState.AWAITING_APPROVAL:
                return None
            asked = await self.core.ledger.people.questions_of(found[0].id)
            return next((each.text for each in reversed(asked) if each.answered is None), None)

        return await self._come(is_asked)

    async def agree(self) -> None:
        """Let Ada say yes to what is asked."""
        incident = await self.incident()
        (asked,) = [each for each in await self.core.ledger.people.questions_of(incident.id) if each.answered is None]
        request = AnswerRequest(path=asked.path, plan=asked.plan, answer=Answer.YES)
        await operator_service(self.core).answer(incident.id, request, Answerer(name="ada", source=AnswerSource.API))

    async def drilled(self) -> Incident:
        """Let Ada have the backups tried, to the end."""
        begun = await operator_service(self.core).drill(DATABASE, who="ada")
        assert begun.kind is RunKind.DRILL
        ended = await self.reaches(*DRILL_ENDS)
        assert ended.id == begun.id
        return ended

    async def roll_back(self, *, confirmed: bool) -> RollbackPreview:
        """Let Ada ask for the rollback."""
        incident = (await self.incident()).id
        shown = await operator_service(self.core).roll_back(incident, who="ada")
        return (
            await operator_service(self.core).roll_back(incident, who="ada", confirmed=shown.digest)
            if confirmed
            else shown
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that is seen or must be asked for, and tell the story so far when it does not come."""
        await self._come(in_loop(condition))

    async def _come(self, condition: Callable[[], Awaitable[Seen | None]]) -> Seen:
        try:
            return await eventually(condition, within=TIMEOUT, every=0.1)
        except WaitedTooLongError as error:
            raise WaitedTooLongError(f"{error}\n{await self.story()}") from error

    async def changes(self) -> list[str]:
        """List what the daemon has changed, in its order: METHOD KIND/NAME BODY; Events, which only tell of it, left out."""
        made = [each for each in self.cluster.requests.changes() if each.user.endswith(f":{USER}")]
        told = [each for each in made if not each.path.endswith("/events")]
        return [f"{each.method} {'/'.join(each.path.split('/')[-2:])} {each.body.decode()}" for each in told]

    async def story(self) -> str:
        """Return the incident, its steps, and the pods, for a test that fails."""
        lines = [f"{each['metadata']['name']}: {each['status']}" for each in self.cluster.find(PODS, NAMESPACE)]
        for incident in await self.core.ledger.incidents.newest(limit=5):
            lines.append(f"{incident.id} {incident.state}: {incident.reason}")
            for run in await self.core.ledger.incidents.runs_of(incident.id):
                lines += [
                    f"  {step.phase} {step.path} {step.state} met={step.met} {step.text} {step.error}"
                    for step in await self.core.ledger.incidents.steps(run.id)
                ]
        return "\n".join(lines)


async def psql(kube: KubeClient, statement: str, database: str = "postgres") -> str:
    """Do a statement in the database's pod, and give what it says."""
    words = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", statement]
    done = await kube.execute(POD, NAMESPACE, words)
    assert done.exit_code == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def is_ready(cluster: EmbeddedCluster) -> bool:
    """Return whether the database's pod is ready."""
    pod = cluster.get(PODS, POD, NAMESPACE) or {}
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def settings(folder: Path, cluster: EmbeddedCluster, s3: S3Server) -> Settings:
    """Return the daemon's settings."""
    return Settings(
        mode="auto",
        durations=FACTOR,
        catalog=CatalogSettings(directory=catalog(folder / "catalog")),
        kube=KubeSettings(kubeconfig=cluster.kubeconfig(folder / "kubeconfig", USER)),
        ledger=LedgerSettings(url=f"sqlite:///{folder / 'ledger.db'}"),
        server=ServerSettings(host="127.0.0.1", port=0, insecure_no_token=True),
        health=HealthSettings(host="127.0.0.1", port=0),
        restore=RestoreSettings(
            image=WORKER,
            volume_size="64Mi",
            s3=S3Settings(endpoint=s3.endpoint, region=REGION, credentials="s3-credentials"),
        ),
    ).scaled()


def catalog(folder: Path) -> Path:
    """Copy the shipped files of the database and of who depends on it, and declare a CronJob of this shop."""
    catalog_of(folder, "database.yaml", "api-service.yaml")
    own = (
        ("rules/database.yaml", "cronjobs: []", f"cronjobs: [cronjob/{NIGHTLY}]"),
        ("rules/api-service.yaml", "dependsOn: [database, cache-service]", "dependsOn: [database]"),
    )
    change(folder, own)
    return folder


def catalog_of(folder: Path, *rules: str) -> Path:
    """Copy the shipped files with these services alone, and without the runbooks that are about those which are left out."""
    for shipped in shipped_paths():
        shutil.copytree(shipped, folder / shipped.name)
    for file in (folder / "rules").iterdir():
        if file.name not in (*rules, "any-service.yaml"):
            file.unlink()
    for name in ("web-service-recovery.yaml", "full-stack-recovery.yaml"):
        (folder / "runbooks" / name).unlink()
    return folder


def change(folder: Path, changes: Sequence[Change]) -> None:
    """Change words of documents, each of which stands there once."""
    for name, before, after in changes:
        text = (folder / name).read_text()
        assert text.count(before) == 1, f"{name} has changed: {before}"
        (folder / name).write_text(text.replace(before, after))


def related_objects() -> Sequence[Json]:
    """Return what is around the database: its Secrets and Service, who writes to it, and who scales them."""
    nightly = {"restartPolicy": "Never", "containers": [{"name": "dump", "image": "shop/dump:task"}]}
    return (
        *namespace(NAMESPACE),
        service(DATABASE, 5432),
        deployment(API, {"app": "api"}, image="shop/api:good", replicas=2),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "api", "namespace": NAMESPACE},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": API},
                "minReplicas": 2,
                "maxReplicas": 5,
            },
        },
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": NIGHTLY, "namespace": NAMESPACE},
            "spec": {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {"spec": nightly}}}},
        },
    )


def namespace(name: str) -> Sequence[Json]:
    """Return a namespace and the Secrets of the database in it."""
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        secret("database-credentials", namespace=name, **{"password": "postgres", "app-password": "app"}),
        secret("s3-credentials", namespace=name, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET),
    )


def postgres() -> Json:
    """Return a real database, whose claims come from a template and go when it is scaled down."""
    made = stateful_set(POSTGRES, ["psql", "-XAtq", "-U", "postgres", "-c", "SELECT 1"])
    made["spec"]["volumeClaimTemplates"] = CLAIM_TEMPLATES
    made["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenScaled": "Delete"}
    return made


def stateful_set(
    image: str, probe: Sequence[str], *, name: str = DATABASE, labels: Mapping[str, str] | None = None, **pod: object
) -> Json:
    """Return the database's StatefulSet."""
    password = {"secretKeyRef": {"name": "database-credentials", "key": "password"}}
    container = {
        "name": "postgres",
        "image": image,
        "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": password}],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {"exec": {"command": list(probe)}, "periodSeconds": 5, "timeoutSeconds": 30},
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql/data"}],
    }
    whole = {"containers": [container], **pod}
    return workload("StatefulSet", name, labels or {"app": name}, whole, replicas=1, serviceName=DATABASE)
