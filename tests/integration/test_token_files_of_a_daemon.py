"""Files of tokens as whoever starts a daemon, or changes one of its Secrets, meets them."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from kubesim import EmbeddedCluster
from tests.integration.test_cli_runs_the_daemon import CliProcess, kintsugi

pytestmark = pytest.mark.long

ANA, WEBHOOK = "the-token-of-ana-who-is-on-call", "the-token-that-alertmanager-sends"
COMMENT = "# operators, one a line, as NAME:TOKEN"


@pytest.fixture
async def flags(tmp_path: Path) -> AsyncIterator[tuple[str | Path, ...]]:
    """Yield the flags of a daemon on an embedded cluster, with the files `webhook` and `people`."""
    (tmp_path / "webhook").write_text(f"# Alertmanager's own\n\n{WEBHOOK}\n")
    (tmp_path / "people").write_text(f"{COMMENT}\nana:{ANA}\n")
    async with EmbeddedCluster.start() as cluster:
        yield (
            *("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--log-format", "json"),
            *("--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--host", "127.0.0.1", "--port", "0"),
            *("--webhook-tokens", tmp_path / "webhook", "--operator-tokens", tmp_path / "people"),
        )


async def status(url: str, authorization: str) -> int:
    """Ask for the services with these credentials."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": authorization}) as session,
        session.get(f"{url}/api/v1/services") as answer,
    ):
        return answer.status


async def address(daemon: CliProcess) -> str:
    return (await daemon.says("Kintsugi takes webhooks on")).split()[-1]


async def test_a_daemon_refuses_to_start_with_tokens_that_are_none_and_tells_all_at_once(
    flags: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """E29: a template that left a value empty, or a comment, must not make everybody an operator."""
    (tmp_path / "people").write_text(f"{COMMENT}\nana:\nBen K:{ANA}\ncarl:short-secret\neve:{ANA} {ANA}\nana:{ANA}\n")
    (tmp_path / "webhook").write_text("\n# nothing yet\n")

    async with kintsugi("run", *flags) as daemon:
        code, _ = await daemon.ends()

    said = "".join(daemon.told)
    assert code == 2, said
    for where in (
        "people: line 2: ",
        "people: line 3: ",
        "people: line 4: ",
        "people: line 5: ",
        "webhook: there is no token in it",
    ):
        assert where in said
    assert "people: line 6" not in said
    assert ANA not in said
    assert "short-secret" not in said


async def test_no_bearer_is_an_operator_and_a_comment_is_no_token(
    flags: tuple[str | Path, ...], tmp_path: Path
) -> None:
    async with kintsugi("run", *flags) as daemon:
        url = await address(daemon)
        assert await status(url, f"Bearer {ANA}") == 200
        for nobody in ("Bearer ", "Bearer TOKEN", f"Bearer {COMMENT}", "Bearer # Alertmanager's own"):
            assert await status(url, nobody) == 401, nobody


async def test_a_file_that_is_changed_for_the_worse_keeps_its_tokens_and_says_so_once(
    flags: tuple[str | Path, ...], tmp_path: Path
) -> None:
    """A9: a 401 is final for who sends, so a file that is replaced by a wrong one costs nobody their token."""
    async with kintsugi("run", *flags) as daemon:
        url = await address(daemon)
        (tmp_path / "people").write_text(f"ben:{ANA[::-1]}\nana:\n")
        for _ in range(3):
            assert await status(url, f"Bearer {ANA}") == 200
            assert await status(url, f"Bearer {ANA[::-1]}") == 401
            assert await status(url, "Bearer ") == 401
        (tmp_path / "people").write_text(f"ben:{ANA[::-1]}\n")
        assert await status(url, f"Bearer {ANA[::-1]}") == 200
        assert await status(url, f"Bearer {ANA}") == 401
        daemon.process.terminate()
        code, _ = await daemon.ends()
    refused = [line for line in "".join(daemon.told).splitlines() if "token file refused" in line]
    assert (code, len(refused)) == (0, 1), daemon.told
    assert "line 2: the token is empty" in refused[0]
    assert "ben" not in refused[0]
