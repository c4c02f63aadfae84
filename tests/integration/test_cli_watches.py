"""`kintsugi services --watch`: what has changed, and nothing else, until Ctrl-C."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kintsugi.server.operations import ServiceSummary
from tests.harness.waiting import wait_for
from tests.integration.cli_daemon import Night, at, daemon

TIMEOUT = 60.0
HEAD = "PRIORITY  SERVICE  NAMESPACE  SERVING  HEALTHY  READY  SINCE     DEPENDS ON  REVISION  INCIDENT  NOW"


def web(ready: int) -> list[ServiceSummary]:
    """Return the web service with so many of its three pods ready, since a moment of its own."""
    return [
        ServiceSummary(
            name="web",
            namespace="shop",
            priority=1,
            serving=ready > 0,
            healthy=ready == 3,
            ready=ready,
            desired=3,
            since=at(ready),
        )
    ]


@pytest.fixture
def night() -> Night:
    return Night(watched=[web(3), web(3), web(0), None, None, web(0), web(1), web(1)])


@pytest.fixture
def told(tmp_path: Path) -> tuple[Path, Path]:
    """Return where the command writes to, and what it says beside it."""
    return tmp_path / "out", tmp_path / "err"


@pytest.fixture
def watching(tmp_path: Path, night: Night, told: tuple[Path, Path]) -> Iterator["subprocess.Popen[bytes]"]:
    """Have a command that watches often and writes into files."""
    with daemon(tmp_path, night) as served, told[0].open("wb") as out, told[1].open("wb") as err:
        process = subprocess.Popen(command(served.url, served.token), stdout=out, stderr=err, env=environment())
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def command(url: str, token: Path) -> list[str]:
    """Return the command line."""
    options = ("--watch", "--every", "0.05", "--server", url, "--token-file", str(token))
    return [sys.executable, "-m", "kintsugi.cli", "services", *options]


def environment() -> dict[str, str]:
    """Return the environment of the command."""
    return {**os.environ, "PYTHONPATH": "daemon", "TERM": "xterm", "COLUMNS": "200"}


def test_without_a_terminal_each_change_is_written_once(
    watching: "subprocess.Popen[bytes]", night: Night, told: tuple[Path, Path]
) -> None:
    """A daemon that is away meanwhile is said once, and waited for; Ctrl-C is a good end."""
    out, err = told
    wait_for(lambda: "1/3" in out.read_text(), within=TIMEOUT, describe=lambda: (out.read_text(), err.read_text()))
    watching.send_signal(signal.SIGINT)
    assert watching.wait(TIMEOUT) == 0, err.read_text()
    lines = out.read_text().splitlines()
    assert [line for line in lines if " UTC: mode auto; " not in line] == [
        HEAD,
        "1         web      shop       yes      yes      3/3    02:58:03  -           -         -         -",
        HEAD,
        "1         web      shop       no       no       0/3    02:58:00  -           -         -         -",
        HEAD,
        "1         web      shop       yes      no       1/3    02:58:01  -           -         -         -",
    ]
    assert err.read_text().count("trying again") == 1


def test_on_a_terminal_it_is_shown_in_its_place(tmp_path: Path, night: Night) -> None:
    """The lines before are written over, not under."""
    ours, theirs = pty.openpty()
    seen = b""
    with daemon(tmp_path, night) as served:
        process = subprocess.Popen(
            command(served.url, served.token), stdout=theirs, stderr=subprocess.DEVNULL, env=environment()
        )
        os.close(theirs)
        try:
            while b"1/3" not in seen:
                seen += os.read(ours, 4096)  # ends by an error when the command does
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    assert b"\x1b[1A" in seen, seen


def test_a_program_is_told_to_ask_again_and_a_daemon_that_is_not_there_is_an_error(
    tmp_path: Path, night: Night
) -> None:
    night.watched = [None]
    with daemon(tmp_path, night) as served:
        asked = command(served.url, served.token)
        away = subprocess.run(asked, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment())
        json = [*asked, "-o", "json"]
        program = subprocess.run(json, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment())
    assert away.returncode == 3, away.stderr
    assert (program.returncode, "--watch shows a table for people" in program.stderr) == (2, True)
