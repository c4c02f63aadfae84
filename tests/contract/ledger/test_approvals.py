"""Questions and answers: who gave them, to which plan, and until when."""

from dataclasses import replace

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import RejectRequest
from kintsugi.model.history import Rejection
from kintsugi.model.records import IncidentState
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, question

NO = RejectRequest(path="restore", plan="plan-1", why="the standby has the data")


async def test_an_answer_says_who_gave_it_and_when_and_the_first_one_stays(ledger: Ledger) -> None:
    """Approvals and rejections record who; asked or answered twice after a lost answer they are one (D2)."""
    approved, rejected = await begin(ledger), await begin(ledger, "api")
    for run in (approved, approved, rejected):
        await ledger.people.ask(question(run.incident))
    yes = await ledger.people.approve(approved.incident, "restore", "plan-1", "ann", NOW + MINUTE)
    assert (yes.who, yes.answered) == ("ann", NOW + MINUTE)
    no = await ledger.people.reject(rejected.incident, NO, "ann", NOW + MINUTE)
    assert (no.who, no.rejected, no.answered, no.why) == ("ann", NOW + MINUTE, None, "the standby has the data")
    later = NOW + 2 * MINUTE
    assert await ledger.people.approve(approved.incident, "restore", "plan-1", "bob", later) == yes
    assert await ledger.people.reject(rejected.incident, NO, "bob", later) == no
    assert await ledger.people.questions_of(approved.incident) == (yes,)
    assert await ledger.people.questions_of(approved.incident, rejected.incident) == (yes, no)
    assert await ledger.people.questions_of() == ()
    with pytest.raises(WrongState, match="at 12:01:00, the plan was rejected by ann: the standby has the data"):
        await ledger.people.approve(rejected.incident, "restore", "plan-1", "bob", later)
    with pytest.raises(WrongState, match="ann approved the plan at 12:01:00"):
        await ledger.people.reject(approved.incident, NO, "bob", later)


async def test_an_answer_to_another_plan_is_refused_also_where_there_is_an_answer(ledger: Ledger) -> None:
    """An approval holds only for the plan that was shown, and that is carried out."""
    run = await begin(ledger)
    await ledger.people.ask(question(run.incident, "plan-1"))
    await ledger.people.ask(question(run.incident, "plan-2", asked=NOW + MINUTE))
    with pytest.raises(WrongState, match="plan has changed"):
        await ledger.people.approve(run.incident, "restore", "plan-1", "ann", NOW + 2 * MINUTE)
    given = await ledger.people.approve(run.incident, "restore", "plan-2", "ann", NOW + 2 * MINUTE)
    with pytest.raises(WrongState, match="plan has changed"):
        await ledger.people.approve(run.incident, "restore", "plan-0", "bob", NOW + 2 * MINUTE)
    assert given in await ledger.people.questions_of(run.incident)


async def test_an_answer_that_comes_too_late_is_refused(ledger: Ledger) -> None:
    """Questions expire."""
    run = await begin(ledger)
    await ledger.people.ask(question(run.incident))
    with pytest.raises(WrongState, match="expired"):
        await ledger.people.approve(run.incident, "restore", "plan-1", "ann", NOW + 30 * MINUTE)
    with pytest.raises(NotRecorded, match="no approval was requested"):
        await ledger.people.approve(run.incident, "delete", "plan-1", "ann", NOW)


async def test_a_rejection_without_an_open_question_is_refused_with_the_state(ledger: Ledger) -> None:
    run = await begin(ledger)
    with pytest.raises(WrongState, match="is running and asks for no approval of restore"):
        await ledger.people.reject(run.incident, NO, "ann", NOW)
    await ledger.people.ask(question(run.incident))
    with pytest.raises(WrongState, match="the plan has changed"):
        await ledger.people.reject(run.incident, replace(NO, plan="plan-0"), "ann", NOW)
    with pytest.raises(WrongState, match="expired"):
        await ledger.people.reject(run.incident, NO, "ann", NOW + 30 * MINUTE)
    await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW)
    with pytest.raises(WrongState, match="is recovered and asks for no approval"):
        await ledger.people.reject(run.incident, NO, "ann", NOW)
    with pytest.raises(WrongState, match="is recovered and asks for no approval"):
        await ledger.people.approve(run.incident, "restore", "plan-1", "ann", NOW)
    with pytest.raises(NotRecorded, match="no incident inc-9"):
        await ledger.people.reject("inc-9", NO, "ann", NOW)


async def test_the_plans_that_people_have_rejected_are_in_the_history_of_their_service(ledger: Ledger) -> None:
    """P7: read in the claim's transaction. The question of a step is about no plan of a run."""
    for service in ("web", "api"):
        run = await begin(ledger, service)
        await ledger.people.ask(question(run.incident))
        await ledger.people.ask(question(run.incident, f"plan of {service}", path=""))
        await ledger.people.reject(run.incident, NO, "ann", NOW)
        whole = RejectRequest(plan=f"plan of {service}", why="not now")
        await ledger.people.reject(run.incident, whole, "ann", NOW + MINUTE)
    history = await ledger.incidents.history("web", "shop", NOW + HOUR)
    text = "the plan was rejected by ann: not now"
    assert history.rejections == (Rejection(rule="web-down", plan="plan of web", text=text, rejected=NOW + MINUTE),)
    assert (await ledger.incidents.history("web", "shop", NOW + 4 * HOUR)).rejections == ()
