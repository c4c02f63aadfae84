"""How a worker is started, the file that it verifies and uses, and the passwords that it sets (E8)."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi_restore.worker.dump import Dump
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker.options import (
    DatabaseRole,
    FetchOptions,
    RestoreOptions,
    ServerOptions,
    password_variable,
    read,
)
from kintsugi_restore.worker.roles import verifier
from kintsugi_restore.worker_results import WorkFailure

SERVER = ["--host", "db", "--user", "postgres"]


def test_a_restore_is_read_whole() -> None:
    """Passwords come from the environment, each by its role's name."""
    options = read(
        ["restore", "/backups/a.dump", *SERVER, "--database", "app", "--role", "app-rw", "--role", "x", "--name", "r1"],
        {"PGPASSWORD": "main", "PGPASSWORD_APP_RW": "its"},
    )
    assert options == RestoreOptions(
        file=Path("/backups/a.dump"),
        server=ServerOptions(host="db", port=5432, user="postgres", password="main"),
        database="app",
        roles=(DatabaseRole(name="app-rw", password="its"), DatabaseRole(name="x")),
        name="r1",
    )
    assert "main" not in repr(options)
    assert "its" not in repr(options)


def test_a_drill_stays_with_its_own_server_and_needs_no_password() -> None:
    """The server is reached by a socket, and ends with the worker."""
    words = ["--host", "/server/socket", "--user", "postgres", "--database", "kintsugi_drill_1"]
    assert read(["restore", "/backups/a.dump", *words, "--scratch", "--name", "r1", "--hold"], {}) == RestoreOptions(
        file=Path("/backups/a.dump"),
        server=ServerOptions(host="/server/socket", port=5432, user="postgres"),
        database="kintsugi_drill_1",
        scratch=True,
        name="r1",
        hold=True,
    )


def test_a_fetch_is_read_whole() -> None:
    """A fetch asks a server only where one is named."""
    assert read(["fetch", "s3://b/p/", "--into", "/b", "--database", "app", "--max-age", "60"], {}) == FetchOptions(
        url="s3://b/p/", into=Path("/b"), database="app", max_age=timedelta(minutes=1)
    )
    fetch = read(["fetch", "s3://b/p/", "--into", "/b", "--database", "app", "--server", "db:5433"], {})
    assert isinstance(fetch, FetchOptions)
    assert fetch.server == ServerOptions(host="db", port=5433, user="postgres")


@pytest.mark.parametrize(
    "wrong", [[], ["restore"], ["dance"], ["restore", "--host", "db"], ["restore", "a", "--hos", "db"]]
)
def test_a_command_line_that_makes_no_sense_ends_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And says what would be right."""
    with pytest.raises(SystemExit) as ended:
        read(wrong, {})
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(("role", "variable"), [("app", "PGPASSWORD_APP"), ("app-rw.x", "PGPASSWORD_APP_RW_X")])
def test_a_roles_variable_is_its_name_in_capitals(role: str, variable: str) -> None:
    """What a variable's name cannot hold is a `_`."""
    assert password_variable(role) == variable


MODULES = "import sys; from kintsugi_restore.worker import __main__; print(*sorted({each.partition('.')[0] for each in sys.modules}))"


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """Return the packages that a worker has imported when it begins."""
    done = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["aiohttp", "kubernetes_asyncio", "sqlalchemy", "pydantic", "apscheduler"])
def test_a_worker_starts_without_what_only_the_daemon_needs(imported: set[str], package: str) -> None:
    """An HTTP client alone is a third of its start."""
    assert "boto3" in imported
    assert package not in imported


SIZE = 5_000_003


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file of several pieces."""
    path = tmp_path / "app.dump"
    path.write_bytes(os.urandom(SIZE))
    return path


def fed(file: Path, sha256: str, meanwhile: Callable[[], None] = lambda: None) -> bytes:
    """Feed a file into a pipe and give what came out; something happens after the first byte."""
    out, into = os.pipe()
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(out, "rb") as stream:
            got.append(stream.read(1))
            meanwhile()
            got.append(stream.read())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with Dump.opened(file) as dump:
            dump.feed(into, sha256, lambda _: None, threading.Event())
    finally:
        reader.join()
    return b"".join(got)


def test_the_bytes_of_the_pipe_are_the_file(file: Path) -> None:
    """To the last byte."""
    content = file.read_bytes()
    assert fed(file, hashlib.sha256(content).hexdigest()) == content


def test_a_file_that_is_replaced_is_the_one_that_was_opened(file: Path) -> None:
    """Another one of the same name is none of ours."""
    content = file.read_bytes()
    other = file.with_name("other")
    other.write_bytes(b"other")
    with Dump.opened(file) as dump:
        other.rename(file)
        assert dump.sha256(lambda _: None, threading.Event()) == hashlib.sha256(content).hexdigest()


def test_a_file_that_changes_under_the_restore_never_comes_to_its_end(file: Path) -> None:
    """Its last piece stays away: a transaction that lacks it cannot be committed."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def change() -> None:
        with file.open("r+b") as stream:
            stream.seek(SIZE - 10)
            stream.write(b"changed")

    got: list[int] = []
    with pytest.raises(WorkFailed, match="not the file that was fetched") as failed:
        got.append(len(fed(file, digest, change)))
    assert failed.value.kind is WorkFailure.MISMATCH
    assert got == []


def test_feeding_is_counted_and_stops_when_asked(file: Path) -> None:
    """Progress adds up; a restore that ended does not read on."""
    counted: list[int] = []
    stop = threading.Event()
    with Dump.opened(file) as dump:
        dump.sha256(counted.append, stop)
        assert sum(counted) == dump.size == SIZE
        stop.set()
        assert dump.sha256(counted.append, stop) == hashlib.sha256().hexdigest()


def test_a_reader_that_has_gone_is_no_failure_of_the_file(file: Path) -> None:
    """Why it went is its own to say."""
    out, into = os.pipe()
    os.close(out)
    with Dump.opened(file) as dump:
        dump.feed(into, "whatever", lambda _: None, threading.Event())


def test_the_verifier_is_the_one_of_rfc_7677() -> None:
    """User `user`, password `pencil`: the keys follow from the exchange that stands in its section 3."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
