"""A stale leader harms nothing, and an SQLite ledger has one daemon."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from kintsugi.errors import LedgerError, LedgerHeld, StaleEpoch
from kintsugi.ledger import Ledger
from kintsugi.ledger.tables import leadership
from kintsugi.model.records import IncidentState, RunRecord, VerdictKind
from tests.contract.ledger.build import NOW, begin, claim, signal, start, step, verdict


async def set_epoch(ledger: Ledger, epoch: int) -> None:
    """Do what another leader, or a restored backup, does to the ledger."""
    async with ledger._store.engines.writer.begin() as connection:
        await connection.execute(update(leadership).values(epoch=epoch))


async def test_each_lead_takes_a_higher_epoch_across_restarts(url: str) -> None:
    """P4."""
    epochs = []
    for _ in range(3):
        async with Ledger.open(url, holder="kintsugi-0") as ledger:
            epochs += [await ledger.lead(NOW), await ledger.lead(NOW)]
    assert epochs == [1, 2, 3, 4, 5, 6]


Transition = Callable[[Ledger, RunRecord], Awaitable[object]]

TRANSITIONS: dict[str, Transition] = {
    "claim": lambda ledger, _: ledger.claim(claim(None, service="other"), start, NOW),
    "save_step": lambda ledger, run: ledger.save_step(step(run), expect=None, now=NOW),
    "move_run": lambda ledger, run: ledger.move_run(run.id, IncidentState.RECOVERED, "well", NOW),
    "keep_evidence": lambda ledger, run: ledger.keep_evidence(run.id, "a", "logs", "text", NOW),
    "settle": lambda ledger, _: ledger.settle({"sig-x": verdict(VerdictKind.NO_RULE)}, NOW),
    "save_conditions": lambda ledger, _: ledger.save_conditions((), [("rule", "uid")]),
    "move_incident": lambda ledger, run: ledger.move_incident(run.incident, IncidentState.RECOVERED, "well", NOW),
    "start_held": lambda ledger, run: ledger.start_held(run.incident, claim(None), start, NOW),
}


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_a_stale_leader_writes_nothing(ledger: Ledger, name: str) -> None:
    """P4, C4: with the epoch of another in the ledger every transition is refused, and leaves no trace."""
    run = await begin(ledger)
    await set_epoch(ledger, 7)
    with pytest.raises(LedgerError) as refusal:
        await TRANSITIONS[name](ledger, run)
    assert isinstance(refusal.value, StaleEpoch)
    assert "led under epoch 7" in str(refusal.value)
    assert await ledger.open_runs() == (run,)
    assert await ledger.steps(run.id) == ()
    assert await ledger.evidence(run.id) == ()


@pytest.mark.parametrize("name", TRANSITIONS)
async def test_who_never_led_writes_nothing(url: str, name: str) -> None:
    """P4: a standby accepts signals and changes no run."""
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        await ledger.lead(NOW)
        run = await begin(ledger)
    async with Ledger.open(url, holder="kintsugi-1") as standby:
        await standby.accept([signal()], NOW)
        with pytest.raises(LedgerError, match="does not lead"):
            await TRANSITIONS[name](standby, run)


async def test_a_second_leader_shuts_the_first_one_out(postgres: str) -> None:
    """P4, C4, C5: two live replicas."""
    async with Ledger.open(postgres, holder="kintsugi-0") as old, Ledger.open(postgres, holder="kintsugi-1") as new:
        await old.lead(NOW)
        run = await begin(old)
        await new.lead(NOW)
        with pytest.raises(StaleEpoch):
            await old.save_step(step(run), expect=None, now=NOW)
        await new.save_step(step(run), expect=None, now=NOW)
        await old.accept([signal()], NOW)


async def test_a_ledger_that_went_back_is_not_led(ledger: Ledger) -> None:
    """D3: a restored backup or a lagging replica has lost commits."""
    run = await begin(ledger)
    await ledger.lead(NOW)
    await set_epoch(ledger, 1)
    with pytest.raises(StaleEpoch, match="lost commits"):
        await ledger.lead(NOW)
    with pytest.raises(StaleEpoch):
        await ledger.save_step(step(run), expect=None, now=NOW)


async def test_a_second_daemon_on_sqlite_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """C13."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    async with Ledger.open(url, holder="kintsugi-0"):
        with pytest.raises(LedgerHeld, match=r"held by kintsugi-0, process \d+"):
            async with Ledger.open(url, holder="kintsugi-1"):
                raise AssertionError("two daemons hold one SQLite ledger")
    async with Ledger.open(url, holder="kintsugi-1") as ledger:
        await ledger.ping()


async def test_a_second_process_of_the_same_name_on_postgres_is_refused(postgres: str) -> None:
    """C13: replicas share a PostgreSQL ledger, but each once."""
    async with Ledger.open(postgres, holder="kintsugi-0"), Ledger.open(postgres, holder="kintsugi-1"):
        with pytest.raises(LedgerHeld, match="kintsugi-0"):
            async with Ledger.open(postgres, holder="kintsugi-0"):
                raise AssertionError("two processes of one name hold the ledger")
    async with Ledger.open(postgres, holder="kintsugi-0") as ledger:
        await ledger.ping()


async def test_a_reader_reads_beside_the_daemon_and_writes_nothing(ledger: Ledger, made: str) -> None:
    """The CLI looks while the daemon works."""
    run = await begin(ledger)
    async with Ledger.read(made) as reader:
        assert await reader.open_runs() == (run,)
        with pytest.raises(LedgerError):
            await reader.accept([signal()], NOW)
        with pytest.raises(LedgerError):
            await reader.lead(NOW)
    assert ledger.epoch == 1
    assert await ledger.unjudged() == 0
