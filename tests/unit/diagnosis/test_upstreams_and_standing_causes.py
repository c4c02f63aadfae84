"""Upstream, ServiceRouting, Autoscaler and DisruptionBudget: whose fault it is, and what holds though all is well."""

from dataclasses import replace
from typing import Any

import pytest

from kubediagnosis.causes import CauseKind
from kubediagnosis.facts import SharedService
from tests.unit.diagnosis.around import AT_ZERO, autoscaler, budget, check, depot, met, node, service, unmet
from tests.unit.diagnosis.workload import APP, CERTAIN, LIKELY, Row, Workload, crashes, new, row, runs, unready, waits

UPSTREAM, ROUTING = CauseKind.UPSTREAM, CauseKind.SERVICE_ROUTING


def dependent(**upstream: Any) -> Workload:
    """Let a check not be met, of a workload that depends on this one."""
    return unmet(upstreams=(depot(**upstream),))


def test_a_chain_ends_at_the_upstream_s_own_cause() -> None:
    causes = dependent(**AT_ZERO).causes()
    assert row(causes[0]) == (UPSTREAM, "statefulset/depot", "spec.replicas", CERTAIN)
    assert causes[0].text.startswith("it depends on depot (statefulset/depot): ")
    assert [each.kind for each in causes[1:]] == [CauseKind.NOT_ANSWERING]


def test_a_chain_of_three_ends_at_the_last() -> None:
    end = replace(depot(**AT_ZERO), reference="statefulset/far")
    causes = dependent(upstreams=(end,), checks=(check(),)).causes()
    assert row(causes[0])[:3] == (UPSTREAM, "statefulset/far", "spec.replicas")


def test_an_upstream_in_another_namespace_is_told_by_the_kind_of_its_problem_alone() -> None:
    """Who may read the dependent's namespace reads its Events: they must not show a line of the other namespace's log."""
    web = unmet(upstreams=(replace(depot(**AT_ZERO), namespace="platform"),))
    assert web.causes()[0].text == "it depends on depot (statefulset/depot): ScaledToZero, in namespace platform"


def stuck(**declared: Any) -> Workload:
    """Let a check not be met, of a workload whose upstream's rollout is stuck beside old pods that are ready."""
    upstream = Workload(reference="statefulset/depot").change((*APP, "image"), "shop:2")
    upstream.roll_out(waits("ImagePullBackOff", "shop:2: not found")).also(**declared)
    return unmet(upstreams=(upstream.facts(),))


@pytest.mark.parametrize("web", [dependent(), stuck()], ids=["it is well", "its rollout is stuck beside old pods"])
def test_an_upstream_that_serves_is_no_cause_whatever_else_is_wrong_with_it(web: Workload) -> None:
    """A rollout that is stuck beside old pods that serve is nobody else's trouble."""
    assert [each.kind for each in web.causes()] == [CauseKind.NOT_ANSWERING]


def test_an_upstream_to_whose_ready_pods_its_service_does_not_lead_is_a_cause() -> None:
    """Its rollout that is stuck beside them is none: what serves of it is not reached."""
    causes = stuck(serving=False).causes()
    assert row(causes[0]) == (UPSTREAM, "statefulset/depot", "", LIKELY)
    assert causes[0].text.endswith("whose Service routes to no ready pod")


def test_an_upstream_that_only_a_variable_names_is_told_as_a_guess() -> None:
    certain = dependent(**AT_ZERO).causes()[0]
    assert (certain.kind, certain.confidence) == (UPSTREAM, CERTAIN)
    guess = dependent(**AT_ZERO, is_guessed=True).causes()[0]
    assert (guess.kind, guess.confidence) == (UPSTREAM, LIKELY)
    assert guess.text.startswith("a variable names, and it likely depends on depot (statefulset/depot): ")


def test_an_upstream_is_no_cause_while_every_check_is_met() -> None:
    assert met(dependent(**AT_ZERO)).causes() == ()


def test_pods_that_are_unready_for_want_of_an_upstream_are_so_for_it() -> None:
    web = unmet(unready("web-1", "web-2"), upstreams=(depot(**AT_ZERO),))
    assert [each.kind for each in web.causes()] == [UPSTREAM, CauseKind.READINESS_PROBE]


UNREADY = runs(ready=False, seconds=300)


@pytest.mark.parametrize(
    ("web", "kind"),
    [
        (new((*APP, "env", 0), None, crashes(3)), CauseKind.CONTAINER_EXIT),
        (
            new((*APP, "readinessProbe", "httpGet", "path"), "/healthz", UNREADY).unhealthy("web-new-1"),
            CauseKind.READINESS_PROBE,
        ),
    ],
    ids=["a crash", "a probe"],
)
def test_a_workload_that_broke_by_its_own_change_is_its_own_cause_beside_an_upstream_that_is_away(
    web: Workload, kind: CauseKind
) -> None:
    causes = unmet(web, upstreams=(depot(**AT_ZERO),)).causes()
    assert [each.kind for each in causes][:2] == [kind, UPSTREAM]


def test_an_init_container_that_waits_for_an_upstream_waits_for_that() -> None:
    first, hangs = waits("PodInitializing"), runs(ready=False, seconds=200)
    causes = dependent(**AT_ZERO).replace_pod(first, migrate=hangs, metrics=first).causes()
    assert causes[0].kind is UPSTREAM


def test_a_standing_cause_of_an_upstream_that_is_well_is_not_why_it_does_not_serve() -> None:
    scaler = autoscaler("ScalingLimited", "True", "TooManyReplicas", target="depot")
    web = dependent(pods=False, reference="deployment/depot", autoscalers=(scaler,))
    assert row(web.causes()[0]) == (UPSTREAM, "deployment/depot", "", LIKELY)


@pytest.mark.parametrize(
    ("target", "checks", "named"),
    [(9999, (check(),), True), (9999, (), True), (9999, (check(met=True),), False), (8080, (check(),), False)],
    ids=["a check is not met", "nobody asks", "every check is met", "it listens there"],
)
def test_a_number_that_no_container_listens_on_is_likely_wrong_unless_all_is_known_to_be_well(
    target: int, checks: tuple[Any, ...], named: bool
) -> None:
    found = routing(Workload().also(services=(service("web", target, app="web"),), checks=checks))
    assert found == ([(ROUTING, "service/web", "spec.ports[main].targetPort", LIKELY)] if named else [])


def routing(web: Workload) -> list[Row]:
    """Return the causes that are about Services."""
    return [row(each) for each in web.causes() if each.kind is ROUTING]


def test_containers_that_say_nothing_of_their_ports_may_listen_anywhere() -> None:
    web = Workload().change((*APP, "ports"), None)
    assert web.also(services=(service("web", 9999, app="web"),)).causes() == ()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, True),
        ({"services_known": False}, False),
        ({"services": (service("nodes", app="web"),)}, False),
        ({"checks": (check(met=True),)}, False),
    ],
    ids=["it is gone", "nobody could look", "it is there", "nobody needs it"],
)
def test_a_statefulset_s_service_that_is_gone_is_the_cause(more: dict[str, Any], named: bool) -> None:
    found = [row(each) for each in Workload().also(governing="nodes", **more).causes()]
    assert found == ([(ROUTING, "service/nodes", "", LIKELY)] if named else [])


@pytest.mark.parametrize("checks", [(), (check(met=True),), (check(),)], ids=["unchecked", "met", "not met"])
def test_a_service_that_led_to_the_pods_and_is_gone_is_the_cause_whatever_a_check_says(checks: tuple[Any, ...]) -> None:
    web = Workload().also(lost_service="front", checks=checks)
    assert [row(each) for each in web.causes()][:1] == [(ROUTING, "service/front", "", CERTAIN)]
    assert routing(web.also(services=(service("front", app="web"),))) == []


def test_a_derived_check_that_is_not_met_is_a_matter_of_the_service_and_no_restart_helps() -> None:
    (cause,) = Workload().also(checks=(replace(check(), through="service/front"),)).causes()
    assert row(cause) == (ROUTING, "service/front", "", LIKELY)
    assert cause.text.startswith("the pods answer the HTTP probe of their kubelets, but not through service/front")


WIDE = {"part-of": "shop"}


@pytest.mark.parametrize(
    ("shared", "beside", "named"),
    [
        (SharedService(name="web", pods=("depot-0",), own=("depot",)), (), True),
        (SharedService(name="web", pods=("web-canary-1",), own=()), (), False),
        (SharedService(name="web", pods=("depot-0",), own=("depot",)), (service("mine", app="web"),), False),
    ],
    ids=["pods of another Service", "a second version", "a Service over all, beside its own"],
)
def test_a_selector_that_takes_other_services_pods_is_too_wide(
    shared: SharedService, beside: tuple[Any, ...], named: bool
) -> None:
    web = Workload().also(services=(service("web", **WIDE), *beside), shared=(shared,))
    found = [row(each) for each in web.causes()]
    assert found == ([(ROUTING, "service/web", "spec.selector", LIKELY)] if named else [])


def test_the_workload_s_own_service_comes_before_another_one_that_leads_to_its_pods_too() -> None:
    services = (service("front", "page", **WIDE), service("web", 9999, app="web"))
    field = "spec.ports[main].targetPort"
    assert routing(unmet(services=services)) == [
        (ROUTING, "service/web", field, LIKELY),
        (ROUTING, "service/front", field, LIKELY),
    ]


def test_an_autoscaler_that_has_no_request_to_measure_by_is_the_template_s() -> None:
    scaler = autoscaler("ScalingActive", "False", "FailedGetResourceMetric", "missing request")
    expected = (CauseKind.AUTOSCALER, "deployment/web", "containers[app].resources.requests.cpu", CERTAIN)
    assert [row(each) for each in Workload().also(autoscalers=(scaler,)).causes()] == [expected]


@pytest.mark.parametrize(
    "scaler",
    [
        autoscaler("ScalingActive", "False", "FailedGetResourceMetric", seconds=10),
        autoscaler("ScalingActive", "False", "ScalingDisabled"),
        autoscaler("ScalingLimited", "True", "TooFewReplicas"),
        autoscaler("ScalingActive", "True", "ValidMetricFound"),
        autoscaler("ScalingLimited", "True", "TooManyReplicas", target="other"),
    ],
    ids=["just started", "scaled to 0", "at its minimum", "it acts", "another's"],
)
def test_an_autoscaler_that_acts_or_has_just_begun_is_no_cause(scaler: Any) -> None:
    assert Workload().also(autoscalers=(scaler,)).causes() == ()


def emptied(*budgets: Any, cordoned: bool = True) -> Workload:
    """Let somebody want the node of the pods emptied."""
    return Workload().also(nodes=(node(cordoned=cordoned),), budgets=budgets)


@pytest.mark.parametrize(
    ("terms", "field"), [({}, "spec.minAvailable"), ({"maxUnavailable": 0}, "spec.maxUnavailable")]
)
def test_a_budget_that_forbids_each_eviction_is_the_cause_of_a_node_that_is_not_emptied(
    terms: dict[str, Any], field: str
) -> None:
    (cause,) = emptied(budget(**terms)).causes()
    assert row(cause) == (CauseKind.DISRUPTION_BUDGET, "poddisruptionbudget/web", field, CERTAIN)


@pytest.mark.parametrize(
    "web",
    [
        emptied(budget(), cordoned=False),
        emptied(budget(allowed=1, desired=1)),
        emptied(budget(healthy=1, desired=2)),
        emptied(budget(generation=0)),
        emptied(budget(selector={"matchLabels": {"app": "other"}}, minAvailable=2)),
    ],
    ids=["nobody empties", "it allows one", "a pod is ill", "not yet counted", "another's"],
)
def test_a_budget_that_lets_pods_go_or_waits_for_one_that_is_ill_is_no_cause(web: Workload) -> None:
    assert CauseKind.DISRUPTION_BUDGET not in {each.kind for each in web.causes()}


def test_a_standing_cause_comes_after_the_others() -> None:
    """However sure it is."""
    causes = emptied(budget()).replace_pod(crashes(1)).causes()
    assert [each.kind for each in causes] == [CauseKind.CONTAINER_EXIT, CauseKind.DISRUPTION_BUDGET]
