"""The upstream cannot be healed, or comes and goes: what depends on it waits or tries as its author says, and nothing thrashes."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.conftest import HASTY, StartDaemon
from tests.cluster.small_catalog import deploy, service, write
from tests.cluster.story import ClusterStory, Json
from tests.harness.api import Object
from tests.harness.cluster import RealCluster
from tests.harness.faults import Faults
from tests.harness.images import WEB_BAD, WEB_GOOD
from tests.harness.manifests import FAULTS
from tests.harness.waiting import wait_for

APPS = API, WEB, MAIL = "api", "web-app", "mail"
GIVEN_UP = {"needs-operator", "rolled-back", "ineffective", "failed"}
TIMES = {"KINTSUGI_GUARDS__SERVING_FOR": "10m"}
"""Scaled it is 18 seconds: far more than the time for which the upstream serves while it comes and goes."""

RULE = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}-pods-unhealthy}}
spec:
  on: pod
  service: {name}
  when: object.unhealthy
  for: 1m
  mode: {mode}
  cooldown: 10m
"""

RUNBOOK = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: restart-pods}
spec:
  title: Restart unhealthy pods
  steps:
    - id: restart
      forEach: service.pods
      when: each.unhealthy
      run: kubectl delete pod ${each}
    - id: ready
      expect: service.ready >= service.desired
      within: 15m
  rollback:
    after: 25m
"""


@pytest.fixture
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """
    Write a back end and two services that depend on it: one waits when it cannot be healed, the other tries.

    The parameter is the mode of the back end's own rule.
    """
    return write(
        tmp_path / "catalog",
        service(API, runbook="restart-pods"),
        service(WEB, runbook="restart-pods", priority=2, depends_on=API),
        service(MAIL, runbook="restart-pods", priority=3, depends_on=API, on_upstream_failure="proceed"),
        *(RULE.format(name=app, mode=request.param if app == API else "auto") for app in APPS),
        RUNBOOK,
    )


@pytest.fixture
def story(own_cluster: RealCluster, production: str, catalog: Path, daemon: StartDaemon) -> ClusterStory:
    """Return the story of a daemon that has seen the three well."""
    deploy(own_cluster, production, APPS)
    made = ClusterStory(own_cluster, production, daemon(deadlines=HASTY, catalog=catalog, environment=TIMES))
    wait_for(lambda: all(made.service(app).get("healthy") for app in APPS), within=60, describe=made.state)
    return made.begin()


@pytest.mark.parametrize("catalog", ["auto"], indirect=True)
def test_a_service_behind_an_upstream_that_cannot_be_healed_waits_or_tries_as_its_author_says(
    story: ClusterStory, faults: Faults
) -> None:
    """P2, P9: a person is told of the upstream and of the hold; one tries after its run has ended, the other waits until it is mended."""
    victims = {app: pod_of(story, app) for app in (WEB, MAIL)}
    story.at("the back end gets an image that cannot run", lambda: image(story, WEB_BAD))
    story.within(60).sees("it serves nobody", lambda: story.service(API).get("serving") is False)
    story.at("a pod of each dependent stops to answer", lambda: faults.make_unready(*victims.values()))
    for app in (WEB, MAIL):
        held = story.within(60).verdict("held", "upstream", rule=f"{app}-pods-unhealthy")
        assert "cause first: api" in held["text"]

    failed = wait_for(lambda: given_up(story), within=120, describe=story.state)
    assert story.daemon.told_of(failed["id"])
    tried = story.within(120).ends("recovered", service=MAIL)
    assert len(runs(story, MAIL)) == 1
    story.within(60).sees("a person is told of the hold", lambda: bool(story.daemon.told_of(newest(story, WEB)["id"])))
    assert (newest(story, WEB)["state"], runs(story, WEB)) == ("held", [])
    assert uid(victims[WEB]) not in story.deleted_by_daemon()

    story.at("a person mends the back end", lambda: image(story, WEB_GOOD))
    story.within(120).ends("recovered", service=WEB)
    assert len(runs(story, WEB)) == 1
    deleted = story.deleted_by_daemon()
    assert deleted.index(uid(victims[MAIL])) < deleted.index(uid(victims[WEB]))
    assert tried["closed"] < newest(story, WEB)["closed"]


def given_up(story: ClusterStory) -> Json | None:
    """
    Return the back end's incident once its run has failed.

    One may be cancelled before: a pod that is made slowly looks broken until it runs, for its two minutes are scaled.
    """
    found = [each for each in story.daemon.incidents() if each["service"] == API]
    return next((each for each in found if each["state"] in GIVEN_UP), None)


@pytest.mark.parametrize("catalog", ["observe"], indirect=True)
def test_while_the_upstream_comes_and_goes_nothing_is_begun_and_then_once(story: ClusterStory, faults: Faults) -> None:
    """P2: however often it serves for a moment, what depends on it stays held, and its pod is deleted once, when it serves for good."""
    upstream, victim = pod_of(story, API), pod_of(story, WEB)
    with flapping(upstream) as seen:
        story.within(60).sees("the back end does not serve", lambda: story.service(API).get("serving") is False)
        story.at("a pod of its dependent stops to answer", lambda: faults.make_unready(victim))
        held = story.within(60).verdict("held", "upstream", rule=f"{WEB}-pods-unhealthy")
        story.within(120).sees("it has come and gone three times", lambda: changes(seen()) >= 3)
        assert {each["state"] for each in story.daemon.incidents()} == {"held"}, story.state()
        assert story.writes() == []

    story.within(120).ends("recovered", service=WEB)
    assert story.deleted_by_daemon() == [uid(victim)]
    assert len(runs(story, WEB)) == 1
    assert runs(story, API) == []
    assert {each["verdict"] for each in story.verdicts() if each["signal"] == held["signal"]} == {"held", "started"}


@contextmanager
def flapping(pod: Object) -> Iterator[Callable[[], Sequence[bool]]]:
    """Let a pod be unready and ready in turn, each for a while; yields what it was so far, and leaves it ready."""
    mark = Path(FAULTS, f"{uid(pod)}.unready")
    mark.parent.mkdir(parents=True, exist_ok=True)
    over, done = threading.Event(), [True]

    def flap() -> None:
        while not over.wait(3):
            done.append(not done[-1])
            mark.unlink() if done[-1] else mark.touch()

    thread = threading.Thread(target=flap, name="flapping", daemon=True)
    thread.start()
    try:
        yield lambda: tuple(done)
    finally:
        over.set()
        thread.join()
        mark.unlink(missing_ok=True)


def changes(states: Sequence[bool]) -> int:
    """Count how often something came back."""
    return sum(states[1:])


def image(story: ClusterStory, name: str) -> None:
    """Set the back end's image as a person would, of whose old pods none is kept."""
    strategy = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}
    story.cluster.api.patch("deployment", f"{API}-deployment", strategy, story.namespace)
    story.cluster.kubectl("set", "image", f"deployment/{API}-deployment", f"web={name}", "-n", story.namespace)


def pod_of(story: ClusterStory, app: str) -> Object:
    """Return the one pod of an app."""
    [found] = story.cluster.list("pod", story.namespace, selector=f"app={app}")
    return found


def uid(pod: Object) -> str:
    """Return a pod's uid."""
    return str(pod["metadata"]["uid"])


def newest(story: ClusterStory, service: str) -> Json:
    """Return the newest incident of a service."""
    return next(each for each in story.daemon.incidents() if each["service"] == service)


def runs(story: ClusterStory, service: str) -> list[Json]:
    """Return the runs of all incidents of a service."""
    found = [each for each in story.daemon.incidents() if each["service"] == service]
    return [run["run"] for each in found for run in story.daemon.incident(each["id"])["runs"]]
