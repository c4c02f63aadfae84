"""What keeps two daemons apart on one PostgreSQL, as whoever starts a second one or loses a session meets it."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from socket import gethostname

import pytest

from kubesim import EmbeddedCluster
from tests.harness.postgres import Postgres
from tests.integration.test_cli_runs_the_daemon import TIMEOUT, kintsugi

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(4 * TIMEOUT),
]  # three waits for a process, and what they begin with


@pytest.fixture
async def flags(tmp_path: Path) -> AsyncIterator[tuple[str | Path, ...]]:
    """Yield the flags of a daemon on an embedded cluster, but for its ledger."""
    async with EmbeddedCluster.start() as cluster:
        yield (
            *("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--log-format", "json"),
            *("--host", "127.0.0.1", "--port", "0", "--health-port", "0", "--insecure-no-token"),
        )


async def test_a_second_daemon_of_another_namespace_does_not_take_the_lead(
    flags: tuple[str | Path, ...], postgres: str, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4: and when the first has lost its session it stops by itself, and says why: another one may lead by then."""
    async with kintsugi("run", *flags, "--ledger", postgres) as first:
        await first.says("Kintsugi takes webhooks on")
        monkeypatch.setenv("KINTSUGI_NAMESPACE", "elsewhere")
        async with kintsugi("run", *flags, "--ledger", postgres) as second:
            code, _ = await second.ends()
        assert code == 4, second.told
        assert "another daemon holds this ledger" in "".join(second.told)

        ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        postgres_server.psql(f"{ended}(SELECT oid FROM pg_database WHERE datname = '{postgres.rpartition('/')[2]}')")
        code, _ = await first.ends()
    assert code == 1, first.told
    assert "the session that held the ledger has ended" in "".join(first.told)
    assert postgres_server.psql("SELECT epoch, holder FROM leadership", dsn=postgres) == f"1|{gethostname()}"


async def test_a_link_to_a_ledger_is_no_second_one(flags: tuple[str | Path, ...], tmp_path: Path) -> None:
    """C13: the lock is that of the file, whatever it is called."""
    (tmp_path / "link.db").symlink_to("ledger.db")
    async with kintsugi("run", *flags, "--ledger", f"sqlite:///{tmp_path / 'ledger.db'}") as first:
        await first.says("Kintsugi takes webhooks on")
        async with kintsugi("run", *flags, "--ledger", f"sqlite:///{tmp_path / 'link.db'}") as second:
            code, _ = await second.ends()
        assert code == 4, second.told
        assert gethostname() in "".join(second.told), json.dumps(second.told)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        assert list(ledger.execute("SELECT epoch FROM leadership")) == [(1,)]
