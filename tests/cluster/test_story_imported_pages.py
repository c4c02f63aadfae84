"""Procedures of a page, imported and not edited, against their faults on a real Kubernetes; a person answers what they ask."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kintsugi.catalog.library import shipped_paths
from kintsugi_import.command import import_page
from tests.cluster import database
from tests.cluster.conftest import StartDaemon
from tests.cluster.database import Database
from tests.cluster.story import ClusterStory, Json
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.waiting import wait_for

PAGE = Path(__file__).parents[1] / "pages" / "pages" / "service-recovery.ja.md"
PACE = 0.1
"""What every duration is multiplied by."""


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The shipped services and rules, with the procedures of the page in the place of the shipped runbooks."""
    folder = tmp_path / "catalog"
    for shipped in shipped_paths():
        shutil.copytree(shipped, folder / shipped.name)
    services = tmp_path / "services"
    shutil.copytree(folder / "rules", services, ignore=shutil.ignore_patterns("any-service.yaml"))
    imported = import_page(PAGE, services)
    assert [problem for each in imported for problem in each.problems] == []
    for each in imported:
        (folder / "runbooks" / f"{each.procedure.name}.yaml").write_text(each.text)
    return folder


@pytest.fixture
def shop(own_cluster: RealCluster, names: None, product_image: str, production: str) -> Iterator[Database]:
    """A shop that is well, with one good backup of its database."""
    s3 = database.server()
    s3.start()
    s3.empty()
    made = Database(cluster=own_cluster, namespace=production, s3=s3)
    made.set_up()
    made.back_up("app-1.dump")
    yield made
    s3.stop()


def answered(story: ClusterStory, *, service: str, refused: Sequence[str] = ()) -> tuple[Json, list[str]]:
    """Answer all that is asked until the incident of a service is closed: yes, or done; no to the steps that are `refused`."""
    asked: list[str] = []

    def closed() -> Json | None:
        opened = story.daemon.incidents()
        for incident in opened:
            for question in story.daemon.incident(incident["id"])["questions"]:
                if question["answered"] is None and not incident["closed"]:
                    asked.append(f"{incident['service']}: {question['path']}")
                    answer(story, incident, question, refused)
        return next((each for each in opened if each["service"] == service and each["closed"]), None)

    return wait_for(closed, within=400, describe=lambda: f"asked {asked}\n{story.state()}"), asked


def answer(story: ClusterStory, incident: Json, question: Json, refused: Sequence[str]) -> None:
    """Answer one question."""
    yes = "done" if question["kind"] == "manual" else "yes"
    said = "no" if question["path"].rpartition("/")[2] in refused else yes
    wish = {"plan": question["plan"], "path": question["path"], "answer": said, "why": "a test"}
    story.at(f"{incident['service']}: {question['path']}: {said}", lambda: None)
    status, given = story.daemon.post(f"/api/v1/incidents/{incident['id']}/answer", wish)
    assert status in (200, 409), given


def test_the_page_s_web_service_recovery_restarts_an_unhealthy_pod_after_a_yes(
    cluster: RealCluster, faults: Faults, web: str, production: str, daemon: StartDaemon, catalog: Path
) -> None:
    story = ClusterStory(cluster, production, daemon(from_scratch=True, durations=PACE, catalog=catalog))
    story.begin(good="web-service")
    victim = story.pods()[0]

    story.at("the pod crash-loops", lambda: faults.crash_loop(victim))

    incident, asked = answered(story, service="web-service", refused=["kubectl_scale_deployment"])
    assert incident["state"] == "recovered", story.state()
    assert "web-service: kubectl_delete_pod" in asked
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    assert story.answers(web) == 200


def test_the_page_s_database_recovery_restores_lost_data_from_s3_after_two_yes(
    shop: Database, daemon: StartDaemon, catalog: Path
) -> None:
    started = daemon(durations=PACE, catalog=catalog, environment=shop.environment)
    story = ClusterStory(shop.cluster, shop.namespace, started, app="database")
    wait_for(lambda: story.service("database").get("healthy"), within=60, describe=story.state)
    story.begin()

    story.at("its write-ahead log is lost", shop.lose_its_log)

    incident, asked = answered(story, service="database")
    assert incident["state"] == "recovered", story.state()
    assert asked == ["database: restore", "database: restore/agreed"]
    assert (shop.orders(), shop.replicas()) == (1000, 2)
