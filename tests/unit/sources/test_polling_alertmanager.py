"""Asking Alertmanager finds what its webhooks did not bring, and concludes nothing from silence."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.errors import ProbeFailed
from kintsugi.model.records import DeadLetter, Signal, SignalSource, SignalStatus
from kintsugi.settings import AlertmanagerSettings
from kintsugi.sources.alertmanager import decode
from kintsugi.sources.poll import AlertmanagerSilences, Polled, Poller
from kintsugi.telemetry import Metrics
from tests.unit.sources.webhooks import alert, webhook

START = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)
A = "a" * 16


class FakeAlertmanager:
    """Holds alerts by fingerprint with their state; silent when `away`."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.up_since = START - timedelta(days=1)
        self.away = False
        self.ends_after = timedelta(days=1)
        self.extra: list[object] = []
        self.asked = 0

    async def alerts(self, *, suppressed: bool) -> bytes:
        self.asked += 1
        if self.away:
            raise ProbeFailed("nobody answers")
        shown = [self._alert(key, state) for key, state in self.states.items() if suppressed or state == "active"]
        return json.dumps([*shown, *self.extra]).encode()

    async def started(self) -> datetime:
        return self.up_since

    def _alert(self, key: str, state: str) -> dict[str, object]:
        status = {
            "state": state,
            "silencedBy": ["s"] if state == "suppressed" else [],
            "inhibitedBy": [],
            "mutedBy": [],
        }
        ends = (START + self.ends_after).isoformat()
        return alert(fingerprint=key, status=status, endsAt=ends, receivers=[{"name": "kintsugi"}], updatedAt="x")


class MemoryPollerInbox:
    """Keeps open episodes by key."""

    def __init__(self) -> None:
        self.open: dict[str, Signal] = {}
        self.letters: list[DeadLetter] = []
        self.sizes: list[int] = []

    async def accept(self, delivered: Sequence[Signal], now: datetime) -> None:
        self.sizes.append(len(delivered))
        for signal in delivered:
            if signal.status is SignalStatus.FIRING:
                self.open.setdefault(signal.key, signal)
            else:
                self.open.pop(signal.key, None)

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        self.letters += letters

    async def firing(self, *sources: SignalSource) -> tuple[Signal, ...]:
        return tuple(signal for signal in self.open.values() if signal.source in sources)


class Polling:
    """A poller with everything around it, on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START
        self.alertmanager, self.inbox = FakeAlertmanager(), MemoryPollerInbox()
        settings = AlertmanagerSettings(url="http://alertmanager")
        self.clock_problem = ""
        self.silences = AlertmanagerSilences(self.alertmanager, lambda: self.now)
        self.poller = Poller(
            settings,
            self.alertmanager,
            self.inbox,
            Metrics(),
            lambda: self.now,
            stale_reason=lambda: self.clock_problem,
        )

    async def poll(self) -> Polled:
        self.now += timedelta(seconds=30)
        return await self.poller.poll()

    async def deliver(self, key: str) -> None:
        """Let a webhook bring this alert."""
        await self.inbox.accept(decode(webhook(alert(fingerprint=key)), self.now).signals, self.now)


@pytest.fixture
def polling() -> Polling:
    return Polling()


async def test_the_poll_and_the_webhook_bring_the_same_signal(polling: Polling) -> None:
    await polling.deliver(A)
    by_webhook = polling.inbox.open.pop(A)
    polling.alertmanager.states[A] = "active"
    assert await polling.poll() == Polled(firing=1, over=0)
    by_poll = polling.inbox.open[A]

    assert by_poll.source is SignalSource.POLL
    assert (by_poll.key, by_poll.began, by_poll.labels) == (by_webhook.key, by_webhook.began, by_webhook.labels)


async def test_an_alert_that_is_gone_is_over_after_two_polls(polling: Polling) -> None:
    """Covers A17: its end never arrived."""
    await polling.deliver(A)

    assert await polling.poll() == Polled(firing=0, over=0)
    assert await polling.poll() == Polled(firing=0, over=1)
    assert polling.inbox.open == {}


async def test_an_alert_that_is_listed_fires_whatever_its_end(polling: Polling) -> None:
    """C9: its end is four minutes ahead by the clock of whoever sent it; ours may be further ahead than that."""
    polling.alertmanager.states[A] = "active"
    polling.alertmanager.ends_after = timedelta(minutes=-2)

    assert await polling.poll() == Polled(firing=1, over=0)
    assert {key: each.status for key, each in polling.inbox.open.items()} == {A: SignalStatus.FIRING}


async def test_alertmanager_is_not_asked_while_the_clock_is_in_doubt(polling: Polling) -> None:
    """C9: how long Alertmanager has been running, and so whether what it does not list is over, could not be told."""
    await polling.deliver(A)
    polling.clock_problem = "this machine's clock is 1h ahead of the API server's"
    running = asyncio.create_task(polling.poller.run())
    for _ in range(5):
        polling.poller.wake()
        await asyncio.sleep(0)
    running.cancel()

    assert list(polling.inbox.open) == [A]
    assert polling.alertmanager.asked == 0


async def test_an_alert_that_comes_back_between_two_polls_is_not_over(polling: Polling) -> None:
    await polling.deliver(A)
    await polling.poll()
    polling.alertmanager.states[A] = "active"
    await polling.poll()
    del polling.alertmanager.states[A]

    assert (await polling.poll()).over == 0


async def test_a_silenced_alert_is_neither_taken_nor_over(polling: Polling) -> None:
    """Covers A19."""
    await polling.deliver("b" * 16)
    polling.alertmanager.states |= {"b" * 16: "suppressed", "c" * 16: "suppressed"}

    for _ in range(4):
        assert await polling.poll() == Polled(firing=0, over=0)
    assert list(polling.inbox.open) == ["b" * 16]


async def test_an_alertmanager_that_has_just_started_is_not_believed_that_all_is_over(polling: Polling) -> None:
    """Resolved through missing data is not health (P6): it has yet to hear from Prometheus."""
    await polling.deliver(A)
    polling.alertmanager.up_since = polling.now

    for _ in range(9):
        assert (await polling.poll()).over == 0
    assert [(await polling.poll()).over for _ in range(2)] == [0, 1]


async def test_when_nobody_answers_nothing_is_concluded(polling: Polling) -> None:
    await polling.deliver(A)
    await polling.poll()
    polling.alertmanager.away = True

    for _ in range(5):
        with pytest.raises(ProbeFailed):
            await polling.poll()
    assert list(polling.inbox.open) == [A]


async def test_a_body_that_is_no_list_of_alerts_is_no_answer(polling: Polling) -> None:
    polling.alertmanager.extra = [float("nan")]

    with pytest.raises(ProbeFailed, match="cannot be read"):
        await polling.poll()


async def test_a_storm_is_committed_in_pieces(polling: Polling) -> None:
    """A4: what a database takes in one transaction is bounded."""
    polling.alertmanager.states = {f"{number:016x}": "active" for number in range(60_000)}

    assert await polling.poll() == Polled(firing=60_000, over=0)

    assert len(polling.inbox.open) == 60_000
    assert max(polling.inbox.sizes) <= 1_000


async def test_the_same_bad_alert_is_one_dead_letter_however_often_it_is_polled(polling: Polling) -> None:
    """A12: it comes with every poll, and must not push out all the others."""
    polling.alertmanager.states[A] = "active"
    polling.alertmanager.extra = [{"labels": 5}]
    for _ in range(3):
        assert (await polling.poll()).firing == 1

    (letter,) = {letter.id: letter for letter in polling.inbox.letters}.values()
    assert letter.source is SignalSource.POLL


@pytest.mark.parametrize(("state", "silenced"), [("active", False), ("suppressed", True), (None, False)])
async def test_whether_an_alert_is_silenced_can_be_asked(polling: Polling, state: str | None, silenced: bool) -> None:
    if state:
        polling.alertmanager.states[A] = state

    assert await polling.silences.suppressed() == (frozenset({A}) if silenced else frozenset())


async def test_whether_it_is_silenced_is_not_guessed_when_nobody_answers(polling: Polling) -> None:
    polling.alertmanager.away = True

    with pytest.raises(ProbeFailed):
        await polling.silences.suppressed()
