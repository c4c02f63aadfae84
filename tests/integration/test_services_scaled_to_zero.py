"""A real daemon: what somebody has scaled to 0 is started when a person agrees, with as many replicas as it had."""

import asyncio
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB
from kubeobjects import resources
from tests.harness.daemon import ROOT
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged

pytestmark = pytest.mark.long

START = "\n" + (ROOT / "runbooks" / "start-service.yaml").read_text()

GENERIC = "\n" + (ROOT / "runbooks" / "workload-recovery.yaml").read_text()

RULE = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: web-scaled-to-zero}}
spec:
  on: services
  service: web
  when: service.workload.spec.replicas == 0
  for: 1m
  runbook: start-service
  mode: {mode}
  cooldown: 1m
"""

PARKING = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: empty-it}
spec:
  title: Stop it, and stop there
  completeOnceBegun: true
  steps:
    - {id: stop, name: Stop it, run: "kubectl scale ${service.workload} --replicas=0"}
    - {id: agreed, name: Go on, run: "kubectl get ${service.workload}", expect: item.spec.replicas > 0}
    - {id: claim, name: Replace its claims, forEach: service.claims, run: "kubectl delete pvc ${each}"}
"""


async def scale(stage: ManualStage, count: int) -> None:
    """Scale the web service as somebody else would, and wait until the daemon knows."""
    found = stage.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
    assert found is not None
    stage.cluster.apply({**found, "spec": {**found["spec"], "replicas": count}})
    await eventually(lambda: web(stage)["desired"] == count, within=TIMEOUT, describe=stage.daemon.tail)


def web(stage: ManualStage) -> Json:
    """Return how the daemon sees the web service."""
    _, told = stage.daemon.get("/api/v1/services")
    found: Json = next(each for each in told["services"] if each["name"] == "web")
    return found


async def asked(stage: ManualStage) -> Json:
    """Wait until a person is asked, and return the incident."""

    def asks() -> Json | None:
        waiting = [each for each in stage.daemon.incidents() if each["state"] == "awaiting-approval"]
        asking = [each for each in waiting if stage.daemon.incident(each["id"])["questions"]]
        return asking[0] if asking else None

    return await eventually(asks, within=TIMEOUT, describe=stage.daemon.tail)


async def test_a_person_is_asked_and_it_is_started_with_what_the_ledger_saw_last(tmp_path: Path) -> None:
    """E14: also by another life than the one that saw it; its rollback is back to 0."""
    documents = "---".join([START, RULE.format(mode="approve")])
    async with staged(tmp_path, documents=documents, KINTSUGI_GUARDS__APPROVAL_EXPIRY="20h") as stage:
        await scale(stage, 4)
        await eventually(lambda: web(stage)["healthy"], within=TIMEOUT, describe=stage.daemon.tail)
        await scale(stage, 0)
        incident = (await asked(stage))["id"]
        (question,) = stage.daemon.incident(incident)["questions"]
        assert f"\n  $ kubectl scale deployment {WEB} --replicas=4 --current-replicas=0" in question["text"], question
        await asyncio.to_thread(stage.daemon.kill)
        await asyncio.to_thread(stage.daemon.start)
        await asyncio.to_thread(stage.daemon.wait_ready)
        assert stage.replicas() == 0
        agreed = await stage.kintsugi("approve", incident, "--yes")
        assert agreed.code == 0, agreed
        found = await stage.ended(incident)
        assert (found["incident"]["state"], stage.replicas()) == ("recovered", 4), found
        back = await stage.kintsugi("rollback", incident, "--yes")
        assert back.code == 0, back
        await eventually(lambda: stage.replicas() == 0, within=TIMEOUT, describe=stage.daemon.tail)


async def test_the_generic_runbook_asks_with_the_cause_and_scales_it_back(tmp_path: Path) -> None:
    rule = RULE.format(mode="auto").replace("runbook: start-service", "runbook: workload-recovery")
    async with staged(tmp_path, documents="---".join([START, GENERIC, rule])) as stage:
        had = stage.replicas()
        await scale(stage, 0)
        incident = await asked(stage)
        (question,) = stage.daemon.incident(incident["id"])["questions"]
        said = f"Scale {WEB} back to {had} replicas? the workload is scaled to 0 replicas"
        assert question["text"].startswith(said), question
        assert stage.replicas() == 0
        agreed = await stage.kintsugi("approve", incident["id"], "--yes")
        assert agreed.code == 0, agreed
        found = await stage.ended(incident["id"])
        assert (found["incident"]["state"], stage.replicas()) == ("recovered", had), found


async def test_a_workload_that_a_restore_has_stopped_is_started_by_no_rule_and_by_no_person_s_runbook(
    tmp_path: Path,
) -> None:
    """P6: the run is over, a person was called, and it holds what it has stopped until somebody has started it."""
    # It has to come after the run that has stopped it, and is judged by itself then.
    later = RULE.format(mode="auto").replace("for: 1m", "for: 10m")
    documents = "---".join([START, later, PARKING])
    async with staged(tmp_path, documents=documents, KINTSUGI_GUARDS__FAILURES_PAUSE="1s") as stage:
        begun = await stage.begun("empty-it", service="web")
        ended = await stage.ended(begun["incident"])
        assert (ended["incident"]["state"], stage.replicas()) == ("needs-operator", 0), ended

        def refused() -> bool:
            _, told = stage.daemon.get("/api/v1/signals?reason=at-zero")
            return any("held at 0: run" in each["verdict"]["text"] for each in told["signals"])

        await eventually(refused, within=TIMEOUT, describe=stage.daemon.tail)
        plan = await stage.shown("start-service", service="web", overrides=["handed-over", "cooldown"])
        assert "at-zero" in [each["reason"] for each in plan["answers"]], plan
        assert (plan["allowed"], stage.replicas()) == (False, 0)
        await scale(stage, 2)
        await scale(stage, 0)
        await eventually(lambda: stage.replicas() == 2, within=TIMEOUT, describe=stage.daemon.tail)
