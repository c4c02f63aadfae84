"""`kintsugi run` as a process, on the embedded cluster: start, serve, refuse, stop; its ledger, its tokens, its certificate."""

import asyncio
import json
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import pytest

from tests.harness.certificates import Authority
from tests.harness.daemon import OPERATOR, TIMEOUT, TOKEN, DaemonProcess, Ended, command
from tests.harness.postgres import Postgres
from tests.integration.test_tls_of_the_port import Files

pytestmark = [pytest.mark.long, pytest.mark.timeout(4 * TIMEOUT)]


def another(daemon: DaemonProcess, **changed: object) -> DaemonProcess:
    """Return a second daemon on the same cluster, with a folder of its own."""
    beside = {"folder": daemon.folder.with_name("another"), "ledger": daemon.ledger, "port": 0, "process": None}
    return replace(daemon, **{**beside, **changed})  # type: ignore[arg-type]


def is_said_in_a_line(ended: Ended, words: str) -> bool:
    """Return whether the last line says what is wrong, and nothing else does."""
    last = ended.err.strip().splitlines()[-1]
    return last.startswith("error: ") and words in last and "Traceback" not in ended.err


async def test_a_daemon_serves_and_stops_in_order_at_sigterm(daemon: DaemonProcess) -> None:
    """
    Objects that live as long as the daemon are kept from the collector once the cluster is seen.

    A full collection of all that is kept would stop the event loop for a tenth of a second and more.
    """
    daemon.from_scratch = True
    await asyncio.to_thread(daemon.start)
    listed = await asyncio.to_thread(daemon.command, "services", "-o", "json")
    assert listed.code == 0, listed
    assert "web-service" in {each["name"] for each in json.loads(listed.out)["services"]}
    await asyncio.to_thread(daemon.says, "caches synced")
    assert json.loads(await asyncio.to_thread(daemon.says, "garbage collected"))["frozen"] > 50_000
    assert await asyncio.to_thread(daemon.stop) == 0, daemon.tail()
    assert "SIGTERM: stopping" in daemon.said()
    assert "Traceback" not in daemon.said()


async def test_the_cluster_has_the_name_of_the_kubeconfig_s_context(started: DaemonProcess) -> None:
    _, exposition = await asyncio.to_thread(started.get, "/metrics")
    assert 'kintsugi_info{cluster="kubesim",version=' in exposition


async def test_a_second_daemon_on_the_same_ledger_is_refused_under_whatever_name(started: DaemonProcess) -> None:
    """P2, C13: one daemon a ledger; the lock is that of the file, whatever it is called."""
    file = Path(started.ledger.removeprefix("sqlite:///"))
    link = file.with_name("link.db")
    link.symlink_to(file.name)
    for name in (file, link):
        ended = await asyncio.to_thread(another(started, ledger=f"sqlite:///{name}").refuses)
        assert ended.code == 4, ended
        assert gethostname() in ended.err, ended
    with closing(sqlite3.connect(file)) as ledger:
        assert list(ledger.execute("SELECT epoch FROM leadership")) == [(1,)]


async def test_a_second_daemon_of_another_namespace_does_not_take_the_lead(
    daemon: DaemonProcess, postgres: str, postgres_server: Postgres
) -> None:
    """P4: and when the first has lost its session it stops by itself, and says why: another one may lead by then."""
    daemon.ledger = postgres
    await asyncio.to_thread(daemon.start)
    ended = await asyncio.to_thread(another(daemon).refuses, {"KINTSUGI_NAMESPACE": "elsewhere"})
    assert (ended.code, "another daemon holds this ledger" in ended.err) == (4, True), ended

    sessions = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = "
    postgres_server.psql(f"{sessions}(SELECT oid FROM pg_database WHERE datname = '{postgres.rpartition('/')[2]}')")
    assert await asyncio.to_thread(lambda: daemon.wait(within=TIMEOUT)) == 1, daemon.tail()
    assert "the session that held the ledger has ended" in daemon.said()
    assert postgres_server.psql("SELECT epoch, holder FROM leadership", dsn=postgres) == f"1|{gethostname()}"


async def test_a_port_that_is_taken_is_told_in_a_line(daemon: DaemonProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon.port = taken.getsockname()[1]
        ended = await asyncio.to_thread(daemon.refuses)
    assert (ended.code, is_said_in_a_line(ended, f"127.0.0.1:{daemon.port}")) == (2, True), ended


def test_a_cluster_that_does_not_answer_is_told_in_a_line_with_its_url(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(
        "clusters: [{name: far, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: ana, user: {token: a-token}}]\n"
        "contexts: [{name: far, context: {cluster: far, user: ana}}]\ncurrent-context: far\n",
        encoding="utf-8",
    )
    daemon = DaemonProcess(kubeconfig=file, folder=tmp_path / "daemon")
    daemon.launch()
    try:
        told = json.loads(daemon.says("cluster not reachable"))
        assert told["server"] == "http://127.0.0.1:1"
        assert told["source"] == f"context far of {file}"
        assert "watch interrupted" not in daemon.said().partition("cluster not reachable")[0]
    finally:
        daemon.kill()


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        ("--ledger sqlite:///FOLDER/ledger.db", 2, "the cluster must be named: --kubeconfig FILE or --context NAME"),
        ("--kubeconfig FOLDER/config --ledger sqlite:///FOLDER/missing/ledger.db", 3, "--ledger sqlite:///PATH"),
        ("--kubeconfig FOLDER/config --ledger sqlite:///FOLDER/config/ledger.db", 3, ""),
    ],
    ids=["no cluster outside of a pod", "no place for the ledger", "a ledger that cannot be opened"],
)
def test_a_start_that_cannot_be_says_which_flag_to_give(tmp_path: Path, flags: str, code: int, says: str) -> None:
    (tmp_path / "config").write_text("{}", encoding="utf-8")
    ended = command("run", "--insecure-no-token", *flags.replace("FOLDER", str(tmp_path)).split())
    assert (ended.code, is_said_in_a_line(ended, says)) == (code, True), ended


async def test_a_daemon_refuses_to_start_with_tokens_that_are_none_and_tells_all_at_once(daemon: DaemonProcess) -> None:
    """E29: a template that left a value empty, or a comment, must not make everybody an operator."""
    daemon.people.write_text(
        f"# one a line\nana:\nBen K:{OPERATOR}\ncarl:short-secret\neve:{OPERATOR} {OPERATOR}\nana:{OPERATOR}\n"
    )
    (daemon.folder / "webhook").write_text("\n# nothing yet\n")
    ended = await asyncio.to_thread(daemon.refuses)
    assert ended.code == 2, ended
    for where in (*(f"operators: line {line}: " for line in (2, 3, 4, 5)), "webhook: there is no token in it"):
        assert where in ended.err, ended
    for kept in ("operators: line 6", OPERATOR, "short-secret"):
        assert kept not in ended.err, ended


async def test_a_file_that_is_changed_for_the_worse_keeps_its_tokens_and_says_so_once(
    started: DaemonProcess, tmp_path: Path
) -> None:
    """A9: a 401 is final for who sends, so a file that is replaced by a wrong one costs nobody their token."""
    (tmp_path / "new").write_text(OPERATOR[::-1])

    async def is_let_in(file: Path) -> bool:
        ended = await asyncio.to_thread(started.command, "services", "--token-file", file)
        assert ended.code in (0, 4), ended
        return ended.code == 0

    (tmp_path / "old").write_text(OPERATOR)
    for text, old, new in ((f"ben:{OPERATOR[::-1]}\nana:\n", True, False), (f"ben:{OPERATOR[::-1]}\n", False, True)):
        started.people.write_text(text)
        for _ in range(2):
            assert (await is_let_in(tmp_path / "old"), await is_let_in(tmp_path / "new")) == (old, new)
    assert await asyncio.to_thread(started.stop) == 0, started.tail()
    refused = [line for line in started.said().splitlines() if "token file refused" in line]
    assert len(refused) == 1, refused
    assert "line 2: the token is empty" in refused[0]
    assert "ben" not in refused[0]


async def test_the_command_line_sends_its_token_over_tls_and_only_to_a_server_that_it_trusts(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    """Tokens do not cross the network in the clear; what would be right is said."""
    files = Files(tmp_path, Authority(tmp_path / "authority"))
    files.put("first")
    names = {"CERTIFICATE": files.pair.certificate, "KEY": files.pair.key}
    await asyncio.to_thread(daemon.start, {f"KINTSUGI_SERVER__TLS_{name}_FILE": str(at) for name, at in names.items()})
    assert daemon.url.startswith("https://127.0.0.1:")
    for flags, code, says in (
        (("--ca-file", files.authority.own.certificate), 0, ""),
        ((), 3, "name its authority with --ca-file or KINTSUGI_CA_FILE"),
        (("--ca-file", daemon.people), 2, "it contains no certificate in PEM format"),
        (("--server", daemon.url.replace("https", "http")), 3, ""),
    ):
        ended = await asyncio.to_thread(daemon.command, "services", *flags)
        assert (ended.code, says in ended.err) == (code, True), ended
    assert TOKEN not in daemon.said()
