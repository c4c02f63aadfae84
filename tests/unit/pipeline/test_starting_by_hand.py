"""A person is shown a plan, and starts that one, once; what is shown is not claimed."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from kintsugi.errors import WrongState
from kintsugi.ledger import Ledger, RunRequest
from kintsugi.model.manual import MANUAL, Override, RecoverRequest
from kintsugi.model.records import Incident, IncidentState, Reason, RunRecord
from kintsugi.model.rules import Mode
from kintsugi.pipeline.manual_starts import ManualStarts
from tests.harness.ledger_rows import keep
from tests.unit.factories import NOW, incident, moment, run
from tests.unit.pipeline.business import PipelineBench
from tests.unit.pipeline.noted_requests import NotedRequests

pytestmark = pytest.mark.looptime

WISH = RecoverRequest(runbook="mend", service="web", why="the pods are old", key="wish-1")


@pytest.fixture
def requests(ledger: Ledger) -> list[RunRequest]:
    """Return the requests that the ledger is asked to decide."""
    ledger.run_requests = noted = NotedRequests(ledger._store)
    return noted.asked


def recovered(finished: datetime) -> tuple[Incident, RunRecord]:
    """Return a run of web that has helped, with its incident."""
    opened, ended = finished - timedelta(minutes=5), IncidentState.RECOVERED
    return (
        replace(incident(state=ended), opened=opened, closed=finished),
        replace(run(state=ended), started=opened, finished=finished, changed=True),
    )


def starts(business: PipelineBench, ledger: Ledger) -> ManualStarts:
    """Make what starts runbooks for people."""
    supervisor: Any = business.supervisor
    return ManualStarts(
        ledger, business.active_catalog, business.observed, supervisor, approval_expiry=timedelta(minutes=30)
    )


async def test_a_start_that_is_only_shown_is_neither_claimed_nor_started(
    ledger: Ledger, requests: list[RunRequest]
) -> None:
    business = PipelineBench()
    shown = await starts(business, ledger).recover(WISH, "ana")
    assert (shown.begun, shown.allowed, shown.incident) == (False, True, "")
    assert (shown.service, shown.namespace, shown.steps) == ("web", "production", ("look: kubectl get pods",))
    assert (requests, business.supervisor.started) == ([], [])


async def test_the_claim_says_who_why_and_what_is_overruled(ledger: Ledger, requests: list[RunRequest]) -> None:
    business = PipelineBench(mode=Mode.APPROVE)
    await keep(ledger, *recovered(moment(minutes=-1)))
    wish = replace(WISH, overrides=frozenset({Override.COOLDOWN, Override.FAILURES}))
    manual = starts(business, ledger)
    shown = await manual.recover(wish, "ana")
    assert [(each.reason, each.overruled) for each in shown.answers] == [(Reason.COOLDOWN, True)]
    begun = await manual.recover(replace(wish, digest=shown.digest), "ana")
    opened, _ = await ledger.incidents.newest()
    assert (begun.begun, begun.incident) == (True, opened.id)
    (request,) = requests
    assert (request.rule, request.runbook, request.service, request.mode) == (MANUAL, "mend", "web", Mode.APPROVE)
    assert request.manual is not None
    assert request.manual.reason == "started by ana, overruling cooldown and failures: the pods are old"
    assert request.manual.plan == shown.digest
    assert request.manual.expires == NOW + timedelta(minutes=30)
    assert len(business.supervisor.started) == 1


async def test_another_plan_than_was_shown_is_not_started(ledger: Ledger, requests: list[RunRequest]) -> None:
    """E28."""
    business = PipelineBench()
    with pytest.raises(WrongState, match="the plan has changed since it was shown"):
        await starts(business, ledger).recover(replace(WISH, digest="another"), "ana")
    assert requests == []


async def test_an_obstacle_that_came_between_showing_and_starting_is_said(ledger: Ledger) -> None:
    business = PipelineBench()
    manual = starts(business, ledger)
    shown = await manual.recover(WISH, "ana")
    await keep(ledger, replace(incident(), id="inc-7"))
    with pytest.raises(WrongState, match="nothing is started: web has incident inc-7 open"):
        await manual.recover(replace(WISH, digest=shown.digest), "ana")
    assert business.supervisor.started == []


@pytest.mark.parametrize("over", [False, True])
async def test_a_wish_that_was_started_is_answered_with_that_start_whatever_has_changed(
    over: bool, ledger: Ledger, requests: list[RunRequest]
) -> None:
    """D2: also when the plan is another by now, and taken up here where nobody carries it."""
    first = starts(PipelineBench(), ledger)
    await first.recover(replace(WISH, digest=(await first.recover(WISH, "ana")).digest), "ana")
    (begun,) = await ledger.runs.open_runs()
    if over:
        await ledger.runs.move_run(begun.id, IncidentState.RECOVERED, "all is well", NOW)
    business = PipelineBench()
    answer = await starts(business, ledger).recover(replace(WISH, digest="of an older plan"), "ana")
    assert (answer.begun, answer.incident, answer.deadline) == (True, begun.incident, begun.deadline)
    assert (len(requests), business.supervisor.started) == (1, [] if over else [begun])


async def test_a_wish_without_a_key_gets_one_of_its_own(ledger: Ledger, requests: list[RunRequest]) -> None:
    """So that a commit whose answer is lost is known again."""
    manual, wish = starts(PipelineBench(), ledger), replace(WISH, key="", overrides=frozenset({Override.COOLDOWN}))
    digest = (await manual.recover(wish, "ana")).digest
    for _ in range(2):
        await manual.recover(replace(wish, digest=digest), "ana")
        (begun,) = await ledger.runs.open_runs()
        await ledger.runs.move_run(begun.id, IncidentState.CANCELLED, "it is over", NOW)
    keys = {request.manual.key for request in requests if request.manual is not None}
    assert (len(keys), "" in keys) == (2, False)


async def test_in_mode_observe_it_is_only_shown(ledger: Ledger) -> None:
    """P6."""
    business = PipelineBench(mode=Mode.OBSERVE)
    manual = starts(business, ledger)
    shown = await manual.recover(WISH, "ana")
    assert (shown.allowed, "mode is observe" in shown.text) == (False, True)
    with pytest.raises(WrongState, match="mode is observe"):
        await manual.recover(replace(WISH, digest=shown.digest), "ana")


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_run_by_hand_keeps_to_the_daemons_own_mode(mode: Mode) -> None:
    """It has no rule in the catalog that could forbid it, or be taken out."""
    observed = PipelineBench(mode=mode).observed
    assert (observed.mode_of(MANUAL, "mend", {"web"}), observed.retired(MANUAL)) == (mode, "")


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_run_of_a_rule_that_was_taken_out_keeps_to_the_daemons_own_mode(mode: Mode) -> None:
    """Its removal is no *observe*: what it has begun is taken back or finished, and only further changes wait."""
    observed = PipelineBench(mode=mode).observed
    assert (observed.mode_of("gone", "mend", {"web"}), observed.retired("gone")) == (
        mode,
        "rule gone is no longer in the catalog",
    )
