"""
A run about all services starts runs of its services, level by level, and changes nothing itself; killed, it goes on.

Three services are down at once: the cause, and two that depend on it.
"""

import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi_demo.shop import NAMESPACE, WEB, deployment
from kubeobjects import resources
from tests.harness.daemon import DaemonProcess
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_enumeration import Enumeration, deal
from tests.integration.crash_stage import API, CrashStage
from tests.integration.crash_story import CrashStoryEnd, effects, ended, good_is_known, made, quiet, tell
from tests.integration.documents import service

pytestmark = pytest.mark.long

STORE = "store"
WORKLOADS: Mapping[str, str] = {"store": STORE, "api": API, "web": WEB}
"""Services, and their Deployments."""

RUNBOOKS = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: several-down}
spec:
  on: services
  when: size(services.filter(s, s.desired > 0 && !s.serving)) >= 2
  for: 2m
  runbook: stack-recovery
  mode: auto
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: restart}
spec:
  title: Restart
  steps:
    - id: pods
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
    - {id: well, expect: service.healthy, within: 10m}
  rollback: {after: 1h, then: leave}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: stack-recovery}
spec:
  title: Everything, the cause first
  steps:
    - {id: nodes, run: kubectl get nodes, expect: size(items) > 0}
    - {id: store, unless: services.store.healthy, service: store, runbook: restart}
    - id: front
      parallel:
        - {id: api, unless: services.api.healthy, service: api, runbook: restart}
        - {id: web, unless: services.web.healthy, service: web, runbook: restart}
    - {id: well, expect: "services.all(s, s.healthy)", within: 10m}
  rollback: {after: 10h}
"""


def write_catalog(folder: Path) -> Path:
    """Write a catalog of three services, each of which the next ones depend on."""
    folder.mkdir(parents=True, exist_ok=True)
    apps = {STORE: STORE, API: "api", WEB: "web-app"}
    services = [
        service(name, priority=priority, app=apps[workload], workload=f"deployment/{workload}", runbook="restart")
        for priority, (name, workload) in enumerate(WORKLOADS.items(), 1)
    ]
    (folder / "stack.yaml").write_text("\n---\n".join([*services, RUNBOOKS]))
    return folder


def break_all(stage: CrashStage) -> None:
    """Let every pod of the stack crash-loop until it is made again."""
    for pod in stage.cluster.find(resources.PODS, NAMESPACE):
        stage.cluster.faults.crash_loop(pod["metadata"]["uid"])


async def well(stage: CrashStage) -> None:
    """Wait until every pod of the stack is ready."""

    await stage.until(lambda: all(stage.is_well(each) for each in WORKLOADS.values()))


@dataclass(frozen=True, kw_only=True, slots=True)
class StackScene:
    """Every pod of three services crash-loops at once, once the daemon knows what is good."""

    title: str = "three services are down at once"
    durations: float = 0.015

    def daemon(self, folder: Path, *, kill_at: Collection[str] = (), **settings: str) -> DaemonProcess:
        """Describe this scene's daemon."""
        catalog = write_catalog(folder.parent / "catalog")
        return crash_daemon(folder, durations=self.durations, kill_at=kill_at, catalog=catalog, **settings)

    @asynccontextmanager
    async def stage(self, daemon: DaemonProcess) -> AsyncIterator[CrashStage]:
        """Have all three services well."""
        async with CrashStage.set(daemon, replicas=1) as stage:
            stage.cluster.apply(deployment(STORE, {"app": STORE}, image="shop/store:good", replicas=1))
            await well(stage)
            yield stage

    async def play(self, stage: CrashStage, ledger: Ledger) -> CrashStoryEnd:
        """Break everything, wait until nothing is left to do, and gather how it ended."""
        await good_is_known(stage, ledger, WORKLOADS.values())
        before = {each["metadata"]["uid"] for each in stage.cluster.find(resources.PODS, NAMESPACE)}
        break_all(stage)
        await quiet(stage, ledger)
        await well(stage)
        left = {name: str(stage.deployment(name)["spec"]["replicas"]) for name in WORKLOADS.values()}
        return await ended(ledger, effects(made(stage), before), left)


SCENE = StackScene()


EVERYWHERE = bool(os.environ.get("KINTSUGI_ALL_PAIRS"))
"""Whether every commit is died at, too, and not only every effect."""

DEATHS = 1
"""How often a story dies: runs of three services pass points of the same names, whose numbers count in one life."""


@pytest.mark.timeout(36000 if EVERYWHERE else 1800)
async def test_killed_at_every_effect_a_run_about_all_services_ends_the_same(tmp_path: Path) -> None:
    """P2, P3, P8, C1, C2: before and after each of them; each pod is deleted once, and each service has one run."""
    undisturbed = await tell(SCENE.daemon(tmp_path / "undisturbed"), SCENE)
    assert undisturbed.end.incidents == ["api recovered", "stack recovered", "store recovered", "web recovered"]
    assert undisturbed.end.effects == {"delete a pod that was there": 4}

    enumeration = Enumeration(scene=SCENE, folder=tmp_path, undisturbed=undisturbed, deaths=DEATHS)
    if EVERYWHERE:
        await enumeration.everywhere()
        enumeration.check()
    else:
        at_effects = [point for point in enumeration.own if " effect " in point]
        await enumeration.at(deal([[point] for point in at_effects], DEATHS))
        enumeration.check(at_effects)
