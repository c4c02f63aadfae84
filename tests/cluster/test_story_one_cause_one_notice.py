"""
A Service that leads nowhere is one notice, with its cause and who suffers; what only a rule in mode `observe` sees is told, too.

And a revision is good only while the checks of its service are met.
"""

from pathlib import Path

import pytest

from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.small_catalog import deploy, service, write
from tests.cluster.story import ClusterStory, Json, log_lines
from tests.harness.cluster import RealCluster
from tests.harness.daemon import ROOT
from tests.harness.faults import Faults
from tests.harness.images import WEB_BETTER
from tests.harness.notices import NoticeReceiver
from tests.harness.waiting import wait_for

APPS = API, WEB, MAIL = "api", "web-app", "mail"

CHECKED = """\
  checks:
    smoke:
      - id: version
        name: It answers with the good version
        run: curl http://${service.addresses[0].host}:${service.addresses[0].port}/version
        expect: status == 200 && body.contains("good")
"""
ANSWERS = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}-answers}}
spec: {{on: check, service: {name}, check: smoke, every: 30s, for: 30s, mode: {mode}, cooldown: 10m}}
"""
UNHEALTHY = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-app-pods-unhealthy}
spec: {on: pod, service: web-app, when: object.unhealthy, for: 1m, mode: auto, cooldown: 10m}
"""


@pytest.fixture
def story(
    own_cluster: RealCluster, production: str, tmp_path: Path, daemon: StartDaemon, notices: NoticeReceiver
) -> ClusterStory:
    """Return the story of a back end with a front end that depends on it, and of mail, whose rule only observes; all are well and good."""
    deploy(own_cluster, production, APPS)
    catalog = write(
        tmp_path / "catalog",
        service(API, runbook="workload-recovery") + CHECKED,
        service(WEB, runbook="workload-recovery", priority=2, depends_on=API),
        service(MAIL, runbook="workload-recovery", priority=3) + CHECKED,
        ANSWERS.format(name=API, mode="auto"),
        ANSWERS.format(name=MAIL, mode="observe"),
        UNHEALTHY,
        *((ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service")),
    )
    made = ClusterStory(
        own_cluster, production, daemon(deadlines=HASTY, catalog=catalog, environment=notices.environment)
    )
    wait_for(lambda: all(good_revisions(made, app) for app in APPS), within=60, describe=made.state)
    return made.begin()


def test_a_cause_is_told_in_one_notice_and_so_is_what_is_only_observed(
    story: ClusterStory, faults: Faults, notices: NoticeReceiver
) -> None:
    (victim,) = story.cluster.list("pod", story.namespace, selector=f"app={WEB}")
    story.at("mail gets a version that is ready and answers wrongly", lambda: roll_out(story, MAIL, WEB_BETTER))
    story.at("the back end's Service selects nothing", lambda: select(story, "ap1"))
    story.within(60).sees("it serves nobody", lambda: story.service(API).get("serving") is False)
    story.at("the front end stops to answer", lambda: faults.make_unready(victim))
    held = story.within(60).verdict("held", "upstream", rule="web-app-pods-unhealthy")
    assert "cause first: api" in held["text"]

    handed_over = story.within(180).ends("needs-operator", service=API)
    story.within(60).sees("a person is called", lambda: bool(notices.about(handed_over["id"])))
    (told,) = notices.about(handed_over["id"])
    assert "problem: ServiceRouting (likely): service/api-service spec.selector[app]: " in told.splitlines()[1]
    assert told.splitlines()[-2] == f"also affected: {WEB}"
    assert story.daemon.incident(handed_over["id"])["affected"] == [WEB]
    (waiting,) = [each for each in story.daemon.incidents() if each["service"] == WEB]
    assert (waiting["state"], notices.about(waiting["id"])) == ("held", [])

    story.within(120).sees("a person hears of mail", lambda: bool(notices.about(None)))
    (observed,) = notices.about(None)
    assert observed.splitlines()[0].startswith("problem: NotAnswering")
    assert observed.splitlines()[1].startswith(f"observed: {MAIL}: rule {MAIL}-answers: ")
    story.stays(lambda: good_revisions(story, MAIL) == {1}, 10, story.state)
    assert story.service(MAIL)["healthy"] is True

    assert story.writes() == []
    story.at("a person mends the Service", lambda: select(story, API))
    story.within(180).ends("recovered", service=WEB)
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]


def good_revisions(story: ClusterStory, app: str) -> set[int]:
    """Return the numbers of an app's revisions that the daemon has noted as good."""
    uid = story.cluster.get("deployment", f"{app}-deployment", story.namespace)["metadata"]["uid"]
    noted: list[Json] = [each for each in log_lines(story.daemon) if each.get("event") == "good revision noted"]
    return {each["number"] for each in noted if each["workload"] == uid}


def roll_out(story: ClusterStory, app: str, image: str) -> None:
    """Roll an image out as a person would, and wait until its pods are ready."""
    workload = f"deployment/{app}-deployment"
    story.cluster.kubectl("set", "image", workload, f"web={image}", "-n", story.namespace)
    story.cluster.kubectl("rollout", "status", workload, "-n", story.namespace, "--timeout=60s")


def select(story: ClusterStory, app: str) -> None:
    """Let the back end's Service select other pods."""
    story.cluster.api.patch("service", f"{API}-service", {"spec": {"selector": {"app": app}}}, story.namespace)
