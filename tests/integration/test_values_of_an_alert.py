"""An alert of a real daemon on the embedded cluster gives its runbook a value, or the run is refused in words."""

import asyncio
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE
from kubeobjects import resources
from tests.harness.daemon import TOKEN
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, ManualStage, staged

pytestmark = pytest.mark.long

DOCUMENTS = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: renew-pod}
spec:
  title: Delete the pod of the alert
  parameters:
    pod: {type: name, from: alert.labels.pod, description: The pod that the alert names}
  steps:
    - id: pods
      run: kubectl get pods
    - id: renew
      when: alert.annotations.summary == "it hangs"
      forEach: steps.pods.items.filter(p, p.metadata.name == params.pod)
      run: kubectl delete pod ${each}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: hanging}
spec: {on: alert, service: web, runbook: renew-pod, matchers: [alertname=Hanging], mode: auto}
"""


async def deliver(stage: ManualStage, status: str = "firing", **labels: str) -> None:
    """Deliver an alert as Alertmanager does."""
    alert = {
        "status": status,
        "labels": {"alertname": "Hanging", "namespace": NAMESPACE, **labels},
        "annotations": {"summary": "it hangs"},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2026-01-01T00:01:00Z",
        "fingerprint": f"{len(labels):016x}",
    }
    body = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "alerts": [alert]}
    answered, _ = await asyncio.to_thread(stage.daemon.post, "/alertmanager", body, token=TOKEN)
    assert answered == 200


def pods(stage: ManualStage) -> dict[str, str]:
    """Name the pods of the web service, with their uids."""
    found = stage.cluster.find(resources.PODS, NAMESPACE, {"app": "web-app"})
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in found}


async def test_a_run_acts_on_the_pod_that_its_alert_names_and_one_without_that_label_is_refused(tmp_path: Path) -> None:
    async with staged(tmp_path, documents=DOCUMENTS) as stage:
        await deliver(stage)
        query = "SELECT verdict, reason, text FROM signals WHERE verdict IS NOT NULL"
        ((verdict, reason, text),) = await eventually(
            lambda: stage.daemon.rows(query), within=TIMEOUT, describe=stage.daemon.tail
        )
        assert (verdict, reason) == ("refused", "no-value")
        assert "renew-pod has no value for pod (the alert has no alert.labels.pod)" in text
        assert "kintsugi recover renew-pod --service web --set pod=VALUE" in text
        assert stage.daemon.incidents() == []

        before = pods(stage)
        named = min(before)
        await stage.make_unready(named)
        await deliver(stage, pod=named)
        await eventually(lambda: named not in pods(stage), within=TIMEOUT, describe=stage.daemon.tail)
        (opened,) = stage.daemon.incidents()
        (run,) = stage.daemon.incident(opened["id"])["runs"]
        changes = [each["text"] for each in run["steps"] if each["changes"] and "#" in each["path"]]
        assert changes == [f"kubectl delete pod {named} -n {NAMESPACE}"], run
        assert set(before) - {named} <= set(pods(stage))
