"""Somebody has scaled a service to 0 on a real Kubernetes: it is started by a person's yes, alone and inside a run about all services."""

from collections.abc import Mapping
from pathlib import Path

from tests.cluster.conftest import StartDaemon
from tests.cluster.small_catalog import deploy, service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT, DaemonProcess
from tests.harness.faults import Faults
from tests.harness.waiting import wait_for

START = (ROOT / "runbooks" / "start-service.yaml").read_text()
STORE, API, WEB = "store", "api", "web-app"
REPLICAS = 2
"""What the Service document says; the Deployment has one pod, so that what the ledger saw last is another number."""

PACE = 0.1
"""What every duration is multiplied by: the pods of a start from 0 have ten minutes to be ready, and take their real time."""

RULES = f"""\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: web-scaled-to-zero}}
spec:
  on: services
  service: {WEB}
  when: service.workload.spec.replicas == 0
  for: 30s
  runbook: start-service
  mode: approve
  cooldown: 4h
"""

STACK = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: several-down}
spec:
  on: services
  when: size(services.filter(s, s.desired > 0 && !s.serving)) >= 2
  for: 30s
  runbook: stack-recovery
  mode: auto
  cooldown: 4h
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: restart-pods}
spec:
  title: Restart unhealthy pods
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
    - {id: well, expect: service.healthy, within: 20m}
  rollback: {after: 1h, then: leave}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: stack-recovery}
spec:
  title: Everything, level by level
  steps:
    - {id: store, unless: services.store.healthy, service: store, runbook: restart-pods}
    - id: api_at_zero
      when: services.api.?workload.?spec.?replicas.orValue(1) == 0
      approve: Somebody has scaled api to 0. Start it?
      service: api
      runbook: start-service
    - {id: api, unless: services.api.healthy, service: api, runbook: restart-pods}
    - {id: web, unless: services.web_app.healthy, service: web-app, runbook: restart-pods}
    - {id: well, expect: "services.all(s, s.healthy)", within: 20m}
  rollback: {after: 8h, then: leave}
"""


def test_a_service_that_somebody_has_scaled_to_0_is_started_as_its_document_says_when_a_person_agrees(
    own_cluster: RealCluster, production: str, tmp_path: Path, daemon: StartDaemon
) -> None:
    """P8: it is noticed and asked about, nothing is changed before the yes, and one change is made after it."""
    catalog = write(tmp_path / "catalog", counted(WEB), START, RULES)
    deploy(own_cluster, production, [WEB])
    story = begun(own_cluster, production, daemon(catalog=catalog, durations=PACE), WEB)
    story.at("somebody scales it to 0", lambda: story.scale(0))
    asking = story.within(60).reaches("awaiting-approval")
    assert (asking["service"], story.writes(), story.pods()) == (WEB, [], []), story.state()

    story.at("a person agrees", lambda: story.approve(asking))
    story.within(120).ends("recovered", service=WEB)
    story.ready(REPLICAS)
    assert [(each.verb, each.resource) for each in story.writes()] == [("patch", "deployments")]


def test_in_a_run_about_all_services_one_at_0_is_asked_about_started_and_the_levels_after_it_go_on(
    own_cluster: RealCluster, production: str, tmp_path: Path, daemon: StartDaemon, faults: Faults
) -> None:
    """P2, P8: what is before it is recovered meanwhile, what is after it waits for the answer, and each is changed once."""
    store = service(STORE, runbook="restart-pods")
    api = counted(API, priority=2, depends_on=STORE)
    web = service(WEB, runbook="restart-pods", priority=3, depends_on=API)
    catalog = write(tmp_path / "catalog", store, api, web, START, STACK)
    deploy(own_cluster, production, [STORE, API, WEB])
    story = begun(own_cluster, production, daemon(catalog=catalog, durations=PACE), STORE, API, WEB)
    victims = [pod_of(story, app) for app in (STORE, WEB)]
    story.at("somebody scales the API to 0", lambda: scale(story, API, 0))
    story.at("a pod of the store and one of the web stop to answer", lambda: faults.make_unready(*victims))

    asking = story.within(120).reaches("awaiting-approval", service="stack")
    (question,) = story.daemon.incident(asking["id"])["approvals"]
    assert "Somebody has scaled api to 0. Start it?" in question["question"]
    assert runs(story).keys() == {"stack", STORE}, story.state()
    assert story.deleted_by_daemon() == [uid(victims[0])]
    assert story.written_by_daemon("deployments") == []

    story.at("a person agrees", lambda: story.approve(asking))
    story.within(180).ends("recovered", service="stack")
    ended = runs(story)
    assert {name: run["state"] for name, run in ended.items()} == dict.fromkeys(("stack", STORE, API, WEB), "recovered")
    assert ended[API]["finished"] <= ended[WEB]["started"]
    assert own_cluster.get("deployment", f"{API}-deployment", production)["status"]["readyReplicas"] == REPLICAS
    assert story.deleted_by_daemon() == [uid(each) for each in victims]
    assert [each.name for each in story.written_by_daemon("deployments")] == [f"{API}-deployment"]


def counted(name: str, *, priority: int = 1, depends_on: str = "") -> str:
    """Write a service whose document says how many replicas it is to have."""
    runbook = "start-service" if name == WEB else "restart-pods"
    return f"{service(name, runbook=runbook, priority=priority, depends_on=depends_on)}  replicas: {REPLICAS}\n"


def begun(cluster: RealCluster, namespace: str, started: DaemonProcess, *apps: str) -> ClusterStory:
    """Begin a story of services that the daemon has seen well; the last one is the story's."""
    story = ClusterStory(cluster, namespace, started, app=apps[-1])
    wait_for(lambda: all(story.service(app).get("healthy") for app in apps), within=60, describe=story.state)
    return story.begin()


def scale(story: ClusterStory, app: str, replicas: int) -> None:
    """Set an app's replicas as a person would."""
    story.cluster.kubectl("scale", f"deployment/{app}-deployment", f"--replicas={replicas}", "-n", story.namespace)


def pod_of(story: ClusterStory, app: str) -> Object:
    """Return the one pod of an app."""
    (found,) = story.cluster.list("pod", story.namespace, selector=f"app={app}")
    return found


def uid(pod: Object) -> str:
    """Return a pod's uid."""
    return str(pod["metadata"]["uid"])


def runs(story: ClusterStory) -> Mapping[str, Json]:
    """Return the run of each service; there is one each."""
    found = [run["run"] for each in story.daemon.incidents() for run in story.daemon.incident(each["id"])["runs"]]
    assert len({each["service"] for each in found}) == len(found), story.state()
    return {each["service"]: each for each in found}
