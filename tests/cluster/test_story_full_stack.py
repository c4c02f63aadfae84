"""The whole stack is down on a real Kubernetes: one run, the cause first, from the daemon's own pod with its own rights."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from kubeobjects.predicates import CRASH_LOOP_RESTARTS
from tests.cluster.conftest import PATIENT, PAUSED
from tests.cluster.story import ClusterStory, Json
from tests.harness import deployed_daemon
from tests.harness.deployed_daemon import DeployedDaemon
from tests.harness.stack import Fault, ServiceStack, Tier
from tests.harness.tiers import PLACES
from tests.harness.waiting import wait_for

PACE = 0.05
"""What every duration is multiplied by."""

TIMES = {
    "KINTSUGI_WATCHDOG__VERIFY": "6m",
    "KINTSUGI_WATCHDOG__ALERT_LAG": "1h",
    "KINTSUGI_GUARDS__SERVING_FOR": "6m",
}
"""Eighteen seconds each at that pace: what depends on an upstream is ready some real seconds after it; alerts end when a test says so."""


@pytest.fixture
def story(names: None, stack: ServiceStack, product_image: str, tmp_path: Path) -> Iterator[ClusterStory]:
    """The services well, and a daemon from its image that has seen them well."""
    cluster = stack.cluster
    daemon = DeployedDaemon(
        cluster=cluster,
        image=product_image,
        kubeconfig=cluster.kubeconfig,
        folder=tmp_path,
        durations=PACE,
        deadlines=PATIENT,
        environment=TIMES,
    )
    try:
        daemon.start()
        made = ClusterStory(cluster, stack.namespace, daemon, user=deployed_daemon.USER)
        wait_for(
            lambda: all(made.service(tier).get("healthy") for tier in stack.tiers), within=120, describe=made.state
        )
        yield made.begin()
    finally:
        daemon.stop()


def test_five_services_that_broke_independently_are_recovered_in_one_run_level_by_level(
    stack: ServiceStack, story: ClusterStory
) -> None:
    """P2."""
    crash_again_and_again(stack, story, *Tier)

    incident = story.within(600).ends("recovered", service="stack")
    stack.until_up(*Tier, within=120)
    runs = runs_of(story)
    assert set(runs) == {"stack", *Tier}, story.state()
    assert {name: run["state"] for name, run in runs.items()} == dict.fromkeys(runs, "recovered"), story.state()
    steps = {step["path"]: step for step in story.steps(incident)}
    assert steps["verification/health"]["met"] is True
    assert "not watched" in incident["reason"]
    for upstream, dependent in pairwise((Tier.DATABASE, Tier.API, Tier.WEB, Tier.INGRESS)):
        assert moment(runs[upstream]["finished"]) <= moment(runs[dependent]["started"]), story.state()


WITHOUT_INGRESS = Tier.DATABASE, Tier.CACHE, Tier.API, Tier.WEB
ALERTS = {
    Tier.DATABASE: ("KubeStatefulSetReplicasMismatch", "KubeStatefulSetUpdateNotRolledOut"),
    Tier.API: ("KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck"),
    Tier.WEB: ("KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck"),
    Tier.INGRESS: ("KubeDeploymentReplicasMismatch", "KubeDeploymentRolloutStuck"),
}
"""What fires for each service that is down."""


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param(WITHOUT_INGRESS, id="three services are down", marks=pytest.mark.heart),
        pytest.param(tuple(Tier), id="four services are down"),
    ],
    indirect=True,
)
def test_a_database_that_takes_its_dependents_with_it_is_recovered_first_and_then_what_does_not_get_well_by_that(
    stack: ServiceStack, story: ClusterStory
) -> None:
    """
    P2: cause first, whatever is heard of first; no pod is deleted but the two that are broken for themselves.

    The held say which upstream they wait for, and those that got well by it are closed as recovered by it. The API has a trouble
    of its own besides, which shows only when the database is back.
    """
    [cause] = crash_again_and_again(stack, story, Tier.DATABASE)
    [hung] = stack.break_(Tier.API, Fault.STUCK, pods=1)
    down = [tier for tier in stack.tiers if tier in ALERTS]
    story.within(60).sees("nobody is served", lambda: not any(story.service(tier).get("serving") for tier in down))
    for tier in reversed(down):
        for alert in alerts_of(stack, tier):
            story.at(f"{tier}: {alert['alertname']}", partial(story.alert, "firing", alert))

    assert "database" in story.within(120).verdict("held", "upstream")["text"]
    dependents = [tier for tier in down if tier is not Tier.DATABASE]
    for tier in dependents:
        story.within(120).sees(f"{tier} is held by the database", lambda tier=tier: is_held(story, tier, Tier.DATABASE))  # type: ignore[misc]
    stack.until_up(Tier.DATABASE, within=120)
    resolve(stack, story, Tier.DATABASE)
    story.within(300).ends("recovered", service=Tier.DATABASE)
    story.within(300).sees("the pod that hung is deleted", lambda: len(story.deleted_by_daemon()) > 1)
    stack.until_up(*stack.tiers, within=300)
    resolve(stack, story, *dependents)
    story.within(300).sees("every incident is closed", lambda: all(each["closed"] for each in story.daemon.incidents()))

    incidents, runs = story.daemon.incidents(), runs_of(story)
    assert {each["state"] for each in incidents} == {"recovered"}, story.state()
    assert {each["service"] for each in incidents} == set(down), story.state()
    assert set(runs) == {Tier.DATABASE, Tier.API}, story.state()
    [database] = [each for each in incidents if each["service"] == Tier.DATABASE]
    changed = [step["finished"] for step in story.steps(database) if step["changes"]]
    assert max(map(moment, changed)) <= moment(runs[Tier.API]["started"]), story.state()
    assert story.deleted_by_daemon() == [each["metadata"]["uid"] for each in (cause, hung)]
    well = [each for each in incidents if each["service"] not in runs]
    assert all(each["reason"].startswith("upstream: ") for each in well), story.state()


def alerts_of(stack: ServiceStack, tier: Tier) -> Sequence[Mapping[str, str]]:
    """Return what fires about a service, as Prometheus labels it."""
    place = PLACES[tier]
    about = {"severity": "warning", "namespace": stack.namespace_of(tier), place.kind: place.workload}
    return [{"alertname": name, **about} for name in ALERTS[tier]]


def resolve(stack: ServiceStack, story: ClusterStory, *tiers: Tier) -> None:
    """Let the alerts of services end."""
    for tier in tiers:
        for alert in alerts_of(stack, tier):
            story.alert("resolved", alert)


def is_held(story: ClusterStory, tier: Tier, upstream: Tier) -> bool:
    """Return whether a service's incident is held, and names an upstream that it waits for."""
    opened = [each for each in story.daemon.incidents() if each["service"] == tier and not each["closed"]]
    return any(each["state"] == "held" and upstream in each["reason"] for each in opened)


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
