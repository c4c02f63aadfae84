"""A Service needs a namespace and a workload: all else is derived, its rules are the shipped ones, and both can be said otherwise."""

from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.catalog import CatalogErrors
from kintsugi.catalog.build import HEALTHY
from kintsugi.model.rules import Mode, Rule, RuleSource
from kubeobjects.selectors import NOTHING
from tests.unit.catalog.documents import added, answer, loaded, runbook

SHORT = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  namespace: shop
  workload: {workload}
{more}"""


def short(name: str = "cart", workload: str = "deployment/cart", more: str = "") -> str:
    """Write a Service of three lines; `more` are further keys of its spec."""
    return SHORT.format(name=name, workload=workload, more="".join(f"  {line}\n" for line in more.splitlines()))


@pytest.mark.parametrize("workload", ["deployment/cart", "statefulset/cart", "daemonset/cart"])
def test_a_service_derives_what_it_does_not_say(tmp_path: Path, workload: str) -> None:
    catalog = added(tmp_path, short(workload=workload))
    service = catalog.services["cart"]
    assert (str(service.workload), service.namespace) == (workload, "shop")
    assert (service.selector, service.healthy.source) == (NOTHING, HEALTHY)
    assert (service.runbook, service.priority, service.depends_on) == ("workload-recovery", 1000, ())


def test_a_service_has_what_it_says(tmp_path: Path) -> None:
    more = "priority: 2\ndependsOn: [db]\nselector: app=cart\nhealthy: ready > 0\nrunbook: start-service"
    service = added(tmp_path, short(more=more), short("db", "statefulset/db")).services["cart"]
    assert (service.priority, service.depends_on, str(service.selector)) == (2, ("db",), "app=cart")
    assert (service.healthy.source, service.runbook) == ("ready > 0", "start-service")


def test_a_service_without_a_priority_is_waited_for_by_those_alone_that_say_so(tmp_path: Path) -> None:
    catalog = added(
        tmp_path, short(), short("last", "deployment/last", "priority: 999"), short("first", more="priority: 1")
    )
    assert catalog.services["last"].depends_on == ("first",)
    assert catalog.services["cart"].depends_on == ()


ALL = {
    "pods-unhealthy",
    "not-healthy",
    "rollout-stuck",
    "without-endpoints",
    "scaled-to-zero",
    "workload-missing",
    "does-not-answer",
    "warnings",
    "alerts",
}
CHECKS = "checks:\n  smoke: [{id: health, run: 'curl http://cart.shop/health', expect: status == 200}]"
OWN = """\
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}}}
spec:
  service: cart
  mode: approve
{spec}"""


def own(name: str, spec: str) -> str:
    """Write a rule of one's own about cart."""
    return OWN.format(name=name, spec="".join(f"  {line}\n" for line in spec.splitlines()))


def rules(folder: Path, *texts: str) -> dict[str, Rule]:
    """Return the rules that documents of one's own give, by name."""
    return dict(added(folder, *texts).rules)


def test_a_service_gets_the_rules_under_its_own_name(tmp_path: Path) -> None:
    found = rules(tmp_path, short(), short("till", "deployment/till"))
    assert set(found) == {f"{service}-{name}" for service in ("cart", "till") for name in ALL}
    pods = found["cart-pods-unhealthy"]
    assert (pods.on, pods.service, pods.runbook) == (RuleSource.POD, "cart", "workload-recovery")
    assert (pods.for_duration, pods.mode) == (timedelta(minutes=2), Mode.AUTO)
    assert Path(pods.place.file).name == "any-service.yaml"


def test_a_service_gets_the_rule_that_asks_its_checks_named_smoke_or_the_derived_one(tmp_path: Path) -> None:
    found = rules(tmp_path, short(more=CHECKS), short("till", "deployment/till"))
    assert {found[f"{name}-does-not-answer"].check for name in ("cart", "till")} == {"smoke"}


def test_a_service_switches_a_rule_off_or_changes_its_terms_by_name(tmp_path: Path) -> None:
    plain = rules(tmp_path, short())
    said = "{alerts: {enabled: false}, pods-unhealthy: {for: 5m, mode: approve, cooldown: 1h, runbook: start-service}}"
    found = rules(tmp_path, short(more=f"rules: {said}"))
    assert "cart-alerts" not in found
    pods = found["cart-pods-unhealthy"]
    assert (pods.for_duration, pods.cooldown) == (timedelta(minutes=5), timedelta(hours=1))
    assert (pods.mode, pods.runbook) == (Mode.APPROVE, "start-service")
    assert pods.digest != plain["cart-pods-unhealthy"].digest, "an approval of the rule as it was is none of this one"
    assert found["cart-not-healthy"].digest == plain["cart-not-healthy"].digest


def test_rules_of_two_services_have_digests_of_their_own(tmp_path: Path) -> None:
    found = rules(tmp_path, short(), short("till", "deployment/till"))
    assert found["cart-pods-unhealthy"].digest != found["till-pods-unhealthy"].digest


@pytest.mark.parametrize(
    ("name", "spec", "replaced"),
    [
        ("mine", "on: pod\nwhen: >-\n  object.unhealthy", "cart-pods-unhealthy"),
        ("mine", "on: check\ncheck: smoke", "cart-does-not-answer"),
        ("mine", "on: services\nwhen: service.ready > 0 && !service.serving", "cart-without-endpoints"),
        ("cart-alerts", "on: alert\nmatchers: [alertname=Slow]", "cart-alerts"),
    ],
)
def test_a_rule_of_ones_own_replaces_the_one_for_the_same_trigger_or_of_its_name(
    tmp_path: Path, name: str, spec: str, replaced: str
) -> None:
    before = set(rules(tmp_path, short(more=CHECKS)))
    found = rules(tmp_path, short(more=CHECKS), own(name, spec))
    assert set(found) == before - {replaced} | {name}
    assert found[name].mode is Mode.APPROVE


def test_an_alert_concerns_a_service_by_its_namespace_and_the_object_that_it_names(tmp_path: Path) -> None:
    rule = rules(tmp_path, short())["cart-alerts"]
    assert {str(each.label) for each in rule.matchers} == {"severity", "namespace"}
    labels = {"namespace": "shop", "severity": "warning"}
    assert answer(rule.when, {"alert": {"labels": labels}}) is False
    assert answer(rule.when, {"alert": {"labels": {**labels, "pod": "cart-1"}}}) is True


def test_a_name_that_no_such_rule_has_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, short(more="rules: {pod-unhealthy: {for: 5m}, alerts: {runbook: nothing}}"))
    told = str(errors.value)
    assert "there is no rule of every service called 'pod-unhealthy'; did you mean 'pods-unhealthy'?" in told
    assert "spec.rules.alerts.runbook: there is no runbook 'nothing'" in told


def test_a_service_whose_name_leaves_no_room_for_that_of_its_rules_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, short("c" * 50))
    assert "choose a shorter name" in str(errors.value)


def test_a_mistake_in_a_template_is_told_once_however_many_services_there_are() -> None:
    template = """\
apiVersion: kintsugi.dev/v1alpha1
kind: RuleTemplate
metadata: {name: few}
spec: {on: services, when: service.redy == 0, runbook: mend}
"""
    more = "runbook: mend"
    with pytest.raises(CatalogErrors) as errors:
        loaded(
            short(more=more),
            short("till", "deployment/till", more),
            template,
            runbook("- {id: look, run: kubectl get pods}"),
        )
    [problem] = errors.value.problems
    assert (problem.file, problem.path) == ("c.yaml", "spec.when")
