"""TLS as whoever runs a daemon meets it: two settings, a port of tokens that speaks nothing else, and the command line."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from kubesim import EmbeddedCluster
from tests.harness.certificates import Authority
from tests.integration.test_cli_runs_the_daemon import CliProcess, kintsugi
from tests.integration.test_tls_of_the_port import Files
from tests.unit.sources.webhooks import alert, webhook

pytestmark = pytest.mark.long

ANA, WEBHOOK = "the-token-of-ana-who-is-on-call", "the-token-that-alertmanager-sends"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecuredDaemon:
    """A daemon that serves with TLS, its files, and where its port is."""

    daemon: CliProcess
    files: Files
    folder: Path
    url: str

    @property
    def authority(self) -> Path:
        return self.files.authority.own.certificate

    async def deliver(self, url: str) -> int:
        """Deliver an alert as Alertmanager does that was told of the authority."""
        trusting = ssl.create_default_context(cafile=self.authority)
        headers = {"Authorization": f"Bearer {WEBHOOK}", "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{url}/alertmanager", data=webhook(alert()), ssl=trusting) as answer,
        ):
            return answer.status

    async def shown(self) -> str:
        """Return the name in the certificate that the port shows."""
        host, _, port = self.url.removeprefix("https://").partition(":")
        trusting = ssl.create_default_context(cafile=self.authority)
        _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
        subject = writer.get_extra_info("peercert")["subject"]
        writer.close()
        return str({key: value for part in subject for key, value in part}["commonName"])

    async def services(self, *flags: str | Path) -> tuple[int, str]:
        """Ask for the services by the command line; return its exit code and what it said."""
        async with kintsugi("services", "--server", self.url, "--token-file", self.folder / "people", *flags) as asked:
            code, printed = await asked.ends()
            return code, printed + "".join(asked.told)


@pytest.fixture
async def secured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SecuredDaemon]:
    """Run a daemon on an embedded cluster, told by its environment where certificate and key are."""
    files = Files(tmp_path, Authority(tmp_path / "authority"))
    files.put("first")
    (tmp_path / "webhook").write_text(f"{WEBHOOK}\n")
    (tmp_path / "people").write_text(f"ana:{ANA}\n")
    monkeypatch.setenv("KINTSUGI_SERVER__TLS_CERTIFICATE_FILE", str(files.pair.certificate))
    monkeypatch.setenv("KINTSUGI_SERVER__TLS_KEY_FILE", str(files.pair.key))
    async with EmbeddedCluster.start() as cluster:
        flags = (
            *("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--log-format", "json"),
            *("--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--host", "127.0.0.1", "--port", "0"),
            *("--webhook-tokens", tmp_path / "webhook", "--operator-tokens", tmp_path / "people"),
        )
        async with kintsugi("run", *flags) as daemon:
            url = (await daemon.says("Kintsugi takes webhooks on")).split()[-1]
            yield SecuredDaemon(daemon=daemon, files=files, folder=tmp_path, url=url)


async def test_a_daemon_takes_webhooks_and_answers_people_over_tls_and_not_in_the_clear(secured: SecuredDaemon) -> None:
    """Tokens do not cross the network in the clear."""
    assert secured.url.startswith("https://127.0.0.1:")
    assert await secured.deliver(secured.url) == 200
    with pytest.raises(aiohttp.ClientError):
        await secured.deliver(secured.url.replace("https:", "http:"))
    code, said = await secured.services("--ca-file", secured.authority)
    assert code == 0, said
    assert "web-service" in said


async def test_the_command_line_sends_no_token_to_a_server_that_it_does_not_trust_and_says_what_would_be_right(
    secured: SecuredDaemon,
) -> None:
    code, said = await secured.services()
    assert code == 3
    assert "its certificate is not trusted (" in said
    assert "name its authority with --ca-file or KINTSUGI_CA_FILE" in said
    code, said = await secured.services("--ca-file", secured.folder / "people")
    assert code == 2
    assert "it contains no certificate in PEM format" in said


async def test_a_certificate_that_is_renewed_while_the_daemon_runs_is_shown_to_the_next(secured: SecuredDaemon) -> None:
    assert await secured.shown() == "first"
    secured.files.put("second")
    assert await secured.shown() == "second"
    assert await secured.deliver(secured.url) == 200
