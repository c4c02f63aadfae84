"""`kintsugi run` and `kintsugi demo` as processes, on the embedded cluster: start, serve, refuse, stop."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubesim import EmbeddedCluster

TIMEOUT = 240
"""Seconds that a process may take to say what it is waited for: ten times what a start takes on a busy machine."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(4 * TIMEOUT)]


@dataclass
class CliProcess:
    """A `kintsugi` process and what it has written on stderr so far."""

    process: asyncio.subprocess.Process
    told: list[str]

    async def says(self, what: str) -> str:
        """Wait for a line that contains some words. Fails with everything that was said instead."""
        assert self.process.stderr is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                while line := (await self.process.stderr.readline()).decode():
                    self.told.append(line)
                    if what in line:
                        return line
        raise AssertionError(f"{what!r} was never said:\n{''.join(self.told)}")

    async def ends(self) -> tuple[int, str]:
        """Wait for its end; give its code and stdout. Fails with everything that was said before."""
        try:
            async with asyncio.timeout(TIMEOUT):
                out, err = await self.process.communicate()
        except TimeoutError as error:
            raise AssertionError(f"it has not ended within {TIMEOUT} s:\n{''.join(self.told)}") from error
        self.told.append(err.decode())
        assert self.process.returncode is not None
        return self.process.returncode, out.decode()


@asynccontextmanager
async def kintsugi(*arguments: str | Path) -> AsyncIterator[CliProcess]:
    """Start a command; it is killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kintsugi.cli", *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "daemon"},
    )
    try:
        yield CliProcess(process, [])
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.fixture
async def flags(tmp_path: Path) -> AsyncIterator[tuple[str | Path, ...]]:
    """Yield the flags of a daemon on an embedded cluster of its own, and a token for Ana."""
    tokens = tmp_path / "people"
    tokens.write_text("ana:the-token-of-ana\n", encoding="utf-8")
    async with EmbeddedCluster.start() as cluster:
        yield (
            *("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig")),
            *("--ledger", f"sqlite:///{tmp_path / 'ledger.db'}"),
            *(
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--health-port",
                "0",
                "--insecure-no-token",
                "--operator-tokens",
                tokens,
            ),
        )


async def test_a_daemon_serves_and_stops_in_order_at_sigterm(flags: tuple[str | Path, ...], tmp_path: Path) -> None:
    async with kintsugi("run", *flags) as daemon:
        url = (await daemon.says("Kintsugi takes webhooks on")).split()[-1]
        async with kintsugi("services", "-o", "json", "--server", url, "--token-file", tmp_path / "people") as asked:
            code, out = await asked.ends()
        assert code == 0, asked.told
        assert "web-service" in {each["name"] for each in json.loads(out)["services"]}
        daemon.process.send_signal(signal.SIGTERM)
        code, _ = await daemon.ends()
    assert code == 0, "".join(daemon.told)
    assert "SIGTERM: stopping" in "".join(daemon.told)
    assert "Traceback" not in "".join(daemon.told)


async def test_objects_that_live_as_long_as_the_daemon_are_kept_from_the_collector_once_the_cluster_is_seen(
    flags: tuple[str | Path, ...],
) -> None:
    """A full collection of all that is kept would stop the event loop for a tenth of a second and more."""
    async with kintsugi("run", *flags, "--log-format", "json") as daemon:
        await daemon.says("caches synced")
        told = json.loads(await daemon.says("garbage collected"))
    assert told["frozen"] > 50_000


async def test_a_second_daemon_on_the_same_ledger_is_refused(flags: tuple[str | Path, ...]) -> None:
    """P2: one daemon a ledger; the exit code says that it was refused."""
    async with kintsugi("run", *flags) as first:
        await first.says("Kintsugi takes webhooks on")
        async with kintsugi("run", *flags) as second:
            code, _ = await second.ends()
    assert code == 4, second.told
    assert second.told[-1].strip().splitlines()[-1].startswith("error: ")


async def test_a_port_that_is_taken_is_told_in_a_line(flags: tuple[str | Path, ...]) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, kintsugi("run", *flags, "--port", str(port)) as daemon:
        code, _ = await daemon.ends()
    assert code == 2, daemon.told
    assert f"127.0.0.1:{port}" in daemon.told[-1].splitlines()[-1]
    assert "Traceback" not in daemon.told[-1]


def unreachable(folder: Path) -> Path:
    """Write a kubeconfig of a cluster that nobody reaches."""
    file = folder / "kubeconfig"
    file.write_text(
        "clusters: [{name: far, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: ana, user: {token: a-token}}]\n"
        "contexts: [{name: far, context: {cluster: far, user: ana}}]\ncurrent-context: far\n",
        encoding="utf-8",
    )
    return file


async def test_a_cluster_that_does_not_answer_is_told_in_a_line_with_its_url(tmp_path: Path) -> None:
    kubeconfig, ledger = unreachable(tmp_path), f"sqlite:///{tmp_path / 'ledger.db'}"
    flags = ("--kubeconfig", kubeconfig, "--ledger", ledger, "--insecure-no-token", "--log-format", "json")
    async with kintsugi("run", *flags, "--port", "0", "--health-port", "0") as daemon:
        told = json.loads(await daemon.says("cluster not reachable"))
    assert told["server"] == "http://127.0.0.1:1"
    assert told["source"] == f"context far of {kubeconfig}"
    assert not any("watch interrupted" in line for line in daemon.told[:-1])


async def test_outside_a_pod_the_cluster_must_be_named(tmp_path: Path) -> None:
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    async with kintsugi("run", "--ledger", ledger, "--insecure-no-token") as daemon:
        code, _ = await daemon.ends()
    assert code == 2, daemon.told
    assert "the cluster must be named: --kubeconfig FILE or --context NAME" in daemon.told[-1]


async def test_without_a_place_for_its_ledger_it_says_which_flag_to_give(tmp_path: Path) -> None:
    """As outside of a pod, where the directory of the default is not there or not ours."""
    missing = f"sqlite:///{tmp_path / 'missing' / 'ledger.db'}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("{}", encoding="utf-8")
    async with kintsugi("run", "--kubeconfig", kubeconfig, "--ledger", missing, "--insecure-no-token") as daemon:
        code, _ = await daemon.ends()
    assert code == 3, daemon.told
    said = daemon.told[-1].splitlines()[-1]
    assert said.startswith("error: ")
    assert "--ledger sqlite:///PATH" in said


async def test_a_ledger_that_cannot_be_opened_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    ledger = f"sqlite:///{tmp_path / 'file' / 'ledger.db'}"
    kubeconfig = unreachable(tmp_path)
    async with kintsugi("run", "--kubeconfig", kubeconfig, "--ledger", ledger, "--insecure-no-token") as daemon:
        code, _ = await daemon.ends()
    assert code == 3, daemon.told
    assert "Traceback" not in daemon.told[-1]
    assert daemon.told[-1].splitlines()[-1].startswith("error: ")
