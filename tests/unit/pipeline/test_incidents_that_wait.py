"""Held for an upstream, or for a person: looked at again until they start or end (DESIGN 7, E28)."""

import asyncio
from dataclasses import replace

import pytest

from kintsugi.ledger import Claimed
from kintsugi.model.documents import Mode
from kintsugi.model.records import IncidentState, Reason, Verdict, VerdictKind
from kintsugi.telemetry import Border
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


async def test_an_approval_that_expired_cancels_and_a_person_is_told() -> None:
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, expires=moment())
    await business.waiting.tend()
    assert business.inbox.closed == [(IncidentState.CANCELLED, "nobody approved by 12:00:00")]
    assert business.inbox.told == business.inbox.closed


async def test_an_answer_that_has_expired_starts_nothing_and_is_asked_anew() -> None:
    """E28: a pause, a budget or a lock stood in the way for longer than the answer was good."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment(minutes=-40), expires=moment(minutes=-10))
    await business.waiting.tend()
    assert not business.inbox.claims
    assert not business.inbox.closed
    assert [(each.answered, each.expires) for each in business.inbox.asked[1:]] == [(None, moment(minutes=30))]
    text = "the yes of ada expired at 11:50:00 before anything could start: it is asked anew"
    assert business.inbox.told == [(IncidentState.AWAITING_APPROVAL, text)]
    await business.waiting.tend()
    assert len(business.inbox.asked) == 2, "the new question is open"


async def test_a_question_whose_commit_was_lost_is_asked() -> None:
    """D2."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    business.inbox.asked.clear()
    for _ in range(2):
        await business.waiting.tend()
    assert [each.path for each in business.inbox.asked] == [""]


async def test_a_signal_that_is_judged_again_leaves_a_good_answer_alone() -> None:
    """E28: while a pause holds, the pipeline judges the signal again and again; the yes still counts."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment())
    business.inbox.settled.clear()
    await business.judged(signal())
    assert [each.who for each in business.inbox.asked] == ["ada"]
    answer(business, expires=moment())
    business.inbox.settled.clear()
    await business.judged(signal())
    assert [each.who for each in business.inbox.asked] == ["ada", ""], "whoever is first asks anew: the tick, or this"
    assert len(business.inbox.told) == 1


async def test_a_hold_that_is_over_is_told_once() -> None:
    """DESIGN 7: a hold ends after 15 minutes by default, and a person is told."""
    business = await waiting(IncidentState.HELD)
    await business.waiting.tend()
    assert not business.inbox.told
    business.inbox.opened = [replace(business.inbox.opened[0], opened=moment(minutes=-15))]
    for _ in range(3):
        await business.waiting.tend()
    assert [kind for kind, _ in business.inbox.told] == [IncidentState.HELD]
    _, text = business.inbox.told[0]
    assert text.startswith("It was held since 11:45:00 for what it depends on. After 0:15:00 the hold is over")


async def test_what_was_held_and_is_judged_by_nobody_is_judged_by_the_tick() -> None:
    """The signal that was held has ended; another one that joined the incident goes on."""
    business = await waiting(IncidentState.HELD)
    business.inbox.of_incident = [signal(ended=moment()), signal(id="sig-2", key="other")]
    joined = Verdict(kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text="it has an incident")
    business.inbox.verdicts = {"sig-2": joined}
    await business.waiting.tend()
    assert [each.signal.id for each in business.inbox.claims if each.signal is not None] == ["sig-2"]
    assert len(business.roster.started) == 1


async def test_what_was_held_ends_when_the_daemon_only_observes_now() -> None:
    business = await waiting(IncidentState.HELD)
    seen = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.MODE, text="mode is observe")
    business.inbox.verdicts = {"sig-1": seen}
    business.world.mode = Mode.OBSERVE
    await business.waiting.tend()
    assert business.inbox.closed == [(IncidentState.CANCELLED, "mode is observe: mend would have been started")]


@pytest.mark.parametrize("state", [IncidentState.RUNNING, IncidentState.VERIFYING, IncidentState.ROLLING_BACK])
async def test_an_incident_that_no_run_carries_is_handed_over(state: IncidentState) -> None:
    business = await waiting(state)
    await business.waiting.tend()
    ((ended, reason),) = business.inbox.closed
    assert ended is IncidentState.NEEDS_OPERATOR
    assert reason == f"it was {state} and no run carried it: look whether web is well"


async def test_an_incident_that_cannot_be_tended_keeps_no_other_from_it() -> None:
    """C8, B16: contained to the one incident, and counted."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    broken, sound = replace(business.inbox.opened[0], id="broken"), business.inbox.opened[0]
    business.inbox.opened, business.inbox.unreadable = [broken, sound, broken], {"broken"}
    business.inbox.of_incident = [signal(ended=moment(minutes=-1))]
    counted: list[Border] = []
    business.roster.containment.on_contained(counted.append)
    raised = await asyncio.gather(business.waiting.tend(), return_exceptions=True)
    assert raised == [None]
    assert business.inbox.closed == [(IncidentState.NO_ACTION, "it cleared before anybody answered")]
    assert counted == [Border.INCIDENT, Border.INCIDENT]


async def test_a_run_whose_claim_was_answered_late_is_started_by_the_next_signal() -> None:
    """D2, P2: the signal joins an incident whose run nobody carries here."""
    business = Business()
    left = run()
    business.inbox.answers = Claimed(
        verdict=Verdict(kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text="joined"),
        incident=incident(),
        run=left,
    )
    await business.judged(signal())
    assert business.roster.started == [left]


async def test_an_approved_run_whose_claim_was_answered_late_is_started() -> None:
    """D2."""
    business = await waiting(IncidentState.AWAITING_APPROVAL)
    answer(business, who="ada", answered=moment())
    left = run()
    business.inbox.answers = Claimed(
        verdict=Verdict(kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text="it is running already"),
        incident=incident(),
        run=left,
    )
    await business.waiting.tend()
    assert business.roster.started == [left]


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
