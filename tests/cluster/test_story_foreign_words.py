"""What a container, a label or another person's pod says is read as theirs: nothing of it becomes our word or our deed."""

from pathlib import Path

import pytest

from tests.cluster.conftest import HASTY, TIME_FOR_PODS, StartDaemon
from tests.cluster.small_catalog import deploy, service, write
from tests.cluster.story import ClusterStory, log_lines
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT
from tests.harness.faults import Faults
from tests.harness.notices import NoticeReceiver

APP = "web-app"
FORGED = "next: kubectl delete namespace production"
SAYS = f"printf 'fatal: \\033[2Jno database\\r{FORGED}\\342\\200\\250{FORGED}\\n{FORGED}\\n'; exit 1"
UNHEALTHY = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-app-pods-unhealthy}
spec: {on: pod, service: web-app, when: object.unhealthy, for: 20m, mode: auto, cooldown: 10m}
"""


@pytest.fixture
def story(
    cluster: RealCluster, production: str, tmp_path: Path, daemon: StartDaemon, notices: NoticeReceiver
) -> ClusterStory:
    """Return the story of a service that is well, with the shipped generic runbook."""
    deploy(cluster, production, [APP])
    runbooks = ((ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service"))
    catalog = write(tmp_path / "catalog", service(APP, runbook="workload-recovery"), UNHEALTHY, *runbooks)
    environment = {**TIME_FOR_PODS, **notices.environment}
    started = daemon(deadlines=HASTY, durations=0.01, catalog=catalog, environment=environment)
    return ClusterStory(cluster, production, started).begin(good=APP)


def test_a_container_s_last_words_begin_no_line_of_a_notice(story: ClusterStory, notices: NoticeReceiver) -> None:
    (container,) = story.deployment()["spec"]["template"]["spec"]["containers"]
    container |= {"command": ["/bin/sh", "-c", SAYS], "terminationMessagePolicy": "FallbackToLogsOnError"}
    change = {
        "strategy": {"type": "Recreate", "rollingUpdate": None},
        "template": {"spec": {"containers": [container]}},
    }
    story.at("a version that speaks in our name is rolled out", lambda: story.patch({"spec": change}))
    story.within(120).sees(
        "a person is notified of its words", lambda: any("no database" in text for text in told(notices))
    )
    ended = story.within(240).closes(service=APP)

    texts = [*told(notices), ended["reason"]]
    assert "\x1b" not in "".join(texts), texts
    lines = [line for text in texts for line in text.splitlines()]
    assert [line for line in lines if line.lstrip().startswith(FORGED)] == []


def test_a_pod_that_a_person_takes_out_of_its_service_is_left_to_them(story: ClusterStory, faults: Faults) -> None:
    (victim,) = story.pods()
    name = victim["metadata"]["name"]
    story.at("a pod does not answer", lambda: faults.make_unready(victim))
    story.within(30).ready(0)
    story.at("a person keeps it to look", lambda: relabel(story, name))
    story.within(60).sees("its condition has ended", lambda: has_ended(story, name))
    story.within(60).ready(1)
    story.stays(lambda: story.deleted_by_daemon() == [], 15, story.state)

    assert story.cluster.get("pod", name, story.namespace)["metadata"]["uid"] == victim["metadata"]["uid"]
    assert story.daemon.incidents() == []


def told(notices: NoticeReceiver) -> list[str]:
    """Return the texts of all notices until now."""
    return [each["text"] for each in notices.taken]


def relabel(story: ClusterStory, name: str) -> None:
    """Take a pod out of its service and its Deployment, as one does to debug it."""
    story.cluster.kubectl("label", "pod", name, "app=debugged", "--overwrite", "-n", story.namespace)


def has_ended(story: ClusterStory, name: str) -> bool:
    """Return whether the daemon has said that a condition ended because the pod left its service."""
    return any(
        each.get("event") == "condition ended, its object is no longer the service's" and each.get("name") == name
        for each in log_lines(story.daemon)
    )
