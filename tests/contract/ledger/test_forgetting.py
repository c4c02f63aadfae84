"""Retention: bounded growth, and nothing that is open or counted goes."""

from sqlalchemy import func, select

from kintsugi.ledger import Ledger
from kintsugi.ledger.tables import metadata
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin, signal, step, verdict

DAY = 24 * HOUR
THEIRS = ("incidents", "runs", "steps", "evidence", "notices", "signals")
"""The tables in which `past_run` leaves one row."""


async def count(ledger: Ledger, name: str) -> int:
    """Count a table's rows."""
    async with ledger._store.engines.reader.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(metadata.tables[name])) or 0)


async def past_run(ledger: Ledger, service: str, days: float, *, told: bool = True) -> str:
    """Live through a whole incident, days ago; give its id."""
    then = NOW - days * DAY
    run = await begin(ledger, service, now=then)
    await ledger.save_step(step(run), expect=None, now=then)
    await ledger.keep_evidence(run.id, "delete#0", "logs", "text", then)
    await ledger.move_run(run.id, IncidentState.RECOVERED, "well", then + MINUTE)
    if told:
        for notice in await ledger.due_notices(NOW):
            await ledger.notice_sent(notice.id)
    for fired, _ in await ledger.signals_of(run.incident):
        await ledger.accept([signal(fired.key, began=fired.began, ended=then + MINUTE)], then + MINUTE)
    return run.incident


async def test_old_incidents_go_with_all_that_belongs_to_them(ledger: Ledger) -> None:
    """D10: steps, evidence, notices and signals too."""
    for number in range(15):
        await past_run(ledger, "web", 40 - number)
    assert await ledger.prune(NOW - 20 * DAY, NOW) == 5 * len(THEIRS)
    for table in THEIRS:
        assert await count(ledger, table) == 10, table


async def test_open_incidents_stay_however_old(ledger: Ledger) -> None:
    """D10, P5: an overdue watchdog is found again after any time."""
    run = await begin(ledger, "web", now=NOW - 90 * DAY)
    await ledger.save_step(step(run), expect=None, now=NOW)
    assert await ledger.prune(NOW, NOW) == 0
    assert await ledger.open_runs() == ((await ledger.run(run.id)),)
    assert len(await ledger.steps(run.id)) == 1


async def test_what_the_guards_count_stays(ledger: Ledger) -> None:
    """P7, D10: the last runs of each service, and all of the last three hours."""
    old = [await past_run(ledger, "web", days) for days in (50, 40, 30)]
    recent = await past_run(ledger, "api", 0.1)
    assert await ledger.prune(NOW, NOW) == 0
    assert {each.id for each in await ledger.incidents()} == {*old, recent}


async def test_incidents_whose_notice_is_unsent_or_whose_alert_fires_stay(ledger: Ledger) -> None:
    """Nobody was told yet; and a signal that fires is no past."""
    for number in range(10):
        await past_run(ledger, "web", 9 - number / 2)
    untold = await past_run(ledger, "web", 50, told=False)
    (firing,) = (await ledger.accept([signal("f", began=NOW - 60 * DAY)], NOW)).ids
    await ledger.settle({firing: verdict(VerdictKind.NO_RULE, Reason.NO_RULE)}, NOW)
    await ledger.prune(NOW - 20 * DAY, NOW)
    assert await ledger.incident(untold)
    assert [each.id for each in await ledger.firing()] == [firing]


async def test_signals_without_an_incident_go_when_they_are_over(ledger: Ledger) -> None:
    """D10: most alerts have no rule."""
    old = [signal(f"k-{number}", began=NOW - 30 * DAY) for number in range(20)]
    await ledger.accept(old, NOW - 30 * DAY)
    await ledger.accept([signal(each.key, began=each.began, ended=NOW - 29 * DAY) for each in old[:15]], NOW - 29 * DAY)
    assert await ledger.prune(NOW - 7 * DAY, NOW, limit=10) == 10
    assert await ledger.prune(NOW - 7 * DAY, NOW, limit=10) == 5
    assert await ledger.prune(NOW - 7 * DAY, NOW, limit=10) == 0
    assert await ledger.unjudged() == 5


async def test_documents_of_runs_and_the_newest_ones_stay(ledger: Ledger) -> None:
    """C17: a run's documents are there as long as the run is."""
    await ledger.keep_catalog("digest-1", {"web.yaml": "what the run keeps to"})
    await begin(ledger)
    for number in range(2, 10):
        await ledger.keep_catalog(f"digest-{number}", {"web.yaml": "newer"})
    await ledger.keep_catalog("digest-2", {"web.yaml": "in use again"})
    await ledger.prune(NOW, NOW)
    kept = [number for number in range(1, 10) if await ledger.catalog_texts(f"digest-{number}")]
    assert kept == [1, 2, 6, 7, 8, 9]
