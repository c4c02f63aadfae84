"""What each place of a document sees: no more when it is loaded, no less when it is asked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.commands.results import object_type
from kintsugi.errors import EvaluationError
from kintsugi.expressions import ANY, DURATION, INT, STRING, ExpressionProblem, ListOf, Scope
from kintsugi.model.records import Incident, IncidentState, Signal, SignalSource
from kintsugi.model.rules import Mode, RuleSource
from kintsugi.model.services import Service as ServiceDocument
from kintsugi.model.services import WorkloadRef
from kintsugi.model.source_position import SourcePosition
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
from kubeobjects.kept import Deployment, Event, Node, Object, PersistentVolumeClaim, Pod
from kubeobjects.metadata import Metadata
from kubeobjects.selectors import Selector
from tests.unit.scope.cases import POD, merged

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HERE = SourcePosition(file="rules/web.yaml", line=1, column=1)


def view(name: str, *, ready: int = 1, healthy: bool | None = True) -> ServiceView:
    """Return a service's view with one pod."""
    service = ServiceDocument(
        name=name,
        priority=1,
        depends_on=("database",),
        namespace="production",
        selector=Selector.parse(f"app={name}"),
        workload=WorkloadRef(resource=resources.DEPLOYMENTS, name=name),
        healthy=Scope(names=service_names()).expression("desired > 0 && ready >= desired"),
        runbook="workload-recovery",
        place=HERE,
    )
    return ServiceView(
        service=service,
        pods=(Pod(metadata=Metadata(name=f"{name}-1", uid=f"uid-{name}")),),
        workload=Deployment(metadata=Metadata(name=name, uid=f"uid-of-{name}")),
        ready=ready,
        desired=2,
        healthy=healthy,
        cluster_ip="10.0.0.1",
        port=80,
        is_current=True,
    )


WEB, CACHE = view("web-service", ready=2), view("cache-service", healthy=False)
VIEWS = {"web-service": WEB, "cache-service": CACHE}
INCIDENT = Incident(
    id="i1",
    service="web-service",
    rule="r",
    runbook="b",
    mode=Mode.AUTO,
    state=IncidentState.OPEN,
    reason="",
    opened=NOW - timedelta(hours=1),
)
AROUND = values.EvaluationContext(
    now=NOW, incident=INCIDENT, parameters={"replicas": 5, "wait": timedelta(minutes=1)}, service=WEB, services=VIEWS
)


def test_healthy_reads_the_view_by_bare_names_and_after_service() -> None:
    scope = Scope(names=service_names())
    for source in (
        "desired > 0 && ready >= desired",
        "service.ready == 2 && service.namespace == 'production'",
        "serving",
    ):
        assert scope.expression(source).evaluate(values.health_names(WEB)) is True
    assert scope.expression("ready >= desired").evaluate(values.health_names(CACHE)) is False


@pytest.mark.parametrize(
    "source", ["healthy", "service.healthy", "now == now", "services[0].healthy", "failing_since == now"]
)
def test_healthy_does_not_ask_for_itself_nor_beyond_its_service(source: str) -> None:
    with pytest.raises(ExpressionProblem):
        Scope(names=service_names()).expression(source)


@pytest.mark.parametrize(
    ("on", "looked_at"),
    [
        (RuleSource.POD, Pod(metadata=Metadata(name="x"))),
        (RuleSource.PVC, PersistentVolumeClaim(metadata=Metadata(name="x"))),
        (RuleSource.NODE, Node(metadata=Metadata(name="x"))),
        (RuleSource.EVENT, Event(metadata=Metadata(name="x"))),
    ],
)
def test_a_rule_on_objects_sees_the_object_and_now(on: RuleSource, looked_at: Object) -> None:
    asked = Scope(names=rule_names(on)).expression(
        "object.metadata.name == 'x' && now > timestamp('2026-01-01T00:00:00Z')"
    )
    assert asked.evaluate(values.rule_names(on, object=looked_at, now=NOW)) is True
    with pytest.raises(ExpressionProblem):
        Scope(names=rule_names(on)).expression("service.healthy")


def test_a_rule_on_alerts_sees_the_alert_in_alertmanagers_words() -> None:
    signal = Signal(
        id="s",
        source=SignalSource.ALERTMANAGER,
        kind=RuleSource.ALERT,
        key="f00",
        labels={"severity": "critical"},
        began=NOW - timedelta(minutes=10),
        received=NOW,
    )
    asked = Scope(names=rule_names(RuleSource.ALERT)).expression(
        "alert.labels.severity == 'critical' && alert.status == 'firing' && now - alert.startsAt > duration('5m')"
    )
    assert asked.evaluate(values.rule_names(RuleSource.ALERT, alert=signal, now=NOW)) is True
    ended = Scope(names=rule_names(RuleSource.ALERT)).expression("has(alert.endsAt)")
    assert ended.evaluate(values.rule_names(RuleSource.ALERT, alert=signal, now=NOW)) is False
    resolved = replace(signal, ended=NOW)
    assert ended.evaluate(values.rule_names(RuleSource.ALERT, alert=resolved, now=NOW)) is True


def test_a_rule_on_services_sees_its_own_and_all_by_list_and_by_name() -> None:
    scope = Scope(names=rule_names(RuleSource.SERVICES, services=VIEWS))
    given = values.rule_names(RuleSource.SERVICES, service=WEB, services=VIEWS, now=NOW)
    for source in (
        "service.ready == service.desired",
        "services.filter(s, !s.healthy).map(s, s.name) == ['cache-service']",
        "!services.cache_service.healthy && services.web_service.ready == 2",
        "services.filter(s, 'database' in s.dependsOn).size() == 2",
    ):
        assert scope.expression(source).evaluate(given) is True


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
    with pytest.raises(EvaluationError):
        scope.expression("size(services.filter(s, !s.healthy)) >= 1").evaluate(given)
    with pytest.raises(EvaluationError):
        scope.expression("services.web_service.healthy").evaluate(given)


STEP = StepPlace(
    parameters={"replicas": INT, "wait": DURATION},
    own={"status": INT},
    each=POD,
    services=("web-service", "cache-service"),
).after({"check": {"items": ListOf(POD)}, "logs": merged(["findings"])})


def test_a_step_sees_parameters_earlier_steps_its_own_result_each_and_the_services() -> None:
    pod = Pod(metadata=Metadata(name="web-1"))
    given = values.step_names(
        AROUND,
        earlier={
            "check": values.StepOutcome(ran=True, met=False, result={"items": [pod]}),
            "logs": values.StepOutcome(ran=False, met=False),
        },
        own={"status": 200},
        each=pod,
    )
    scope = Scope(names=step_names(STEP))
    for source in (
        "status == 200 && params.replicas == 5 && params.wait < duration('2m')",
        "steps.check.ran && !steps.check.passed && steps.check.items.exists(p, p.metadata.name == each.metadata.name)",
        "service.ready == 2 && services.all(s, s.port == 80) && !services.cache_service.healthy",
        "now - incident.began == duration('1h') && incident.id == 'i1'",
        "service.workload.metadata.uid in service.owns && service.workload.kind == 'Deployment'",
    ):
        assert scope.expression(source).evaluate(given) is True


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
    assert values.shown_view(WEB)["owns"] == ["uid-of-web-service", "uid-web-service"]
    scope = Scope(names=step_names(StepPlace(own={"items": ListOf(POD)})))
    pods = [Pod(metadata=Metadata(name=uid, uid=uid)) for uid in ("uid-web-service", "other")]
    names = values.step_names(values.EvaluationContext(now=NOW, service=WEB), own={"items": pods})
    mine = "items.filter(p, p.metadata.uid in service.owns).map(p, p.metadata.uid)"
    assert scope.expression(mine, result=ANY).evaluate(names) == ["uid-web-service"]


@pytest.mark.parametrize(("word", "expected"), [("integer", INT), ("s3", STRING), ("[workload]", ListOf(STRING))])
def test_the_words_for_parameters(word: str, expected: object) -> None:
    assert parameter_type(word) == expected


def test_an_unknown_word_for_a_parameter_is_an_error() -> None:
    with pytest.raises(KeyError):
        parameter_type("[colour]")


def test_a_kind_without_kept_fields_may_be_anything() -> None:
    assert object_type(resources.PODS) == POD
    assert object_type(resources.SECRETS) == ANY
