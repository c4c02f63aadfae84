"""Held for an upstream, or for a person: looked at again until they start or end (DESIGN 7, E28)."""

from dataclasses import replace

import pytest

from kintsugi.model.documents import Mode
from kintsugi.model.records import IncidentState
from tests.unit.factories import catalog, incident, moment, rule_text, run, runbook_text, service_text, signal
from tests.unit.pipeline.business import ALERT_RULE, Business

pytestmark = pytest.mark.looptime


async def waiting(state: IncidentState) -> Business:
    """Give an incident that waits; where for a person, with the question asked."""
    business = Business(mode=Mode.APPROVE if state is IncidentState.AWAITING_APPROVAL else Mode.AUTO)
    business.inbox.opened = [incident(state=state)]
    business.inbox.of_incident = [signal()]
    if state is IncidentState.AWAITING_APPROVAL:
        await business.judged(signal())
        business.inbox.claims.clear()
    return business


def answer(business: Business, **changes: object) -> None:
    """Let the question be so."""
    business.inbox.asked = [replace(each, **changes) for each in business.inbox.asked]  # type: ignore[arg-type]


async def test_what_cleared_while_it_was_held_has_recovered_with_its_upstream() -> None:
    business = await waiting(IncidentState.HELD)
    business.inbox.of_incident = [signal(ended=moment(minutes=-1))]
    await business.waiting.tend()
    assert business.inbox.closed == [
        (IncidentState.RECOVERED, "upstream: it cleared while it was held (pod web-1 is unhealthy)")
    ]


async def test_what_cleared_before_anybody_answered_needed_no_action() -> None:
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    business.inbox.of_incident = [signal(ended=moment(minutes=-1))]
    await business.waiting.tend()
    assert business.inbox.closed == [(IncidentState.NO_ACTION, "it cleared before anybody answered")]


@pytest.mark.parametrize("state", [IncidentState.HELD, IncidentState.AWAITING_APPROVAL])
async def test_what_still_goes_on_goes_on_waiting(state: IncidentState) -> None:
    business = await waiting(state)
    await business.waiting.tend()
    assert not business.inbox.closed
    assert not business.inbox.claims


async def test_what_was_approved_starts_after_the_guards_were_asked_again() -> None:
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment())
    await business.waiting.tend()
    assert len(business.inbox.claims) == 1
    assert len(business.roster.started) == 1


async def test_an_approved_run_is_not_started_by_a_blind_daemon() -> None:
    """P6."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment())
    business.cluster.caches.pods.silent_for = 99.0
    await business.waiting.tend()
    assert not business.roster.started
    assert not business.inbox.closed


async def test_an_approval_does_not_hold_for_another_plan() -> None:
    """E28: the catalog was reloaded between the question and the answer."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment())
    other = runbook_text("- {id: scale, run: kubectl scale deployment/web --replicas=0}")
    await business.in_force.take(catalog(service_text(), rule_text(), ALERT_RULE, other))
    await business.waiting.tend()
    assert business.inbox.closed == [(IncidentState.CANCELLED, "the plan has changed since it was approved")]
    assert not business.roster.started


async def test_an_approval_that_expired_cancels() -> None:
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, expires=moment())
    await business.waiting.tend()
    assert business.inbox.closed == [(IncidentState.CANCELLED, "nobody approved by 12:00:00")]


async def test_a_rule_that_is_gone_starts_nothing() -> None:
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment())
    await business.in_force.take(catalog(service_text(), rule_text("other"), runbook_text()))
    await business.waiting.tend()
    assert business.inbox.closed == [(IncidentState.CANCELLED, "rule web-pods or its service is gone")]


async def test_an_incident_that_has_its_run_is_the_runs_business() -> None:
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    business.inbox.runs = [run()]
    answer(business, who="ada", answered=moment())
    await business.waiting.tend()
    assert not business.inbox.claims
