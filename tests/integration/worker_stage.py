"""A runbook of two workers on the embedded cluster, a stand-in for their image, and a daemon that can be killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, StepRecord
from kintsugi.settings import RestoreSettings
from kintsugi_demo.shop import NAMESPACE
from kubeobjects import resources
from kubesim import Image
from kubesim.images import Program
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import USER, CrashStage

IMAGE = "kintsugi:stand-in"
CATALOG = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: web-service}
spec:
  priority: 4
  namespace: production
  selector: app=web-app
  workload: deployment/web-app-deployment
  healthy: desired > 0 && ready >= desired
  runbook: from-backup
  env:
    PGPASSWORD: {secret: database-credentials, key: password}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-pods-unhealthy}
spec: {on: pod, service: web-service, when: object.unhealthy, for: 2m, mode: auto, cooldown: 10m}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: from-backup}
spec:
  title: From a backup
  completeOnceBegun: true
  service: web-service
  steps:
    - id: newest
      run: kintsugi backup fetch s3://backup-bucket/database/ --database=app --max-age=26h
      timeout: 10h
      progress: done.bytes
    - id: restore
      when: incident.began - steps.newest.backup.taken > duration("1h")
      run: pg_restore -e -1 -h web-app-service -U postgres -d app ${steps.newest.backup.file}
      timeout: 10h
      progress: done.bytes
      undo: none
    - id: restart
      when: steps.restore.restored.tables.exists(t, t.rows == 1000)
      forEach: service.pods.filter(p, p.unhealthy)
      run: kubectl delete pod ${each}
      expect: service.ready >= service.desired
      within: 10h
  rollback: {after: 20h}
"""
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "database-credentials", "namespace": NAMESPACE},
    "stringData": {"password": "x"},
}


@dataclass(kw_only=True)
class WorkerStage:
    """The stage, and what its workers were told and may do."""

    stage: CrashStage
    folder: Path

    @classmethod
    @asynccontextmanager
    async def set(cls, folder: Path, *, kill_at: str = "", **settings: Any) -> AsyncIterator["WorkerStage"]:
        """Have the shop well, the daemon watching it, then a pod broken. One that kills itself is started again."""
        catalog = folder / "catalog"
        catalog.mkdir()
        (catalog / "all.yaml").write_text(CATALOG)
        birth = DaemonStart(
            folder=folder / "daemon",
            durations=0.005,
            replicas=4,
            kill_at=(kill_at,) if kill_at else (),
            catalog=catalog,
            restore=RestoreSettings(image=IMAGE, **settings),
        )
        async with CrashStage.set(birth) as stage:
            stage.cluster.apply(SECRET)
            stage.cluster.images.add(IMAGE, stand_in(folder))
            stage.start()
            keeper = asyncio.create_task(stage.keep_alive()) if kill_at else None
            try:
                async with stage.ledger():
                    stage.cluster.faults.crash_loop(stage.pods()[0])
                yield cls(stage=stage, folder=folder)
            finally:
                if keeper is not None:
                    keeper.cancel()
                    await asyncio.gather(keeper, return_exceptions=True)

    def may_end(self, work: str, reason: str = "") -> None:
        """Let a worker end: well, in silence, or with the reason of its failure."""
        (self.folder / f"{work}-may-end").write_text(reason)

    def starts(self, work: str) -> Sequence[str]:
        """List the command lines with which a worker was started."""
        file = self.folder / f"{work}-starts"
        return file.read_text().splitlines() if file.exists() else []

    async def has_started(self, work: str) -> None:
        """Wait until a worker is at work."""

        async def is_at_work() -> bool:
            return bool(self.starts(work))

        await self.stage.until(is_at_work)

    async def job_has_ended(self, work: str) -> None:
        """Wait until a worker's Job has ended, whoever watches."""

        async def has_ended() -> bool:
            jobs = self.stage.cluster.find(resources.JOBS, NAMESPACE)
            return any(
                each["metadata"]["name"].endswith(f"-{work}") and each["status"].get("conditions") for each in jobs
            )

        await self.stage.until(has_ended)

    async def ended(self) -> tuple[Incident, dict[str, StepRecord]]:
        """Wait until the incident is closed; give it and the steps of its run."""
        async with self.stage.ledger() as ledger:

            async def is_over() -> bool:
                found = await ledger.incidents.newest(limit=1)
                return bool(found) and found[0].closed is not None

            await self.stage.until(is_over)
            return await told(ledger)

    def jobs(self) -> Sequence[str]:
        """Name the Jobs that are there."""
        return sorted(each["metadata"]["name"] for each in self.stage.cluster.find(resources.JOBS, NAMESPACE))

    def made(self, plural: str) -> int:
        """Count how often the daemon asked for an object of a kind to be made, well or not."""
        changes = self.stage.cluster.requests.changes()
        return len(
            [x for x in changes if x.user.endswith(f":{USER}") and x.method == "POST" and x.path.endswith(plural)]
        )


async def told(ledger: Ledger) -> tuple[Incident, dict[str, StepRecord]]:
    """Return the newest incident and the steps of its run."""
    (incident, *_) = await ledger.incidents.newest(limit=1)
    (run,) = await ledger.runs.of_incident(incident.id)
    return incident, {step.path: step for step in await ledger.runs.steps(run.id)}


def stand_in(folder: Path) -> Image:
    """Make the image of the stand-in."""
    program = (sys.executable, "-I", "-S", str(Path(__file__).with_name("stand_in_worker.py")), str(folder))
    return Image(program=Program(entrypoint=("python",), programs={"python": program}))
