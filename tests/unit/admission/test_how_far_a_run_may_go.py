"""A run goes as far as its rule lets it, and in another service no further than that one's own rules do."""

from dataclasses import replace

import pytest

from kintsugi.decisions.planner import mode_for
from kintsugi.model.catalog import Catalog
from kintsugi.model.rules import Mode, Rule
from tests.unit.factories import rule, shop

ABOUT_ALL = replace(rule(name="stack-down"), service="")


def known(*rules: Rule) -> Catalog:
    """Return a catalog with these rules."""
    return replace(shop(), rules={each.name: each for each in (ABOUT_ALL, *rules)})


@pytest.mark.parametrize(
    ("own", "allowed"),
    [
        ((), Mode.AUTO),
        ((Mode.OBSERVE,), Mode.OBSERVE),
        ((Mode.APPROVE, Mode.OBSERVE), Mode.APPROVE),
        ((Mode.OBSERVE, Mode.AUTO), Mode.AUTO),
    ],
)
def test_a_run_about_all_services_does_no_more_to_one_than_its_own_rules_let_the_same_runbook(
    own: tuple[Mode, ...], allowed: Mode
) -> None:
    """One of them that lets it act is enough: its author trusts the runbook there."""
    rules = [rule(name=f"web-{mode}", mode=mode) for mode in own]
    assert mode_for(ABOUT_ALL, "mend", ["web"], known(*rules)) is allowed


def test_no_rule_of_a_service_lets_a_run_do_more_than_its_own_rule() -> None:
    assert mode_for(replace(ABOUT_ALL, mode=Mode.APPROVE), "mend", ["web"], known(rule())) is Mode.APPROVE


def test_the_most_careful_of_several_services_counts() -> None:
    careful = replace(rule(name="api-pods", mode=Mode.APPROVE), service="api")
    assert mode_for(ABOUT_ALL, "mend", ["web", "api"], known(rule(), careful)) is Mode.APPROVE


def test_a_rule_of_a_service_about_another_runbook_or_another_rule_of_its_own_service_limits_nothing() -> None:
    other = replace(rule(name="web-other", mode=Mode.OBSERVE), runbook="other")
    assert mode_for(ABOUT_ALL, "mend", ["web"], known(other)) is Mode.AUTO
    assert mode_for(rule(), "other", ["web"], known(rule(), other)) is Mode.AUTO


def test_a_rule_is_its_runbooks_services_own_where_it_names_none() -> None:
    """It neither limits itself nor is limited by that service's other rules, and a run about all services goes by it."""
    runbook = replace(shop().runbooks["mend"], name="mend-web", service="web")
    by_runbook = replace(rule(name="web-by-runbook"), service="", runbook="mend-web")
    careful = replace(rule(name="web-careful", mode=Mode.OBSERVE), runbook="mend-web")
    catalog = replace(known(by_runbook, careful), runbooks={**shop().runbooks, "mend-web": runbook})
    assert mode_for(by_runbook, "mend-web", ["web"], catalog) is Mode.AUTO
    alone = replace(catalog, rules={each.name: each for each in (ABOUT_ALL, replace(by_runbook, mode=Mode.APPROVE))})
    assert mode_for(ABOUT_ALL, "mend-web", ["web"], alone) is Mode.APPROVE
