"""Retention: bounded growth, and nothing that is open or counted goes."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, text

from kintsugi.ledger import Ledger, RetentionTerms
from kintsugi.ledger.store.tables import metadata
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from tests.contract.ledger.build import (
    HOUR,
    MINUTE,
    NOW,
    begin,
    good_revision,
    kept,
    leading,
    resolve,
    signal,
    step,
    verdict,
    write,
)
from tests.contract.ledger.past import SERVICES, live_through
from tests.harness import ledgers
from tests.harness.ledger_rows import beside
from tests.harness.ledgers import keep_evidence, save_step

DAY = 24 * HOUR
THEIRS = ("incidents", "runs", "steps", "evidence", "diagnoses", "notices", "signals")
"""The tables in which `past_run` leaves one row."""


async def count(ledger: Ledger, name: str) -> int:
    """Count a table's rows."""
    rows = select(func.count()).select_from(metadata.tables[name])
    return await beside(ledger, lambda connection: connection.execute(rows).scalar_one())


async def past_run(ledger: Ledger, service: str, days: float, *, told: bool = True) -> str:
    """Live through a whole incident, days ago; give its id."""
    then = NOW - days * DAY
    run = await begin(ledger, service, now=then)
    await save_step(ledger, step(run), expect=None, now=then)
    await keep_evidence(ledger, run.id, "delete#0", "logs", "text", then)
    await ledger.incidents.keep_diagnosis(kept(run, at=then))
    await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", then + MINUTE)
    if told:
        for notice in await ledger.outbox.due_notices(NOW):
            await ledger.outbox.notice_sent(notice.id)
    await resolve(ledger, run.incident, then + MINUTE)
    return run.incident


async def test_old_incidents_go_with_all_that_belongs_to_them(ledger: Ledger) -> None:
    """D10: steps, evidence, notices and signals too."""
    for number in range(15):
        await past_run(ledger, "web", 40 - number)
    assert await ledger.upkeep.prune(NOW - 20 * DAY, NOW) == 5 * len(THEIRS)
    for table in THEIRS:
        assert await count(ledger, table) == 10, table


async def test_open_incidents_stay_however_old(ledger: Ledger) -> None:
    """D10, P5: an overdue watchdog is found again after any time."""
    run = await begin(ledger, "web", now=NOW - 90 * DAY)
    await write(ledger, step(run))
    assert await ledger.upkeep.prune(NOW, NOW) == 0
    assert await ledger.incidents.open_runs() == ((await ledger.incidents.run(run.id)),)
    assert len(await ledger.incidents.steps(run.id)) == 1


async def test_runs_that_the_guards_count_are_not_forgotten(ledger: Ledger) -> None:
    """P7, D10: the last runs of each service, and all of the last three hours."""
    old = [await past_run(ledger, "web", days) for days in (50, 40, 30)]
    recent = await past_run(ledger, "api", 0.1)
    assert await ledger.upkeep.prune(NOW, NOW) == 0
    assert {each.id for each in await ledger.incidents.newest()} == {*old, recent}


async def test_incidents_whose_notice_is_unsent_or_whose_alert_fires_stay(ledger: Ledger) -> None:
    """Nobody was told yet; and a signal that fires is no past."""
    for number in range(10):
        await past_run(ledger, "web", 9 - number / 2)
    untold = await past_run(ledger, "web", 50, told=False)
    (firing,) = (await ledger.signals.accept([signal("f", began=NOW - 60 * DAY)], NOW)).ids
    await ledger.signals.settle({firing: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.upkeep.prune(NOW - 20 * DAY, NOW)
    assert await ledger.incidents.get(untold)
    assert [each.id for each in await ledger.signals.firing()] == [firing]


async def test_signals_without_an_incident_go_when_they_are_over(ledger: Ledger) -> None:
    """D10: most alerts have no rule."""
    old = [signal(f"k-{number}", began=NOW - 30 * DAY) for number in range(20)]
    await ledger.signals.accept(old, NOW - 30 * DAY)
    await ledger.signals.accept(
        [signal(each.key, began=each.began, ended=NOW - 29 * DAY) for each in old[:15]], NOW - 29 * DAY
    )
    assert await ledger.upkeep.prune(NOW - 7 * DAY, NOW, limit=10) == 10
    assert await ledger.upkeep.prune(NOW - 7 * DAY, NOW, limit=10) == 5
    assert await ledger.upkeep.prune(NOW - 7 * DAY, NOW, limit=10) == 0
    assert await ledger.signals.pending() == 5


async def test_documents_of_runs_and_the_newest_ones_stay(ledger: Ledger) -> None:
    """C17: a run's documents are there as long as the run is."""
    await ledger.catalogs.keep("digest-1", {"web.yaml": "what the run keeps to"})
    await begin(ledger)
    for number in range(2, 10):
        await ledger.catalogs.keep(f"digest-{number}", {"web.yaml": "newer"})
    await ledger.catalogs.keep("digest-2", {"web.yaml": "in use again"})
    await ledger.upkeep.prune(NOW, NOW)
    kept = [number for number in range(1, 10) if await ledger.catalogs.texts(f"digest-{number}")]
    assert kept == [1, 2, 6, 7, 8, 9]


PAST = (
    *("incidents", "runs", "steps", "evidence", "diagnoses", "notices", "questions", "signals", "pauses"),
    *("good_revisions", "good_templates"),
)


async def test_after_as_many_ticks_as_there_are_batches_and_one_nothing_old_is_left(ledger: Ledger) -> None:
    """D10: rows divided by the batch, and one: then only what a guard counts is there, whatever belonged to what."""
    await live_through(ledger, 120)
    run = await begin(ledger, "web", now=NOW - 60 * DAY)
    crowd = [signal(f"crowd-{number}", began=NOW - 60 * DAY) for number in range(200)]
    await ledger.signals.accept(crowd, NOW - 60 * DAY)
    joined = replace(verdict(VerdictKind.ATTACHED, Reason.ACTIVE_RUN), incident=run.incident)
    await ledger.signals.settle({each.id: joined for each in crowd}, NOW - 60 * DAY)
    (own, _), *_ = await ledger.signals.of_incident(run.incident)
    over = [signal(each.key, began=each.began, ended=NOW - 59 * DAY) for each in (own, *crowd)]
    await ledger.signals.accept(over, NOW - 59 * DAY)
    await ledger.incidents.move_run(run.id, IncidentState.RECOVERED, "well", NOW - 59 * DAY)
    for number in range(10):  # newer ones of that service, so that no guard counts it any more
        await past_run(ledger, "web", 10 - number / 2)
    before = {table: await count(ledger, table) for table in PAST}
    batch, ticks = 30, 0
    while await ledger.upkeep.prune(NOW - 20 * DAY, NOW, batch, RetentionTerms(notices=False, workloads=())) >= batch:
        ticks += 1
    assert ticks + 1 <= sum(before.values()) // batch + 1
    left = {table: await count(ledger, table) for table in PAST}
    counted = 10 * SERVICES + 10
    assert left == {
        **dict.fromkeys(("incidents", "runs", "evidence", "diagnoses", "notices", "signals"), counted),
        "steps": 2 * 10 * SERVICES + 10,
        "questions": 10 * SERVICES,
        "pauses": 0,
        "good_revisions": 0,
        "good_templates": 0,
    }


async def test_a_notice_that_has_no_receiver_keeps_no_incident(ledger: Ledger) -> None:
    """D10: without `notifications.url` no notice is ever sent; nothing would ever go."""
    for number in range(11):
        await past_run(ledger, "web", 50 - number, told=False)
    assert await ledger.upkeep.prune(NOW - 20 * DAY, NOW, kept=RetentionTerms(notices=True)) == 0
    assert await ledger.upkeep.prune(NOW - 20 * DAY, NOW, kept=RetentionTerms(notices=False)) == len(THEIRS)
    assert len(await ledger.incidents.newest()) == 10


async def test_an_old_notice_of_the_daemon_goes_once_it_is_sent_or_nobody_is_told(ledger: Ledger) -> None:
    """D10: it belongs to no incident."""
    for days in (50, 40, 1):
        await ledger.outbox.put_daemon_notice("names do not resolve", NOW - days * DAY)
    oldest, *_ = await ledger.outbox.due_notices(NOW)
    await ledger.outbox.notice_sent(oldest.id)
    assert await ledger.upkeep.prune(NOW - 20 * DAY, NOW, kept=RetentionTerms(notices=True)) == 1
    assert await ledger.upkeep.prune(NOW - 20 * DAY, NOW, kept=RetentionTerms(notices=False)) == 1
    assert [each.created for each in await ledger.outbox.due_notices(NOW)] == [NOW - DAY]


async def test_changes_that_the_budget_counts_stay(made: str) -> None:
    """P7: a window longer than `keep` would be met by nothing, were its changes forgotten."""
    async with leading(made) as ledger:
        for number in range(11):
            await past_run(ledger, "web", 5 - number / 10)
        before = len(await ledger.incidents.newest())
        ledger._store.windows = replace(ledger._store.windows, changes=6 * DAY)
        assert await ledger.upkeep.prune(NOW, NOW) == 0
        assert len(await ledger.incidents.newest()) == before


async def test_good_revisions_go_with_their_workload(ledger: Ledger) -> None:
    """D10: one that is there keeps its last ones however old; one that is gone, until it was not well for long."""
    there = [good_revision("there", f"t{number}", number, at=NOW - (130 - number) * DAY) for number in range(25)]
    gone, just_gone = [good_revision(name, at=NOW - 100 * DAY) for name in ("gone", "just gone")]
    await ledger.good_state.note_good([*there, gone, just_gone, good_revision("just gone", "b", at=NOW - 10 * DAY)])
    assert await ledger.upkeep.prune(NOW - 90 * DAY, NOW, kept=RetentionTerms(workloads=None)) == 0
    assert await ledger.upkeep.prune(NOW - 90 * DAY, NOW, kept=RetentionTerms(workloads={"there"})) == 6
    assert len(await ledger.good_state.good_revisions("there")) == 20
    assert await ledger.good_state.good_revisions("gone") == ()
    assert len(await ledger.good_state.good_revisions("just gone")) == 2


async def test_a_second_storm_of_the_same_size_does_not_make_the_file_grow(tmp_path: Path) -> None:
    """D10: what was forgotten makes room for what comes."""
    file, sizes = tmp_path / "ledger.db", []
    file.write_bytes(ledgers.content())
    async with leading(ledgers.url_of(file)) as ledger:
        for storm in range(3):
            await _storm(ledger, f"storm-{storm}", NOW + storm * 100 * DAY)
            sizes.append(await _pages(ledger))
            now = NOW + (storm + 1) * 100 * DAY
            while (
                await ledger.upkeep.prune(now - 90 * DAY, now, kept=RetentionTerms(notices=False, workloads=())) >= 1000
            ):
                pass
            assert await count(ledger, "signals") <= 10
    assert max(sizes[1:]) <= sizes[0] * 1.02, sizes


async def _storm(ledger: Ledger, name: str, then: datetime) -> None:
    """Let five thousand alerts of no rule come and go."""
    for start in range(0, 5000, 1000):
        told = [signal(f"{name}-{start + number}", began=then) for number in range(1000)]
        await ledger.signals.accept(told, then)
        refused = verdict(VerdictKind.NO_RULE, Reason.NO_RULE)
        await ledger.signals.settle({each.id: refused for each in told}, then)
        over = [signal(each.key, began=each.began, ended=each.began + HOUR) for each in told]
        await ledger.signals.accept(over, then + HOUR)


async def _pages(ledger: Ledger) -> int:
    pages = text("PRAGMA page_count")
    return await beside(ledger, lambda connection: int(connection.execute(pages).scalar_one()))
