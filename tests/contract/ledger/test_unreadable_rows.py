"""A row that cannot be read costs nothing but itself: other rows are given, and what it holds open is closed and told (D11)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import text

from kintsugi.errors import UnreadableRow
from kintsugi.ledger import Ledger
from kintsugi.ledger.store.tables import commit_counts, leadership, metadata
from kintsugi.model.drills import DrillMemory
from kintsugi.model.good_state import SeenReplicas
from kintsugi.model.records import (
    IncidentState,
    Pause,
    PauseScope,
    PendingMatch,
    Reason,
    RunRecord,
    SignalSource,
    StepState,
    Target,
    UndoRecord,
    VerdictKind,
)
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    accepted,
    begin,
    dead_letter,
    good_revision,
    good_template,
    hold,
    incident_of,
    judged,
    kept,
    question,
    request,
    signal,
    started,
    step,
    write,
)
from tests.contract.ledger.test_costs import QUESTIONS, LedgerQuery
from tests.harness.ledger_rows import beside
from tests.harness.ledgers import keep_evidence, newest_dead_letters, save_step

OTHER = "of-another-version"
DAMAGED = '{"a": '
FOREIGN = '{"$kintsugi.later": "x"}'
POD = Target(kind="Pod", namespace="shop", name="web-1", uid="u1")


async def change(ledger: Ledger, statement: str, **values: object) -> None:
    """Write past the ledger, as another version, a hand or a fault does."""
    await beside(ledger, lambda connection: connection.execute(text(statement), values))


async def ask(ledger: Ledger, question: str) -> list[tuple[object, ...]]:
    """Read past the ledger."""
    return await beside(ledger, lambda connection: [tuple(row) for row in connection.execute(text(question))])


async def fill(ledger: Ledger) -> RunRecord:
    """Write two rows or more into every table; return the first run."""
    runs = [await begin(ledger, service) for service in ("web", "api")]
    for run in runs:
        for path in ("one#0", "two#0"):
            undo = UndoRecord(commands=({"command": "Scale"},), texts=("kubectl scale",))
            await write(ledger, step(run, path, text=path, command={}, result={}, undo=undo))
        await ledger.people.ask(question(run.incident, path=""))
        await ledger.incidents.move_run(run.id, IncidentState.AWAITING_APPROVAL, "it asks", NOW)
        await keep_evidence(ledger, run.id, "one#0", "logs", run.id, NOW)
        await ledger.incidents.keep_diagnosis(kept(run))
        await ledger.good_state.note_good([good_revision("uid-7", run.id)])
        await ledger.good_state.keep_template(good_template(f"{run.service}-7"))
        await ledger.good_state.note_replicas([SeenReplicas(workload="uid-7", replicas=2, since=NOW, until=NOW)])
        await ledger.good_state.begin_schedule(run.service, "0 4 * * 0", NOW)
    for name in ("a", "b"):
        await ledger.signals.accept([replace(signal(name), target=POD)], NOW)
        await ledger.people.pause(Pause(id=name, scope=PauseScope.RULE, name=name, who="ana", why="w", since=NOW))
        await ledger.signals.save_conditions([PendingMatch(rule=name, target=POD, since=NOW)], [])
        await ledger.signals.keep_dead_letters([dead_letter(name)])
    return runs[0]


SHARED = """
judged_signals signals_of unjudged dead_letters incidents open_runs runs_of evidence diagnoses questions pauses conditions
good_revisions good_template drills seen_replicas
"""
SURVIVING: Mapping[str, LedgerQuery] = {
    **{name: QUESTIONS[name] for name in SHARED.split()},
    "due_signals": lambda ledger, _: ledger.signals.due(NOW + HOUR),
    "firing": lambda ledger, _: ledger.signals.firing(),
    "steps": lambda ledger, run: ledger.incidents.steps(run.id, strict=False),
    "incident": lambda ledger, run: ledger.incidents.get(run.incident, strict=False),
    "due_notices": lambda ledger, _: ledger.outbox.due_notices(NOW),
    "history": lambda ledger, _: ledger.incidents.history("web", "shop", NOW),
}
"""Every question that has several rows for an answer."""


WORDS = [
    ("signals", ("source", "kind", "verdict", "reason"), OTHER),
    ("signals", ("labels", "annotations", "target", "seen"), DAMAGED),
    ("signals", ("labels", "annotations", "target", "seen"), FOREIGN),
    ("signals", ("labels", "annotations", "target", "seen"), "[[1]]"),
    ("incidents", ("mode", "state", "kind"), OTHER),
    ("runs", ("state", "kind"), OTHER),
    ("runs", ("parameters",), DAMAGED),
    ("runs", ("parameters",), "[]"),
    ("steps", ("state", "phase"), OTHER),
    ("steps", ("command", "facts", "undo", "result"), DAMAGED),
    ("steps", ("command", "facts", "undo", "result"), "7"),
    ("diagnoses", ("occasion",), OTHER),
    ("diagnoses", ("diagnosis",), DAMAGED),
    ("diagnoses", ("diagnosis",), FOREIGN),
    ("pauses", ("scope",), OTHER),
    ("notices", ("kind",), OTHER),
    ("conditions", ("target",), FOREIGN),
    ("dead_letters", ("source",), OTHER),
]
TIMES = [
    ("signals", ("began", "received", "last_seen", "ended", "horizon", "until", "judged"), "soon"),
    ("incidents", ("opened", "closed"), "soon"),
    ("runs", ("started", "deadline", "walked", "finished"), "2026-03-01"),
    ("steps", ("deadline", "started", "finished"), "soon"),
    ("pauses", ("since", "until"), "soon"),
    ("questions", ("asked", "expires", "answered"), "soon"),
    ("notices", ("created", "due"), "0"),
    ("conditions", ("since",), "soon"),
    ("dead_letters", ("received",), "soon"),
    ("good_revisions", ("first_good", "last_good"), "soon"),
    ("good_templates", ("seen",), "soon"),
    ("drills", ("slot", "passed"), "soon"),
    ("seen_replicas", ("since", "until"), "soon"),
    ("evidence", ("taken",), "soon"),
]
ON_BOTH = [("sqlite", each) for each in (*WORDS, *TIMES)] + [("postgres", each) for each in WORDS]
"""PostgreSQL keeps times as times, so that none can be anything else there; the in-memory ledger is SQLite's."""


@pytest.mark.parametrize(
    ("made", "damage"),
    ON_BOTH,
    indirect=["made"],
    ids=lambda each: each if isinstance(each, str) else f"{each[0]} {each[2]}",
)
async def test_every_query_survives_a_column_that_cannot_be_read(
    ledger: Ledger, damage: tuple[str, tuple[str, ...], str]
) -> None:
    """P9: whatever stands in one column of one table, in all of its rows at once."""
    table, columns, found = damage
    for column in columns:
        run = await fill(ledger)
        await change(ledger, f'UPDATE {table} SET "{column}" = :found', found=found)
        for name, query in SURVIVING.items():
            try:
                await query(ledger, run)
            except Exception as error:
                raise AssertionError(f"{name} did not survive {table}.{column} = {found}") from error
        await ledger.signals.accept([signal("a", began=NOW + MINUTE), signal("z", ended=NOW + HOUR)], NOW)
        for told in await ledger.signals.due(NOW + HOUR):
            await request(ledger, told, hold)
        await ledger.good_state.note_good([good_revision("uid-7", run.id)])
        await ledger.signals.quarantine(NOW)
        await ledger.upkeep.prune(NOW, NOW)
        await empty(ledger)


async def empty(ledger: Ledger) -> None:
    """Forget everything, children first."""
    for table in reversed(metadata.sorted_tables):
        if table not in (leadership, commit_counts):
            await change(ledger, f"DELETE FROM {table.name}")


async def test_a_signal_that_cannot_be_read_becomes_a_dead_letter_and_the_others_are_judged(ledger: Ledger) -> None:
    """P9: it is told with its reason and met once; its next delivery is judged like any other."""
    told = [signal("good"), signal("bad", labels={"password": "hunter22"})]
    await ledger.signals.accept(told, NOW)
    await change(ledger, "UPDATE signals SET kind = 'omen', annotations = 'oops' WHERE key = 'bad'")
    assert [each.key for each in await ledger.signals.due(NOW)] == ["good"]
    (letter,) = await newest_dead_letters(ledger)
    assert letter.id == told[1].id
    assert letter.reason.startswith(
        f"Signal {told[1].id} cannot be read: kind: 'omen' is not a valid RuleSource; annot"
    )
    assert '"annotations":"oops"' in letter.excerpt
    assert "hunter22" not in letter.excerpt
    assert (ledger.signals.unreadable_rows, await ledger.signals.pending()) == (1, 1)
    assert [each.key for each in await ledger.signals.due(NOW)] == ["good"]
    assert ledger.signals.unreadable_rows == 1

    again = await ledger.signals.accept([signal("bad"), signal("good")], NOW + MINUTE)
    assert (again.new, again.repeated) == (1, 1)
    assert {each.key for each in await ledger.signals.due(NOW)} == {"good", "bad"}


async def test_a_condition_whose_signal_cannot_be_read_is_told_anew_after_a_start(ledger: Ledger) -> None:
    """P9: nobody delivers it again but the watch, which takes it for told."""
    await ledger.signals.save_conditions(
        [PendingMatch(rule=rule, target=POD, since=NOW, signalled=True) for rule in "ab"], []
    )
    told = [replace(signal(f"{rule}/u1", source=SignalSource.WATCH), rule=rule, target=POD) for rule in "ab"]
    await ledger.signals.accept(told, NOW)
    await change(ledger, "UPDATE signals SET labels = 'oops' WHERE rule = 'a'")
    await ledger.signals.quarantine(NOW)
    assert [(each.rule, each.signalled) for each in await ledger.signals.conditions()] == [
        ("a", False),
        ("b", True),
    ]
    assert [each.rule for each in await ledger.signals.firing(SignalSource.WATCH)] == ["b"]
    assert ledger.signals.unreadable_rows == 1


async def test_an_incident_that_waits_for_what_cannot_be_read_is_handed_over(ledger: Ledger) -> None:
    """P9: nobody could judge it anew, so a person is called."""
    told = await accepted(ledger)
    held = incident_of(await request(ledger, told, hold))
    await change(ledger, "UPDATE signals SET labels = 'oops'")
    assert await ledger.signals.due(NOW + HOUR) == ()
    incident = await ledger.incidents.get(held.id)
    assert (incident.state, incident.closed) == (IncidentState.NEEDS_OPERATOR, NOW + HOUR)
    assert "labels" in incident.reason
    assert [notice.kind for notice in await ledger.outbox.due_notices(NOW + HOUR)] == [IncidentState.NEEDS_OPERATOR]
    ((kept, verdict),) = await ledger.signals.of_incident(incident.id)
    assert (kept.id, kept.labels) == (told.id, {})
    assert verdict is not None
    assert (verdict.kind, verdict.reason) == (VerdictKind.DEAD_LETTER, Reason.MALFORMED)


async def test_an_unreadable_signal_is_shown_as_firing_still(ledger: Ledger) -> None:
    """P6: a run must not take its trigger for clear because it cannot read it."""
    run = await begin(ledger)
    await change(ledger, "UPDATE signals SET labels = 'oops', source = 'omen'")
    ((told, _),) = await ledger.signals.of_incident(run.incident)
    assert (told.status, told.ended) == ("firing", None)
    assert await judged(ledger, run.incident) is VerdictKind.STARTED
    await ledger.signals.accept([signal(told.key, ended=NOW + MINUTE)], NOW + MINUTE)
    ((told, _),) = await ledger.signals.of_incident(run.incident)
    assert told.ended == NOW + MINUTE


async def test_a_pause_of_which_cannot_be_read_what_it_holds_is_of_everything_until_it_is_lifted(
    ledger: Ledger,
) -> None:
    """E30: a person's no holds."""
    await ledger.people.pause(
        Pause(id="p", scope=PauseScope.RULE, name="r", who="ana", why="release", freeze=True, since=NOW)
    )
    await change(ledger, "UPDATE pauses SET scope = 'galaxy'")
    (pause,) = (await ledger.incidents.history("web", "shop", NOW)).pauses
    assert (pause.scope, pause.freeze) == (PauseScope.GLOBAL, True)
    (told,) = await ledger.people.pauses(NOW)
    assert told.why.startswith("release (Pause p cannot be read: scope: 'galaxy' is not a valid PauseScope")
    assert (await ledger.people.resume("p", "ana", "done", NOW)).id == "p"
    assert await ledger.people.pauses(NOW) == ()


async def test_a_run_that_cannot_be_read_is_listed_and_refused_and_can_be_closed(ledger: Ledger) -> None:
    """P9: nothing open is left alone; its locks are free and a person is called."""
    run = await begin(ledger)
    await change(ledger, "UPDATE runs SET parameters = 'oops', state = 'dreaming'")
    await change(ledger, "UPDATE incidents SET mode = 'wild', state = 'dreaming'")
    (listed,) = await ledger.incidents.open_runs()
    assert (listed.id, listed.service, listed.parameters) == (run.id, "web", {})
    for strict in (ledger.incidents.run(run.id), ledger.incidents.get(run.incident)):
        with pytest.raises(UnreadableRow, match=r"cannot be read: (parameters|mode): "):
            await strict
    await ledger.signals.quarantine(NOW)  # what has a run under way is the run's to close
    assert [each.closed for each in await ledger.incidents.newest()] == [None]
    await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, "it cannot go on", NOW)
    assert await ledger.incidents.open_runs() == ()
    assert await ask(ledger, "SELECT * FROM locks") == []
    (incident,) = await ledger.incidents.newest()
    assert (incident.state, incident.closed) == (IncidentState.NEEDS_OPERATOR, NOW)
    assert "mode: 'wild' is not a valid Mode" in incident.reason
    assert [notice.text for notice in await ledger.outbox.due_notices(NOW)] == ["it cannot go on"]
    assert (await begin(ledger)).service == "web"


async def test_no_step_is_left_out_where_a_run_goes_on_and_all_are_shown(ledger: Ledger) -> None:
    """P3: a change that was made must not be made again because its row cannot be read."""
    run = await begin(ledger)
    for path in ("one#0", "two#0"):
        await save_step(ledger, step(run, path, text=path, result={"a": 1}), expect=None, now=NOW)
    await change(ledger, "UPDATE steps SET result = 'oops', state = 'dreaming' WHERE path = 'one#0'")
    with pytest.raises(UnreadableRow, match=f"StepRecord {run.id} one#0 cannot be read: state: .*; result: "):
        await ledger.incidents.steps(run.id)
    one, two = await ledger.incidents.steps(run.id, strict=False)
    assert (one.text, one.state, one.result) == ("one#0", StepState.UNKNOWN, None)
    assert "cannot be read" in one.error
    assert (two.state, two.result, two.error) == (StepState.INTENT, {"a": 1}, "")


async def test_an_open_incident_that_cannot_be_read_is_handed_over_when_the_daemon_starts(ledger: Ledger) -> None:
    """P9: without a run nobody would tend it, and its service would be taken for ever."""
    await request(ledger, await accepted(ledger), hold)
    await change(ledger, "UPDATE incidents SET state = 'dreaming'")
    await ledger.signals.quarantine(NOW)
    (incident,) = await ledger.incidents.newest()
    assert (incident.state, incident.closed) == (IncidentState.NEEDS_OPERATOR, NOW)
    assert incident.reason == f"Incident {incident.id} cannot be read: state: 'dreaming' is not a valid IncidentState"
    assert len(await ledger.outbox.due_notices(NOW)) == 1
    await ledger.signals.quarantine(NOW)
    assert len(await ledger.outbox.due_notices(NOW)) == 1
    started(await request(ledger, await accepted(ledger)))


async def test_a_condition_that_cannot_be_read_is_forgotten_and_found_anew(ledger: Ledger) -> None:
    """It holds or it does not; the watch sees which."""
    for rule in ("a", "b"):
        await ledger.signals.save_conditions([PendingMatch(rule=rule, target=POD, since=NOW)], [])
    await change(ledger, "UPDATE conditions SET target = 'oops' WHERE rule = 'a'")
    assert [each.rule for each in await ledger.signals.conditions()] == ["b"]
    await ledger.signals.quarantine(NOW)
    assert await ask(ledger, "SELECT rule FROM conditions") == [("b",)]


async def test_a_drill_of_which_it_cannot_be_read_when_it_passed_is_one_that_never_did(ledger: Ledger) -> None:
    """One begun anew counts from now."""
    if ledger._store.engines.on_postgres:
        return  # its times are times
    await ledger.good_state.begin_schedule("database", "0 4 * * 0", NOW)
    await change(ledger, "UPDATE drills SET slot = 'soon', passed = 'soon'")
    assert await ledger.good_state.drills() == {"database": DrillMemory(service="database", schedule="0 4 * * 0")}
    later: datetime = NOW + HOUR
    await ledger.good_state.begin_schedule("database", "0 4 * * 0", later)
    assert (await ledger.good_state.drills())["database"].slot == later


async def test_a_row_that_cannot_be_read_is_logged_once(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the log learns of it, and is not told again at every look."""
    run = await begin(ledger)
    await change(ledger, "UPDATE incidents SET mode = 'wild'")
    for _ in range(3):
        await ledger.incidents.newest()
    told = [line for line in capsys.readouterr().out.splitlines() if "cannot be read" in line]
    assert len(told) == 1
    assert run.incident in told[0]
