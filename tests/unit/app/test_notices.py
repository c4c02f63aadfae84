"""A person is told of an incident first and the next command last; and of names that do not resolve, and of deliveries that nobody knows (P9)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from kintsugi.app.resolver_notice import ResolverNotice, notice_of
from kintsugi.app.serving import NOT_UNDERSTOOD, NotifyingInbox
from kintsugi.errors import LedgerUnavailable
from kintsugi.ledger import Ledger
from kintsugi.model.questions import Question
from kintsugi.model.records import IncidentState, Notice, UndoRecord
from kintsugi.notices.notice_texts import NoticeTexts
from kintsugi.sources.alertmanager import decode
from kubediagnosis.causes import ObjectChange
from tests.contract.ledger.build import MINUTE, NOW, begin, kept, step
from tests.harness.incident_reader import LedgerIncidents
from tests.harness.ledgers import Outage, in_memory, save_step
from tests.unit.factories import moment

TIMEOUT = timedelta(seconds=10)


def notice(incident: str | None, kind: IncidentState = IncidentState.NEEDS_OPERATOR) -> Notice:
    """Make a notice of now."""
    return Notice(id=f"ntc-{incident}-{kind}", incident=incident, kind=kind, text="it is so", created=NOW, due=NOW)


def headlines(ledger: Ledger, *affected: str, after: timedelta = timedelta(0)) -> NoticeTexts:
    """Return what completes notices, so long after they were made."""
    return NoticeTexts(incidents=LedgerIncidents(ledger, affected), clock=lambda: NOW + after, delay=TIMEOUT)


async def test_a_notice_begins_with_the_diagnosis_of_its_own_incident(ledger: Ledger) -> None:
    web, api = await begin(ledger, "web"), await begin(ledger, "api")
    await ledger.incidents.keep_diagnosis(kept(web))
    await save_step(ledger, replace(step(web), undo=UndoRecord(texts=("undo it",))), expect=None, now=NOW)
    for run in (web, api):
        await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "it is so", moment(seconds=1))
    found = await headlines(ledger).complete([notice(web.incident), notice(api.incident), notice(None)])
    assert [each.text.splitlines() for each in found] == [
        [
            f"web {web.incident}: needs-operator: ImagePull (certain): deployment/web containers[web].image",
            "problem: web: it cannot start",
            "it is so",
            "next: Undo the changes of Kintsugi, unless they help. Push the image again, or name one that the registry has.",
            f"$ kintsugi rollback {web.incident}",
            "$ kubectl edit deployment/web -n shop",
            f"where to look: kubectl describe deployment/web -n shop; kintsugi incident {web.incident} --all",
            "stop Kintsugi on web: kintsugi pause --freeze --service web --why TEXT",
        ],
        [
            f"api {api.incident}: needs-operator",
            "it is so",
            "done: nothing was changed",
            "next: No cause is known, and no command for it.",
            f"where to look: kintsugi services; kintsugi incident {api.incident} --all",
            "stop Kintsugi on api: kintsugi pause --freeze --service api --why TEXT",
        ],
        ["it is so"],
    ]


async def test_each_notice_begins_with_the_name_of_the_cluster(ledger: Ledger) -> None:
    run = await begin(ledger)
    incidents = LedgerIncidents(ledger, cluster_name="prod-eu")
    texts = NoticeTexts(incidents=incidents, clock=lambda: NOW, delay=timedelta(0), cluster_name="prod-eu")
    found = await texts.complete([notice(run.incident), notice(None)])
    assert [each.text.partition("\n")[0] for each in found] == [
        f"[prod-eu] web {run.incident}: needs-operator",
        "[prod-eu] it is so",
    ]


async def test_a_notice_has_ten_lines_and_says_where_the_others_are(ledger: Ledger) -> None:
    run = await begin(ledger)
    long = replace(notice(run.incident), text="\n".join(map(str, range(20))))
    (told,) = await headlines(ledger, "frontend").complete([long])
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
    await ledger.incidents.keep_diagnosis(replace(found, diagnosis=replace(found.diagnosis, changes=(change,))))
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
    await ledger.incidents.keep_diagnosis(kept(run, at=NOW + MINUTE))
    assert await headlines(ledger).complete([asked]) == []
    question = Question(incident=run.incident, path="", text="Run it?", plan="plan-1", asked=NOW, expires=NOW + MINUTE)
    await ledger.people.ask(question)
    (told,) = await headlines(ledger).complete([asked])
    assert "awaiting-approval: ImagePull (certain)" in told.text.splitlines()[0]


async def test_a_notice_names_the_services_that_suffer_too_unless_it_is_over(ledger: Ledger) -> None:
    run = await begin(ledger)
    going, over = notice(run.incident), notice(run.incident, IncidentState.RECOVERED)
    daemon_s = notice(None)
    told = await headlines(ledger, "frontend", "web").complete([going, over, daemon_s])
    shown = [[line for line in each.text.splitlines() if line.startswith("also")] for each in told]
    assert shown == [["also affected: frontend, web"], [], []]


BEGIN = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)


async def told(ledger: Ledger) -> list[str]:
    """List the notices that wait to be sent."""
    return [notice.text for notice in await ledger.outbox.due_notices(BEGIN + timedelta(days=1))]


async def test_a_problem_is_told_once_and_again_only_when_it_has_come_back(ledger: Ledger) -> None:
    moments = iter((BEGIN, BEGIN + timedelta(hours=2)))
    names = ResolverNotice(ledger.outbox, clock=lambda: next(moments))
    await names.step()
    names.on_answer("no answer")
    await names.step()
    await names.step()
    assert await told(ledger) == [notice_of("no answer")]
    names.on_answer("")
    await names.step()
    names.on_answer("no answer")
    await names.step()
    assert await told(ledger) == 2 * [notice_of("no answer")]


class Answers:
    """Names that resolve or do not, and how often they are asked."""

    def __init__(self, names: ResolverNotice, *, resolves: bool) -> None:
        self.names = names
        self.answer = resolves
        self.asked = 0

    async def resolves(self) -> bool:
        self.asked += 1
        return self.answer

    async def recheck(self) -> None:
        self.asked += 1
        self.names.on_answer("" if self.answer else "no answer")


async def test_names_that_resolved_and_do_no_longer_are_a_sign_until_they_resolve_again(ledger: Ledger) -> None:
    """E32: they are asked again while they do not: no run might be left that would notice."""
    names = ResolverNotice(ledger.outbox, clock=lambda: BEGIN)
    names.set_names(answers := Answers(names, resolves=True))
    for _ in range(2):
        await names.step()
    assert (names.sign, answers.asked) == ("", 1), "what resolves is not asked for nothing"
    answers.answer = False
    names.on_answer("no answer")
    await names.step()
    assert names.sign == "no answer"
    answers.answer = True
    await names.step()
    assert names.sign == ""


async def test_names_that_never_resolved_where_the_daemon_runs_are_no_sign_and_told_only_where_they_were_needed(
    ledger: Ledger,
) -> None:
    """E35: outside of the cluster, as in a demonstration, all else goes on."""
    names = ResolverNotice(ledger.outbox, clock=lambda: BEGIN)
    names.set_names(Answers(names, resolves=False))
    for _ in range(2):
        await names.step()
    assert (names.sign, await told(ledger)) == ("", [])
    names.on_answer("no such name")
    await names.step()
    assert (names.sign, await told(ledger)) == ("", [notice_of("no such name")])


async def test_a_problem_that_is_over_before_the_next_look_calls_nobody(ledger: Ledger) -> None:
    names = ResolverNotice(ledger.outbox, clock=lambda: BEGIN)
    names.on_answer("no answer")
    names.on_answer("")
    await names.step()
    assert await told(ledger) == []


async def test_a_problem_is_told_once_the_ledger_is_back() -> None:
    outage = Outage()
    async with in_memory(BEGIN, outage) as ledger:
        names = ResolverNotice(ledger.outbox, clock=lambda: BEGIN)
        names.on_answer("no answer")
        outage.away = True
        with pytest.raises(LedgerUnavailable):
            await names.step()
        outage.away = False
        await names.step()
        assert await told(ledger) == [notice_of("no answer")]


GROUP = b'{"version":"4","groupKey":"{}:{namespace=\\"shop\\"}","truncatedAlerts":%d,"alerts":[]}'


async def test_alerts_that_a_group_was_cut_short_by_are_told_in_a_notice_once_an_hour(ledger: Ledger) -> None:
    """A7: nothing can ask for them, and their number is another one each time."""
    minutes = 0
    core: Any = SimpleNamespace(
        ledger=ledger,
        pipeline=SimpleNamespace(wake=lambda: None),
        clock=SimpleNamespace(now=lambda: moment(minutes=minutes)),
    )
    inbox = NotifyingInbox(core)
    told = []
    for minutes in (0, 5, 59, 70):
        left_out = decode(GROUP % (minutes + 1), moment(minutes=minutes)).left_out
        assert left_out is not None
        await inbox.keep_dead_letters([left_out])
        told.append(len(await ledger.outbox.due_notices(moment(hours=24))))
    assert told == [1, 1, 1, 2]
    assert {each.text for each in await ledger.outbox.due_notices(moment(hours=24))} == {NOT_UNDERSTOOD}
    await inbox.keep_dead_letters([])
    assert len(await ledger.outbox.due_notices(moment(hours=24))) == 2
