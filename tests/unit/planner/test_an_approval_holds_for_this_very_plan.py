"""The digest names what will be done and to what: any input that changes that changes it; nothing else does."""

from dataclasses import replace

import pytest

from kintsugi.decisions.planner import plan
from kintsugi.model.catalog import Catalog
from tests.unit.factories import catalog, moment, rule_text, runbook_text, service_text

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


def test_another_service_has_another_digest() -> None:
    known = documents()
    other = replace(known.services["web"], name="web-two")
    assert plan(known.rules["web-pods"], other, known, now=moment()).digest != BEFORE


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
