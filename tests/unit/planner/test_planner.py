"""A plan binds a runbook to a service; its digest names what will be done and to what, and nothing else changes it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.decisions.planner import Plan, plan, question_of
from kintsugi.mask import MASK
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import RuleSource
from kintsugi.model.runbooks import Value
from tests.unit.factories import NOW, catalog, moment, rule_text, runbook_text, service_text, signal

PARAMETERS = """\
    parameters:
      replicas: {type: integer, default: 5}
      enough: {type: integer, default: 3}
      patience: {type: duration, default: 90s}
    """


def planned(*, service: str = "", rule: str = "", steps: str = "", durations: float = 1.0, rollback: str = "") -> Plan:
    """Plan for the rule web-pods; `service` and `rule` are further keys of their specs."""
    book = (
        runbook_text(steps, more=PARAMETERS, rollback=rollback)
        if steps
        else runbook_text(more=PARAMETERS, rollback=rollback)
    )
    other = runbook_text(name="other")
    known = catalog(service_text(more=service), rule_text(more=rule), book, other, durations=durations)
    return plan(known.rules["web-pods"], known.services["web"], known, now=NOW)


def test_defaults_are_taken_where_the_service_says_nothing() -> None:
    assert planned().parameters == {"replicas": 5, "enough": 3, "patience": timedelta(seconds=90)}


def test_the_services_word_counts_before_the_default() -> None:
    found = planned(service="parameters: {replicas: 7, enough: 2}").parameters
    assert found == {"replicas": 7, "enough": 2, "patience": timedelta(seconds=90)}


def test_the_deadline_is_the_runbooks_from_now() -> None:
    assert planned().deadline == moment(minutes=30)
    assert planned(rollback="after: 1h").deadline == moment(hours=1)


def test_scaled_durations_scale_the_deadline_and_the_parameters() -> None:
    scaled = planned(durations=0.1)
    assert scaled.deadline == moment(minutes=3)
    assert scaled.parameters["patience"] == timedelta(seconds=9)


def test_the_locks_are_the_service_and_its_workload() -> None:
    """P2: two services of one workload exclude each other, too."""
    assert planned().locks == ("service web", "production/deployment/web")


def test_the_rules_own_runbook_counts_before_the_services() -> None:
    assert planned().runbook.name == "mend"
    assert planned(rule="runbook: other").runbook.name == "other"


def test_a_person_reads_every_step_in_order() -> None:
    steps = """\
    - {id: look, name: Look at it, run: kubectl get pods, expect: size(items) > 0}
    - id: both
      parallel:
        - {id: one, name: The first, run: kubectl rollout restart deployment/web}
        - id: two
          name: The second
          steps:
            - {id: wait, name: Wait, expect: service.healthy}
    """
    assert planned(steps=steps).lines == (
        "Look at it: kubectl get pods",
        "both",
        "  The first: kubectl rollout restart deployment/web",
        "  The second",
        "    Wait",
    )


CHILD = "- {id: wait, expect: service.healthy, within: 1m}"
PARENT = "- {id: child, runbook: child}"
TAKES = "parameters: {replicas: {type: integer, default: 5}}"


def documents(
    *,
    service: str | None = None,
    rule: str | None = None,
    parent: str = PARENT,
    child: str = CHILD,
    more: str = "",
    durations: float = 1.0,
) -> Catalog:
    """Load the documents of one plan, one of them perhaps another."""
    return catalog(
        service or service_text(more="parameters: {replicas: 7}"),
        rule or rule_text(),
        runbook_text(parent, more=TAKES),
        runbook_text(child, name="child"),
        *([more] if more else []),
        durations=durations,
    )


def digest(known: Catalog, *, minutes: float = 0) -> str:
    """Plan at that moment, and give the digest."""
    return plan(known.rules["web-pods"], known.services["web"], known, now=moment(minutes=minutes)).digest


BEFORE = digest(documents())


@pytest.mark.parametrize(
    "known",
    [
        documents(parent="- {id: child, name: Call it, runbook: child}"),
        documents(child="- {id: wait, expect: service.healthy, within: 2m}"),
        documents(service=service_text(more="parameters: {replicas: 8}")),
        documents(service=service_text()),
        documents(service=service_text(namespace="staging", more="parameters: {replicas: 7}")),
        documents(
            service=service_text(more="parameters: {replicas: 7}").replace("deployment/web", "deployment/web-canary")
        ),
        documents(service=service_text(more="parameters: {replicas: 7}").replace("app=web", "app=web-canary")),
        documents(durations=0.5),
        documents(rule=rule_text(more="runbook: child")),
    ],
    ids=[
        "the runbook",
        "a runbook that it runs",
        "a parameter",
        "a parameter's default",
        "the namespace",
        "the workload",
        "the selector",
        "the scale of durations",
        "another runbook",
    ],
)
def test_a_change_of_the_deed_changes_the_digest(known: Catalog) -> None:
    assert digest(known) != BEFORE


@pytest.mark.parametrize(
    "known",
    [
        documents(),
        documents(more=runbook_text(name="unrelated")),
        documents(rule=rule_text(more="cooldown: 1h")),
    ],
    ids=["the same again", "a document that it does not use", "when it starts"],
)
def test_a_change_of_anything_else_leaves_the_digest(known: Catalog) -> None:
    assert digest(known) == BEFORE


def test_the_moment_does_not_matter() -> None:
    assert digest(documents(), minutes=25) == BEFORE


FROM_ALERT = """\
parameters:
  pod: {type: name, from: alert.labels.pod}
  count: {type: integer, from: alert.annotations.count, default: 3}
"""


def of_alert(
    labels: Mapping[str, str] | None, *, service: str = "", given: Mapping[str, Value] | None = None, count: str = ""
) -> Plan:
    """Plan for an alert with these labels and an annotation; None: no alert."""
    known = catalog(service_text(more=service), rule_text(), runbook_text(more=FROM_ALERT))
    began = None
    if labels is not None:
        began = replace(signal(kind=RuleSource.ALERT, labels=labels), annotations={"count": count} if count else {})
    return plan(known.rules["web-pods"], known.services["web"], known, now=NOW, given=given, alert=began)


@pytest.mark.parametrize(
    ("service", "given", "count", "expected"),
    [
        ("parameters: {count: 5}", {"count": 7}, "9", 7),
        ("parameters: {count: 5}", {}, "9", 5),
        ("", {}, "9", 9),
        ("", {}, "", 3),
    ],
    ids=["a person's", "the service's", "the alert's", "the default"],
)
def test_a_value_is_a_persons_else_the_services_else_the_alerts_else_the_default(
    service: str, given: Mapping[str, Value], count: str, expected: int
) -> None:
    bound = of_alert({"pod": "web-1"}, service=service, given=given, count=count)
    assert (bound.parameters, bound.unbound) == ({"pod": "web-1", "count": expected}, "")


def test_the_values_of_an_alert_are_shown_with_the_plan_and_named_by_its_digest() -> None:
    bound = of_alert({"pod": "web-1"})
    assert bound.from_alert == "pod = web-1"
    assert "From the alert: pod = web-1" in question_of(bound, None)
    assert bound.digest != of_alert({"pod": "web-2"}).digest


@pytest.mark.parametrize(
    ("labels", "count", "why"),
    [
        (None, "", "pod (no alert with alert.labels.pod began this run)"),
        ({}, "", "pod (the alert has no alert.labels.pod)"),
        ({"pod": "Web 1"}, "", "pod (alert.labels.pod does not fit: 'Web 1' is not a name"),
        ({"pod": "web-1\n"}, "", "pod (alert.labels.pod does not fit: 'web-1\\n' is not one line"),
        ({"pod": "w" * 254}, "", "pod (alert.labels.pod does not fit: it has 254 characters"),
        ({"pod": MASK}, "", "pod (alert.labels.pod does not fit: it was masked"),
        ({"pod": "web-1"}, "many", "count (alert.annotations.count does not fit: 'many' is not a whole number)"),
    ],
)
def test_a_parameter_without_a_fitting_value_is_named_with_the_command_that_gives_it_one(
    labels: Mapping[str, str] | None, count: str, why: str
) -> None:
    bound = of_alert(labels, count=count)
    name = why.partition(" ")[0]
    assert bound.unbound.startswith(f"mend has no value for {why}")
    assert bound.unbound.endswith(f"a person starts it with: kintsugi recover mend --service web --set {name}=VALUE")
    assert name not in bound.parameters
