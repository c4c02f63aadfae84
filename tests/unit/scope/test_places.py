"""What each place of a document sees: no more when it is loaded, no less when it is asked."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.commands.results import object_type
from kintsugi.errors import EvaluationError
from kintsugi.expressions import ANY, DURATION, INT, STRING, Bindings, ExpressionProblem, ListOf, Scope, Type
from kintsugi.mask import MASK
from kintsugi.model.rules import RuleSource
from kintsugi.model.views import ServiceView
from kintsugi.scope import values
from kintsugi.scope.types import (
    SERVICE,
    StepPlace,
    parameter_type,
    rule_names,
    service_names,
    step_names,
)
from kubeobjects import resources
from kubeobjects.kept import Event, Node, Object, PersistentVolumeClaim, Pod
from kubeobjects.metadata import Metadata
from tests.unit.factories import NOW, incident, moment, pod, services, signal
from tests.unit.factories import view as view_of
from tests.unit.scope.cases import POD, merged

KNOWN = services(("web-service", ("database",)), ("cache-service", ("database",)), ("database", ()))


def view(name: str, *, ready: int = 1, healthy: bool = True) -> ServiceView:
    """Return a service's view with one pod."""
    seen = view_of(KNOWN[name], ready=ready, desired=2, healthy=healthy, pods=(pod(f"{name}-1"),))
    return replace(seen, cluster_ip="10.0.0.1", port=80)


WEB, CACHE = view("web-service", ready=2), view("cache-service", healthy=False)
VIEWS = {"web-service": WEB, "cache-service": CACHE}
AROUND = values.EvaluationContext(
    now=NOW,
    incident=replace(incident(), opened=moment(hours=-1)),
    parameters={"replicas": 5, "wait": timedelta(minutes=1)},
    service=WEB,
    services=VIEWS,
)


def all_hold(names: Mapping[str, Type], given: Bindings, *sources: str) -> None:
    """Hold that expressions are accepted where these names are known, and true of what is given."""
    for source in sources:
        assert Scope(names=names).expression(source).evaluate(given) is True, source


def test_healthy_reads_the_view_by_bare_names_and_after_service() -> None:
    all_hold(
        service_names(),
        values.health_names(WEB),
        "desired > 0 && ready >= desired",
        "service.ready == 2 && service.namespace == 'production'",
        "serving",
    )
    assert Scope(names=service_names()).expression("ready >= desired").evaluate(values.health_names(CACHE)) is False


@pytest.mark.parametrize(
    "source", ["healthy", "service.healthy", "now == now", "services[0].healthy", "failing_since == now"]
)
def test_healthy_does_not_ask_for_itself_nor_beyond_its_service(source: str) -> None:
    with pytest.raises(ExpressionProblem):
        Scope(names=service_names()).expression(source)


@pytest.mark.parametrize(
    ("on", "looked_at"),
    [
        (RuleSource.POD, Pod),
        (RuleSource.PVC, PersistentVolumeClaim),
        (RuleSource.NODE, Node),
        (RuleSource.EVENT, Event),
    ],
)
def test_a_rule_on_objects_sees_the_object_and_now(on: RuleSource, looked_at: type[Object]) -> None:
    given = values.rule_names(on, object=looked_at(metadata=Metadata(name="x")), now=NOW)
    all_hold(rule_names(on), given, "object.metadata.name == 'x' && now > timestamp('2026-01-01T00:00:00Z')")
    with pytest.raises(ExpressionProblem):
        Scope(names=rule_names(on)).expression("service.healthy")


def test_a_rule_on_alerts_sees_the_alert_in_alertmanagers_words() -> None:
    names = rule_names(RuleSource.ALERT)
    fires = signal(kind=RuleSource.ALERT, labels={"severity": "critical"})
    given = values.rule_names(RuleSource.ALERT, alert=fires, now=moment(minutes=10))
    critical = "alert.labels.severity == 'critical' && alert.status == 'firing'"
    all_hold(names, given, f"{critical} && now - alert.startsAt > duration('5m')", "!has(alert.endsAt)")
    all_hold(names, values.rule_names(RuleSource.ALERT, alert=replace(fires, ended=NOW), now=NOW), "has(alert.endsAt)")


def test_a_rule_on_services_sees_its_own_and_all_by_list_and_by_name() -> None:
    all_hold(
        rule_names(RuleSource.SERVICES, services=VIEWS),
        values.rule_names(RuleSource.SERVICES, service=WEB, services=VIEWS, now=NOW),
        "service.ready == service.desired",
        "services.filter(s, !s.healthy).map(s, s.name) == ['cache-service']",
        "!services.cache_service.healthy && services.web_service.ready == 2",
        "services.filter(s, 'database' in s.dependsOn).size() == 2",
    )


def test_a_rule_without_a_service_has_none() -> None:
    scope = Scope(names=rule_names(RuleSource.SERVICES, services=VIEWS, service=False))
    assert scope.expression("size(services.filter(s, !s.healthy)) >= 3")
    with pytest.raises(ExpressionProblem):
        scope.expression("service.ready < service.desired")


def test_a_service_whose_health_is_unknown_leaves_the_question_without_an_answer() -> None:
    """P6: what could not be asked is neither well nor unwell."""
    views = {**VIEWS, "web-service": replace(WEB, healthy=None)}
    given = values.rule_names(RuleSource.SERVICES, services=views, now=NOW)
    scope = Scope(names=rule_names(RuleSource.SERVICES, services=VIEWS, service=False))
    for source in ("size(services.filter(s, !s.healthy)) >= 1", "services.web_service.healthy"):
        with pytest.raises(EvaluationError):
            scope.expression(source).evaluate(given)


STEP = StepPlace(
    parameters={"replicas": INT, "wait": DURATION},
    own={"status": INT},
    each=POD,
    services=("web-service", "cache-service"),
).after({"check": {"items": ListOf(POD)}, "logs": merged(["findings"])})


def test_a_step_sees_parameters_earlier_steps_its_own_result_each_and_the_services() -> None:
    earlier = {
        "check": values.StepOutcome(ran=True, met=False, result={"items": [pod()]}),
        "logs": values.StepOutcome(ran=False, met=False),
    }
    all_hold(
        step_names(STEP),
        values.step_names(AROUND, earlier=earlier, own={"status": 200}, each=pod()),
        "status == 200 && params.replicas == 5 && params.wait < duration('2m')",
        "steps.check.ran && !steps.check.passed && steps.check.items.exists(p, p.metadata.name == each.metadata.name)",
        "service.ready == 2 && services.all(s, s.port == 80) && !services.cache_service.healthy",
        "now - incident.began == duration('1h') && incident.id == 'inc-1'",
        "service.workload.metadata.uid in service.owns && service.workload.kind == 'Deployment'",
    )


def test_the_results_of_a_step_that_did_not_run_have_no_answer() -> None:
    given = values.step_names(AROUND, earlier={"logs": values.StepOutcome(ran=False, met=False)})
    scope = Scope(names=step_names(STEP))
    assert scope.expression("!steps.logs.ran").evaluate(given) is True
    with pytest.raises(EvaluationError, match="no value here"):
        scope.expression("steps.logs.findings.all(f, f.severity != 'critical')").evaluate(given)


@pytest.mark.parametrize(
    "source",
    [
        "steps.later.passed",
        "steps.check.lines == []",
        "params.replica == 1",
        "items.all(i, i.metadata.name == '')",
        "services.data_base.healthy",
        "service.pods.all(p, p.status.phse == '')",
        "incident.started == now",
        "object.metadata.name == ''",
    ],
)
def test_a_name_of_another_place_is_refused(source: str) -> None:
    with pytest.raises(ExpressionProblem):
        Scope(names=step_names(STEP)).expression(source)


def test_before_its_command_a_step_has_no_result_and_without_for_each_no_item() -> None:
    scope = Scope(names=step_names(replace(STEP, own={}, each=None)))
    for source in ("status == 200", "each.metadata.name == ''"):
        with pytest.raises(ExpressionProblem):
            scope.expression(source)


def test_the_values_of_a_view_are_those_of_its_type() -> None:
    full = replace(WEB, healthy_since=NOW, failing_since=NOW, last_restart=NOW, replicas=3)
    assert set(values.shown_view(full)) == set(SERVICE.fields)


def test_a_view_shows_its_objects_as_owned() -> None:
    """In a step `service` is a name, and so is each path below it."""
    assert values.shown_view(WEB)["owns"] == ["uid-web-service", "uid-web-service-1"]
    scope = Scope(names=step_names(StepPlace(own={"items": ListOf(POD)})))
    pods = [pod("web-service-1"), pod("other")]
    names = values.step_names(values.EvaluationContext(now=NOW, service=WEB), own={"items": pods})
    mine = "items.filter(p, p.metadata.uid in service.owns).map(p, p.metadata.uid)"
    assert scope.expression(mine, result=ANY).evaluate(names) == ["uid-web-service-1"]


@pytest.mark.parametrize(("word", "expected"), [("integer", INT), ("s3", STRING), ("[workload]", ListOf(STRING))])
def test_the_words_for_parameters(word: str, expected: object) -> None:
    assert parameter_type(word) == expected


def test_an_unknown_word_for_a_parameter_is_an_error() -> None:
    with pytest.raises(KeyError):
        parameter_type("[colour]")


def test_a_kind_without_kept_fields_may_be_anything() -> None:
    assert object_type(resources.PODS) == POD
    assert object_type(resources.CONFIGMAPS) == ANY


@pytest.mark.parametrize(
    ("labels", "there"), [(None, False), ({}, False), ({"pod": "web-1"}, True)], ids=["no alert", "no label", "a label"]
)
def test_a_step_reads_the_labels_of_the_alert_that_began_its_run_and_one_that_is_absent_is_an_error(
    labels: Mapping[str, str] | None, there: bool
) -> None:
    began = None if labels is None else signal(kind=RuleSource.ALERT, labels=labels)
    names, scope = values.step_names(replace(AROUND, alert=began)), Scope(names=step_names(STEP))
    assert scope.expression("has(alert.labels.pod)").evaluate(names) is there
    assert scope.expression("alert.?labels.?pod.orValue('none') != 'none'").evaluate(names) is there
    read = scope.expression("alert.labels.pod == 'web-1'")
    if there:
        assert read.evaluate(names) is True
    else:
        with pytest.raises(EvaluationError, match="pod"):
            read.evaluate(names)


def test_a_masked_label_is_no_value_of_a_step() -> None:
    began = signal(kind=RuleSource.ALERT, labels={"pod": MASK})
    read = Scope(names=step_names(STEP)).expression("alert.labels.pod != ''")
    with pytest.raises(EvaluationError, match=r"alert\.labels\.pod was masked"):
        read.evaluate(values.step_names(replace(AROUND, alert=began)))
