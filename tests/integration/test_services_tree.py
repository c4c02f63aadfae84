"""`kintsugi services` of a real daemon: who serves, who is held by whom and until when, at which step a run is."""

from functools import partial
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB_LABELS
from kubeobjects import resources
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged

pytestmark = pytest.mark.long

LINGERS = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: linger}
spec:
  title: Take long
  service: api
  steps:
    - {id: wait, name: Wait for more, expect: service.desired > 9, within: 20m, onFailure: continue}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-crashes}
spec: {on: pod, service: web, when: object.crashLooping, mode: auto}
"""


async def test_a_held_service_names_its_upstream_and_that_one_its_step_and_its_watchdog(tmp_path: Path) -> None:
    async with staged(tmp_path, documents=LINGERS) as stage:
        begun = await stage.begun("linger")
        await stage.lose_api()
        for pod in stage.cluster.find(resources.PODS, NAMESPACE, WEB_LABELS):
            stage.cluster.faults.crash_loop(pod["metadata"]["uid"])
        web = await eventually(lambda: held(stage), within=TIMEOUT, describe=stage.daemon.tail)
        api = service(stage, "api")
        assert (api["serving"], api["healthy"], api["incident"]) == (False, False, begun["incident"])
        assert (api["run"]["runbook"], api["run"]["rule"], api["run"]["step"]["name"]) == (
            "linger",
            "manual",
            "Wait for more",
        )
        assert api["run"]["watchdog"] == begun["deadline"]
        run = f"api is being recovered by run {api['run']['id']}"
        assert (web["healthy"], web["hold"]["upstream"], web["hold"]["why"]) == (False, "api", run)
        assert web["hold"]["until"] > web["hold"]["since"]

        told = await stage.kintsugi("services")
        lines = [line for line in told.out.splitlines() if "  web  " in line or " api " in line]
        assert "running linger: Wait for more (planned); deadline" in lines[0], told.out
        assert "held by api until " in lines[1], told.out
        for series in (
            'kintsugi_service_serving{service="api"} 0.0',
            'kintsugi_service_healthy{service="web"} 0.0',
            'kintsugi_service_held{service="web"} 1.0',
            'kintsugi_service_held{service="api"} 0.0',
            "kintsugi_slots_left 2.0",
            f'kintsugi_namespace_slots_left{{namespace="{NAMESPACE}"}} 2.0',
            f'kintsugi_namespace_changes_left{{namespace="{NAMESPACE}"}} 20.0',
            'kintsugi_service_disruptions_allowed{service="api"} 0.0',
        ):
            await eventually(partial(is_told, stage, series), within=TIMEOUT, describe=series)


def is_told(stage: ManualStage, series: str) -> bool:
    """Return whether a metric has a value."""
    return series in metrics(stage)


def service(stage: ManualStage, name: str) -> Json:
    """Return one service as the API tells it."""
    _, told = stage.daemon.get("/api/v1/services")
    found: Json = next(each for each in told["services"] if each["name"] == name)
    return found


def held(stage: ManualStage) -> Json | None:
    """Return the web service once it is held by what can be named."""
    web = service(stage, "web")
    return web if web["hold"] and web["hold"]["upstream"] and web["healthy"] is False else None


def metrics(stage: ManualStage) -> list[str]:
    """Return the lines that Prometheus reads."""
    _, text = stage.daemon.get("/metrics")
    return str(text).splitlines()
