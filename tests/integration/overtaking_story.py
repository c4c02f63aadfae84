"""The story of two services of which one at a time may be recovered: what matters more comes later, and overtakes between two steps."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from kintsugi.executor import Executor
from kintsugi.ledger import Ledger
from kintsugi.settings import GuardSettings
from kintsugi_demo.shop import NAMESPACE, WEB
from kubeobjects import resources
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_stage import API, SELDOM, CrashStage
from tests.integration.crash_story import CrashStoryEnd, end_of_services, good_is_known, made

WORKLOADS: Mapping[str, str] = {"api": API, "web": WEB}
"""Services, and their Deployments; the first has the higher priority."""

AGREED = "agreed"
"""The label of the web's Deployment that its first step waits for, so that the story says when that step is over."""

SERVICE = """
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  priority: {priority}
  dependsOn: []
  namespace: production
  selector: app={app}
  workload: deployment/{workload}
  healthy: desired > 0 && ready >= desired
  runbook: {name}-recovery
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}-unhealthy}}
spec: {{on: pod, service: {name}, when: object.unhealthy, for: 1m, mode: auto, cooldown: 1m}}
"""

RUNBOOKS = f"""
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: api-recovery}}
spec:
  title: New pods
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${{each}}
    - {{id: well, expect: service.healthy, within: 5h}}
  rollback: {{after: 20h, then: leave}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: web-recovery}}
spec:
  title: One more, then new pods
  steps:
    - id: first
      steps:
        - {{id: more, run: "kubectl scale ${{service.workload}} --replicas=4"}}
        - id: agreed
          run: kubectl get ${{service.workload}}
          expect: '"{AGREED}" in item.metadata.labels'
          within: 5h
    - id: renew
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${{each}}
    - {{id: well, expect: service.ready == 4, within: 5h}}
  rollback: {{after: 20h, then: leave}}
"""


def catalog(folder: Path) -> Path:
    """Write a catalog of two services that do not depend on each other."""
    folder.mkdir(parents=True)
    apps = {"api": "api", "web": "web-app"}
    services = [
        SERVICE.format(name=name, priority=priority, app=apps[name], workload=workload)
        for priority, (name, workload) in enumerate(WORKLOADS.items(), 1)
    ]
    (folder / "shop.yaml").write_text("---".join([*services, RUNBOOKS]))
    return folder


@dataclass(frozen=True, kw_only=True, slots=True)
class OvertakingScene:
    """A pod of the web crash-loops, and while the first step of its recovery is under way all pods of the API do."""

    title: str = "a higher priority overtakes"
    durations: float = 0.05
    """Scaled it is three seconds for which a busy daemon may be late to judge again who waits, before that is forgotten."""

    def birth(self, folder: Path, *, kill_at: Collection[str] = (), executor: type[Executor] = Executor) -> DaemonStart:
        """Return how this scene's daemon is started."""
        documents = folder.parent / "catalog"
        return DaemonStart(
            folder=folder,
            durations=self.durations,
            kill_at=kill_at,
            catalog=documents if documents.exists() else catalog(documents),
            executor=executor,
            guards=GuardSettings(max_concurrent_services=1),
        )

    @asynccontextmanager
    async def stage(self, birth: DaemonStart) -> AsyncIterator[CrashStage]:
        """Have the shop well."""
        async with CrashStage.set(birth) as stage:
            yield stage

    async def play(self, stage: CrashStage, ledger: Ledger) -> CrashStoryEnd:
        """Break the web, then the API, and end the web's first step once the API waits for its slot."""
        await good_is_known(stage, ledger)
        before = {each["metadata"]["uid"] for each in stage.cluster.find(resources.PODS, NAMESPACE)}
        stage.cluster.faults.crash_loop(stage.pods()[0])

        async def is_under_way() -> bool:
            return bool(made(stage))

        await stage.until(is_under_way, every=SELDOM)
        for pod in stage.cluster.find(resources.PODS, NAMESPACE, {"app": "api"}):
            stage.cluster.faults.crash_loop(pod["metadata"]["uid"])

        async def waits() -> bool:
            return '"reason":"budget"' in (stage.birth.folder / "daemon.log").read_text(errors="replace")

        await stage.until(waits)
        agree(stage)

        async def is_quiet() -> bool:
            incidents = await ledger.incidents.newest(limit=10)
            over = len(incidents) == len(WORKLOADS) and all(each.closed for each in incidents)
            well = all(stage.is_well(each) for each in WORKLOADS.values())
            return over and well and not await ledger.signals.firing() and not await ledger.signals.pending()

        await stage.until(is_quiet, every=SELDOM)
        return await end_of_services(stage, ledger, before, WORKLOADS.values())


def agree(stage: CrashStage) -> None:
    """Let the web's first step come to its end."""
    metadata = {"name": WEB, "namespace": NAMESPACE, "labels": {AGREED: "yes"}}
    stage.cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})
