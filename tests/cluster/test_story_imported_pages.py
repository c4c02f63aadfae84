"""The three procedures of a page, imported and not edited, against their faults on a real Kubernetes; a person answers what they ask."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kintsugi.catalog.library import shipped_paths
from kintsugi_import.command import import_page
from kubeobjects.predicates import CRASH_LOOP_RESTARTS
from tests.cluster import database
from tests.cluster.conftest import StartDaemon
from tests.cluster.database import Database
from tests.cluster.story import ClusterStory, Json
from tests.cluster.test_story_full_stack import TIMES, pause, restarts
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.s3 import S3Server
from tests.harness.stack import Fault, ServiceStack, Tier
from tests.harness.stack_manifests import INGRESS
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
def s3() -> Iterator[S3Server]:
    """An S3 server without a backup."""
    started = database.server()
    started.start()
    started.empty()
    yield started
    started.stop()


@pytest.fixture
def shop(own_cluster: RealCluster, names: None, product_image: str, production: str, s3: S3Server) -> Database:
    """A shop that is well, with one good backup of its database."""
    made = Database(cluster=own_cluster, namespace=production, s3=s3)
    made.set_up()
    made.back_up("app-1.dump")
    return made


@pytest.fixture
def database_of_stack(stack: ServiceStack, names: None, product_image: str, s3: S3Server) -> Database:
    """The database of the page's services, which are all well, with one good backup."""
    made = Database(cluster=stack.cluster, namespace=stack.namespace, s3=s3)
    made.allow_restores()
    made.back_up("app-1.dump")
    return made


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

    return wait_for(closed, within=900, describe=lambda: f"asked {asked}\n{story.state()}"), asked


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


def test_the_page_s_full_stack_recovery_restores_the_database_recovers_the_cache_and_asks_a_person_for_the_rest(
    stack: ServiceStack, database_of_stack: Database, daemon: StartDaemon, catalog: Path
) -> None:
    # The restore waits for what depends on the database, which the cache keeps down until its turn comes: no longer than that.
    environment = {**database_of_stack.environment, **TIMES}
    started = daemon(durations=PACE, deadlines=2.0, catalog=catalog, environment=environment)
    story = ClusterStory(stack.cluster, stack.namespace, started)
    wait_for(lambda: all(story.service(tier).get("healthy") for tier in stack.tiers), within=120, describe=story.state)
    story.begin()

    # Until the run about all services begins, a pause holds back the services' own runbooks, which would be quicker.
    pause(stack, [stack.namespace, INGRESS], "maintenance")
    story.at("the database loses its log", database_of_stack.lose_its_log)
    story.at("the cache breaks", lambda: stack.break_(Tier.CACHE, Fault.CRASH_LOOP))
    broken = (Tier.DATABASE, Tier.CACHE)
    story.within(120).sees(
        "both crash again and again",
        lambda: all(restarts(pod) >= CRASH_LOOP_RESTARTS for tier in broken for pod in stack.pods(tier)),
    )
    story.within(120).verdict("started", rule="several-services-down")
    pause(stack, [stack.namespace, INGRESS], None)

    incident, asked = answered(story, service="stack", refused=["kubectl_scale_deployment"])
    assert incident["state"] == "recovered", story.state()
    stack.until_up(*stack.tiers, within=120)
    assert database_of_stack.orders() == 1000
    # A dependent that is not ready yet when its turn comes is asked about, too.
    dependents = (
        "api-service: ",
        "web-service: ",
        "recover_api_service",
        "recover_web_service",
        "recover_ingress_controller",
    )
    assert [each for each in asked if not any(part in each for part in dependents)] == [
        "stack: phase_103",
        "database: restore",
        "database: restore/agreed",
        "stack: section_4/recover_cache_service",
        "stack: section_4/phase_108",
        "stack: section_5/phase_113",
        "stack: phase_118",
    ]
