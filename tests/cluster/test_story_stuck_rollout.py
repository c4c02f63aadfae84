"""Case 3, with a service and rules as docs/rules.md writes them: a bad rollout beside old pods that serve (E33)."""

from pathlib import Path

from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.story import ClusterStory
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_BAD
from tests.harness.restarting_runbook import write_restarting_runbook

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
  runbook: restart-everything
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: shop-pods-unhealthy}
spec:
  on: pod
  service: shop
  when: object.unhealthy
  for: 2m
  mode: auto
  cooldown: 10m
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: shop-too-few-ready}
spec:
  on: services
  service: shop
  when: service.ready < service.desired
  for: 5m
  mode: auto
  cooldown: 10m
"""


def test_a_stuck_rollout_beside_pods_that_serve_is_not_called_recovered_and_does_not_stay_open(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon, tmp_path: Path
) -> None:
    """P5, E19: its crash-looping pod is deleted in vain, and a person hears of the rollout and of the way back."""
    started = daemon(
        deadlines=HASTY, durations=0.03, catalog=catalog(tmp_path)
    )  # a pod serves some seconds before it crashes
    story = ClusterStory(cluster, production, started).begin(good="shop")

    story.at("a bad version is rolled out", lambda: faults.bad_rollout(story.deployment()))
    story.within(60).sees("its pod is restarted by a run", lambda: bool(story.deleted_by_daemon()))

    incident = story.within(150).closes()
    assert incident["state"] in ("ineffective", "needs-operator"), story.state()
    assert (
        "the rollout of deployment/web-app-deployment is not complete: 1 of 3 pods are of the new template"
        in (incident["reason"])
    )
    assert "kubectl rollout undo deployment/web-app-deployment --to-revision=1 -n production" in incident["reason"]
    assert story.answers(web) == 200
    assert story.container()["image"] == WEB_BAD
    assert not [each for each in story.daemon.incidents() if each["state"] == "recovered"]


def catalog(folder: Path) -> Path:
    """Write the service and its rules beside a runbook that restarts whatever is wrong."""
    made = folder / "catalog"
    for name in ("rules", "runbooks"):
        (made / name).mkdir(parents=True)
    (made / "rules" / "shop.yaml").write_text(SHOP)
    write_restarting_runbook(made / "runbooks")
    return made
