"""
A database whose data are gone or damaged, on a real Kubernetes: restored from the newest good backup, by a person's word.

All of it is done under docs/admission-policies.yaml: what a restore needs they let in.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.cluster import database
from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.crashes import SEED, is_dead, lot
from tests.cluster.database import POD, STANDBY, Database
from tests.cluster.story import USER, ClusterStory, Json
from tests.harness import admission_policies
from tests.harness.admission_policies import Held
from tests.harness.cluster import RealCluster
from tests.harness.crash_points import KILL_AT
from tests.harness.faults import Faults
from tests.harness.images import POSTGRES
from tests.harness.product_image import NAME
from tests.harness.waiting import wait_for

DRILL = "/api/v1/services/database/drill"
SYSTEM = "SELECT system_identifier FROM pg_control_system()"
PACE = 0.1
"""What every duration of the shipped files is multiplied by."""

CHANGES = (
    "newest#0",
    "writers[]#0",
    "empty/stop#0",
    "empty/claim[]#0",
    "empty/claim[]#0+0",
    "empty/start#0",
    "empty/keep_new[]#0",
    "restore#0",
    "writers[]#0~0",
)
"""What a restore changes, in this order, as the ledger names it below the restore."""

SIDES = ("before", "after")

KEPT = ("keep[]#0", "empty/mark[]#0")
"""What it changes besides, where the old volume is still there."""

KEEP = "patch persistentvolumes"
WRITES = [
    "create jobs",
    "create persistentvolumeclaims",
    "patch deployments",
    "patch statefulsets",
    "delete persistentvolumeclaims",
    "create persistentvolumeclaims",
    "patch statefulsets",
    KEEP,
    "create jobs",
    "patch deployments",
]
"""The same as the API server's audit has it: the first Job has a claim of its own."""


@pytest.fixture(scope="module", autouse=True)
def held(cluster: RealCluster) -> Iterator[None]:
    """Hold the daemon's account to its work: to the images of workers and drills, and the Secrets of database and backups."""
    secrets = ("database-credentials", "s3-credentials")
    admission_policies.enforce(cluster, Held(user=USER, image=NAME, server=POSTGRES, secrets=secrets))
    yield
    admission_policies.lift(cluster)


@pytest.fixture
def shop(
    request: pytest.FixtureRequest, own_cluster: RealCluster, names: None, product_image: str, production: str
) -> Iterator[Database]:
    """A shop that is well, with one good backup of its database, and with a standby for a test that asks for one."""
    s3 = database.server()
    s3.start()
    s3.empty()
    made = Database(cluster=own_cluster, namespace=production, s3=s3, standby=getattr(request, "param", False))
    made.set_up()
    made.back_up("app-1.dump")
    yield made
    s3.stop()


@pytest.mark.heart
def test_damaged_data_are_restored_by_a_persons_word_and_taken_back_by_another(
    shop: Database, daemon: StartDaemon
) -> None:
    """Both volumes are kept: the old one until the end, the new one when the restore is taken back."""
    story = on_stage(shop, daemon)
    old = shop.volume()
    shop.ask("INSERT INTO orders SELECT FROM generate_series(1, 5)", "app")

    story.at("its write-ahead log is lost", shop.lose_its_log)

    asking = story.within(180).reaches("awaiting-approval")
    question = asked(story, asking["id"])
    assert "app-1.dump" in question
    assert "is lost" in question
    assert shop.replicas() == 2
    story.at("a person agrees", lambda: story.approve(asking))
    incident = story.within(240).ends("recovered", service="database")
    assert "restored to" in incident["reason"]
    assert changed(story, incident) == dict.fromkeys((*CHANGES, *KEPT), "done")
    others = set(WRITES) - {KEEP}
    assert [each for each in writes(story) if each in others] == [each for each in WRITES if each in others]
    assert shop.orders() == 1000
    assert shop.replicas() == 2
    kept = shop.cluster.get("persistentvolume", old)
    assert shop.volume() != old
    assert kept["metadata"]["labels"]["kintsugi.dev/incident"] == incident["id"]
    assert (kept["status"]["phase"], kept["spec"]["persistentVolumeReclaimPolicy"]) == ("Released", "Retain")
    assert (shop.folder(old) / "pg" / "PG_VERSION").exists()

    new = shop.volume()
    shop.ask("INSERT INTO orders SELECT FROM generate_series(1, 7)", "app")
    lost = story.take_back(incident)["losses"]
    assert "public.orders: 7 rows inserted" in lost[0], lost
    taken_back = story.within(240).reaches("needs-operator")
    assert "; but database is not healthy" in taken_back["reason"], "its old data are the damaged ones"
    assert shop.volume() == old
    assert shop.cluster.get("persistentvolume", new)["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_a_lost_volume_is_replaced_though_the_daemon_dies_three_times_on_the_way(
    shop: Database, faults: Faults, daemon: StartDaemon
) -> None:
    """C1, C2, P3: PVC Lost. It dies at two changes, and while it settles the first; each change is made once."""
    seed, draws = lot()
    # Two different ones: of a change that turns out to have been so already, only the first process passes the effect.
    begun, later = (CHANGES[place] for place in sorted(draws.sample(range(len(CHANGES)), 2)))
    deaths = [
        f"{draws.choice(SIDES)} effect restore/{begun} 1",
        # What became of a change that was begun is written down by the next process before it makes another.
        f"{draws.choice(SIDES)} commit save-step restore/{begun} unknown 1",
        f"{draws.choice(SIDES)} effect restore/{later} 1",
    ]
    print(f"{SEED}={seed} draws {deaths}")
    story = on_stage(shop, daemon, environment={KILL_AT: deaths[0]})

    story.at("the volume is lost", lambda: faults.lose_volume(shop.claim()))

    incident = comes_to_its_end(story, deaths)
    assert incident["state"] == "recovered", story.state()
    assert changed(story, incident) == dict.fromkeys(CHANGES, "done")
    assert writes(story) == WRITES
    assert (shop.orders(), shop.replicas()) == (1000, 2)


@pytest.mark.parametrize("shop", [True], indirect=True, ids=["with a standby"])
def test_lost_volumes_are_replaced_their_data_come_from_the_backup_and_the_standby_is_seeded_anew(
    shop: Database, faults: Faults, daemon: StartDaemon, tmp_path: Path
) -> None:
    """PVC Lost: storage takes both volumes, with whatever was in them, so that no standby has the data either."""
    story = on_stage(shop, daemon, catalog=database.catalog(tmp_path / "catalog", standbys=1))
    before = shop.ask(SYSTEM, pod=STANDBY)

    story.at("both volumes are lost", lambda: lose_both(shop, faults))

    asking = story.within(180).reaches("awaiting-approval")
    story.at("a person agrees", lambda: story.approve(asking))
    incident = story.within(240).ends("recovered", service="database")
    assert shop.orders() == 1000
    assert shop.replicas() == 2
    steps = {step["path"]: step["met"] for step in story.steps(incident)}
    assert (steps["restore/standbys"], steps["restore/streaming"], steps["restore/whole"]) == (True, True, True), steps
    assert shop.ask("SELECT state FROM pg_stat_replication") == "streaming"
    assert shop.ask("SELECT pg_is_in_recovery()::text, count(*) FROM orders", "app", pod=STANDBY) == "true|1000"
    assert shop.ask(SYSTEM, pod=STANDBY) == shop.ask(SYSTEM) != before, "it was made from the new primary"


def test_a_drill_proves_the_backup_on_a_server_of_its_own_and_the_live_one_hears_nothing(
    shop: Database, daemon: StartDaemon
) -> None:
    """E9: what is live is as it was, on the same volume, and nobody has connected to it; the drill's Jobs are gone."""
    story = on_stage(shop, daemon)
    before = shop.live()
    connected = shop.tell_connections()

    story.at("a person asks for a drill", lambda: story.daemon.post(DRILL, {}))

    drill = story.within(240).ends("passed", service="database")
    assert "1000 rows" in drill["reason"], drill["reason"]
    assert list(shop.connections()) == list(connected)
    assert shop.live() == before
    assert story.written_by_daemon("statefulsets") == story.written_by_daemon("deployments") == []
    assert writes(story) == [
        "create jobs",
        "create persistentvolumeclaims",
        "create jobs",
        "delete jobs",
        "delete jobs",
    ]
    asked = {step["path"]: step["text"] for step in story.steps(drill) if step["path"].startswith("verify/")}
    assert len(asked) == 5
    assert [text for text in asked.values() if not text.startswith("kubectl exec job/kintsugi-")] == []
    story.within(20).sees(
        "the metric tells of it",
        lambda: story.counted("kintsugi_drill_last_success_timestamp_seconds", service="database") > 0,
    )
    story.within(90).sees("nothing of it is left", lambda: shop.cluster.list("job", shop.namespace) == [])


def lose_both(shop: Database, faults: Faults) -> None:
    """Take both volumes away, and the pods, which cannot start again."""
    for pod in (POD, STANDBY):
        faults.lose_volume(shop.claim(pod))
    for pod in (STANDBY, POD):
        shop.cluster.api.delete("pod", pod, shop.namespace, grace=0)


def on_stage(
    shop: Database,
    daemon: StartDaemon,
    *,
    catalog: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> ClusterStory:
    """Begin a story on a healthy database."""
    environment = {**shop.environment, **(environment or {})}
    started = daemon(deadlines=HASTY, durations=PACE, catalog=catalog, environment=environment)
    story = ClusterStory(shop.cluster, shop.namespace, started, app="database")
    wait_for(lambda: story.service("database").get("healthy"), within=60, describe=story.state)
    return story.begin()


def asked(story: ClusterStory, incident: str) -> str:
    """Return the question that a person is asked."""
    (question,) = story.daemon.incident(incident)["questions"]
    return str(question["text"])


def comes_to_its_end(story: ClusterStory, deaths: Sequence[str]) -> Json:
    """Start the daemon again whenever it has died, agree when a person is asked, and return the incident when it is closed."""
    left = list(deaths)

    def is_closed() -> Json | None:
        if is_dead(story):
            story.at(f"it has died {left.pop(0)}", lambda: story.daemon.start({KILL_AT: left[0] if left else ""}))
        (incident,) = [each for each in story.daemon.incidents() if each["service"] == "database"]
        if incident["state"] == "awaiting-approval":
            story.at("a person agrees", lambda: story.approve(incident))
        return incident if incident["closed"] else None

    closed = wait_for(is_closed, within=300, describe=lambda: f"to die {left}\n{story.state()}")
    assert left == [], story.state()
    return closed


def changed(story: ClusterStory, incident: Json) -> Mapping[str, str]:
    """Return the changes of an incident's one restore, and what became of each."""
    (run,) = story.daemon.incident(incident["id"])["runs"]
    made = {each["path"]: each["state"] for each in run["steps"] if each["changes"]}
    return {
        re.sub(r"\[\d+\]", "[]", path.removeprefix("restore/")): state
        for path, state in made.items()
        if path.startswith("restore/")
    }


def writes(story: ClusterStory) -> Sequence[str]:
    """Return all that the daemon has changed in the cluster, in order."""
    return [f"{each.verb} {each.resource}" for each in story.writes()]
