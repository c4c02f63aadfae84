"""`kintsugi run`, with nothing that polls: what it did not act on, did not understand or never got is there to be read."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubesim import EmbeddedCluster
from tests.harness.daemon import OPERATOR, ROOT, TOKEN, DaemonProcess
from tests.harness.waiting import eventually

pytestmark = pytest.mark.long

Json = dict[str, Any]


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with EmbeddedCluster.start() as cluster:
        daemon = DaemonProcess(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"), folder=tmp_path / "daemon")
        await asyncio.to_thread(daemon.start)
        try:
            yield daemon
        finally:
            await asyncio.to_thread(daemon.stop)


def body(*, version: str = "4", truncated: int = 0, **labels: str) -> Json:
    """Make a delivery of one firing alert."""
    began, no_end = datetime.now(UTC).isoformat(), "0001-01-01T00:00:00Z"
    alert = {"status": "firing", "labels": {"alertname": "Odd", **labels}, "startsAt": began, "endsAt": no_end}
    return {"version": version, "groupKey": "{}:{}", "truncatedAlerts": truncated, "alerts": [alert]}


async def deliver(daemon: DaemonProcess, delivery: Json) -> int:
    """Deliver it as Alertmanager does."""
    status, _ = await asyncio.to_thread(daemon.post, "/alertmanager", delivery, token=TOKEN)
    return status


async def kintsugi(daemon: DaemonProcess, *arguments: str) -> tuple[int, str, str]:
    """Run a command as a person with a token; give its code, stdout and stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "daemon"), "KINTSUGI_TOKEN": OPERATOR}
    command = [sys.executable, "-m", "kintsugi.cli", *arguments, "--server", daemon.url]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout, done.stderr


async def test_an_alert_that_no_rule_knows_is_listed_by_its_verdict(daemon: DaemonProcess) -> None:
    """P9: its verdict is not only counted."""
    assert await deliver(daemon, body()) == 200

    async def listed() -> Json | None:
        code, out, _ = await kintsugi(daemon, "signals", "--verdict", "no-rule", "-o", "json")
        found = json.loads(out)["signals"] if code == 0 else []
        return dict(found[0]) if found else None

    signal = await eventually(listed, within=120, describe=daemon.tail, every=0.5)
    assert signal["signal"]["labels"] == {"alertname": "Odd"}
    assert signal["verdict"]["reason"] == "no-rule"
    code, out, _ = await kintsugi(daemon, "signals", "--reason", "cooldown")
    assert (code, out) == (0, "")


async def test_alerts_that_were_left_out_of_a_group_are_told(daemon: DaemonProcess) -> None:
    """A7: nobody can ask for them, so a person must know; the start has said so before anything was lost."""
    log = daemon.log.read_text()
    assert "alertmanager not polled" in log
    assert "alertmanager.url" in log

    assert await deliver(daemon, body(truncated=7)) == 200

    code, out, _ = await kintsugi(daemon, "dead-letters")
    assert code == 0
    assert "Alertmanager left 7 alerts out of this group" in out
    assert "Alertmanager left alerts out of a group" in daemon.log.read_text()
    _, metrics = await asyncio.to_thread(daemon.get, "/metrics")
    assert 'kintsugi_alerts_left_out_total{outcome="unknown"} 7.0' in metrics


async def test_a_dead_letter_is_sent_in_again_once_it_is_understood(daemon: DaemonProcess) -> None:
    """A11: until then it stays one, and that is said."""
    assert await deliver(daemon, body(version="5")) == 400
    _, out, _ = await kintsugi(daemon, "dead-letters", "-o", "json")
    (letter,) = json.loads(out)["dead_letters"]
    assert letter["resendable"] is True
    assert letter["reason"].startswith("version '5'")

    code, _, said = await kintsugi(daemon, "resend", letter["id"], "--yes")
    assert code == 4
    assert "cannot be resent: version '5'" in said

    # what another version of Kintsugi understands, this one is given to understand
    with closing(sqlite3.connect(daemon.ledger.removeprefix("sqlite:///"), timeout=60)) as ledger:
        payload = json.dumps(body()).encode()
        ledger.execute("UPDATE dead_letters SET payload = ? WHERE id = ?", (payload, letter["id"]))
        ledger.commit()
    code, out, said = await kintsugi(daemon, "resend", letter["id"], "--yes")
    assert code == 0, said
    assert out.startswith("Resent: 1 alert accepted.")

    assert (await kintsugi(daemon, "dead-letters"))[1] == ""
    _, listed = await asyncio.to_thread(daemon.get, "/api/v1/signals")
    assert [each["signal"]["labels"]["alertname"] for each in listed["signals"]] == ["Odd"]
    code, _, said = await kintsugi(daemon, "resend", letter["id"], "--yes")
    assert code == 1
    assert "there is no dead letter" in said


async def test_a_dead_letter_that_was_too_large_or_held_a_secret_cannot_be_sent_in_again_and_says_so(
    daemon: DaemonProcess,
) -> None:
    """A11: neither cut nor masked would it be what came in."""
    for note in ("x" * 70_000, "password=hunter2-hunter2"):
        assert await deliver(daemon, body(version="5", note=note)) == 400
    _, answer = await asyncio.to_thread(daemon.get, "/api/v1/dead-letters")
    letters = answer["dead_letters"]
    assert [letter["resendable"] for letter in letters] == [False, False]
    for letter in letters:
        code, _, said = await kintsugi(daemon, "resend", letter["id"], "--yes")
        assert code == 4
        assert "it was not stored whole" in said
    raw = Path(daemon.ledger.removeprefix("sqlite:///"))
    assert not any(b"hunter2" in file.read_bytes() for file in raw.parent.glob(f"{raw.name}*"))
