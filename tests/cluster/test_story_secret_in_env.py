"""A Deployment with a literal secret in its environment is changed and taken back, and nobody but the cluster has seen the secret."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

import pytest

from kintsugi.encryption import read_keys
from tests.cluster.conftest import HASTY, TIME_FOR_PODS, StartDaemon
from tests.cluster.story import ClusterStory, Json
from tests.harness.cluster import RealCluster

CANARY = "canary-in-the-environment"
ALERT = {"alertname": "Stale", "namespace": "production", "deployment": "web-app-deployment"}
SHOP = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {name: shop}
spec:
  priority: 3
  dependsOn: []
  namespace: production
  selector: app=web-app
  workload: deployment/web-app-deployment
  healthy: desired > 0 && ready >= desired
  runbook: without-it
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: stale}
spec: {on: alert, matchers: ['alertname="Stale"'], service: shop, mode: auto, cooldown: 10m}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: without-it}
spec:
  title: Try without a variable
  service: shop
  steps:
    - {id: read, name: Read, run: 'kubectl get deployment web-app-deployment', expect: 'item.spec.replicas > 0'}
    - {id: describe, name: Describe, run: 'kubectl describe deployment web-app-deployment'}
    - id: change
      name: Take it away
      run: >-
        kubectl patch deployment web-app-deployment -p
        '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"PLAIN","$patch":"delete"}]}]}}}}'
    - id: judge
      name: See what came of it
      run: kubectl get deployment web-app-deployment
      expect: item.spec.replicas > 100
      onFailure: rollback
  rollback: {after: 30m}
"""


@pytest.mark.parametrize("revisions", [10, 0], ids=["it stays in its revision", "no revision holds it"])
def test_a_literal_secret_comes_back_byte_for_byte_and_stands_nowhere_else(
    cluster: RealCluster, web: str, production: str, daemon: StartDaemon, tmp_path: Path, revisions: int
) -> None:
    """E4, P8: what the undo writes back stands in a revision, or encrypted in the ledger; masked text is never written."""
    keys, catalog = tmp_path / "keys", tmp_path / "catalog"
    keys.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    (catalog / "rules").mkdir(parents=True)
    (catalog / "rules" / "shop.yaml").write_text(SHOP)
    environment = {**TIME_FOR_PODS, "KINTSUGI_LEDGER__ENCRYPTION_KEY_FILE": str(keys)}
    story = ClusterStory(
        cluster, production, daemon(deadlines=HASTY, durations=0.02, catalog=catalog, environment=environment)
    )
    story.patch({"spec": {"revisionHistoryLimit": revisions}})
    story.set_variable(f"PLAIN={CANARY}")
    story.within(120).ready(3).begin(good="shop")
    before = template(story)
    assert CANARY.encode() in before

    story.at("an alert starts the runbook", lambda: story.alert("firing", ALERT))
    story.within(120).sees("the variable is gone", lambda: CANARY.encode() not in template(story))
    incident = story.within(240).ends("rolled-back")

    assert template(story) == before
    assert story.answers(web) == 200
    (changed,) = [step for step in story.steps(incident) if step["phase"] == "forward" and step["path"] == "change#0"]
    (text,) = changed["undo"]["texts"]
    (key,) = read_keys(keys.read_bytes()).keys
    assert ("--to-revision=" if revisions else f"[encrypted with key {key.id}]") in text
    for place, content in all_places(story, incident).items():
        assert CANARY not in content, place
        assert keys.read_text().strip() not in content, place


def template(story: ClusterStory) -> bytes:
    """Return the Deployment's pod template, byte for byte."""
    return json.dumps(story.deployment()["spec"]["template"], sort_keys=True).encode()


def all_places(story: ClusterStory, incident: Json) -> Mapping[str, str]:
    """Return all that can be found of the daemon's life: its files, its answers, and the Events of the namespace."""
    daemon = story.daemon
    paths = ("incidents", f"incidents/{incident['id']}", "signals", "services", "dead-letters")
    answers = {path: daemon.get(f"/api/v1/{path}") for path in paths}
    assert {status for status, _ in answers.values()} == {200}, answers
    events = json.dumps(story.cluster.list("events", story.namespace))
    assert "Kintsugi" in events
    files = [each for each in daemon.folder.iterdir() if each.name.startswith(("ledger", "daemon"))]
    assert len(files) > 1, list(daemon.folder.iterdir())
    return {
        **{each.name: each.read_bytes().decode(errors="replace") for each in files},
        **{path: json.dumps(answer) for path, (_, answer) in answers.items()},
        "metrics": str(daemon.get("/metrics")[1]),
        "notices": str(daemon.notices()),
        "events": events,
    }
