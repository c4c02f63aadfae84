"""The exit codes that scripts build on, and the one line that says what to do (0 done, 1 findings, 2 usage, 3 unreachable, 4 refused)."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.cli_daemon import CommandLine, Night, daemon


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.fixture
def kintsugi(tmp_path: Path, night: Night, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    with daemon(tmp_path, night) as served:
        yield CommandLine(served, capsys)


@contextmanager
def something_else(status: int, body: str) -> Iterator[str]:
    """Serve some other program's answers."""
    ready, stop = threading.Event(), threading.Event()
    urls: list[str] = []

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="text/html")

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        ready.set()
        await asyncio.to_thread(stop.wait)
        await runner.cleanup()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20), "the other program did not come up"
    try:
        yield urls[0]
    finally:
        stop.set()
        thread.join(20)


def test_0_when_it_is_done(kintsugi: CommandLine) -> None:
    assert kintsugi("services").code == 0


def test_1_when_there_is_no_such_incident_or_pause(kintsugi: CommandLine) -> None:
    ended = kintsugi("incident", "inc-9/../x")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "error: there is no incident inc-9/../x\n"
    assert kintsugi("resume", "pau-9", "--why", "w").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("incidents", "--limit", "501"),
        ("incidents", "-o", "yaml"),
        ("incident",),
        ("no-such-command",),
        ("services", "--server", "kintsugi:8080"),
        ("services", "--token-file", "/no/such/token"),
    ],
)
def test_2_when_it_cannot_be_understood(kintsugi: CommandLine, arguments: tuple[str, ...]) -> None:
    ended = kintsugi.bare(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.strip()


def test_2_when_the_file_of_the_token_holds_none(kintsugi: CommandLine, tmp_path: Path) -> None:
    for content in ("", "two words", "ünprintable\x01"):
        (tmp_path / "t").write_text(content, encoding="utf-8")
        ended = kintsugi.bare("services", "--server", kintsugi.daemon.url, "--token-file", str(tmp_path / "t"))
        assert ended.code == 2, content
        assert "--token-file" in ended.err


def test_3_when_nobody_listens_there(kintsugi: CommandLine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        ended = kintsugi.bare("services", "--server", url)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith(f"error: {url} cannot be reached: connection refused. ")
    assert "--server" in ended.err
    assert "port-forward" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(("status", "body"), [(404, "<html>nginx"), (200, "<html>hello"), (302, ""), (200, '{"a": 1}')])
def test_3_when_something_else_answers(kintsugi: CommandLine, status: int, body: str) -> None:
    with something_else(status, body) as url:
        ended = kintsugi.bare("services", "--server", url)
    assert ended.code == 3
    assert "does not answer like Kintsugi" in ended.err


def test_3_when_the_daemon_has_lost_its_ledger(kintsugi: CommandLine, night: Night) -> None:
    night.away = True
    ended = kintsugi("incidents")
    assert ended.code == 3
    assert "cannot answer now: the ledger cannot be reached" in ended.err


def test_4_without_a_token_or_with_a_wrong_one(kintsugi: CommandLine, tmp_path: Path) -> None:
    nobody = kintsugi.bare("services", "--server", kintsugi.daemon.url)
    assert nobody.code == 4
    assert "401: no token was sent; an operator's is needed: --token-file FILE, KINTSUGI_TOKEN_FILE" in nobody.err
    (tmp_path / "old").write_text("the-token-of-last-year", encoding="utf-8")
    old = kintsugi.bare("services", "--server", kintsugi.daemon.url, "--token-file", str(tmp_path / "old"))
    assert old.code == 4
    assert f"401: the token in {tmp_path / 'old'} is unknown to the daemon at {kintsugi.daemon.url}" in old.err
    (tmp_path / "webhook").write_text("the-webhooks-token", encoding="utf-8")
    webhook = kintsugi.bare("services", "--server", kintsugi.daemon.url, "--token-file", str(tmp_path / "webhook"))
    assert webhook.code == 4
    assert f"403: the token in {tmp_path / 'webhook'} is no operator's token: webhook may not read" in webhook.err


def test_the_environment_says_where_and_who(kintsugi: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINTSUGI_SERVER", kintsugi.daemon.url + "/")
    monkeypatch.setenv("KINTSUGI_TOKEN", "the-operators-token")
    assert kintsugi.bare("services").code == 0
    monkeypatch.setenv("KINTSUGI_TOKEN_FILE", str(kintsugi.daemon.token))
    monkeypatch.setenv("KINTSUGI_TOKEN", "wrong")
    assert kintsugi.bare("services").code == 0


def test_a_login_is_asked_once_and_counts_until_another_address_is_given(
    kintsugi: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "wrong").write_text("no-such-token-at-all", encoding="utf-8")
    refused = kintsugi.bare("login", "--server", kintsugi.daemon.url, "--token-file", str(tmp_path / "wrong"))
    assert refused.code == 4
    assert not (tmp_path / "config").exists()
    done = kintsugi.bare("login", "--server", kintsugi.daemon.url, "--token-file", str(kintsugi.daemon.token))
    assert done.code == 0
    kept = tmp_path / "config" / "kintsugi" / "login.json"
    assert kintsugi.daemon.token.read_text().strip() not in kept.read_text()
    assert kintsugi.bare("services").code == 0
    elsewhere = kintsugi.bare("services", "--server", kintsugi.daemon.url)
    assert elsewhere.code == 4
    assert "no token was sent" in elsewhere.err
    kept.write_text("{", encoding="utf-8")
    broken = kintsugi.bare("services")
    assert broken.code == 2
    assert f"{kept} cannot be read" in broken.err


def test_a_line_of_the_daemons_own_file_is_a_token(kintsugi: CommandLine, tmp_path: Path) -> None:
    """In the daemon's pod the only file at hand is the daemon's own: `NAME:TOKEN`."""
    (tmp_path / "people").write_text("\nana:the-token-of-ana\nben:other\n", encoding="utf-8")
    ended = kintsugi.bare("services", "--server", kintsugi.daemon.url, "--token-file", str(tmp_path / "people"))
    assert ended.code == 0
