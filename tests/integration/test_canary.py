"""`kintsugi canary` against a real daemon whose rules would take any alert: taken, judged, nothing started, or one line why not."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubesim import EmbeddedCluster
from tests.integration.test_cli_runs_the_daemon import kintsugi

pytestmark = pytest.mark.long

ANA, WEBHOOK, OTHER = (
    "the-token-of-ana-who-is-on-call",
    "the-token-that-alertmanager-sends",
    "some-other-token-of-tests",
)

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """Sends canaries to a daemon by the command line."""

    folder: Path
    url: str

    async def canary(
        self, *flags: str | Path, webhook: str = "webhook", people: str = "people"
    ) -> tuple[int, list[str]]:
        """Return the exit code, and the lines that were said."""
        files = ("--webhook-token-file", self.folder / webhook, "--token-file", self.folder / people)
        async with kintsugi("canary", "--server", self.url, *files, *flags) as sent:
            code, printed = await sent.ends()
            return code, (printed + "".join(sent.told)).splitlines()

    async def explained(self, alert: str) -> str:
        """Return what would become of an alert."""
        (self.folder / "alert.yaml").write_text(alert)
        files = ("--token-file", self.folder / "people", "--alert", self.folder / "alert.yaml")
        async with kintsugi("explain", "--server", self.url, *files) as asked:
            code, printed = await asked.ends()
            assert code == 0, asked.told
            return printed

    async def signals(self) -> str:
        """Return the signals that the daemon knows, as JSON."""
        files = ("--token-file", self.folder / "people", "-o", "json")
        async with kintsugi("signals", "--server", self.url, *files) as asked:
            return (await asked.ends())[1]


@pytest.fixture
async def sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sender]:
    """Run a daemon in mode auto with a rule that matches whatever alert has a name."""
    for name, token in (("webhook", WEBHOOK), ("people", f"ana:{ANA}"), ("other", OTHER)):
        (tmp_path / name).write_text(f"{token}\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "any.yaml").write_text(ANY_ALERT)
    monkeypatch.setenv("KINTSUGI_CATALOG__ADDITIONS", str(tmp_path / "more"))
    async with EmbeddedCluster.start() as cluster:
        flags = (
            *("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--log-format", "json", "--mode", "auto"),
            *("--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--host", "127.0.0.1", "--port", "0"),
            *("--webhook-tokens", tmp_path / "webhook", "--operator-tokens", tmp_path / "people"),
        )
        async with kintsugi("run", *flags) as daemon:
            yield Sender(folder=tmp_path, url=(await daemon.says("Kintsugi takes webhooks on")).split()[-1])


async def test_a_canary_is_taken_and_judged_and_starts_nothing_whatever_the_rules_match(sender: Sender) -> None:
    """P9: it is the very alert that was sent, and it is over when that is said."""
    code, said = await sender.canary()
    assert code == 0, said
    assert said[0].startswith("The canary was accepted with the verdict no-rule after "), said
    assert said[0].endswith(": no rule matches."), said
    known = await sender.signals()
    assert known.count("KintsugiCanary") == 1
    assert '"ended": null' not in known
    said_before = await sender.explained("labels: {alertname: KintsugiCanary}")
    assert "any-alert" not in said_before, said_before
    assert "any-alert" in await sender.explained("labels: {alertname: KubePodCrashLooping}")


async def test_a_canary_that_cannot_be_sent_or_followed_says_why_in_one_line(sender: Sender) -> None:
    code, said = await sender.canary(webhook="other")
    assert (code, len(said)) == (4, 1), said
    assert said[0].startswith("error: the webhook rejects the token in "), said
    assert said[0].endswith("/other: put this token into a file of alertmanager.tokenFiles")
    code, said = await sender.canary(people="other")
    assert (code, len(said)) == (4, 1), said
    assert "--token-file FILE" in said[0], said
    assert "KintsugiCanary" not in await sender.signals()
    away = Sender(folder=sender.folder, url="http://127.0.0.1:9")
    code, said = await away.canary("--within", "1")
    assert (code, len(said)) == (3, 1), said
    assert "cannot be reached" in said[0]
