"""MissingWorkload, ScaledToZero, PausedRollout and ServiceRouting: nobody is there, is asked for, or is led to."""

from datetime import datetime

import pytest

from kubediagnosis.causes import CauseKind, Confidence
from kubediagnosis.facts import FieldChange, MissingFacts
from kubeobjects.metadata import Metadata
from kubeobjects.network import KubeService, ServiceSpec
from tests.unit.diagnosis.around import service
from tests.unit.diagnosis.workload import APP, CERTAIN, GOOD, LIKELY, Row, Workload, ago, crashes, new, row, runs

ROUTING = CauseKind.SERVICE_ROUTING
TARGET = "spec.ports[main].targetPort"


@pytest.mark.parametrize(("at", "confidence"), [(ago(60), CERTAIN), (None, LIKELY)], ids=["told when", "not told when"])
def test_a_workload_that_was_scaled_to_zero_is_the_cause_with_who_did_it(
    at: datetime | None, confidence: Confidence
) -> None:
    web = Workload().also(desired=0, scaled=FieldChange(manager="kubectl", at=at))
    web.pods = []
    (cause,) = web.causes()
    assert row(cause) == (CauseKind.SCALED_TO_ZERO, "deployment/web", "spec.replicas", confidence)
    assert "by kubectl" in cause.text


SEEN, LAST_GOOD = ago(60), ago(3600)


@pytest.mark.parametrize(
    ("missing", "seen", "text"),
    [
        (
            MissingFacts(last_good=LAST_GOOD),
            SEEN,
            "; it was there until 2026-11-27 08:59:00; to make it again: apply web",
        ),
        (
            MissingFacts(last_good=LAST_GOOD, command="argocd app sync shop"),
            None,
            "; it was last good at 2026-11-27 08:00:00; to make it again: argocd app sync shop",
        ),
        (
            MissingFacts(last_good=LAST_GOOD, owner="operator Shop/web"),
            SEEN,
            "; it was there until 2026-11-27 08:59:00; its owner operator Shop/web makes it again",
        ),
        (
            MissingFacts(last_good=LAST_GOOD, lacks=("containers[app].env[TOKEN]",)),
            None,
            "; it was last good at 2026-11-27 08:00:00; to make it again, apply your own manifest: the kept one lacks the values of containers[app].env[TOKEN]",
        ),
        (
            MissingFacts(similar="deployment/web-app"),
            None,
            "; it was never seen; did you mean deployment/web-app?",
        ),
        (MissingFacts(), None, "; it was never seen"),
    ],
)
def test_a_workload_that_does_not_exist_is_the_cause_with_the_command_that_makes_it_again(
    missing: MissingFacts, seen: datetime | None, text: str
) -> None:
    web = Workload().also(desired=0, service="web", missing=missing, missing_since=seen, recreate="apply web")
    web.pods, web.revisions = [], []
    (cause,) = web.causes()
    assert row(cause) == (CauseKind.MISSING_WORKLOAD, "deployment/web", "", CERTAIN)
    assert cause.text == f"the workload does not exist{text}"


PAUSED = {"paused_before_start": FieldChange(manager="kubectl-rollout", at=ago(300))}


@pytest.mark.parametrize(
    ("paused", "failing", "first"),
    [
        (PAUSED, 2, (CauseKind.PAUSED_ROLLOUT, "deployment/web", "spec.paused", LIKELY)),
        (PAUSED, 1, (CauseKind.CONTAINER_EXIT, "pod/web-good-1", "containers[app]", LIKELY)),
        ({}, 2, (CauseKind.CONTAINER_EXIT, "deployment/web", "containers[app]", LIKELY)),
    ],
    ids=["all of the earlier template fail", "one of two fails", "not paused"],
)
def test_a_paused_rollout_is_the_cause_while_every_pod_of_the_earlier_template_fails(
    paused: dict[str, object], failing: int, first: Row
) -> None:
    web = Workload().also(**paused)
    web.pods[:failing] = [web.pod(f"web-good-{number}", GOOD, app=crashes(1)) for number in range(1, failing + 1)]
    cause = web.causes()[0]
    assert row(cause) == first
    assert (not paused or failing == 1) != ("kubectl rollout resume deployment/web -n shop" in cause.text)


@pytest.mark.parametrize(
    "more",
    [
        {"desired": 0, "scaled": FieldChange(manager="helm", at=ago(2 * 86400))},
        {"desired": 1},
        {"desired": 0, "reference": "daemonset/web"},
    ],
    ids=["made so", "scaled to one", "no node for a DaemonSet"],
)
def test_a_workload_that_never_had_pods_or_has_some_is_not_scaled_to_zero(more: dict[str, object]) -> None:
    web = Workload().also(**more)
    web.pods = web.pods[:1] if more["desired"] else []
    assert web.causes() == ()


@pytest.mark.parametrize("name", ["web", "shop"], ids=["by its name", "by another label"])
def test_a_selector_that_no_pod_meets_is_the_service_s(name: str) -> None:
    (cause,) = Workload().also(services=(service(name, app="wep", **{"part-of": "shop"}),)).causes()
    assert row(cause) == (ROUTING, f"service/{name}", "spec.selector[app]", LIKELY)
    assert "app=wep" in cause.text
    assert "app=web" in cause.text


@pytest.mark.parametrize(
    ("found", "selected"),
    [
        (service("other", app="other"), ()),
        (service("web", app="other"), ("web",)),
        (service("web", app="web"), ()),
        (service("web", "http", app="web"), ()),
        (KubeService(metadata=Metadata(name="web"), spec=ServiceSpec(type="ExternalName")), ()),
    ],
    ids=["of another workload", "of other pods", "leads to it", "by a port's name", "of no pods"],
)
def test_a_service_that_leads_to_ready_pods_or_is_not_about_these_is_no_cause(
    found: KubeService, selected: tuple[str, ...]
) -> None:
    assert Workload().also(services=(found,), selected=frozenset(selected)).causes() == ()


def test_a_service_without_endpoints_is_no_cause_while_no_pod_is_ready() -> None:
    web = Workload().also(services=(service("web", app="wep"),))
    web.pods = [web.pod("web-1", GOOD, created=ago(30), app=runs(ready=False, seconds=20))]
    assert web.causes() == ()


def test_a_port_s_name_that_no_container_has_is_the_service_s() -> None:
    web = Workload().also(services=(service("web", "web", app="web"),))
    assert row(web.causes()[0]) == (ROUTING, "service/web", TARGET, CERTAIN)


def test_a_port_s_name_is_only_likely_wrong_where_other_workloads_may_have_it() -> None:
    web = Workload().also(services=(service("web", "web", **{"part-of": "shop"}),), serving=False)
    assert row(web.causes()[0])[3] is LIKELY


def test_a_port_that_a_rollout_renamed_is_the_template_s() -> None:
    web = new((*APP, "ports"), [{"name": "web", "containerPort": 8080}], runs())
    (cause,) = web.also(services=(service("web", "http", app="web"),)).causes()
    assert row(cause) == (ROUTING, "deployment/web", "containers[app].ports[web].name", CERTAIN)


def test_a_service_that_bears_the_workload_s_labels_is_meant_for_it_whatever_it_selects() -> None:
    labelled = Metadata(name="front", labels={"app": "web"})
    front = KubeService(metadata=labelled, spec=service("front", app="other").spec)
    (cause,) = Workload().also(services=(front,)).causes()
    assert row(cause) == (ROUTING, "service/front", "spec.selector[app]", LIKELY)
