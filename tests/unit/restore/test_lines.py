"""What a worker writes on its log is what the daemon reads; what else stands there says nothing."""

import io
from datetime import UTC, datetime

import pytest

from kintsugi.model.restores import Backup, Restored, Skipped, Table
from kintsugi_restore.worker.log_writer import LogWriter
from kintsugi_restore.worker_log import Note, WorkLine, decode, encode, is_last
from kintsugi_restore.worker_results import Failed, WorkFailure, WorkPhase, WorkProgress

BACKUP = Backup(
    url="s3://bucket/database/app.dump",
    file="/backups/app.dump",
    key="database/app.dump",
    size=4711,
    taken=datetime(2026, 11, 24, 2, 14, 7, tzinfo=UTC),
    sha256="00ff",
    proven=True,
    database="app",
    server_major=16,
    roles=("app",),
    extensions=("vector",),
    skipped=(Skipped(url="s3://bucket/database/newer.dump", reason="it is cut off"),),
    age_seconds=1.5,
)
LINES: tuple[WorkLine, ...] = (
    WorkProgress(phase=WorkPhase.RESTORING, bytes=1, of=2, what='TABLE "public.ordérs"\n'),
    Note(text='an "older" one\nis taken'),
    BACKUP,
    Restored(database="app", bytes=1, seconds=0.5, tables=(Table(name="public.orders", rows=3),)),
    Failed(kind=WorkFailure.DISK_FULL, reason="the disk is full"),
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: type(line).__name__)
def test_every_line_is_read_back_as_it_was_said(line: WorkLine) -> None:
    """One line each, whatever is in it."""
    text = encode(line)
    assert "\n" not in text
    assert decode(text) == line


def test_only_how_it_ended_is_a_last_line() -> None:
    """Progress and notes are none."""
    assert [is_last(line) for line in LINES] == [False, False, True, True, True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "{",
        "[]",
        "null",
        "17",
        "{}",
        '{"other": 1}',
        '{"failed": {}}',
        '{"progress": {"phase": "dancing"}}',
        encode(BACKUP)[:-2],
        "\ud800",
    ],
)
def test_a_line_that_is_not_a_worker_s_says_nothing(text: str) -> None:
    """A log may hold anything."""
    assert decode(text) is None


def test_fields_of_a_newer_worker_are_passed_over() -> None:
    """Daemon and worker may come from two images for a while."""
    assert decode('{"failed":{"kind":"failed","reason":"a","when":"now"},"more":1}') == Failed(
        kind=WorkFailure.FAILED, reason="a"
    )


def test_a_reader_that_has_gone_does_not_end_the_work() -> None:
    """A restore that nobody listens to is still worth its end."""

    class Broken(io.StringIO):
        tries = 0

        def write(self, text: str) -> int:
            self.tries += 1
            raise BrokenPipeError

    stream = Broken()
    lines = LogWriter(stream)
    lines.report(Note(text="one"))
    lines.report(Note(text="two"))
    assert stream.tries == 1
