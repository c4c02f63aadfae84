"""A ledger with rows that cannot be read is mended by the next start, on both databases (D11)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kintsugi.ledger import Ledger
from kintsugi.ledger.engines import connect, parse_url
from kintsugi.model.records import IncidentState
from kubesim import EmbeddedCluster
from tests.harness import ledgers
from tests.harness.daemon import DaemonProcess
from tests.harness.ledgers import newest_dead_letters, newest_signals
from tests.harness.waiting import eventually
from tests.unit.factories import runbook_text

pytestmark = pytest.mark.long

TIMEOUT = 60
AT = "'2026-03-01T12:00:00.000000+00:00'"
END = datetime(2100, 1, 1, tzinfo=UTC)
LATER = "'2026-03-01T12:30:00.000000+00:00'"

INCIDENTS = f"""
INSERT INTO incidents (id, service, rule, runbook, mode, state, reason, opened, closed, kind) VALUES
('inc-steps', 'web-service', 'r', 'b', 'auto', 'running', 'it is started', {AT}, NULL, 'recovery'),
('inc-run', 'api-service', 'r', 'b', 'auto', 'running', 'it is started', {AT}, NULL, 'recovery'),
('inc-held', 'cache-service', 'r', 'b', 'wild', 'held', 'it is held', {AT}, NULL, 'recovery'),
('inc-over', 'database', 'r', 'b', 'auto', 'ascended', 'it was', {AT}, {LATER}, 'recovery')
"""
RUNS = f"""
INSERT INTO runs (id, incident, service, namespace, rule, runbook, catalog, parameters, epoch, state, reason, started,
                  deadline, changed, kind, parent, parent_step, rollback_requested_by, awaits_person) VALUES
('run-steps', 'inc-steps', 'web-service', 'n', 'r', 'b', 'gone', '{{"replicas":3}}', 1, 'running', '', {AT}, {LATER}, true,
 'recovery', '', '', '', false),
('run-run', 'inc-run', 'api-service', 'n', 'r', 'b', 'gone', '{{"replicas":', 1, 'running', '', {AT}, {LATER}, false,
 'recovery', '', '', '', false)
"""
LOCKS = f"""
INSERT INTO locks (name, run, path, since) VALUES
('service web', 'run-steps', '', {AT}), ('service api', 'run-run', '', {AT})
"""
STEPS = f"""
INSERT INTO steps (run, phase, path, name, state, changes, verb, namespace, text, why, facts, undo, started, result,
                   error) VALUES
('run-steps', 'forward', 'ask', '', 'done', false, '', '', 'curl http://web/', '', '{{"ran":true}}', NULL, {AT},
 '{{"status":200,"json":{{"$kintsugi.integer":"x"}}}}', ''),
('run-steps', 'forward', 'scale#0', '', 'done', true, '', '', 'kubectl scale deployment/web --replicas=5', '',
 '{{"when":{{"$kintsugi.time":"2026-03-01T12:00:00+00:00"}},"spec":{{"$kintsugi.bytes":"%"}}}}',
 '{{"commands":[{{"of":{{"$kintsugi.duration":"x"}}}}],"texts":["kubectl scale deployment/web --replicas=3"],"note":""}}',
 {AT}, NULL, ''),
('run-steps', 'forward', 'lost#0', '', 'done', true, '', '', 'kubectl cordon one', '', '{{', '{{"texts":1}}', {AT}, NULL, '')
"""
SIGNALS = f"""
INSERT INTO signals (id, source, kind, key, rule, labels, annotations, began, received, last_seen, verdict, reason, text,
                     incident) VALUES
('sig-1', 'alertmanager', 'alert', 'k1', '', '{{"$kintsugi.integer":"x"}}', '{{"$kintsugi.integer":"x"}}', {AT}, {AT}, {AT},
 NULL, NULL, NULL, NULL),
('sig-2', 'alertmanager', 'alert', 'k2', '', '{{"$kintsugi.time":"2026-03-01T12:00:00+00:00"}}', '{{}}', {AT}, {AT}, {AT},
 NULL, NULL, NULL, NULL),
('sig-3', 'alertmanager', 'alert', 'k3', '', '{{"alertname":', '{{}}', {AT}, {AT}, {AT}, NULL, NULL, NULL, NULL),
('sig-4', 'alertmanager', 'alert', 'k4', '', '{{"$kintsugi.bytes":"%"}}', '{{}}', {AT}, {AT}, {AT}, 'started', 'matched',
 'it is started', 'inc-steps')
"""
CONDITIONS = f"INSERT INTO conditions (rule, uid, target, since, signalled) VALUES ('r', 'u', '7', {AT}, true)"


async def write_rows(url: str) -> None:
    """Make a ledger with rows that nothing can read."""
    await ledgers.make(url)
    engines = connect(parse_url(url))
    try:
        async with engines.writer.begin() as connection:
            for rows in (INCIDENTS, RUNS, LOCKS, STEPS, SIGNALS, CONDITIONS):
                await connection.exec_driver_sql(rows)
    finally:
        await engines.dispose()


@asynccontextmanager
async def started(daemon: DaemonProcess) -> AsyncIterator[None]:
    """Have the daemon live for a while; it must stop in order."""
    await asyncio.to_thread(daemon.start)
    try:
        await asyncio.to_thread(daemon.wait_ready)
        yield
        assert await asyncio.to_thread(daemon.stop) == 0, daemon.tail()
    finally:
        await asyncio.to_thread(daemon.kill)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database with nothing in it."""
    return ledgers.url_of(tmp_path / "ledger.db") if request.param == "sqlite" else request.getfixturevalue("postgres")


async def test_rows_that_cannot_be_read_are_put_aside_handed_over_and_closed_at_the_next_start(
    url: str, tmp_path: Path
) -> None:
    """P9: signals are judged or dead letters, runs and incidents closed and told, locks free; and again."""
    await write_rows(url)
    catalog = tmp_path / "catalog"  # a runbook without a rule: no signal comes but those in the rows
    catalog.mkdir()
    (catalog / "runbook.yaml").write_text(runbook_text())
    async with EmbeddedCluster.start() as cluster:
        daemon = DaemonProcess(
            kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"),
            folder=tmp_path / "daemon",
            ledger=url,
            catalog=catalog,
        )
        async with started(daemon), Ledger.read(url) as ledger:

            async def is_mended() -> bool:
                return not await ledger.incidents.newest(open_only=True) and not await ledger.signals.pending()

            await eventually(is_mended, within=TIMEOUT, describe=daemon.tail)
            await eventually(lambda: counted(daemon) == "1.0", within=TIMEOUT, describe=daemon.tail)
            await check(ledger)
            shown = [await asyncio.to_thread(daemon.incident, each.id) for each in await ledger.incidents.newest()]
            assert {each["incident"]["id"] for each in shown} == {"inc-steps", "inc-run", "inc-held", "inc-over"}
            check_shown({each["incident"]["id"]: each for each in shown})
        async with started(daemon), Ledger.read(url) as ledger:
            await check(ledger)


def counted(daemon: DaemonProcess) -> str:
    """Return how many dead letters the daemon has counted."""
    _, text = daemon.get("/metrics")
    return next(str(line).split()[1] for line in text.splitlines() if line.startswith("kintsugi_dead_letters_total"))


async def check(ledger: Ledger) -> None:
    """Look at what the ledger holds once it is mended."""
    told = {signal.id: verdict.kind if verdict else None for signal, verdict in await newest_signals(ledger)}
    assert told == {"sig-1": "no-rule", "sig-2": "no-rule", "sig-4": "started"}
    kept = {signal.id: signal.labels for signal, _ in await newest_signals(ledger)}
    assert kept["sig-1"] == {"$kintsugi.integer": "x"}
    assert kept["sig-2"] == {"$kintsugi.time": "2026-03-01T12:00:00+00:00"}
    assert [letter.id for letter in await newest_dead_letters(ledger)] == ["sig-3"]
    assert await ledger.runs.open_runs() == ()
    assert await ledger.pending_matches.conditions() == ()
    assert dict((await ledger.run_requests.history("web-service", "n", END)).locks) == {}
    ended = {each.id: each.state for each in await ledger.incidents.newest()}
    assert {ended[each] for each in ("inc-steps", "inc-run", "inc-held")} == {IncidentState.NEEDS_OPERATOR}
    notices = {each.incident: each.text for each in await ledger.outbox.due_notices(END)}
    assert set(notices) == {"inc-steps", "inc-run", "inc-held"}


def check_shown(shown: Mapping[str, Any]) -> None:
    """Look at what people are shown of it."""
    told = shown["inc-steps"]
    assert "kubectl scale deployment/web --replicas=3" in told["incident"]["reason"]
    assert "kubectl cordon one" in told["incident"]["reason"]
    ask, scale, lost = told["runs"][0]["steps"]
    assert ask["result"] == {"status": 200, "json": {"$kintsugi.integer": "x"}}
    assert scale["facts"] == {"when": "2026-03-01T12:00:00Z", "spec": {"$kintsugi.bytes": "%"}}
    assert "cannot be read: facts: " in lost["error"]
    assert [each["signal"]["labels"] for each in told["signals"]] == [{"$kintsugi.bytes": "%"}]
    assert "RunRecord run-run cannot be read: parameters: " in shown["inc-run"]["incident"]["reason"]
    assert "mode: 'wild' is not a valid Mode" in shown["inc-held"]["incident"]["reason"]
    assert "state: 'ascended' is not a valid IncidentState" in shown["inc-over"]["incident"]["reason"]
