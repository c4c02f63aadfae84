"""`kintsugi run`, with nothing that polls: what becomes of an alert, whatever is in it, and what of that is there to be read."""

import asyncio
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness.daemon import TOKEN, DaemonProcess, Ended
from tests.harness.waiting import eventually
from tests.unit.factories import rule_text, runbook_text, service_text

pytestmark = pytest.mark.long

NO_END = "0001-01-01T00:00:00Z"
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)
BEGAN, ENDED = LONG_AGO.isoformat(), (LONG_AGO + timedelta(minutes=5)).isoformat()
TIMEOUT = 90
REOPEN = "KINTSUGI_ALERTMANAGER__REOPEN_AFTER"
LOOKS_LIKE_OURS = {"$kintsugi.integer": "x"}

HOSTILE_MATCHERS = "\n---\n".join(
    [
        service_text(),
        rule_text(
            on="alert",
            more="""matchers: ['summary=~"((a|aa)+)+b"', 'summary=~".*a.*b.*c.*d.*"']""",
        ),
        runbook_text(),
    ]
)
"""A rule whose expressions could go back for ever over a label of many letters."""

ANY_ALERT = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: any-alert}
spec:
  on: alert
  service: web-service
  namespace: any
  matchers: ['alertname=~".+"']
  mode: auto
  cooldown: 1m
"""

Json = dict[str, Any]


def body(*, version: str = "4", truncated: int = 0, status: str = "firing", **alert: object) -> Json:
    """Make a delivery of one alert."""
    given = {"labels": {"alertname": "Odd"}, "startsAt": BEGAN, "endsAt": NO_END, **alert}
    return {
        "version": version,
        "groupKey": "{}:{}",
        "truncatedAlerts": truncated,
        "alerts": [{"status": status, **given}],
    }


async def deliver(daemon: DaemonProcess, delivery: Json) -> int:
    """Deliver it as Alertmanager does."""
    status, _ = await asyncio.to_thread(daemon.post, "/alertmanager", delivery, token=TOKEN)
    return status


async def kintsugi(daemon: DaemonProcess, *words: str | Path) -> Ended:
    """Run a command as a person with a token."""
    return await asyncio.to_thread(daemon.command, *words)


async def alerts(daemon: DaemonProcess) -> list[dict[str, str]]:
    """Return the labels of what Alertmanager has sent, as a person is told of it."""
    told = json.loads((await kintsugi(daemon, "signals", "-o", "json")).out)["signals"]
    return [each["signal"]["labels"] for each in told if each["signal"]["source"] == "alertmanager"]


@pytest.mark.parametrize(
    ("catalog", "alert"),
    [
        pytest.param(
            HOSTILE_MATCHERS, {"labels": {"alertname": "Foreign", "summary": "a" * 20_000 + "!"}}, id="a label"
        ),
        pytest.param("", {"annotations": LOOKS_LIKE_OURS}, id="an annotation"),
    ],
)
async def test_an_alert_that_is_meant_to_harm_is_judged_now_and_after_the_next_start(
    daemon: DaemonProcess, tmp_path: Path, catalog: str, alert: Json
) -> None:
    """
    E27, A11, A14: over the label an expression could go back for ever; the annotation looks like the ledger's own marks.

    Either is committed before it is judged, so that a daemon that stands still or ends over it does so at every start.
    """
    if catalog:
        daemon.catalog = tmp_path / "catalog"
        daemon.catalog.mkdir()
        (daemon.catalog / "all.yaml").write_text(catalog)
    for life in (1, 2):
        await asyncio.to_thread(lambda: daemon.start().wait_ready())
        assert await deliver(daemon, body(fingerprint=f"{life:016x}", **alert)) == 200

        def are_judged(life: int = life) -> bool:
            return daemon.rows("SELECT verdict FROM signals") == [("no-rule",)] * life

        await eventually(are_judged, within=TIMEOUT, describe=daemon.tail)
        await eventually(lambda: lags(daemon) > 0, within=TIMEOUT, describe=daemon.tail)
        assert await asyncio.to_thread(daemon.stop) == 0, daemon.tail()


def lags(daemon: DaemonProcess) -> float:
    """Return how often the daemon has looked how late its loop is."""
    _, text = daemon.get("/metrics")
    line = next(line for line in text.splitlines() if line.startswith("kintsugi_event_loop_lag_seconds_count"))
    return float(line.split()[1])


Row = tuple[str | None, str | None]


def lost(status: str, fingerprint: str = "1" * 16, ends: str = NO_END) -> Json:
    """Make a delivery of an alert that begins and ends as it always did."""
    return body(status=status, fingerprint=fingerprint, endsAt=ENDED if status == "resolved" else ends)


def episodes(daemon: DaemonProcess) -> list[Row]:
    """Return the episodes of the alert as the ledger has them: ended, verdict."""
    return daemon.rows(f"SELECT ended, verdict FROM signals WHERE key = '{'1' * 16}' ORDER BY received")


async def test_an_alert_that_fires_again_is_judged_once_more_and_a_restart_in_between_loses_nothing(
    daemon: DaemonProcess,
) -> None:
    """A22, P1, P9, A16: late, never lost. The second life waits for a second where the first waited for an hour."""
    await asyncio.to_thread(daemon.start, {REOPEN: "1h"})
    for status in ("firing", "resolved", "firing"):
        assert await deliver(daemon, lost(status)) == 200
    assert len(episodes(daemon)) == 1

    await asyncio.to_thread(daemon.kill)
    await asyncio.to_thread(daemon.start, {REOPEN: "1s"})

    def judged() -> list[Row]:
        return [row for row in episodes(daemon)[1:] if row[1] is not None]

    (again,) = await eventually(judged, within=TIMEOUT, describe=lambda: f"{episodes(daemon)}\n{daemon.tail()}")
    assert again == (None, "no-rule")
    assert "ended alerts firing again" in daemon.log.read_text()


async def test_an_alert_that_no_rule_knows_is_listed_and_alerts_that_were_left_out_of_its_group_are_told(
    started: DaemonProcess,
) -> None:
    """
    P9, A7: a verdict is not only counted, and nobody can ask for what was left out, so a person must know.

    The start has said so before anything was lost.
    """
    log = started.log.read_text()
    assert "alertmanager not polled" in log
    assert "alertmanager.url" in log
    assert await deliver(started, body(truncated=7)) == 200

    async def listed() -> Json | None:
        ended = await kintsugi(started, "signals", "--verdict", "no-rule", "-o", "json")
        found = json.loads(ended.out)["signals"] if ended.code == 0 else []
        return dict(found[0]) if found else None

    signal = await eventually(listed, within=TIMEOUT, describe=started.tail, every=0.5)
    assert signal["signal"]["labels"] == {"alertname": "Odd"}
    assert signal["verdict"]["reason"] == "no-rule"
    ended = await kintsugi(started, "signals", "--reason", "cooldown")
    assert (ended.code, ended.out) == (0, "")

    assert "Alertmanager left 7 alerts out of this group" in (await kintsugi(started, "dead-letters")).out
    assert "Alertmanager left alerts out of a group" in started.log.read_text()
    _, metrics = await asyncio.to_thread(started.get, "/metrics")
    assert 'kintsugi_alerts_left_out_total{outcome="unknown"} 7.0' in metrics


async def test_a_dead_letter_is_sent_in_again_once_it_is_understood(started: DaemonProcess) -> None:
    """A11: until then it stays one, and that is said."""
    assert await deliver(started, body(version="5")) == 400
    (letter,) = json.loads((await kintsugi(started, "dead-letters", "-o", "json")).out)["dead_letters"]
    assert letter["resendable"] is True
    assert letter["reason"].startswith("version '5'")

    refused = await kintsugi(started, "resend", letter["id"], "--yes")
    assert (refused.code, "cannot be resent: version '5'" in refused.err) == (4, True)

    # what another version of Kintsugi understands, this one is given to understand
    with closing(sqlite3.connect(started.ledger.removeprefix("sqlite:///"), timeout=60)) as ledger:
        ledger.execute("UPDATE dead_letters SET payload = ? WHERE id = ?", (json.dumps(body()).encode(), letter["id"]))
        ledger.commit()
    sent = await kintsugi(started, "resend", letter["id"], "--yes")
    assert (sent.code, sent.out.partition(".")[0]) == (0, "Resent: 1 alert accepted"), sent

    assert (await kintsugi(started, "dead-letters")).out == ""
    assert [each["alertname"] for each in await alerts(started)] == ["Odd"]
    gone = await kintsugi(started, "resend", letter["id"], "--yes")
    assert (gone.code, "there is no dead letter" in gone.err) == (1, True)


async def test_a_dead_letter_that_was_too_large_or_held_a_secret_cannot_be_sent_in_again_and_says_so(
    started: DaemonProcess,
) -> None:
    """A11: neither cut nor masked would it be what came in."""
    for note in ("x" * 70_000, "password=hunter2-hunter2"):
        assert await deliver(started, body(version="5", labels={"alertname": "Odd", "note": note})) == 400
    _, answer = await asyncio.to_thread(started.get, "/api/v1/dead-letters")
    assert [letter["resendable"] for letter in answer["dead_letters"]] == [False, False]
    for letter in answer["dead_letters"]:
        ended = await kintsugi(started, "resend", letter["id"], "--yes")
        assert (ended.code, "it was not stored whole" in ended.err) == (4, True)
    raw = Path(started.ledger.removeprefix("sqlite:///"))
    assert not any(b"hunter2" in file.read_bytes() for file in raw.parent.glob(f"{raw.name}*"))


async def test_a_canary_is_taken_and_judged_and_starts_nothing_whatever_the_rules_match(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    """P9: it is the very alert that was sent, and it is over when that is said; one that is not taken says why in one line."""
    more = tmp_path / "more"
    more.mkdir()
    (more / "any.yaml").write_text(ANY_ALERT)
    await asyncio.to_thread(daemon.start, {"KINTSUGI_CATALOG__ADDITIONS": str(more)})
    webhook, other = daemon.folder / "webhook", tmp_path / "other"
    other.write_text("some-other-token-of-tests\n")

    for flags, code, says in (
        (("--webhook-token-file", other), 4, f"error: the webhook rejects the token in {other}: put this token into"),
        (("--webhook-token-file", webhook, "--token-file", other), 4, "--token-file FILE"),
        (("--webhook-token-file", webhook, "--server", "http://127.0.0.1:9", "--within", "1"), 3, "cannot be reached"),
    ):
        ended = await kintsugi(daemon, "canary", *flags)
        assert (ended.code, ended.out, says in ended.err, ended.err.count("\n")) == (code, "", True, 1), ended
    assert await alerts(daemon) == []

    ended = await kintsugi(daemon, "canary", "--webhook-token-file", webhook)
    assert ended.code == 0, ended
    assert ended.out.startswith("The canary was accepted with the verdict no-rule after "), ended
    assert ended.out.splitlines()[0].endswith(": no rule matches."), ended
    assert [each["alertname"] for each in await alerts(daemon)] == ["KintsugiCanary"]
    assert daemon.rows("SELECT ended IS NULL FROM signals WHERE source = 'alertmanager'") == [(0,)]
    for alert, is_matched in (("KintsugiCanary", False), ("KubePodCrashLooping", True)):
        (tmp_path / "alert.yaml").write_text(f"labels: {{alertname: {alert}}}")
        told = await kintsugi(daemon, "explain", "--alert", tmp_path / "alert.yaml")
        assert ("any-alert" in told.out) is is_matched, told
