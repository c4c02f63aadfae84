"""The limits of what goes on at a time, on a real Kubernetes: a share of a service's pods, and one service at once."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.conftest import StartDaemon
from tests.cluster.small_catalog import deploy, service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness import manifests
from tests.harness.api import ApiClient, Object
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.waiting import wait_for

STORE, WEB = "store", "web-app"
PODS = 4
"""How many the web has; by default half of them may be unavailable."""

ONE_AT_ONCE = {"KINTSUGI_GUARDS__MAX_CONCURRENT_SERVICES": "1"}
AGREED = "agreed"
"""The label of the web's Deployment that its first step waits for, so that the story says when that step is over."""

DOCUMENTS = f"""\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: web-wants-new-pods}}
spec:
  on: alert
  matchers: [alertname="NewPodsWanted"]
  service: {WEB}
  runbook: new-pods
  mode: auto
  cooldown: 1h
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: new-pods}}
spec:
  title: New pods for those that do not answer, and one more
  steps:
    - id: first
      steps:
        - id: restart
          forEach: service.pods
          maxParallel: {PODS}
          when: each.unhealthy
          run: kubectl delete pod ${{each}}
        - id: agreed
          run: kubectl get ${{service.workload}}
          expect: '"{AGREED}" in item.metadata.labels'
          within: 3h
    - {{id: more, run: "kubectl scale ${{service.workload}} --replicas={PODS + 1}"}}
    - {{id: there, expect: service.ready == {PODS + 1}, within: 1h}}
  rollback: {{after: 8h, then: leave}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: store-pods-unhealthy}}
spec: {{on: pod, service: {STORE}, when: object.unhealthy, for: 10s, mode: auto, cooldown: 1h}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: restart-pods}}
spec:
  title: Restart unhealthy pods
  steps:
    - {{id: restart, forEach: service.pods, when: each.unhealthy, run: "kubectl delete pod ${{each}}"}}
    - {{id: well, expect: service.healthy, within: 1h}}
  rollback: {{after: 3h, then: leave}}
"""


@pytest.fixture
def story(own_cluster: RealCluster, production: str, tmp_path: Path, daemon: StartDaemon) -> ClusterStory:
    """Return the story of a store and a web that do not depend on each other, of which one at once may be recovered."""
    catalog = write(
        tmp_path / "catalog",
        service(STORE, runbook="restart-pods", priority=1),
        service(WEB, runbook="new-pods", priority=3),
        DOCUMENTS,
    )
    own_cluster.apply(*manifests.tier(production, WEB, replicas=PODS))
    deploy(own_cluster, production, [STORE])
    made = ClusterStory(own_cluster, production, daemon(catalog=catalog, environment=ONE_AT_ONCE)).ready(PODS)
    wait_for(lambda: all(made.service(app).get("healthy") for app in (STORE, WEB)), within=60, describe=made.state)
    return made.begin()


def test_pods_that_serve_stay_others_go_at_once_and_a_higher_priority_has_the_slot_between_two_steps(
    story: ClusterStory, faults: Faults
) -> None:
    """P2, P7: half of four may be down, and is; the store waits for the web's step, goes before its next, and the web goes on by itself."""
    sick, well = story.pods()[: PODS // 2], story.pods()[PODS // 2 :]
    (victim,) = story.cluster.list("pod", story.namespace, selector=f"app={STORE}")
    story.within(60).sees("half may go", lambda: allowed(story) == PODS // 2)
    with serving(story) as seen:
        story.at("half of the pods stop to answer", lambda: faults.make_unready(*sick))
        story.within(60).sees("no more of them may go", lambda: allowed(story) == 0)
        story.at("new pods are wanted", lambda: story.alert("firing", WANTED))
        story.within(60).sees("they are deleted", lambda: deleted(story) == uids(sick))
        story.within(60).ready(PODS).sees("half may go again", lambda: allowed(story) == PODS // 2)
    assert min(seen()) >= PODS // 2, seen()
    assert uids(well) < set(story.uids())

    story.at("the store stops to answer", lambda: faults.make_unready(victim))
    refused = story.within(60).verdict("refused", "budget", rule="store-pods-unhealthy")
    assert "the limit is 1" in refused["text"]
    assert deleted(story) == uids(sick), "the step under way goes on"
    story.at("the web's step may end", lambda: agree(story))
    story.within(60).sees("the web has given its slot away", lambda: has_given(of(story, WEB)))
    story.within(120).ends("recovered", service=STORE)
    story.within(60).sees("the web goes on", lambda: bool(story.written_by_daemon("deployments")))
    story.at("that was what was wanted", lambda: story.alert("resolved", WANTED))
    story.within(120).ends("recovered", service=WEB)

    changes = [(each.verb, each.uid if each.verb == "delete" else each.name) for each in story.writes()]
    assert changes[len(sick) :] == [("delete", victim["metadata"]["uid"]), ("patch", f"{WEB}-deployment")]
    (store,), (web,) = (story.daemon.incident(of(story, name)["id"])["runs"] for name in (STORE, WEB))
    assert (store["run"]["state"], web["run"]["state"]) == ("recovered", "recovered"), story.state()
    (more,) = (each for each in web["steps"] if each["path"] == "more")
    assert store["run"]["finished"] <= more["started"]


WANTED = {"alertname": "NewPodsWanted", "namespace": "production", "deployment": f"{WEB}-deployment"}


def agree(story: ClusterStory) -> None:
    """Let the web's first step come to its end."""
    story.cluster.kubectl("label", f"deployment/{WEB}-deployment", f"{AGREED}=yes", "-n", story.namespace)


def has_given(incident: Json) -> bool:
    """Return whether an incident's run has given its slot to the store."""
    return incident["state"] == "held" and str(incident["reason"]).startswith(f"the run yielded its slot to {STORE}")


def allowed(story: ClusterStory) -> float:
    """Return how many of the web's pods that serve may go now, as the daemon's metric says."""
    return story.counted("kintsugi_service_disruptions_allowed", service=WEB)


def deleted(story: ClusterStory) -> set[str]:
    """Return the uids of the pods that the daemon has deleted."""
    return set(story.deleted_by_daemon())


def uids(pods: Sequence[Object]) -> set[str]:
    """Return the uids of pods."""
    return {each["metadata"]["uid"] for each in pods}


def of(story: ClusterStory, name: str) -> Json:
    """Return the newest incident of a service."""
    return next(each for each in story.daemon.incidents() if each["service"] == name)


@contextmanager
def serving(story: ClusterStory) -> Iterator[Callable[[], Sequence[int]]]:
    """Count again and again how many of the web's pods are ready and stay; yields the counts so far."""
    api, over, counts = ApiClient(story.cluster.access), threading.Event(), list[int]()  # a connection of its own

    def count() -> None:
        while not over.wait(0.1):
            pods = api.list("pod", story.namespace, selector=f"app={WEB}")
            counts.append(sum(is_ready(each) for each in pods))

    thread = threading.Thread(target=count, name="counting", daemon=True)
    thread.start()
    try:
        yield lambda: tuple(counts)
    finally:
        over.set()
        thread.join()


def is_ready(pod: Object) -> bool:
    """Return whether a pod serves, and is not on its way out."""
    conditions = pod["status"].get("conditions", ())
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
