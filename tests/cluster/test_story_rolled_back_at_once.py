"""
Without Alertmanager: a rollout whose image the registry does not have, beside pods that serve, is taken back at once.

And its near misses: a registry that is in trouble, and a workload of Helm's.
"""

from http import HTTPStatus

import pytest

from tests.cluster.conftest import TIME_FOR_PODS, StartDaemon
from tests.cluster.story import ClusterStory, Json
from tests.harness import manifests
from tests.harness.cluster import RealCluster
from tests.harness.images import WEB_GOOD
from tests.harness.registry import Registry, served

SERVICE, APP, WORKLOAD = "api-service", "api", "deployment/api-deployment"
MISSING = "shop:2.1"


@pytest.fixture
def api(cluster: RealCluster, production: str) -> None:
    """Deploy the API, ready."""
    cluster.apply(*manifests.tier(production, APP, replicas=2))
    cluster.kubectl("rollout", "status", WORKLOAD, "-n", production, "--timeout=60s")


def roll_out(story: ClusterStory, image: str) -> None:
    """Roll out an image that is pulled."""
    (container,) = story.deployment()["spec"]["template"]["spec"]["containers"]
    changed = {**container, "image": image, "imagePullPolicy": "IfNotPresent"}
    story.patch({"spec": {"template": {"spec": {"containers": [changed]}}}})


def image_of(deployment: Json) -> str:
    """Return the image that a Deployment asks for."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


def test_an_image_that_the_registry_does_not_have_is_taken_back_at_once_and_told_with_its_cause(
    cluster: RealCluster, api: None, production: str, daemon: StartDaemon
) -> None:
    story = ClusterStory(cluster, production, daemon(durations=0.01, environment=TIME_FOR_PODS), app=APP).begin(
        good=SERVICE
    )
    good = story.uids()
    with Registry().running() as registry:
        image = served(MISSING)
        story.at("an image that nobody has is rolled out", lambda: roll_out(story, image))

        story.within(120).sees(
            "the rollout is noticed", lambda: "api-service-rollout-stuck" in {each["rule"] for each in story.verdicts()}
        )
        incident = story.within(120).ends("recovered", service=SERVICE)

    assert MISSING in registry.asked
    said = f"rolled back from revision 2 (image {image}, imagePullPolicy IfNotPresent) to 1 (image {WEB_GOOD}, imagePullPolicy Never): "
    assert incident["reason"].startswith(
        f"{said}container web cannot pull image {image}: the registry does not have it"
    )
    assert [(each.verb, each.resource) for each in story.writes()] == [("patch", "deployments")]
    assert image_of(story.deployment()) == WEB_GOOD
    assert set(good) <= set(story.uids())


@pytest.mark.parametrize("answer", [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS])
def test_a_registry_in_trouble_is_waited_for_and_what_a_person_mends_meanwhile_is_no_rollback(
    cluster: RealCluster, api: None, production: str, daemon: StartDaemon, answer: HTTPStatus
) -> None:
    story = ClusterStory(cluster, production, daemon(durations=0.01, environment=TIME_FOR_PODS), app=APP).begin(
        good=SERVICE
    )
    with Registry().running() as registry:
        registry.answer(MISSING, answer)
        image = served(MISSING)
        story.at("an image is rolled out", lambda: roll_out(story, image))
        story.within(120).sees("its cause is known", lambda: waits_for_the_registry(story))
        story.stays(lambda: image_of(story.deployment()) == image, 3, "it is not taken back")
        story.at("a person goes back", lambda: cluster.kubectl("rollout", "undo", WORKLOAD, "-n", production))

        story.within(120).ends("no-action", service=SERVICE)

    assert MISSING in registry.asked
    assert story.writes() == []


def waits_for_the_registry(story: ClusterStory) -> bool:
    """Return whether the newest incident's run has looked for the cause, and waits."""
    found = [each for each in story.daemon.incidents() if each["service"] == SERVICE]
    steps = {step["path"]: step for step in story.steps(found[0])} if found else {}
    return steps.get("diagnosis", {}).get("state") == "done"


def test_a_release_of_helm_s_is_taken_back_only_when_a_person_agrees(
    cluster: RealCluster, api: None, production: str, daemon: StartDaemon
) -> None:
    story = ClusterStory(cluster, production, daemon(durations=0.01, environment=TIME_FOR_PODS), app=APP).begin(
        good=SERVICE
    )
    marks = {
        "labels": {"app.kubernetes.io/managed-by": "Helm"},
        "annotations": {"meta.helm.sh/release-name": "shop"},
    }
    story.at("it is of a release", lambda: story.patch({"metadata": marks}))
    with Registry().running():
        image = served(MISSING)
        story.at("an image that nobody has is rolled out", lambda: roll_out(story, image))

        incident = story.within(120).reaches("awaiting-approval", service=SERVICE)
        (question,) = story.daemon.incident(incident["id"])["approvals"]
        assert f"helm rollback shop -n {production}" in question["question"], question
        assert story.writes() == []
        story.at("a person agrees", lambda: story.approve(incident))
        ended = story.within(120).ends("recovered", service=SERVICE)

    assert ended["reason"].startswith(f"rolled back from revision 2 (image {image}")
    assert image_of(story.deployment()) == WEB_GOOD
