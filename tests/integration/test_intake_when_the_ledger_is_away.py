"""When nothing can be kept nothing is taken: 503, soon, and everything is there once the sender has come again (A5)."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kintsugi.errors import LedgerError, LedgerUnavailable
from kintsugi.server.responses import Component
from tests.harness.waiting import eventually
from tests.integration.intake_server import ANA, PATIENT, FaultyInbox, Served, ledger_in, served
from tests.integration.operations_double import FakeOperations
from tests.unit.sources.webhooks import alert, webhook

TIMEOUT = timedelta(seconds=1)


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[FaultyInbox]:
    async with ledger_in(tmp_path) as ledger:
        yield FaultyInbox(ledger)


@pytest.fixture
async def port(tmp_path: Path, inbox: FaultyInbox) -> AsyncIterator[Served]:
    async with served(tmp_path, inbox, FakeOperations()) as port:
        yield port


@pytest.fixture
async def hurried(tmp_path: Path, inbox: FaultyInbox) -> AsyncIterator[Served]:
    """Serve with little patience for a ledger that hangs."""
    settings = replace(PATIENT, commit_wait=TIMEOUT, max_waiting=50)
    async with served(tmp_path, inbox, FakeOperations(), settings=settings) as port:
        yield port


@pytest.mark.parametrize("error", [LedgerUnavailable("the disk is full"), LedgerError("these rows are not taken")])
async def test_a_ledger_that_is_away_is_answered_503_and_nothing_is_lost(
    port: Served, inbox: FaultyInbox, error: LedgerError
) -> None:
    inbox.error = error
    assert await port.post(webhook(alert())) == 503
    assert await inbox.ledger.signals.pending() == 0

    inbox.error = None
    assert await port.post(webhook(alert())) == 200
    assert await inbox.ledger.signals.pending() == 1


async def test_all_webhooks_that_wait_for_a_hanging_ledger_are_answered_503_with_the_first(
    hurried: Served, inbox: FaultyInbox
) -> None:
    """A5: nobody waits for the patience of those before them."""
    inbox.answers.clear()
    began = time.monotonic()

    statuses = await asyncio.gather(
        *(hurried.post(webhook(alert(fingerprint=f"{number:016x}"))) for number in range(40))
    )

    assert set(statuses) == {503}
    assert timedelta(seconds=time.monotonic() - began) < 20 * TIMEOUT


async def test_above_the_mark_the_rest_is_answered_503_and_never_429(hurried: Served, inbox: FaultyInbox) -> None:
    """Covers A4 and A5: Alertmanager does not come again after a 429."""
    inbox.answers.clear()

    statuses = await asyncio.gather(*(hurried.post(webhook(*[alert()] * 20)) for _ in range(20)))

    assert set(statuses) == {503}
    assert hurried.count("kintsugi_webhook_answers_total", status="503") == 20


async def test_while_no_connection_is_free_the_sender_is_told_to_come_again(
    hurried: Served, inbox: FaultyInbox
) -> None:
    """D6: every connection that writes is in use, however many there are."""
    with ExitStack() as stack:
        engine = inbox.ledger._store.engines.writer.engine
        for _ in range(engine.pool.size()):  # type: ignore[attr-defined]  # the pool that `engines` makes has a size
            stack.enter_context(engine.connect())
        assert await hurried.post(webhook(alert())) == 503
        assert await inbox.ledger.signals.pending() == 0

    await eventually(lambda: _says(hurried.post(webhook(alert())), 200), within=60)
    assert await inbox.ledger.signals.pending() == 1


async def test_a_body_that_cannot_be_read_is_refused_for_good_even_then(port: Served, inbox: FaultyInbox) -> None:
    inbox.error = LedgerUnavailable("the disk is full")

    assert await port.post(b"{") == 400


async def test_a_bad_alert_whose_dead_letter_cannot_be_kept_comes_again(port: Served, inbox: FaultyInbox) -> None:
    """A verdict that is not kept is no verdict (P9)."""
    inbox.error = LedgerUnavailable("the disk is full")

    assert await port.post(webhook({"status": "firing"})) == 503


async def test_the_daemon_is_alive_but_not_ready_while_the_ledger_is_away(tmp_path: Path, inbox: FaultyInbox) -> None:
    """A restart would mend nothing, so only readiness goes; strangers learn which part is away, people with a token why."""

    async def ledger() -> str:
        await inbox.asked()
        return ""

    async def caches() -> str:
        return "pods are not synced"

    async def status(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        async with there.client.get(url, headers=headers) as answer:
            return answer.status, await answer.json()

    async def waits_for(*parts: str) -> None:
        said = {"ready": not parts, "waiting_for": list(parts)}
        await eventually(lambda: _says(status(f"{there.health}/readyz"), (503 if parts else 200, said)), within=20)

    async def why() -> Any:
        found, told = await status(f"{there.url}/api/v1/readiness", ANA)
        assert found == 200
        return told["waiting_for"]

    checks = {Component.LEDGER: ledger}
    async with served(tmp_path, inbox, FakeOperations(), checks=checks) as there:
        await waits_for()
        inbox.error = LedgerUnavailable("no connection to db.example as kintsugi: the disk is full")
        checks[Component.CACHES] = caches
        await waits_for("caches", "ledger")
        assert await why() == {"ledger": str(inbox.error), "caches": "pods are not synced"}
        assert (await status(f"{there.health}/healthz"))[0] == 200
        inbox.error = None
        inbox.answers.clear()
        del checks[Component.CACHES]
        await waits_for("ledger")
        assert await why() == {"ledger": "no answer within 1s"}


async def _says(asked: Awaitable[object], wanted: object) -> bool:
    """Return whether an answer is what is wanted."""
    return await asked == wanted
