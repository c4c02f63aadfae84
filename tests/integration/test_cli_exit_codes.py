"""The exit codes that scripts build on, and the one line that says what to do (0 done, 1 findings, 2 usage, 3 unreachable, 4 refused)."""

import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.answering_service import serving
from tests.integration.command_line import CommandLine, in_thread
from tests.integration.operations_double import FakeOperations


@contextmanager
def something_else(status: int, body: str) -> Iterator[str]:
    """Serve some other program's answers."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    with in_thread(serving(app)) as url:
        yield url


USAGE = [
    ("incidents --limit 501", "--limit"),
    ("incidents -o yaml", "yaml"),
    ("incident", "Missing argument"),
    ("no-such-command", "no-such-command"),
    ("services --server kintsugi:8080", "--server"),
    ("services --token-file /no/such/token", "/no/such/token"),
    ("services --watch -o json", "--watch shows a table for people"),
    ("signals --verdict refuse", "there is no 'refuse'; there is started"),
    *((f"diagnose {workload}", "") for workload in ("web", "service/web")),
    *((f"explain {words}", "") for words in ("", "--pod a/b --alert x", "--pod no-namespace")),
    ("approve inc-2", "give --yes"),
    ("rollback inc-1", "give --yes"),
    ("recover workload-recovery --why w", "give --yes"),
    ("resend dead-1", "--yes"),
    ("reject inc-2", "--why"),
    ("abort inc-1", "--why"),
    ("pause", "--why"),
    ("pause --why w --namespace a --rule b", ""),
    ("pause --why w --for soon", "soon"),
    ("pause --why w --namespace prodution", "give --yes to continue"),
    ("pause --why w --as ben", "the token belongs to ana"),
    ("recover workload-recovery --yes", "Missing option '--why'"),
    ("recover workload-recovery --yes --why w --set replicas", "--set: 'replicas': write NAME=VALUE"),
    ("recover workload-recovery --yes --why w --set a=1 --set a=2", "--set: a is set twice"),
    (
        "recover workload-recovery --yes --why w --override budget",
        "'budget' cannot be overruled; choose from: cooldown,",
    ),
]
"""Commands that cannot be understood or for which nobody can be asked, and words of the line that says why."""


def test_0_when_it_is_done(kintsugi: CommandLine) -> None:
    assert kintsugi("services").code == 0


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("incident inc-9/../x", "error: there is no incident inc-9/../x\n"),
        ("resume pau-9 --why w", "pau-9"),
        ("resend dead-9 --yes", "there is no dead letter dead-9"),
        ("diagnose deployment/gone", "there is no deployment/gone"),
        ("explain nothing", "no service nothing"),
    ],
)
def test_1_when_what_is_named_is_not_there(kintsugi: CommandLine, command: str, error: str) -> None:
    ended = kintsugi(*command.split())
    assert (ended.code, ended.out, error in ended.err) == (1, "", True), ended


@pytest.mark.parametrize(("command", "error"), USAGE)
def test_2_when_it_cannot_be_understood_and_the_daemon_is_told_nothing(
    kintsugi: CommandLine, operations: FakeOperations, command: str, error: str
) -> None:
    words = command.split()
    ended = kintsugi.bare(*words) if "--server" in words or "--token-file" in words else kintsugi(*words)
    assert (ended.code, ended.out, error in ended.err) == (2, "", True), ended
    assert ended.err.strip()
    # A rollback or a start is shown before it is asked about; it is confirmed by the digest of what was shown.
    assert {deed[0] for deed in operations.asked} <= {"roll_back", "recover"}
    assert "shown" not in str(operations.asked)


def test_2_when_a_reason_is_empty(kintsugi: CommandLine, operations: FakeOperations) -> None:
    for command in (("pause",), ("recover", "workload-recovery", "--yes")):
        ended = kintsugi(*command, "--why", " ")
        assert (ended.code, "why: empty" in ended.err) == (2, True), ended
    assert operations.asked == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("just words", "is not an alert"),
        ("alerts: []", "contains 0 alerts"),
        ("alerts: [{labels: {alertname: A}}, 7]", "alert 2 is not an alert"),
        ("{", "not valid YAML or JSON"),
    ],
)
def test_2_when_a_file_holds_no_alert(kintsugi: CommandLine, tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "alert.yaml"
    file.write_text(content, encoding="utf-8")
    ended = kintsugi("explain", "--alert", str(file))
    assert (ended.code, ended.out, says in ended.err) == (2, "", True), ended


@pytest.mark.parametrize("content", ["", "two words", "ünprintable\x01"])
def test_2_when_the_file_of_the_token_holds_none(kintsugi: CommandLine, tmp_path: Path, content: str) -> None:
    (tmp_path / "t").write_text(content, encoding="utf-8")
    ended = kintsugi.with_file(tmp_path / "t", "services")
    assert (ended.code, "--token-file" in ended.err) == (2, True), ended


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


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "cannot be reached: Remote end closed connection without response. "),
        (b"SSH-2.0 hello\r\n", "cannot be reached: its answer is not HTTP, or not whole. "),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            "cannot be reached: its answer is not HTTP, or not whole. ",
        ),
    ],
)
def test_3_when_the_answer_is_cut_off_or_no_http(kintsugi: CommandLine, answer: bytes, says: str) -> None:
    with listening(lambda asked: asked.sendall(answer)) as (url, requests):
        ended = kintsugi.bare("services", "--server", f"{url}/below/")
    assert (ended.code, says in ended.err) == (3, True), ended
    assert [each.split(b" HTTP/")[0] for each in requests] == [b"GET /below/api/v1/services"]


def test_a_person_need_not_wait_for_a_daemon_that_does_not_answer(kintsugi: CommandLine) -> None:
    """Ctrl-C ends the command at once."""
    waiting, interrupted = threading.Event(), threading.Event()

    def hang(_asked: socket.socket) -> None:
        waiting.set()
        assert interrupted.wait(60)

    with listening(hang) as (url, _):
        command, environment = kintsugi.process("services")
        with subprocess.Popen([*command, "--server", url], env=environment) as process:
            assert waiting.wait(60)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        interrupted.set()


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """Take one connection, read its request and answer it; yield the address, and the requests that came."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with server.accept()[0] as asked:
                requests.append(asked.recv(65_536))
                answer(asked)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
        thread.join(20)


@pytest.mark.parametrize(("status", "body"), [(404, "<html>nginx"), (200, "<html>hello"), (302, ""), (200, '{"a": 1}')])
def test_3_when_something_else_answers(kintsugi: CommandLine, status: int, body: str) -> None:
    with something_else(status, body) as url:
        ended = kintsugi.bare("services", "--server", url)
    assert ended.code == 3
    assert "does not answer like Kintsugi" in ended.err


@pytest.mark.parametrize("command", ["incidents", "restore drill database", "services --watch"])
def test_3_when_the_daemon_has_lost_its_ledger(kintsugi: CommandLine, operations: FakeOperations, command: str) -> None:
    operations.away, operations.watched = True, [None]
    ended = kintsugi(*command.split())
    assert (ended.code, "the ledger cannot be reached" in ended.err) == (3, True), ended


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("approve inc-1 --yes", "asks nothing"),
        ("rollback inc-2 --yes", "error: incident inc-2 never had a run, so there is nothing to undo"),
        ("resend dead-2 --yes", "dead letter dead-2 cannot be resent"),
        ("restore drill web", "no drill is started: web is not healthy"),
    ],
)
def test_4_when_the_daemon_refuses(kintsugi: CommandLine, command: str, error: str) -> None:
    ended = kintsugi(*command.split())
    assert (ended.code, ended.out, error in ended.err) == (4, "", True), ended


def test_4_without_a_token_or_with_a_wrong_one(kintsugi: CommandLine, tmp_path: Path) -> None:
    nobody = kintsugi.bare("services", "--server", kintsugi.daemon.url)
    assert nobody.code == 4
    assert "401: no token was sent; an operator's is needed: --token-file FILE, KINTSUGI_TOKEN_FILE" in nobody.err
    for name, token, error in (
        ("old", "the-token-of-last-year", f"401: the token in FILE is unknown to the daemon at {kintsugi.daemon.url}"),
        ("webhook", "the-webhooks-token", "403: the token in FILE is no operator's token: webhook may not read"),
    ):
        (tmp_path / name).write_text(token, encoding="utf-8")
        ended = kintsugi.with_file(tmp_path / name, "services")
        assert (ended.code, error.replace("FILE", str(tmp_path / name)) in ended.err) == (4, True), ended


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
    assert kintsugi.with_file(tmp_path / "wrong", "login").code == 4
    assert not (tmp_path / "config").exists()
    assert kintsugi("login").code == 0
    kept = tmp_path / "config" / "kintsugi" / "login.json"
    assert kintsugi.daemon.token.read_text().strip() not in kept.read_text()
    assert kintsugi.bare("services").code == 0
    elsewhere = kintsugi.bare("services", "--server", kintsugi.daemon.url)
    assert (elsewhere.code, "no token was sent" in elsewhere.err) == (4, True)
    kept.write_text("{", encoding="utf-8")
    broken = kintsugi.bare("services")
    assert (broken.code, f"{kept} cannot be read" in broken.err) == (2, True)


def test_a_line_of_the_daemons_own_file_is_a_token(kintsugi: CommandLine, tmp_path: Path) -> None:
    """In the daemon's pod the only file at hand is the daemon's own: `NAME:TOKEN`."""
    (tmp_path / "people").write_text("\nana:the-token-of-ana\nben:other\n", encoding="utf-8")
    assert kintsugi.with_file(tmp_path / "people", "services").code == 0
