"""Three services are down at once, and the daemon is killed three times while it recovers them, at points that a printed seed draws."""

from functools import partial
from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.crashes import SEED, is_dead, lot
from tests.cluster.small_catalog import deploy, service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness.cluster import RealCluster
from tests.harness.crash_points import KILL_AT
from tests.harness.faults import Faults
from tests.harness.waiting import wait_for

APPS = ("store", "api", "web")
"""The cause first. Each has one pod, so that each is one effect."""

POINTS = (
    "after commit save-step restart[]#0 intent 1",
    "before effect restart[]#0 1",
    "after effect restart[]#0 1",
    "after commit save-step restart[]#0 done 1",
)
"""Of each life the first effect: there are as many as deaths, and none is made before its turn."""

RUNBOOKS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: several-down}
spec:
  on: services
  when: size(services.filter(s, s.desired > 0 && !s.serving)) >= 3
  for: 1m
  runbook: stack-recovery
  mode: auto
  cooldown: 1h
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: restart}
spec:
  title: Restart
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
    - {id: well, expect: service.healthy, within: 1h}
  rollback: {after: 5h, then: leave}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: stack-recovery}
spec:
  title: Everything, the cause first
  steps:
    - {id: store, unless: services.store.healthy, service: store, runbook: restart}
    - {id: api, unless: services.api.healthy, service: api, runbook: restart}
    - {id: web, unless: services.web.healthy, service: web, runbook: restart}
    - {id: well, expect: "services.all(s, s.healthy)", within: 1h}
  rollback: {after: 20h}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Write the three, each of which depends on the one before it, and the runbook about all of them."""
    upstreams = ("", *APPS)
    services = (
        service(app, runbook="restart", priority=number, depends_on=upstreams[number - 1])
        for number, app in enumerate(APPS, 1)
    )
    return write(tmp_path / "catalog", *services, RUNBOOKS)


def test_a_run_about_three_services_that_is_killed_three_times_deletes_each_pod_once_the_cause_first(
    own_cluster: RealCluster, faults: Faults, production: str, catalog: Path, daemon: StartDaemon
) -> None:
    """P2, P3, C1, C2: one run of the stack and one of each service, all recovered; the API server's audit log is the witness."""
    deploy(own_cluster, production, APPS)
    seed, draws = lot()
    drawn = draws.sample(POINTS, 3)
    print(f"{SEED}={seed} draws {drawn}")
    started = daemon(catalog=catalog, environment={KILL_AT: drawn[0]})
    story = ClusterStory(own_cluster, production, started, app=APPS[-1])
    wait_for(lambda: all(story.service(app).get("healthy") for app in APPS), within=60, describe=story.state)
    victims = [pod for app in APPS for pod in own_cluster.list("pod", production, selector=f"app={app}")]

    story.begin().at("all three stop to answer", lambda: faults.make_unready(*victims))
    for point, following in zip(drawn, [*drawn[1:], ""], strict=True):
        story.within(120).sees(f"the daemon has died {point}", lambda: is_dead(story))
        story.at("it is started again", partial(story.daemon.start, {KILL_AT: following}))

    story.within(180).ends("recovered", service="stack")
    runs = {each["service"]: runs_of(story, each) for each in story.daemon.incidents()}
    states = {name: [run["state"] for run in each] for name, each in runs.items()}
    assert states == {name: ["recovered"] for name in ("stack", *APPS)}, story.state()
    assert story.deleted_by_daemon() == [each["metadata"]["uid"] for each in victims]
    assert [each.verb for each in story.writes()] == ["delete"] * 3


def runs_of(story: ClusterStory, incident: Json) -> list[Json]:
    """Return the runs of an incident."""
    return [each["run"] for each in story.daemon.incident(incident["id"])["runs"]]
