"""
Pods of a real Kubernetes that are ready and do not answer: one is evicted, and the others only where its successor answers.

Its near misses: nobody answers after a restart either, and the daemon may not evict.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import PATIENT, StartDaemon
from tests.cluster.small_catalog import service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT, kubeconfig, rights
from tests.harness.faults import Faults

API, PODS = "api", 3
LESSER = "evicts-none"
"""An account without the right that the chart grants by `evictions`."""

CHECKS = """\
  checks:
    smoke:
      - id: health
        name: It answers
        run: curl http://${{service.addresses[0].host}}:${{service.addresses[0].port}}/{path}
        expect: status == 200
"""
RULE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: api-does-not-answer}
spec: {on: check, service: api, check: smoke, every: 5s, for: 1s, mode: auto, cooldown: 10m}
"""

Begin = Callable[..., ClusterStory]


@pytest.fixture
def begin(cluster: RealCluster, production: str, tmp_path: Path, daemon: StartDaemon) -> Begin:
    """Return what begins a story of an API that is ready while its port is open, asked for a path by a check."""

    def story(
        *, path: str = "health", may_evict: bool = True, broken: Callable[[Json], None] | None = None
    ) -> ClusterStory:
        deployment, front = manifests.tier(production, API, replicas=PODS)
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
        cluster.apply(deployment, front)
        cluster.kubectl("rollout", "status", f"deployment/{API}-deployment", "-n", production, "--timeout=60s")
        if broken is not None:
            for pod in cluster.list("pod", production, selector=f"app={API}"):
                broken(pod)
        shipped = [(ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service")]
        document = service(API, runbook="workload-recovery") + CHECKS.format(path=path)
        catalog = write(tmp_path / "catalog", document, RULE, *shipped)
        account = "kintsugi" if may_evict else LESSER
        rules = [each for each in rights() if may_evict or "pods/eviction" not in each["resources"]]
        login = kubeconfig(cluster, "default", account=account, rules=rules)
        started = daemon(kubeconfig=login, catalog=catalog, deadlines=PATIENT)
        return ClusterStory(
            cluster, production, started, app=API, user=f"system:serviceaccount:default:{account}"
        ).begin()

    return story


def evicted(story: ClusterStory) -> list[str]:
    """Return the names of the pods that the daemon has evicted, and see that it has written nothing else."""
    written = story.written_by_daemon("pods")
    assert {(each.verb, each.subresource) for each in written} <= {("create", "eviction")}, written
    assert [each for each in story.writes() if each.resource != "pods"] == []
    return [each.name for each in written]


def test_pods_that_do_not_answer_are_evicted_one_of_them_first(begin: Begin, faults: Faults) -> None:
    silent: set[str] = set()

    def silence(pod: Json) -> None:
        faults.make_unready(pod)
        silent.add(pod["metadata"]["name"])

    story = begin(broken=silence)
    incident = story.within(240).ends("recovered", service=API)
    steps = {each["path"]: each for each in story.steps(incident)}
    assert steps["diagnosis"]["result"]["remedy"] == "restart-canary", steps["diagnosis"]
    story.within(20).sees("the audit log tells of each", lambda: len(evicted(story)) >= PODS)
    assert sorted(evicted(story)) == sorted(silent)
    story.within(60).ready(PODS)


def test_no_other_pod_is_evicted_where_a_new_one_does_not_answer_either(begin: Begin) -> None:
    story = begin(path="nothing-is-here")
    incident = story.within(240).ends("needs-operator", service=API)
    assert "The restarted pod answers" in incident["reason"], incident
    assert len(evicted(story)) == 1


def test_a_person_has_what_the_daemon_may_not_evict(begin: Begin, faults: Faults) -> None:
    story = begin(broken=faults.make_unready, may_evict=False)
    before = story.uids()
    incident = story.within(240).closes(service=API)
    assert incident["state"] in ("needs-operator", "failed"), incident
    assert "kubectl evict-pod" in incident["reason"] or "eviction" in incident["reason"], incident
    assert story.uids() == before
