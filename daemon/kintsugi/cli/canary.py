"""The canary alert: sent to the webhook with its own token, and followed to its verdict by the API."""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

import typer

from kintsugi.cli.client import DaemonClient, connect, dial, token_in, with_login
from kintsugi.cli.errors import ExitCode, Unreachable, print_note
from kintsugi.cli.options import DEFAULT_SERVER, Connection, OutputFormat
from kintsugi.cli.output import emit, took
from kintsugi.errors import KintsugiError, Refused
from kintsugi.model.api_types import EvaluatedSignal
from kintsugi.model.records import SignalStatus, VerdictKind
from kintsugi.model.rules import CANARY
from kintsugi.retries import Waits, retry

_EVERY = timedelta(seconds=0.25)
"""The wait between two looks."""

_PAGE = 500

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Canary:
    """One alert of its own: nothing that was sent before is taken for it."""

    key: str = field(default_factory=lambda: secrets.token_hex(8))
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def webhook(self, status: SignalStatus) -> Mapping[str, object]:
        """Return the webhook body that Alertmanager would send for it."""
        alert: dict[str, object] = {
            "status": status,
            "labels": {"alertname": CANARY, "canary": self.key},
            "annotations": {"summary": "Sent to test that alerts are evaluated; no rule is evaluated for it."},
            "startsAt": self.began.isoformat(),
            "fingerprint": self.key,
        }
        if status is SignalStatus.RESOLVED:
            alert["endsAt"] = datetime.now(UTC).isoformat()
        return {"version": "4", "alerts": [alert]}


class SignalLister(Protocol):
    """The port that lists signals, the newest first."""

    async def signals(self, *, verdict: str, reason: str, before: str, limit: int) -> Sequence[EvaluatedSignal]: ...


class TimeLimit:
    """The time limit of a verdict, measured from its creation."""

    def __init__(self, within: timedelta) -> None:
        self._within, self._began = within, time.monotonic()

    @property
    def spent(self) -> timedelta:
        """Return how long it has taken until now."""
        return timedelta(seconds=time.monotonic() - self._began)

    @property
    def is_over(self) -> bool:
        """Return whether nothing of it is left."""
        return self.spent >= self._within

    async def ask(self, question: Callable[[], Awaitable[Value]]) -> Value:
        """Ask, and again while there is no answer: the daemon may be starting. Raises what it raises in the end."""
        return await retry(
            question, lambda error: isinstance(error, Unreachable) and not self.is_over, Waits.of(_EVERY)
        )

    async def wait(self) -> bool:
        """Wait a moment; return whether there was one left."""
        if self.is_over:
            return False
        await asyncio.sleep(_EVERY.total_seconds())
        return True


async def canary(connection: Connection, webhook_token: Path, within: timedelta) -> ExitCode:
    """Send a canary, and report the verdict that it got."""
    token, connection = token_in(webhook_token, "--webhook-token-file", named=False), with_login(connection, os.environ)
    sent, time_limit = Canary(), TimeLimit(within)
    people = dial(connection)
    sender = connect(connection.server or DEFAULT_SERVER, token=token, ca_file=connection.ca_file)
    before = await time_limit.ask(lambda: people.signals(verdict="", reason="", before="", limit=1))
    await _deliver(sender, sent, SignalStatus.FIRING, time_limit, webhook_token)
    evaluated = await verdict_in_time(people, sent, before[0].signal.id if before else "", time_limit)
    await _deliver(sender, sent, SignalStatus.RESOLVED, time_limit, webhook_token)
    return report(evaluated, time_limit.spent, form=connection.output)


async def _deliver(sender: DaemonClient, sent: Canary, status: SignalStatus, time_limit: TimeLimit, file: Path) -> None:
    """Deliver it to the webhook. Raises Refused where that does not take the token."""
    try:
        taken = await time_limit.ask(lambda: sender.deliver(sent.webhook(status)))
    except Refused as error:
        raise Refused(
            f"the webhook rejects the token in {file}: put this token into a file of alertmanager.tokenFiles"
        ) from error
    if taken.accepted != 1:
        raise KintsugiError("the webhook did not understand the canary; the daemon may be another version of Kintsugi")


async def verdict_in_time(
    people: SignalLister, sent: Canary, before: str, time_limit: TimeLimit
) -> EvaluatedSignal | None:
    """Look for its signal until it has a verdict; None when it has none in time."""
    while True:
        found = await time_limit.ask(lambda: find(people, sent, before))
        if found is not None and found.verdict is not None:
            return found
        if not await time_limit.wait():
            return None


async def find(people: SignalLister, sent: Canary, before: str) -> EvaluatedSignal | None:
    """Look for its signal among those that came after `before`, however many they are."""
    page = ""
    while True:
        found = await people.signals(verdict="", reason="", before=page, limit=_PAGE)
        for each in found:
            if each.signal.key == sent.key:
                return each
            if each.signal.id == before:
                return None
        if len(found) < _PAGE:
            return None
        page = found[-1].signal.id


def report(evaluated: EvaluatedSignal | None, spent: timedelta, *, form: OutputFormat) -> ExitCode:
    """Write the verdict, and return whether it is the one that a canary must get."""
    if evaluated is None or evaluated.verdict is None:
        print_note(f"error: the canary was accepted but got no verdict within {took(spent)}; see the daemon's log")
        return ExitCode.FINDINGS
    verdict = evaluated.verdict
    if form is OutputFormat.JSON:
        emit(evaluated)
    if verdict.kind is not VerdictKind.NO_RULE:
        print_note(
            f"error: the canary got the verdict {verdict.kind} ({verdict.text}), but the expected verdict is {VerdictKind.NO_RULE}"
        )
        return ExitCode.FINDINGS
    if form is OutputFormat.TEXT:
        typer.echo(f"The canary was accepted with the verdict {verdict.kind} after {took(spent)}: {verdict.text}.")
    return ExitCode.DONE
