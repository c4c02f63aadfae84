"""Two rules want the same Deployment: one goes first, and the other says why not; where they undo each other, neither goes on."""

from functools import partial
from pathlib import Path

import pytest

from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.small_catalog import service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness.cluster import RealCluster
from tests.harness.manifests import WEB
from tests.harness.waiting import wait_for

RULE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}}}
spec:
  on: alert
  matchers: [alertname="{alert}"]
  service: {service}
  runbook: {runbook}
  mode: auto
  cooldown: 1m
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: {runbook}}}
spec:
  title: Scale to {replicas}
  steps:
    - id: scale
      run: kubectl scale ${{service.workload}} --replicas={replicas}
    - id: there
      expect: service.ready == {replicas}
      within: 30m
  rollback:
    after: 2h
"""

BUSY, IDLE, CANARY = "WebTooBusy", "WebIdle", "CanaryTooBusy"


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Write one Deployment with two services: one has two rules that scale it up and down, the other one of its own."""
    return write(
        tmp_path / "catalog",
        service("web", runbook="scale-up", app=WEB),
        service("canary", runbook="scale-canary", app=WEB),
        RULE.format(name="web-busy", alert=BUSY, service="web", runbook="scale-up", replicas=5),
        RULE.format(name="web-idle", alert=IDLE, service="web", runbook="scale-down", replicas=2),
        RULE.format(name="canary-busy", alert=CANARY, service="canary", runbook="scale-canary", replicas=4),
    )


def test_rules_that_want_one_deployment_go_one_by_one_and_two_that_undo_each_other_are_left_to_a_person(
    own_cluster: RealCluster, web: str, production: str, catalog: Path, daemon: StartDaemon
) -> None:
    """E20, E21, P2: joined, or refused by its lock; scaled up once, never down again, and one incident names both rules."""
    story = ClusterStory(own_cluster, production, daemon(deadlines=HASTY, catalog=catalog))
    wait_for(lambda: story.service("web").get("healthy"), within=60, describe=story.state)
    story.begin()

    story.at("it is too busy", lambda: fire(story, BUSY)).within(30).reaches("running")
    story.at("it is idle, says another rule", lambda: fire(story, IDLE))
    joined = story.within(30).verdict("attached", "active-run", rule="web-idle")
    assert "web is already being recovered" in joined["text"]
    story.at("another service wants the same Deployment", lambda: fire(story, CANARY))
    refused = story.within(30).verdict("refused", "locked", rule="canary-busy")
    assert "is held by run" in refused["text"]
    for alert in (IDLE, CANARY, BUSY):
        story.at(f"{alert} is over", partial(clear, story, alert))
    first = story.within(60).ready(5).ends("recovered", service="web")

    story.at("now it is idle", lambda: fire(story, IDLE, "again"))
    story.within(60).sees("another incident", lambda: len(story.daemon.incidents()) == 2)
    conflict = story.within(60).ends("needs-operator", service="web")
    assert conflict["id"] != first["id"]
    assert "rules web-busy and web-idle contradict each other" in conflict["reason"]
    assert story.daemon.told_of(conflict["id"]) == [conflict["reason"]]
    story.at("and too busy again", lambda: fire(story, BUSY, "again"))
    story.within(30).verdict("refused", "human-hands", rule="web-busy")
    assert [patch.name for patch in story.written_by_daemon("deployments")] == ["web-app-deployment"]
    assert story.deployment()["spec"]["replicas"] == 5


def fire(story: ClusterStory, alert: str, episode: str = "first") -> None:
    """Let an alert fire."""
    story.alert("firing", labels(alert, episode))


def clear(story: ClusterStory, alert: str, episode: str = "first") -> None:
    """Let an alert be over."""
    story.alert("resolved", labels(alert, episode))


def labels(alert: str, episode: str) -> Json:
    """Return the labels of an alert about the Deployment."""
    where = {"namespace": "production", "deployment": "web-app-deployment", "severity": "warning"}
    return {"alertname": alert, "episode": episode, **where}
