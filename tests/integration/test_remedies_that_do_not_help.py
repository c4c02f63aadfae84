"""A daemon as a process: a trouble that returns after each recovery, and a restart that could only do harm."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, Notice, Reason, StepRecord, StepState
from kintsugi_demo.shop import NAMESPACE
from kubeobjects import resources
from tests.harness.ledgers import newest_signals
from tests.harness.restarting_runbook import write_restarting_runbook
from tests.integration.crash_daemon import crash_daemon
from tests.integration.crash_stage import API, SELDOM, CrashStage
from tests.integration.crash_story import CRASH_LOOP, good_is_known, made, quiet
from tests.integration.documents import service
from tests.integration.process_stage import PYTHON, config_map
from tests.unit.factories import rule_text

pytestmark = pytest.mark.long

ALL_DAY = {f"KINTSUGI_GUARDS__RECOVERIES_{name}": "240h" for name in ("WINDOW", "PAUSE_MAX")}
"""Scaled, hours in which recoveries count: on a machine where each takes minutes they still do."""


async def break_and_recover(stage: CrashStage, ledger: Ledger, count: int) -> None:
    """Let a pod crash-loop, and wait until it has been recovered for the so-manieth time."""
    stage.cluster.faults.crash_loop(stage.pods()[0])
    incident = await stage.all_closed(ledger, count)
    assert incident.state is IncidentState.RECOVERED, incident
    await quiet(stage, ledger)


async def left_alone(ledger: Ledger) -> Sequence[str]:
    """Return the incidents that are named by the signals for which nothing is started, since the trouble returns."""
    judged = [verdict for _, verdict in await newest_signals(ledger) if verdict is not None]
    return [each.incident for each in judged if each.reason is Reason.INEFFECTIVE]


async def told(ledger: Ledger, kind: IncidentState) -> Sequence[Notice]:
    """Return the notices of one kind; where nobody is told they wait."""
    return [each for each in await ledger.outbox.due_notices(datetime.now(UTC), limit=50) if each.kind is kind]


async def test_a_trouble_that_returns_after_each_recovery_is_told_once_and_left_to_a_person(tmp_path: Path) -> None:
    """E34: P7: across a restart of the daemon, since what is counted is in the ledger."""
    async with CRASH_LOOP.stage(CRASH_LOOP.daemon(tmp_path / "story", **ALL_DAY)) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            await good_is_known(stage, ledger)
            await break_and_recover(stage, ledger, 1)
            await break_and_recover(stage, ledger, 2)
        await stage.kill()
        stage.start()
        async with stage.ledger() as ledger:
            await break_and_recover(stage, ledger, 3)
            writes, ill = len(made(stage)), stage.pods()[:2]
            for pod in ill:
                stage.cluster.faults.crash_loop(pod)

            async def both_are_left_alone() -> bool:
                return len(await left_alone(ledger)) >= len(ill)

            await stage.until(both_are_left_alone, every=SELDOM)
            incident = await stage.all_closed(ledger, 4)
            assert incident.state is IncidentState.INEFFECTIVE
            assert set(await left_alone(ledger)) == {incident.id}
            assert await ledger.incidents.runs_of(incident.id) == ()
            (notice,) = await told(ledger, IncidentState.INEFFECTIVE)
            earlier = [
                run for each in await ledger.incidents.newest() for run in await ledger.incidents.runs_of(each.id)
            ]
        assert (len(made(stage)), set(ill) - set(stage.pods())) == (writes, set())
    head, _, *lines = notice.text.splitlines()
    assert "has recovered 3 times in runs of web-service-recovery since" in head
    assert [line.split()[2].rstrip(":") for line in lines] == [
        run.id for run in sorted(earlier, key=lambda run: run.id)
    ]
    assert all("kubectl delete pod" in line and ": recovered at " in line for line in lines), notice.text


CART = "cart-settings"
API_LABELS = {"app": "api"}


def back_end(stage: CrashStage, strategy: Mapping[str, Any]) -> None:
    """Make the API's two pods real programs that need a key of a ConfigMap."""
    stage.cluster.images.add("python:3", PYTHON)
    stage.cluster.apply(config_map(CART, currency="EUR"))
    key = {"name": CART, "key": "currency"}
    container = {
        "name": "api",
        "image": "python:3",
        "args": ["-c", "import time; time.sleep(1 << 20) if 1 < 2 and 2 > 1 & 1 else None"],
        "env": [{"name": "CURRENCY", "valueFrom": {"configMapKeyRef": key}}],
    }
    stage.cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": API, "namespace": NAMESPACE},
            "spec": {"strategy": strategy, "template": {"spec": {"containers": [container]}}},
        }
    )


CATALOG = (
    service(
        "api",
        app="api",
        workload=f"deployment/{API}",
        healthy="desired > 0 && ready >= desired && workload.status.unavailableReplicas == 0",
        runbook="restart-everything",
    ),
    rule_text(
        "api-too-few-ready",
        service="api",
        on="services",
        more="when: service.ready < service.desired\nfor: 5m\ncooldown: 10m",
    ),
)


def catalog(folder: Path) -> Path:
    """Write a catalog of one service, with a runbook that restarts whatever is wrong."""
    folder.mkdir()
    (folder / "api.yaml").write_text("\n---\n".join(CATALOG))
    write_restarting_runbook(folder)
    return folder


def waits_for(pod: Mapping[str, Any], reason: str) -> bool:
    """Return whether the pod's container waits for this reason."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any(each["state"].get("waiting", {}).get("reason") == reason for each in statuses)


async def restart_of(ledger: Ledger) -> StepRecord | None:
    """Return the last restart that a run has come to, None when there is none."""
    steps = [
        step
        for incident in await ledger.incidents.newest()
        for run in await ledger.incidents.runs_of(incident.id)
        for step in await ledger.incidents.steps(run.id)
        if step.text.startswith("kubectl rollout restart") and step.state is not StepState.PLANNED
    ]
    return steps[-1] if steps else None


async def test_a_restart_that_would_end_the_last_good_pod_is_not_made(tmp_path: Path) -> None:
    """B24: One of two pods is made anew and cannot start, since a ConfigMap has lost a key; the strategy is Recreate."""
    daemon = crash_daemon(tmp_path / "story", durations=0.01, catalog=catalog(tmp_path / "catalog"))
    async with CrashStage.set(daemon) as stage:
        back_end(stage, {"type": "Recreate", "rollingUpdate": None})

        async def is_rolled_out() -> bool:
            images = [pod["spec"]["containers"][0]["image"] for pod in stage.alive(API_LABELS).values()]
            return stage.is_well(API) and images == ["python:3", "python:3"]

        await stage.until(is_rolled_out)
        stage.start()
        async with stage.ledger() as ledger:
            good, gone = sorted(stage.alive(API_LABELS))
            stage.cluster.apply(config_map(CART, currency=None))
            stage.cluster.delete(resources.PODS, stage.alive(API_LABELS)[gone]["metadata"]["name"], NAMESPACE)

            await stage.until(
                lambda: any(waits_for(pod, "CreateContainerConfigError") for pod in stage.alive(API_LABELS).values())
            )

            async def has_come_to_the_restart() -> bool:
                return await restart_of(ledger) is not None

            await stage.until(has_come_to_the_restart, every=SELDOM)
            incident = await stage.all_closed(ledger, 1)
            restart = await restart_of(ledger)
            assert restart is not None
            assert restart.state is StepState.SKIPPED, restart
            assert "CreateContainerConfigError" in restart.error
            assert "currency" in restart.error
            assert good in stage.alive(API_LABELS)
            assert [each.path for each in made(stage) if each.method == "PATCH"] == []
            assert incident.state is IncidentState.NEEDS_OPERATOR
            assert restart.error in incident.reason
