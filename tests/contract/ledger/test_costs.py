"""What a question costs depends on what is open, not on what has been: the real statements, their plans, their steps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.api_types import SignalQuery
from kintsugi.model.records import (
    IncidentState,
    Occasion,
    Pause,
    PauseScope,
    PendingMatch,
    Reason,
    RunRecord,
    SignalSource,
    StepState,
    Target,
    VerdictKind,
)
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    accepted,
    begin,
    end_rest,
    hold,
    kept,
    leading,
    question,
    request,
    signal,
    step,
    verdict,
    write,
)
from tests.contract.ledger.conftest import ON
from tests.contract.ledger.past import live_through
from tests.contract.ledger.plans import count_steps, scans_of, sent_by
from tests.harness import ledgers
from tests.harness.ledgers import keep_evidence, newest_signals

PAST = 3000
"""Incidents of the past: with their signals, steps and the rest some thirty thousand rows."""

LedgerQuery = Callable[[Ledger, RunRecord], Awaitable[object]]


async def _judge(ledger: Ledger, _run: RunRecord) -> None:
    told = await accepted(ledger, "judged anew")
    await ledger.signals.settle({told.id: verdict(VerdictKind.REFUSED, Reason.BUDGET, NOW + MINUTE)}, NOW)


async def _hold(ledger: Ledger, _run: RunRecord) -> None:
    await request(ledger, await accepted(ledger, "held"), hold, service="s-1")


async def _step(ledger: Ledger, run: RunRecord) -> None:
    await write(ledger, step(run, "one"))
    await write(ledger, step(run, "one", StepState.DONE), expect=StepState.INTENT)


async def _told(ledger: Ledger, _run: RunRecord) -> None:
    for notice in await ledger.outbox.due_notices(NOW + HOUR):
        await ledger.outbox.notice_sent(notice.id)


async def _noted(ledger: Ledger, _run: RunRecord) -> None:
    here = PendingMatch(rule="web-down", target=Target(kind="Pod", namespace="shop", name="web-1", uid="u"), since=NOW)
    await ledger.signals.save_conditions([here], [("web-down", "other")])


def _ended(run: RunRecord) -> Pause:
    return Pause(id=run.incident, scope=PauseScope.SERVICE, name="web", who="ann", why="repaired", since=NOW)


QUESTIONS: Mapping[str, LedgerQuery] = {
    "due_signals": lambda ledger, _: ledger.signals.due(NOW),
    "due_at": lambda ledger, _: ledger.signals.due_at(),
    "accept and settle": _judge,
    "request_run": _hold,
    "rearm": lambda ledger, _: ledger.signals.rearm(NOW),
    "reopen": lambda ledger, _: ledger.signals.reopen(NOW, HOUR),
    "make_due": lambda ledger, _: ledger.signals.make_due(["rule"], Reason.BUDGET, NOW, until=NOW),
    "unjudged": lambda ledger, _: ledger.signals.pending(),
    "firing": lambda ledger, _: ledger.signals.firing(SignalSource.ALERTMANAGER, SignalSource.POLL),
    "holding": lambda ledger, _: ledger.signals.holding(["rule"]),
    "firing_among": lambda ledger, _: ledger.signals.firing_among(["one", "two"]),
    "add_to_verdict": lambda ledger, _: ledger.signals.add_to_verdict("one", "; problem: it"),
    "judged_signals": lambda ledger, _: newest_signals(ledger),
    "signals by verdict": lambda ledger, _: ledger.signals.list_signals(SignalQuery(verdict=VerdictKind.OBSERVED)),
    "signals by reason": lambda ledger, _: ledger.signals.list_signals(SignalQuery(reason=Reason.COOLDOWN)),
    "signals_of": lambda ledger, run: ledger.signals.of_incident(run.incident),
    "alert_that_began": lambda ledger, run: ledger.signals.alert_that_began(run.incident),
    "count_signals": lambda ledger, run: ledger.signals.count_of(run.incident),
    "trigger_of": lambda ledger, run: ledger.signals.trigger_of(run.incident),
    "firing_keys": lambda ledger, run: _all(ledger.signals.firing_keys(run.incident)),
    "end_stale": lambda ledger, _: ledger.signals.end_stale(NOW - HOUR, NOW),
    "history": lambda ledger, _: ledger.incidents.history("s-1", "shop", NOW),
    "ended_since": lambda ledger, _: ledger.incidents.ended_since(NOW - HOUR),
    "end_rest": lambda ledger, run: end_rest(ledger, _ended(run), ["rule"]),
    "ended_rest": lambda ledger, run: ledger.people.ended_rest(run.incident),
    "open_runs": lambda ledger, _: ledger.incidents.open_runs(),
    "runs_of": lambda ledger, run: ledger.incidents.runs_of(run.incident),
    "steps": lambda ledger, run: ledger.incidents.steps(run.id),
    "save_step": _step,
    "move_run": lambda ledger, run: ledger.incidents.move_run(run.id, IncidentState.VERIFYING, "walked", NOW),
    "evidence": lambda ledger, run: ledger.incidents.evidence_of(run.id),
    "keep_evidence": lambda ledger, run: keep_evidence(ledger, run.id, "one", "logs", "text", NOW),
    "diagnoses": lambda ledger, run: ledger.incidents.diagnoses_of(run.incident),
    "keep_diagnosis": lambda ledger, run: ledger.incidents.keep_diagnosis(kept(run)),
    "keep_diagnosis of a hand-over": lambda ledger, run: ledger.incidents.keep_diagnosis(kept(run, Occasion.HAND_OVER)),
    "due_notices": _told,
    "put_daemon_notice": lambda ledger, _: ledger.outbox.put_daemon_notice("names do not resolve", NOW),
    "conditions": lambda ledger, _: ledger.signals.conditions(),
    "save_conditions": _noted,
    "ask": lambda ledger, run: ledger.people.ask(question(run.incident)),
    "questions": lambda ledger, run: ledger.people.questions_of(run.incident),
    "abort": lambda ledger, run: ledger.people.abort_of(run.incident),
    "pauses": lambda ledger, _: ledger.people.pauses(NOW),
    "incidents": lambda ledger, _: ledger.incidents.newest(),
    "open incidents": lambda ledger, _: ledger.incidents.newest(limit=1000, open_only=True),
    "incidents of a service": lambda ledger, _: ledger.incidents.newest(service="s-1"),
    "incident": lambda ledger, run: ledger.incidents.get(run.incident),
    "good_revisions": lambda ledger, _: ledger.good_state.good_revisions("uid-7"),
    "good_template": lambda ledger, _: ledger.good_state.good_template("deployment", "shop", "web-7"),
    "seen_replicas": lambda ledger, _: ledger.good_state.seen_replicas("uid-7"),
    "scaled_to_zero": lambda ledger, _: ledger.good_state.scaled_to_zero("uid-7"),
    "drills": lambda ledger, _: ledger.good_state.drills(),
    "dead_letters": lambda ledger, _: ledger.signals.dead_letters(limit=50),
    "quarantine": lambda ledger, _: ledger.signals.quarantine(NOW),
    "prune": lambda ledger, _: ledger.upkeep.prune(NOW - timedelta(days=400), NOW),
}


OF_A_CHANGE: Mapping[str, LedgerQuery] = {
    "trigger": lambda ledger, run: ledger.signals.trigger_of(run.incident),
    "what is not silenced": lambda ledger, run: _first(ledger.signals.firing_keys(run.incident)),
    "pauses": lambda ledger, _: ledger.people.pauses(NOW),
    "history": lambda ledger, _: ledger.incidents.history("web", "shop", NOW),
    "a page for people": lambda ledger, run: ledger.signals.of_incident(run.incident, limit=10),
}


async def _first(keys: AsyncIterator[str]) -> str:
    return await anext(keys)


async def _all(keys: AsyncIterator[str]) -> list[str]:
    return [key async for key in keys]


@pytest.fixture
async def old(ledger: Ledger) -> Ledger:
    """Return a ledger with a long past."""
    await live_through(ledger, PAST)
    return ledger


@pytest.mark.parametrize("made", ON, indirect=True)
async def test_no_question_of_a_daemon_at_work_reads_a_table_that_grows_from_end_to_end(old: Ledger) -> None:
    """Whatever the ledger sends for it, on either database, begins at an index. The in-memory one is SQLite's."""
    run = await begin(old, "web")
    found = []
    for name, ask in QUESTIONS.items():
        async with sent_by(old) as sent:
            await ask(old, run)
        assert sent, f"{name} asked nothing"
        found += [f"{name}: {scan}" for scan in await scans_of(old, sent)]
    assert not found, "\n".join(found)


async def test_an_incident_of_ten_thousand_signals_costs_a_change_no_more_than_one_of_ten(tmp_path: Path) -> None:
    """What is asked before each change and at each look: whether it goes on, and whether all of it is silenced."""
    few, many = [await _steps_of_a_change(tmp_path / str(count), count) for count in (10, 10_000)]
    assert few.keys() == many.keys()
    grown = {name: (few[name], many[name]) for name in few if many[name] > 2 * few[name] + 200}
    assert not grown


async def _steps_of_a_change(folder: Path, count: int) -> dict[str, int]:
    async with leading(_made(folder)) as ledger:
        run = await begin(ledger, "web")
        for start in range(0, count, 1000):
            told = [signal(f"fp-{number:05}") for number in range(start, min(start + 1000, count))]
            await ledger.signals.accept(told, NOW)
            joined = replace(verdict(VerdictKind.ATTACHED, Reason.ACTIVE_RUN), incident=run.incident)
            await ledger.signals.settle({each.id: joined for each in told}, NOW)
        assert await ledger.signals.count_of(run.incident) == count + 1
        return await _counted(ledger, run, OF_A_CHANGE)


async def _counted(ledger: Ledger, run: RunRecord, questions: Mapping[str, LedgerQuery]) -> dict[str, int]:
    steps, counted = await count_steps(ledger), {}
    for name, ask in questions.items():
        await ledger.ping()
        before = steps.count
        await ask(ledger, run)
        counted[name] = steps.count - before
    return counted


async def test_a_question_takes_as_many_steps_in_a_ledger_with_a_past_as_in_one_that_is_new(tmp_path: Path) -> None:
    """Counted in instructions of SQLite, which no other work of the machine changes."""
    young, old = [await _steps(tmp_path / str(past), past) for past in (200, PAST)]
    grown = {name: (young[name], old[name]) for name in QUESTIONS if old[name] > 2 * young[name] + 200}
    assert not grown


def _made(folder: Path) -> str:
    """Return the URL of a ledger with its tables and no rows."""
    folder.mkdir()
    (folder / "ledger.db").write_bytes(ledgers.content())
    return ledgers.url_of(folder / "ledger.db")


async def _steps(folder: Path, past: int) -> dict[str, int]:
    async with leading(_made(folder)) as ledger:
        await live_through(ledger, past)
        return await _counted(ledger, await begin(ledger, "web"), QUESTIONS)
