"""
A daemon among objects and answers that make no sense lives, says so, and mends what else is broken.

It is `kintsugi run` in a process of its own, on an embedded cluster. What makes no sense is there when it starts, and still
there when it is started again.
"""

from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Incident, IncidentState
from kintsugi_demo.shop import NAMESPACE, WEB, WEB_LABELS, deployment, stateful_set
from kubeobjects import resources
from kubesim import EmbeddedCluster, Image
from kubesim.images import ExecReply
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import API, SPEED, CrashStage

pytestmark = pytest.mark.long

REVISION = "deployment.kubernetes.io/revision"
VAULT, DATABASE = "vault", "database"
TOO_MANY = 2_000_000
RULES = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: web}
spec: {priority: 2, namespace: production, selector: app=web-app, workload: deployment/web-app-deployment,
  healthy: desired > 0 && ready >= desired, runbook: mend}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: api}
spec: {priority: 2, namespace: production, selector: app=api, workload: deployment/api-deployment,
  healthy: desired > 0 && ready >= desired, runbook: mend}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: vault}
spec: {priority: 2, namespace: production, selector: app=vault, workload: statefulset/vault,
  healthy: desired > 0 && ready >= desired, runbook: mend}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: database}
spec:
  priority: 1
  namespace: production
  selector: app=database
  workload: statefulset/database
  healthy: desired > 0 && ready >= desired
  runbook: mend
  checks:
    connection:
      - id: select
        run: kubectl exec statefulset/database -- psql -U postgres -c 'SELECT 1'
        expect: value == 1
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-pods}
spec: {on: pod, service: web, when: object.unhealthy, for: 1m, mode: auto}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: database-answers}
spec: {on: check, service: database, check: connection, every: 30s, for: 1m, mode: observe}
"""
RUNBOOK = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: mend}
spec:
  title: Delete what is unhealthy
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
      expect: service.ready >= service.desired
      within: 5m
"""
POSTGRES = Image(commands={"*psql*": ExecReply(stdout="[1]\n"), "*": ExecReply()})
"""A database in which something calls itself psql and prints what is JSON, and no list of rows."""


def catalog(folder: Path) -> Path:
    """Write the services, their rules and the runbook."""
    for name, text in (("rules", RULES), ("runbooks", RUNBOOK)):
        (folder / name).mkdir(parents=True)
        (folder / name / "all.yaml").write_text(text)
    return folder


def spoil(cluster: EmbeddedCluster) -> None:
    """Have a Deployment whose revision is no number, and a StatefulSet of far too many."""
    # Paused, its controller leaves its annotations alone.
    cluster.apply(_patch(API, {"spec": {"paused": True}, "metadata": {"annotations": {REVISION: "v7"}}}))
    for each in cluster.find(resources.REPLICASETS, NAMESPACE, {"app": "api"}):
        metadata = {"name": each["metadata"]["name"], "namespace": NAMESPACE, "annotations": {REVISION: "v7"}}
        cluster.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata})
    vault = stateful_set(VAULT, {"image": "shop/vault:unready"}, mounted="/data")
    cluster.apply({**vault, "spec": {**vault["spec"], "replicas": TOO_MANY}})


def _patch(name: str, change: dict[str, dict[str, object]]) -> dict[str, object]:
    metadata = {"name": name, "namespace": NAMESPACE, **change.get("metadata", {})}
    return {"apiVersion": "apps/v1", "kind": "Deployment", **change, "metadata": metadata}


async def healed(stage: CrashStage, ledger: Ledger, times: int) -> None:
    """Make a web pod unready, and wait until the daemon has recovered the service."""
    pod = next(iter(stage.pods()))
    stage.cluster.faults.make_unready(pod)

    async def is_over() -> bool:
        assert stage.is_alive(), f"the daemon has ended:\n{stage.daemon.tail()}"
        found: list[Incident] = [each for each in await ledger.incidents.newest(limit=50) if each.service == "web"]
        return sum(each.state is IncidentState.RECOVERED for each in found) >= times and pod not in stage.pods()

    await stage.until(is_over)


async def test_objects_and_answers_without_sense_end_no_daemon(tmp_path: Path) -> None:
    """B16."""
    daemon = crash_daemon(tmp_path / "story", durations=0.02, catalog=catalog(tmp_path / "catalog"))
    async with (
        EmbeddedCluster.start(speed=SPEED, images={"postgres:16": POSTGRES}) as cluster,
        CrashStage.on(cluster, daemon) as stage,
    ):
        cluster.apply(dict(deployment(API, {"app": "api"}, image="shop/api:good", replicas=2)))
        cluster.apply(dict(deployment(WEB, WEB_LABELS, image="shop/web:good", replicas=3)))
        cluster.apply(dict(stateful_set(DATABASE, {"image": "postgres:16"}, mounted="/data")))

        async def are_well() -> bool:
            return stage.is_well() and stage.is_well(API)

        await stage.until(are_well)
        spoil(cluster)
        stage.start()
        async with stage.ledger() as ledger:
            await healed(stage, ledger, 1)

            async def says_it() -> bool:
                log = daemon.log.read_text(errors="replace")
                return "the answer is not a list of rows" in log and "v7" in log

            await stage.until(says_it)
        await stage.kill()
        stage.start()
        async with stage.ledger() as ledger:
            await healed(stage, ledger, 2)
