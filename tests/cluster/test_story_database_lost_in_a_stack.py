"""
The data of a whole stack are lost, on a real Kubernetes: a person's no leaves it to them, with the commands to go on.

By their yes then one run, the newest good backup, and level by level.

The daemon is in its own pod, with its own rights.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster import database
from tests.cluster.database import POD, Database, free_volume
from tests.cluster.story import ClusterStory, Json
from tests.harness import deployed_daemon
from tests.harness.deployed_daemon import DeployedDaemon
from tests.harness.s3 import KEY, SECRET
from tests.harness.stack import Fault, ServiceStack, Tier
from tests.harness.waiting import wait_for

PACE = 0.1
"""What every duration of the shipped files is multiplied by: Jobs and new pods take their real time."""

TIME_AFTER_A_NO = {"KINTSUGI_WATCHDOG__VERIFY": "1m"}
"""What was taken back is waited for five times this, scaled, and nothing that the daemon may still do mends the database."""

TOLD = ("handed-over", "cooldown")
"""What the stack that was handed over says is to be overruled to go on."""

RECOVER = "/api/v1/runbooks/{runbook}/recover"


@pytest.fixture
def shop(names: None, stack: ServiceStack) -> Iterator[Database]:
    """Return the database of the five services, with one good backup, and room for a restore."""
    s3 = database.server()
    s3.start()
    s3.empty()
    made = Database(cluster=stack.cluster, namespace=stack.namespace, s3=s3)
    secret = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    stack.cluster.apply(
        database.secret(stack.namespace, "s3-credentials", **secret),
        free_volume(stack.namespace, "spare", "1Gi"),
        # Nobody clears a volume here that was given back: each of the two fetches needs one of its own.
        *(free_volume(stack.namespace, f"room-{number}", "2Gi") for number in range(2)),
    )
    made.back_up("app-1.dump")
    yield made
    s3.stop()


@pytest.fixture
def story(shop: Database, stack: ServiceStack, product_image: str, tmp_path: Path) -> Iterator[ClusterStory]:
    """The five services well, and a daemon from its image that has seen them well."""
    cluster = stack.cluster
    daemon = DeployedDaemon(
        cluster=cluster,
        image=product_image,
        kubeconfig=cluster.kubeconfig,
        folder=tmp_path,
        durations=PACE,
        environment={**shop.environment, **TIME_AFTER_A_NO},
    )
    try:
        daemon.start()
        made = ClusterStory(cluster, stack.namespace, daemon, app="database", user=deployed_daemon.USER)
        wait_for(lambda: all(made.service(tier).get("healthy") for tier in Tier), within=120, describe=made.state)
        yield made.begin()
    finally:
        daemon.stop()


def test_a_stack_whose_data_are_lost_is_left_to_a_person_by_a_no_and_restored_and_recovered_level_by_level_by_a_yes(
    shop: Database, stack: ServiceStack, story: ClusterStory
) -> None:
    """P2, P6, P8: nobody starts who writes against a person's no, nor while a restore holds them at 0: no rule, no level."""
    old = shop.volume()
    story.at("the data are lost, and all else hangs", lambda: lose_everything(stack))
    first = (Tier.DATABASE, Tier.CACHE)
    story.within(60).sees("it is seen", lambda: not any(story.service(tier).get("healthy") for tier in first))
    story.at("a person recovers the stack", lambda: recover(story, "full-stack-recovery"))
    about = is_asked(story)
    story.within(60).sees("the cache is recovered", lambda: runs_of(story)[Tier.CACHE]["finished"] is not None)

    story.at("a person says no", lambda: story.take_back(about))
    is_left_to_a_person(story)
    assert (shop.replicas(), shop.volume()) == (2, old)
    kinds = {each.resource for each in story.writes() if not each.name.startswith("kintsugi-")}
    assert kinds == {"pods"}, story.writes()

    story.at("a person goes on as told", lambda: recover(story, "full-stack-recovery", overrides=TOLD))
    refused, about = about, is_asked(story)
    assert about["id"] != refused["id"]
    assert (shop.replicas(), shop.volume()) == (2, old)
    story.at("a person agrees", lambda: story.approve(about))

    story.within(90).sees("nobody writes", lambda: shop.replicas() == 0)
    shown, answer = request_for(story, "workload-recovery", service=Tier.API)
    assert [each["text"] for each in shown["answers"] if "is held by run" in each["text"]], shown
    assert "nothing is started" in answer["error"], answer
    assert not {Tier.API, Tier.WEB} & set(runs_of(story)), story.state()
    story.within(180).sees("its data are back, and who depends on them is well", lambda: has_met(story, about, "well"))
    story.at("the API breaks by itself", lambda: stack.break_(Tier.API, Fault.CRASH_LOOP))
    restored = story.within(180).ends("recovered", service=Tier.DATABASE)
    assert "restored to" in restored["reason"]
    story.within(240).ends("recovered", service="stack")

    stack.until_up(*Tier, within=120)
    assert stack.orders() == 1000
    kept = shop.cluster.get("persistentvolume", shop.volume())
    assert shop.volume() != old
    assert kept["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    runs = runs_of(story)
    print(told(runs))
    assert {name: run["state"] for name, run in runs.items()} == dict.fromkeys(runs, "recovered"), story.state()
    assert set(runs) == {"stack", *Tier}, told(runs)
    # The ingress is one whose author lets it try by itself between the two: its run may be joined.
    for upstream, dependent in pairwise((Tier.DATABASE, Tier.API, Tier.WEB)):
        assert moment(runs[upstream]["finished"]) <= moment(runs[dependent]["started"]), told(runs)
    written = [each for each in story.written_by_daemon("deployments") if each.name == "api-deployment"]
    assert len(written) == 2, "it is set to 0 once, and back once"


def is_asked(story: ClusterStory) -> Json:
    """Wait until the incident of the stack says who is asked, and return the database's, in which that is."""
    story.within(120).sees("the stack says who is asked", lambda: waits(story))
    about = next(each for each in story.daemon.incidents() if each["service"] == Tier.DATABASE)
    assert (about["state"], about["id"] in of_stack(story)["reason"]) == ("awaiting-approval", True), story.state()
    return about


def is_left_to_a_person(story: ClusterStory) -> None:
    """Expect the stack to be handed over with what is up, what is not, and the commands; no level above was begun."""
    reason = story.within(60).ends("needs-operator", service="stack")["reason"]
    print(reason)
    ill, well = reason.split("Not healthy:\n")[1].split("Healthy:\n")
    assert [name for name in Tier if f"  {name}\n" in ill] == [Tier.DATABASE, Tier.API, Tier.WEB, Tier.INGRESS]
    assert [name for name in Tier if f"  {name}\n" in well] == [Tier.CACHE]
    for command in ("database-recovery --service database", "full-stack-recovery --service stack"):
        assert f"  kintsugi recover {command} --override handed-over --override cooldown" in reason
    assert not {Tier.API, Tier.WEB} & set(runs_of(story)), story.state()


def has_met(story: ClusterStory, about: Json, step: str) -> bool:
    """Return whether a step of a restore has been met."""
    return any(each["path"] == f"restore/{step}" and each["met"] for each in story.steps(about))


def lose_everything(stack: ServiceStack) -> None:
    """Take the database's volume away with its pod, and let every process of all other services hang."""
    stack.break_(Tier.DATABASE, Fault.VOLUME_LOST)
    stack.cluster.api.delete("pod", POD, stack.namespace, grace=0)
    for tier in (Tier.CACHE, Tier.API, Tier.WEB, Tier.INGRESS):
        stack.break_(tier, Fault.STUCK)


def recover(story: ClusterStory, runbook: str, *, overrides: Sequence[str] = ()) -> None:
    """Start a runbook by hand."""
    shown, begun = request_for(story, runbook, overrides=overrides)
    assert begun.get("begun"), (shown["answers"], begun)


def request_for(
    story: ClusterStory, runbook: str, *, service: str = "", overrides: Sequence[str] = ()
) -> tuple[Json, Json]:
    """Ask for a runbook by hand, and return its plan, and what came of it."""
    wish = {"why": "everything is down", "service": service, "overrides": list(overrides)}
    path = RECOVER.format(runbook=runbook)
    status, shown = story.daemon.post(path, wish)
    assert status == 200, shown
    _, begun = story.daemon.post(path, {**wish, "confirm": True, "digest": shown["digest"]})
    return shown, begun


def waits(story: ClusterStory) -> bool:
    """Return whether the incident of the stack says that it waits for a person."""
    return str(of_stack(story).get("reason", "")).startswith("waits for a person: database-recovery on database")


def of_stack(story: ClusterStory) -> Json:
    """Return the incident of the stack."""
    return next((each for each in story.daemon.incidents() if each["service"] == "stack"), {})


def runs_of(story: ClusterStory) -> Mapping[str, Json]:
    """Return the newest run of each service."""
    runs = [run["run"] for each in story.daemon.incidents() for run in story.daemon.incident(each["id"])["runs"]]
    return {each["service"]: each for each in sorted(runs, key=lambda each: moment(each["started"]))}


def moment(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def told(runs: Mapping[str, Json]) -> str:
    """Write when each run began and ended."""
    began = min(moment(run["started"]) for run in runs.values())
    return "\n".join(
        f"  {name:20} {(moment(run['started']) - began).total_seconds():6.1f}s to "
        f"{(moment(run['finished']) - began).total_seconds():6.1f}s"
        for name, run in sorted(runs.items(), key=lambda each: each[1]["started"])
    )
