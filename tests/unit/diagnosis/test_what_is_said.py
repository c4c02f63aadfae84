"""The order of causes, the summary, and what holds of every diagnosis: nothing is certain without evidence."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubediagnosis.causes import Cause, CauseKind, Confidence
from kubediagnosis.diagnose import FINDERS, diagnose, rank_of
from kubediagnosis.templates import changed_fields, template_fields
from tests.unit.diagnosis.workload import TEMPLATE, Json, Workload, crashes, ends, runs, waits

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
    web = Workload()
    web.change(("spec", "containers", 0, "image"), "shop:2")
    web.roll_out(waits("ErrImagePull", "shop:2: not found"), metrics=crashes(1))
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
    web = Workload()
    web.replace_pod(container)
    found = diagnose(web.facts())
    assert (found.causes, found.summary) == ((), f"deployment/web: {told}")


def test_pods_on_their_way_out_tell_nothing() -> None:
    web = Workload()
    web.replace_pod(crashes(1))["metadata"]["deletionTimestamp"] = "2026-11-27T08:59:50Z"
    assert web.causes() == ()


def test_each_finder_finds_nothing_in_a_workload_that_is_well() -> None:
    facts = Workload().facts()
    assert [list(finder(facts)) for finder in FINDERS] == [[]] * len(FINDERS)


def changed(path: tuple[str | int, ...], value: object) -> tuple[str, ...]:
    """Return the paths that differ after a change of the template."""
    web = Workload()
    web.change(path, value)
    return changed_fields(template_fields(TEMPLATE), template_fields(web.template))


@pytest.mark.parametrize(
    ("path", "value", "fields"),
    [
        (("spec", "containers", 0, "image"), "shop:2", ("containers[app].image",)),
        (("spec", "containers", 0, "env", 0, "value"), "x", ("containers[app].env[UPSTREAM]",)),
        (
            ("spec", "containers", 0, "resources", "limits", "memory"),
            "1Gi",
            ("containers[app].resources.limits.memory",),
        ),
        (("spec", "containers", 0, "readinessProbe", "periodSeconds"), 3, ("containers[app].readinessProbe",)),
        (("spec", "nodeSelector"), {"a.b/c": "d"}, ("nodeSelector[a.b/c]",)),
        (("spec", "dnsPolicy"), "None", ("dnsPolicy",)),
        (("metadata", "labels", "app"), "x", ("labels[app]",)),
        (("metadata", "annotations"), {"kubectl.kubernetes.io/restartedAt": "now"}, ()),
    ],
)
def test_a_change_of_a_template_is_told_by_its_path(
    path: tuple[str | int, ...], value: object, fields: tuple[str, ...]
) -> None:
    assert changed(path, value) == fields


def test_a_container_that_is_new_or_gone_is_told_as_a_whole() -> None:
    added: dict[str, Any] = Workload().template
    added["spec"]["initContainers"].append({"name": "wait", "image": "shop:1", "args": ["wait"]})
    before, after = template_fields(TEMPLATE), template_fields(added)
    assert changed_fields(before, after) == changed_fields(after, before) == ("initContainers[wait]",)


def test_values_of_variables_are_never_among_the_fields() -> None:
    assert not any("http://db" in value for value in template_fields(TEMPLATE).values())
