"""What is said of a cause and of the difference of two templates, and the first line of a notice."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.model.records import IncidentState
from kintsugi.notices.notice_texts import problem_lines
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from kubediagnosis.diagnose import FINDERS, diagnose, rank_of
from kubediagnosis.headline import LONGEST, diagnosis_at, headline, latest, what_changed
from kubediagnosis.templates import changed_fields, difference, template_fields
from tests.integration.told_diagnosis import DIAGNOSIS
from tests.unit.diagnosis.test_rows_of_the_faults_page import BROKEN
from tests.unit.diagnosis.workload import APP, TEMPLATE, Json, Workload, crashes, ends, new, old, runs, waits

WORDS = (
    "",
    'configmap "settings" not found',
    "couldn't find key token in Secret shop/token",
    "container has runAsNonRoot and image will run as root",
    'Back-off pulling image "shop:2": ErrImagePull: not found',
    "unexpected status: 401 Unauthorized",
    "0/1 nodes are available: 1 node(s) were unschedulable, 1 Insufficient cpu, 1 node(s) had untolerated taint {a: }.",
    'persistentvolumeclaim "x" not found',
    'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    'failed calling webhook "x"',
    "Liveness probe failed: x",
    "Container app failed startup probe, will be restarted",
    "Container app failed liveness probe, will be restarted",
    'MountVolume.SetUp failed for volume "routes" : configmap "routes" not found',
)
REASONS = (
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "RunContainerError",
    "ContainerCreating",
    "Failed",
    "FailedMount",
    "FailedCreate",
    "Killing",
    "Unhealthy",
    "FailedToRetrieveImagePullSecret",
)
words, reasons = st.sampled_from(WORDS), st.sampled_from(REASONS)
codes = st.sampled_from((0, 1, 137))
ended = st.builds(ends, codes, st.sampled_from(("Error", "OOMKilled", "StartError", "Completed")), words)
containers = st.one_of(
    st.builds(waits, reasons, words, restarts=st.integers(0, 5), ended=st.none() | ended),
    st.builds(
        runs, ready=st.booleans(), seconds=st.sampled_from((5.0, 600.0)), restarts=st.integers(0, 5), ended=ended
    ),
)
changes = st.sampled_from(
    (
        (("spec", "containers", 0, "image"), "shop:2"),
        (("spec", "nodeSelector"), {"disk": "ssd"}),
        (("spec", "containers", 0, "env", 2, "valueFrom", "secretKeyRef", "name"), "other"),
    )
)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Break a workload in any way."""
    web = Workload()
    if draw(st.booleans()):
        web.change(*draw(changes))
        web.roll_out(draw(containers), migrate=draw(containers), scheduling=draw(st.just("") | words))
    else:
        web.replace_pod(draw(containers), scheduling=draw(st.just("") | words))
    for pod in web.pods:
        if draw(st.booleans()):
            web.event(f"pod/{pod['metadata']['name']}", draw(reasons), draw(words), count=3)
    if draw(st.booleans()):
        web.condition("replicaset/web", draw(words))
    return web


@given(workloads())
def test_no_cause_is_certain_without_evidence_and_none_is_told_twice(web: Workload) -> None:
    found = diagnose(web.facts())
    for cause in found.causes:
        assert cause.evidence or cause.confidence is Confidence.LIKELY
        assert cause.text
    assert len({(each.kind, each.object, each.field) for each in found.causes}) == len(found.causes)
    facts = web.facts()
    for before, after in pairwise(found.causes):
        assert rank_of(facts, before) <= rank_of(facts, after)
        of_one_rank = rank_of(facts, before) is rank_of(facts, after)
        assert not of_one_rank or before.confidence is Confidence.CERTAIN or after.confidence is Confidence.LIKELY


def test_a_certain_cause_without_evidence_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="without evidence"):
        Cause(kind=CauseKind.IMAGE_PULL, object="deployment/web", confidence=Confidence.CERTAIN, text="it cannot")


def test_the_likeliest_cause_is_the_first_and_the_summary() -> None:
    web = new((*APP, "image"), "shop:2", waits("ErrImagePull", "shop:2: not found"), metrics=crashes(1))
    found = diagnose(web.facts())
    assert [each.kind for each in found.causes] == [CauseKind.IMAGE_PULL, CauseKind.CONTAINER_EXIT]
    assert found.summary.startswith(
        "deployment/web: container app cannot pull image shop:2: the registry does not have it"
    )


@pytest.mark.parametrize(
    ("container", "told"),
    [
        (runs(), "no problem was found: 2 of 2 pods are ready"),
        (waits("ContainerCreating"), "no cause is known: 1 of 2 pods are ready"),
    ],
)
def test_no_cause_is_told_rather_than_a_guess(container: Json, told: str) -> None:
    found = diagnose(old(container).facts())
    assert (found.causes, found.summary) == ((), f"deployment/web: {told}")


def test_pods_on_their_way_out_tell_nothing() -> None:
    web = old(crashes(1))
    web.pods[0]["metadata"]["deletionTimestamp"] = "2026-11-27T08:59:50Z"
    assert web.causes() == ()


def test_each_finder_finds_nothing_in_a_workload_that_is_well() -> None:
    facts = Workload().facts()
    assert [list(finder(facts)) for finder in FINDERS] == [[]] * len(FINDERS)


@pytest.mark.parametrize(
    ("path", "value", "fields"),
    [
        ((*APP, "image"), "shop:2", ("containers[app].image",)),
        ((*APP, "env", 0, "value"), "x", ("containers[app].env[UPSTREAM]",)),
        ((*APP, "resources", "limits", "memory"), "1Gi", ("containers[app].resources.limits.memory",)),
        ((*APP, "readinessProbe", "periodSeconds"), 3, ("containers[app].readinessProbe",)),
        (("spec", "nodeSelector"), {"a.b/c": "d"}, ("nodeSelector[a.b/c]",)),
        (("spec", "dnsPolicy"), "None", ("dnsPolicy",)),
        (("metadata", "labels", "app"), "x", ("labels[app]",)),
        (("metadata", "annotations"), {"kubectl.kubernetes.io/restartedAt": "now"}, ()),
    ],
)
def test_a_change_of_a_template_is_told_by_its_path(
    path: tuple[str | int, ...], value: object, fields: tuple[str, ...]
) -> None:
    after = Workload().change(path, value).template
    assert changed_fields(template_fields(TEMPLATE), template_fields(after)) == fields


def test_values_of_variables_are_never_among_the_fields() -> None:
    assert not any("http://db" in value for value in template_fields(TEMPLATE).values())


NOW = datetime(2026, 11, 24, 3, 2, tzinfo=UTC)


def without_cause(*unknown: str, at: datetime = NOW) -> Diagnosis:
    """Make a diagnosis that has found nothing."""
    summary = "deployment/web: no cause is known: 0 of 2 pods are ready"
    return Diagnosis(object="deployment/web", namespace="production", at=at, summary=summary, unknown=unknown)


def test_the_headline_names_the_likeliest_cause_with_its_object_and_field_and_how_sure_it_is() -> None:
    assert headline(DIAGNOSIS) == (
        "ImagePull (certain): deployment/web containers[web].image: deployment/web: container web cannot pull image "
        'shop:2.1: the registry does not have it: failed to pull and unpack image "shop:2.1": not found'
    )


def test_without_a_cause_it_says_so_and_what_was_not_read() -> None:
    assert headline(without_cause()) == "deployment/web: no cause is known: 0 of 2 pods are ready"
    assert headline(without_cause("Events: no right to list them")) == (
        "deployment/web: no cause is known: 0 of 2 pods are ready; not known: Events: no right to list them"
    )
    many = headline(without_cause(*"abcdef"))
    assert many.endswith("not known: a; b; c; and 3 more")


def test_the_headline_is_one_line_and_bounded() -> None:
    line = headline(without_cause("two\nlines " + "x" * 10 * LONGEST))
    assert "\n" not in line
    assert len(line) == LONGEST


@pytest.mark.parametrize(
    ("minutes", "told"), [(-1, 0), (1, 0), (120, 60)], ids=["before any", "between two", "after both"]
)
def test_a_notice_tells_the_last_diagnosis_that_was_made_before_it_or_else_the_first(minutes: int, told: int) -> None:
    """A receiver that was away for an hour gets each notice with what was known then."""
    both = [without_cause(at=NOW + timedelta(minutes=at)) for at in (0, 60)]
    assert diagnosis_at(both, NOW + timedelta(minutes=minutes)) == without_cause(at=NOW + timedelta(minutes=told))
    assert diagnosis_at([], NOW) is None


@pytest.mark.parametrize("unknown", [(), ("deployment/web: it was not read within 5s",)])
def test_an_earlier_diagnosis_is_told_with_its_time_where_the_last_one_has_no_cause(unknown: tuple[str, ...]) -> None:
    last = without_cause(*unknown, at=NOW + timedelta(minutes=30))
    told = diagnosis_at([replace(DIAGNOSIS, at=NOW), last], NOW + timedelta(hours=1))
    assert told is not None
    said = "".join(f"; not known: {each}" for each in unknown)
    assert headline(told).startswith(
        "ImagePull (certain): deployment/web containers[web].image: as found at 2026-11-24 03:02:00; at 03:32:00 "
        f"deployment/web: no cause is known: 0 of 2 pods are ready{said}: deployment/web: container web cannot pull image"
    )
    assert what_changed(told) == what_changed(DIAGNOSIS)


def test_an_earlier_diagnosis_is_not_told_where_the_last_one_has_a_cause() -> None:
    assert latest([without_cause(), DIAGNOSIS]) == DIAGNOSIS
    assert latest([without_cause()]) == without_cause()


def test_the_headline_of_a_trouble_that_is_over_says_was_wrong() -> None:
    for state, word in ((IncidentState.NEEDS_OPERATOR, "problem"), (IncidentState.RECOVERED, "past problem")):
        assert problem_lines(state, without_cause()) == [
            f"{word}: deployment/web: no cause is known: 0 of 2 pods are ready"
        ]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (BROKEN["configmap-deleted"], "the pods need ConfigMap settings, which does not exist"),
        (BROKEN["secret-deleted"], "the pods need Secret token, which does not exist"),
        (BROKEN["bad-version"], "container app"),
        (BROKEN["readiness-wrong-path"], "HTTP probe failed with statuscode: 503"),
        (BROKEN["readiness-gate-unset"], "the condition shop.test/checked, which the pod waits for, is not set"),
        (BROKEN["memory-need-grew"], "killed at its memory limit of 64Mi (OOMKilled"),
    ],
    ids=["ConfigMap", "Secret", "crash", "probe", "readiness gate", "memory"],
)
def test_the_first_line_of_a_notice_names_what_the_evidence_names(broken: Callable[[], Workload], named: str) -> None:
    found = diagnose(broken().facts())
    first = problem_lines(IncidentState.NEEDS_OPERATOR, found)[0]
    assert named in first


def template(*containers: Any, **spec: Any) -> dict[str, str]:
    """Return the fields of a template."""
    return template_fields({"spec": {"containers": list(containers), **spec}})


def web(image: str, **more: Any) -> dict[str, Any]:
    """Return a container."""
    return {"name": "web", "image": image, **more}


SIDECAR = {"name": "metrics", "image": "metrics:1"}
PLAIN, ONE_TOKEN, OTHER_TOKEN = (
    template(web("shop:2", env=[{"name": "TOKEN", "value": value}] if value else []))
    for value in ("", "hunter2", "hunter1")
)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (template(web("shop:2.1")), template(web("shop:2.0")), ("image shop:2.1", "image shop:2.0")),
        (
            template(web("shop:2.1"), SIDECAR),
            template(web("shop:2.0"), SIDECAR),
            ("containers[web].image shop:2.1", "containers[web].image shop:2.0"),
        ),
        (ONE_TOKEN, OTHER_TOKEN, ("env[TOKEN] changed", "")),
        (ONE_TOKEN, PLAIN, ("env[TOKEN] added", "no env[TOKEN]")),
        (PLAIN, ONE_TOKEN, ("no env[TOKEN]", "")),
        (template(web("a", command=["serve"])), template(web("a", command=["run"])), ("command changed", "")),
    ],
    ids=["an image", "of one of several containers", "a value, which is not told", "more", "less", "of several words"],
)
def test_what_differs_is_told_of_both_sides(one: dict[str, str], other: dict[str, str], told: tuple[str, str]) -> None:
    assert difference(one, other) == told


def test_the_number_of_many_fields_is_said() -> None:
    one = template(web("shop:2"), nodeSelector={str(each): "a" for each in range(5)})
    other = template(web("shop:2"), nodeSelector={str(each): "b" for each in range(5)})
    had, gets = difference(one, other)
    assert had == "nodeSelector[0] a, nodeSelector[1] a, nodeSelector[2] a, 2 more fields changed"
    assert gets == "nodeSelector[0] b, nodeSelector[1] b, nodeSelector[2] b"
