"""A notice begins with its incident and what was found wrong, and ends with the next command; a question whose diagnosis is under way waits for it, for a moment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from kintsugi.app.notice_headlines import NoticeHeadlines
from kintsugi.ledger import Ledger
from kintsugi.model.records import Approval, IncidentState, Notice
from kubediagnosis.causes import ObjectChange
from tests.contract.ledger.build import MINUTE, NOW, begin, kept, step

TIMEOUT = timedelta(seconds=10)


def notice(incident: str | None, kind: IncidentState = IncidentState.NEEDS_OPERATOR) -> Notice:
    """Make a notice of now."""
    return Notice(id=f"ntc-{incident}-{kind}", incident=incident, kind=kind, text="it is so", created=NOW, due=NOW)


def headlines(ledger: Ledger, *, after: timedelta = timedelta(0), affected: Sequence[str] = ()) -> NoticeHeadlines:
    """Return what completes notices, so long after they were made."""

    async def of_incident(incident: str) -> Sequence[str]:
        return affected

    return NoticeHeadlines(ledger=ledger, clock=lambda: NOW + after, delay=TIMEOUT, affected=of_incident)


async def test_a_notice_begins_with_the_diagnosis_of_its_own_incident(ledger: Ledger) -> None:
    web, api = await begin(ledger, "web"), await begin(ledger, "api")
    await ledger.diagnoses.keep(kept(web))
    await ledger.runs.save_step(step(web), expect=None, now=NOW)
    for run in (web, api):
        await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, "it is so", NOW)
    found = await headlines(ledger).complete([notice(web.incident), notice(api.incident), notice(None)])
    assert [each.text.splitlines() for each in found] == [
        [
            f"web {web.incident}: needs-operator",
            "problem: ImagePull (certain): deployment/web containers[web].image: web: it cannot start",
            "it is so",
            f"next: kintsugi rollback {web.incident} (shows the undo commands, asks, and runs them)",
        ],
        [f"api {api.incident}: needs-operator", "it is so", f"next: kintsugi incident {api.incident} --all"],
        ["it is so"],
    ]


async def test_a_notice_has_ten_lines_and_says_where_the_others_are(ledger: Ledger) -> None:
    run = await begin(ledger)
    long = replace(notice(run.incident), text="\n".join(map(str, range(20))))
    (told,) = await headlines(ledger, affected=("frontend",)).complete([long])
    lines = told.text.splitlines()
    assert len(lines) == 10
    assert lines[6:] == [
        "5",
        f"… and 14 more lines: kintsugi incident {run.incident} --all",
        "also affected: frontend",
        f"next: kintsugi abort {run.incident} --why TEXT (ends the run)",
    ]


async def test_a_notice_says_after_the_problem_what_changed_before(ledger: Ledger) -> None:
    run = await begin(ledger)
    change = ObjectChange(object="deployment/web", field="spec.replicas", at=NOW, by="kubectl", after="2", shown=True)
    found = kept(run)
    await ledger.diagnoses.keep(replace(found, diagnosis=replace(found.diagnosis, changes=(change,))))
    (told,) = await headlines(ledger).complete([notice(run.incident)])
    assert told.text.splitlines()[2:-1] == [
        "earlier change: 2026-03-01 12:00:00 deployment/web spec.replicas - -> 2 (by kubectl)",
        "it is so",
    ]


async def test_the_notice_of_a_question_waits_for_diagnosis_and_question_and_not_for_ever(ledger: Ledger) -> None:
    run = await begin(ledger)
    asked = notice(run.incident, IncidentState.AWAITING_APPROVAL)
    assert await headlines(ledger).complete([asked]) == []
    (late,) = await headlines(ledger, after=TIMEOUT).complete([asked])
    assert "it is so" in late.text
    await ledger.diagnoses.keep(kept(run, at=NOW + MINUTE))
    assert await headlines(ledger).complete([asked]) == []
    question = Approval(
        incident=run.incident, path="", question="Run it?", plan="plan-1", asked=NOW, expires=NOW + MINUTE
    )
    await ledger.approvals.ask(question)
    (told,) = await headlines(ledger).complete([asked])
    assert told.text.splitlines()[1].startswith("problem: ImagePull (certain)")


async def test_a_notice_names_the_services_that_suffer_too_unless_it_is_over(ledger: Ledger) -> None:
    run = await begin(ledger)
    going, over = notice(run.incident), notice(run.incident, IncidentState.RECOVERED)
    daemon_s = notice(None)
    told = await headlines(ledger, affected=("frontend", "web")).complete([going, over, daemon_s])
    shown = [[line for line in each.text.splitlines() if line.startswith("also")] for each in told]
    assert shown == [["also affected: frontend, web"], [], []]
