"""The whole stack is down on a real Kubernetes: one run, the cause first, from the daemon's own pod with its own rights."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from kintsugi.objects.predicates import CRASH_LOOP_RESTARTS
from tests.cluster.conftest import PATIENT, PAUSED, TIME_FOR_DEPENDENTS, TIME_FOR_PODS
from tests.cluster.story import ClusterStory, Json
from tests.harness import deployed_daemon
from tests.harness.deployed_daemon import DeployedDaemon
from tests.harness.stack import Fault, ServiceStack, Tier
from tests.harness.waiting import wait_for


@pytest.fixture
def story(names: None, stack: ServiceStack, product_image: str, tmp_path: Path) -> Iterator[ClusterStory]:
    """The five services well, and a daemon from its image that has seen them well."""
    cluster = stack.cluster
    daemon = DeployedDaemon(
        cluster=cluster,
        image=product_image,
        kubeconfig=cluster.kubeconfig,
        folder=tmp_path,
        deadlines=PATIENT,
        environment={**TIME_FOR_PODS, **TIME_FOR_DEPENDENTS},
    )
    try:
        daemon.start()
        made = ClusterStory(cluster, stack.namespace, daemon, user=deployed_daemon.USER)
        wait_for(lambda: all(made.service(tier).get("healthy") for tier in Tier), within=120, describe=made.state)
        yield made.begin()
    finally:
        daemon.stop()


def test_five_services_that_broke_independently_are_recovered_in_one_run_level_by_level(
    stack: ServiceStack, story: ClusterStory
) -> None:
    """P2: what may go together goes together, and it takes no longer than the critical path."""
    crash_again_and_again(stack, story, *Tier)

    incident = story.within(600).ends("recovered", service="stack")
    stack.until_up(*Tier, within=120)
    runs = runs_of(story)
    print(told(runs))
    assert set(runs) == {"stack", *Tier}, story.state()
    assert {name: run["state"] for name, run in runs.items()} == dict.fromkeys(runs, "recovered"), story.state()
    steps = {step["path"]: step for step in story.steps(incident)}
    assert steps["verification/health"]["met"] is True
    assert "not watched" in incident["reason"]
    for upstream, dependent in pairwise((Tier.DATABASE, Tier.API, Tier.WEB, Tier.INGRESS)):
        assert moment(runs[upstream]["finished"]) <= moment(runs[dependent]["started"]), told(runs)


ALERTS: Sequence[Mapping[str, str]] = [
    {"alertname": name, "severity": "warning", "namespace": namespace, "deployment": deployment}
    for namespace, deployment in (
        ("ingress", "ingress-controller"),
        ("production", "web-app-deployment"),
        ("production", "api-deployment"),
    )
    for name in ("KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck")
]
"""Six, and the last of the chain is heard of first."""


def test_a_database_that_takes_its_dependents_with_it_is_recovered_alone_and_they_get_well_by_it(
    stack: ServiceStack, story: ClusterStory
) -> None:
    """P2: one run and one deleted pod; the held say which upstream they wait for, and are closed as recovered by it."""
    [victim] = crash_again_and_again(stack, story, Tier.DATABASE)
    story.within(60).sees("the database serves nobody", lambda: story.service(Tier.DATABASE).get("serving") is False)
    for alert in ALERTS:
        story.at(f"{alert['deployment']}: {alert['alertname']}", partial(story.alert, "firing", alert))

    held = story.within(120).verdict("held", "upstream")
    assert "database" in held["text"]
    story.within(300).ends("recovered", service=Tier.DATABASE)
    stack.until_up(*Tier, within=300)
    for alert in ALERTS:
        story.alert("resolved", alert)
    story.within(300).sees("every incident is closed", lambda: all(each["closed"] for each in story.daemon.incidents()))

    incidents = {each["service"]: each for each in story.daemon.incidents()}
    assert set(runs_of(story)) == {Tier.DATABASE}, story.state()
    assert story.deleted_by_daemon() == [victim["metadata"]["uid"]]
    others = {name: each for name, each in incidents.items() if name != Tier.DATABASE}
    assert others, story.state()
    assert {each["state"] for each in others.values()} == {"recovered"}, story.state()
    assert all(each["reason"].startswith("upstream: ") for each in others.values()), story.state()


def crash_again_and_again(stack: ServiceStack, story: ClusterStory, *tiers: Tier) -> Sequence[Json]:
    """
    Break tiers while their namespaces are paused, until each pod has restarted so often that it is known to crash again and again.

    What a pod is called between its first restarts changes with each of them, and a run at the pace of tests is that quick.
    """
    namespaces = sorted({stack.namespace_of(tier) for tier in tiers})
    story.at("a person pauses", lambda: pause(stack, namespaces, "maintenance"))
    story.at("they break", lambda: [stack.break_(tier, Fault.CRASH_LOOP) for tier in tiers])
    victims = [pod for tier in tiers for pod in stack.pods(tier)]
    story.within(120).sees(
        "all crash again and again",
        lambda: all(restarts(pod) >= CRASH_LOOP_RESTARTS for tier in tiers for pod in stack.pods(tier)),
    )
    story.at("the pause is lifted", lambda: pause(stack, namespaces, None))
    return victims


def pause(stack: ServiceStack, namespaces: Sequence[str], reason: str | None) -> None:
    """Pause some namespaces for a reason, or lift the pause."""
    for namespace in namespaces:
        stack.cluster.api.patch("namespace", namespace, {"metadata": {"annotations": {PAUSED: reason}}})


def restarts(pod: Json) -> int:
    """Return how often the containers of a pod were started again."""
    return sum(each["restartCount"] for each in pod["status"]["containerStatuses"])


def runs_of(story: ClusterStory) -> Mapping[str, Json]:
    """Return the run of each service; there is one each."""
    runs = [run["run"] for each in story.daemon.incidents() for run in story.daemon.incident(each["id"])["runs"]]
    assert len({each["service"] for each in runs}) == len(runs), story.state()
    return {each["service"]: each for each in runs}


def moment(text: str) -> datetime:
    """Read a time of the API."""
    return datetime.fromisoformat(text)


def seconds(run: Json) -> float:
    """Return how long a run took."""
    return (moment(run["finished"]) - moment(run["started"])).total_seconds()


def told(runs: Mapping[str, Json]) -> str:
    """Write when each run began and ended, the critical path, and what one after another would have taken."""
    began = min(moment(run["started"]) for run in runs.values())
    lines = [
        f"  {name:20} {(moment(run['started']) - began).total_seconds():6.1f}s to "
        f"{(moment(run['finished']) - began).total_seconds():6.1f}s"
        for name, run in sorted(runs.items(), key=lambda each: each[1]["started"])
    ]
    own = {name: seconds(run) for name, run in runs.items() if name != "stack"}
    path = max(own.get(Tier.DATABASE, 0), own.get(Tier.CACHE, 0))
    path += sum(own.get(tier, 0) for tier in (Tier.API, Tier.WEB, Tier.INGRESS))
    total = f"critical path {path:.1f}s, one after another {sum(own.values()):.1f}s"
    return "\n".join(["runs:", *lines, f"the whole run {seconds(runs['stack']):.1f}s, {total}"])
