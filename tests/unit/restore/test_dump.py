"""The file that is verified is the file that is used (E8)."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kintsugi_restore.worker.dump import Dump
from kintsugi_restore.worker.log_writer import WorkFailed
from kintsugi_restore.worker_results import WorkFailure

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
