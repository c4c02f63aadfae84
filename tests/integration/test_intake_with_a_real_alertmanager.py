"""The contract with Alertmanager itself: what it sends, when it comes again, and what its API tells."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from kintsugi.errors import LedgerUnavailable, ProbeFailed
from kintsugi.model.api_types import EvaluatedSignal, SignalQuery
from kintsugi.model.records import Signal, SignalSource, SignalStatus
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.poll import AlertmanagerApi, AlertmanagerSilences, Poller
from kintsugi.telemetry import Metrics
from tests.harness.alertmanager import Alertmanager
from tests.harness.fixtures import StartAlertmanager
from tests.harness.ledgers import newest_signals
from tests.harness.waiting import eventually
from tests.integration.intake_server import FaultyInbox, Served, ledger_in, served
from tests.integration.operations_double import FakeOperations

LABELS = {"alertname": "PodDown", "namespace": "shop", "pod": "web-1", "service": "shop"}


@dataclass
class AlertmanagerScene:
    """A port with its ledger, and the session that polls."""

    port: Served
    inbox: FaultyInbox
    start: StartAlertmanager

    def alertmanager(self, *, token: str = "the-webhooks-token", replicas: int = 1) -> Alertmanager:
        """Start Alertmanagers that send to the port."""
        return self.start(f"{self.port.url}/alertmanager", token=token, replicas=replicas)

    def poller(self, alertmanager: Alertmanager) -> Poller:
        """Return a poller of the first of them."""
        settings = AlertmanagerSettings(url=alertmanager.urls[0])
        return Poller(settings, self.api(alertmanager), self.inbox.ledger.signals, Metrics(), lambda: datetime.now(UTC))

    def silences(self, alertmanager: Alertmanager) -> AlertmanagerSilences:
        """Return what knows the silences of the first of them."""
        return AlertmanagerSilences(self.api(alertmanager), lambda: datetime.now(UTC))

    def api(self, alertmanager: Alertmanager) -> AlertmanagerApi:
        """Return the API of the first of them."""
        return AlertmanagerApi(AlertmanagerSettings(url=alertmanager.urls[0]), self.port.client)

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        """Return the open episodes."""
        return await self.inbox.ledger.signals.firing(*sources)

    async def opened(self) -> Signal:
        """Wait for the one open episode, and return it."""
        (signal,) = await eventually(self.firing, within=30, describe="the alert in the ledger")
        return signal

    async def ended(self) -> None:
        """Wait until no episode is open."""

        async def none_is_open() -> bool:
            return await self.firing() == ()

        await eventually(none_is_open, within=15, describe="the alert's end in the ledger")


@pytest.fixture
async def scene(tmp_path: Path, alertmanager: StartAlertmanager) -> AsyncIterator[AlertmanagerScene]:
    async with ledger_in(tmp_path) as ledger:
        inbox = FaultyInbox(ledger)
        async with served(tmp_path, inbox, FakeOperations()) as port:
            yield AlertmanagerScene(port, inbox, alertmanager)


async def test_an_alert_that_fires_and_is_resolved_opens_and_closes_an_episode(scene: AlertmanagerScene) -> None:
    alertmanager = scene.alertmanager()
    began = alertmanager.fire(LABELS)
    signal = await scene.opened()
    assert signal.began == began.replace(microsecond=began.microsecond // 1000 * 1000)
    assert signal.labels == LABELS

    alertmanager.resolve(LABELS, starts_at=began)

    await scene.ended()


async def test_an_alert_that_is_taken_up_again_with_its_old_beginning_is_not_lost(scene: AlertmanagerScene) -> None:
    """A22: Covers P1, A16: as after Prometheus was away for longer than an alert lasts without it, and nothing polls."""
    alertmanager = scene.alertmanager()
    began = alertmanager.fire(LABELS)
    first = await scene.opened()
    alertmanager.resolve(LABELS, starts_at=began)
    ledger = scene.inbox.ledger

    async def told() -> Sequence[EvaluatedSignal]:
        return await ledger.signals.list_signals(SignalQuery())

    await scene.ended()
    alertmanager.fire(LABELS, starts_at=began)

    async def noted() -> bool:
        return (await told())[0].refired is not None

    await eventually(noted, within=15, describe="a firing delivery after the end")
    assert await scene.firing() == ()
    await ledger.lead(datetime.now(UTC))
    assert await ledger.signals.reopen(datetime.now(UTC) + timedelta(minutes=10), timedelta(minutes=10)) == 1
    (opened,) = await scene.firing()
    assert (await told())[0].continues == first.id
    assert opened.labels == LABELS

    alertmanager.resolve(LABELS, starts_at=began)
    await scene.ended()


async def test_a_webhook_that_is_refused_with_503_comes_again_by_itself(scene: AlertmanagerScene) -> None:
    """Covers A5."""
    scene.inbox.error = LedgerUnavailable("the disk is full")
    scene.alertmanager().fire(LABELS)
    await eventually(lambda: scene.inbox.calls >= 3, within=30, describe="three attempts")
    assert await scene.firing() == ()

    scene.inbox.error = None

    await scene.opened()


async def test_three_peers_tell_one_signal(scene: AlertmanagerScene) -> None:
    """Covers A1."""
    alertmanager = scene.alertmanager(replicas=3)
    alertmanager.fire(LABELS)
    await scene.opened()

    assert len(await newest_signals(scene.inbox.ledger)) == 1


async def test_a_delivery_that_was_lost_is_found_by_asking(scene: AlertmanagerScene) -> None:
    """Covers A6: with a wrong token nothing is ever delivered, and yet it is found."""
    alertmanager = scene.alertmanager(token="a-token-that-is-wrong")
    poller = scene.poller(alertmanager)
    began = alertmanager.fire(LABELS)
    await eventually(
        lambda: scene.port.count("kintsugi_webhook_answers_total", status="401"), within=15, describe="a 401"
    )

    await poller.poll()

    (signal,) = await scene.firing(SignalSource.POLL)
    assert (signal.labels, signal.status) == (LABELS, SignalStatus.FIRING)
    assert signal.began == began.replace(microsecond=began.microsecond // 1000 * 1000)


async def test_the_webhook_and_the_api_tell_the_same_episode(scene: AlertmanagerScene) -> None:
    """Its beginning has more digits in one than in the other; it must stay one signal."""
    alertmanager = scene.alertmanager()
    alertmanager.fire(LABELS, starts_at=datetime.now(UTC).replace(microsecond=123_987) - timedelta(seconds=5))
    by_webhook = await scene.opened()

    await scene.poller(alertmanager).poll()

    assert await scene.firing() == (by_webhook,)


async def test_a_silence_is_seen_and_ends_no_episode(scene: AlertmanagerScene) -> None:
    """Covers A19."""
    alertmanager = scene.alertmanager()
    poller, silences = scene.poller(alertmanager), scene.silences(alertmanager)
    alertmanager.fire(LABELS)
    signal = await scene.opened()
    assert signal.key not in await silences.suppressed()

    silence = alertmanager.silence({"namespace": "shop"})

    async def silenced() -> bool:
        return signal.key in await silences.suppressed()

    await eventually(silenced, within=15, describe="the silence")
    for _ in range(3):
        assert (await poller.poll()).over == 0
    assert len(await scene.firing()) == 1
    alertmanager.unsilence(silence)


async def test_an_alertmanager_that_has_just_started_ends_no_episode(scene: AlertmanagerScene) -> None:
    """It does not know yet what fires (P6)."""
    alertmanager = scene.alertmanager()
    alertmanager.fire(LABELS)
    await scene.opened()
    alertmanager.stop()
    amnesiac = scene.alertmanager()
    poller = scene.poller(amnesiac)

    for _ in range(4):
        assert (await poller.poll()).over == 0
    assert len(await scene.firing()) == 1


async def test_an_answer_that_is_not_200_is_no_answer(scene: AlertmanagerScene) -> None:
    settings = AlertmanagerSettings(url=f"{scene.port.url}/not-an-alertmanager")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ProbeFailed, match="answered 404"):
            await AlertmanagerApi(settings, session).alerts(suppressed=False)
