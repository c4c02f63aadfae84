"""ImagePull and MissingConfiguration: the registry's and the kubelet's words, and whose change it was."""

import pytest

from kubediagnosis.causes import CauseKind, RegistryAnswer
from kubediagnosis.facts import ConfigurationFacts, ConfigurationType
from tests.unit.diagnosis.around import written
from tests.unit.diagnosis.workload import APP, CERTAIN, GOOD, LIKELY, NOW, Workload, new, old, row, runs, waits

IMAGE = (CauseKind.IMAGE_PULL, "deployment/web", "containers[app].image", CERTAIN)

# As containerd 1.7 and 2.0 pass a registry's answer on; the kubelet has it in the container's state, or in an Event alone.
ANSWERS = (
    ('failed to resolve reference "r/shop:2": r/shop:2: not found', RegistryAnswer.NOT_FOUND),
    ("manifest for r/shop:2 not found: manifest unknown: manifest unknown", RegistryAnswer.NOT_FOUND),
    ("unexpected status from HEAD request to http://r/v2/shop/manifests/2: 403 Forbidden", RegistryAnswer.DENIED),
    (
        "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope",
        RegistryAnswer.DENIED,
    ),
    ("unexpected status from HEAD request to http://r/v2/: 401 Unauthorized", RegistryAnswer.UNAUTHORIZED),
    ("unexpected status from HEAD request to http://r/v2/: 429 Too Many Requests", RegistryAnswer.BUSY),
    ("unexpected status from HEAD request to http://r/v2/: 503 Service Unavailable", RegistryAnswer.UNREACHABLE),
    ('failed to do request: Head "http://r/v2/": dial tcp 10.0.0.1:443: i/o timeout', RegistryAnswer.UNREACHABLE),
    ('failed to do request: Head "http://r/v2/": dial tcp: lookup r: no such host', RegistryAnswer.UNREACHABLE),
    ("something else", RegistryAnswer.OTHER),
)


def new_image(words: str = "", *, in_state: bool = True) -> Workload:
    """Roll an image out that cannot be pulled."""
    back_off = 'Back-off pulling image "r/shop:2"'
    message = f"{back_off}: ErrImagePull: {words}" if in_state else back_off
    web = new((*APP, "image"), "r/shop:2", waits("ImagePullBackOff", message))
    if not in_state:
        web.event("pod/web-new-1", "Failed", f'Failed to pull image "r/shop:2": {words}', container="app")
    return web


@pytest.mark.parametrize(("words", "answer"), ANSWERS)
@pytest.mark.parametrize("in_state", [True, False])
def test_an_image_that_cannot_be_had_is_said_in_the_registry_s_words(
    words: str, answer: RegistryAnswer, in_state: bool
) -> None:
    (cause,) = new_image(words, in_state=in_state).causes()
    assert (row(cause), cause.registry) == (IMAGE, answer)
    assert "container app cannot pull image r/shop:2" in cause.text
    assert words in cause.text


@pytest.mark.parametrize("by_event", [True, False])
def test_a_pull_secret_that_is_gone_is_the_cause_of_a_registry_that_refuses(by_event: bool) -> None:
    web = new_image("unexpected status from HEAD request: 401 Unauthorized")
    if by_event:
        told = "Unable to retrieve some image pull secrets (registry); attempting to pull the image may not succeed."
        web.event("pod/web-new-1", "FailedToRetrieveImagePullSecret", told)
    else:
        gone = ConfigurationFacts(type=ConfigurationType.SECRET, name="registry", exists=False)
        web.more["configurations"] = (gone,)
    (cause,) = web.causes()
    assert row(cause) == (CauseKind.MISSING_CONFIGURATION, "secret/registry", "", LIKELY)


CONFIG, SETTINGS_GONE = "CreateContainerConfigError", 'configmap "settings" not found'
MISSING = CauseKind.MISSING_CONFIGURATION


@pytest.mark.parametrize(
    ("said", "thing", "field"),
    [
        (SETTINGS_GONE, "configmap/settings", ""),
        ("couldn't find key currency in ConfigMap shop/settings", "configmap/settings", "data[currency]"),
        ('secret "token" not found', "secret/token", ""),
        ("couldn't find key token in Secret shop/token", "secret/token", "data[token]"),
    ],
)
def test_configuration_that_went_away_under_a_good_template_is_its_own_cause(said: str, thing: str, field: str) -> None:
    (cause,) = old(waits(CONFIG, said)).causes()
    assert row(cause) == (MISSING, thing, field, CERTAIN)


def test_a_new_template_that_names_the_same_as_before_is_not_the_cause() -> None:
    """The ConfigMap was deleted, and then a good image was rolled out: the cause is in what changed of the two."""
    web = new((*APP, "image"), "r/shop:2", waits(CONFIG, SETTINGS_GONE))
    assert row(web.causes()[0]) == (MISSING, "configmap/settings", "", CERTAIN)


def test_a_first_template_is_only_likely_to_miss_what_was_there() -> None:
    web = Workload()
    first = web.revisions[0].created or NOW
    web.pods = [web.pod("web-good-1", GOOD, created=first, app=waits(CONFIG, 'secret "token" not found'))]
    assert row(web.causes()[0]) == (MISSING, "secret/token", "", LIKELY)


ROUTES = 'MountVolume.SetUp failed for volume "routes" : configmap'
CREATING = waits("ContainerCreating")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        (f'{ROUTES} "routes" not found', ""),
        (f"{ROUTES} references non-existent config key: routes", "data[routes]"),
    ],
)
def test_a_volume_s_configmap_is_found_by_the_event(said: str, field: str) -> None:
    web = old(CREATING, metrics=CREATING, migrate=waits("PodInitializing"))
    web.event("pod/web-good-3", "FailedMount", said)
    assert row(web.causes()[0]) == (MISSING, "configmap/routes", field, CERTAIN)


def test_a_mount_that_failed_before_the_pod_started_is_over() -> None:
    web = old(runs()).event("pod/web-good-3", "FailedMount", f'{ROUTES} "routes" not found')
    assert web.causes() == ()


def test_configuration_that_is_there_by_now_is_no_cause() -> None:
    there = written("settings", "currency", 90, kind=ConfigurationType.CONFIG_MAP)
    assert old(waits(CONFIG, SETTINGS_GONE)).also(configurations=(there,)).causes() == ()
