"""What a worker writes on its log is what the daemon reads; what pg_restore says becomes one sentence and a kind."""

import io
from datetime import UTC, datetime

import pytest

from kintsugi.model.restores import Backup, Restored, Skipped, Table
from kintsugi_restore.worker.log_writer import LogWriter
from kintsugi_restore.worker.restore_errors import ErrorOutput, classify
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


WHERE = "db:5432"
MISSING_ROLE = b"""pg_restore: connecting to database for restore
pg_restore: creating TABLE "public.orders"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 215; 1259 16385 TABLE orders app
pg_restore: error: could not execute query: ERROR:  role "app" does not exist
Command was: ALTER TABLE public.orders OWNER TO app;
pg_restore: error: something else
"""


def heard(text: bytes, *, piece: int = 1 << 16) -> ErrorOutput:
    """Let them be heard in pieces."""
    complaints = ErrorOutput()
    for at in range(0, len(text), piece):
        complaints.take(text[at : at + piece])
    return complaints


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
def test_the_first_error_counts_in_whatever_pieces_it_comes(piece: int) -> None:
    """What follows it is its consequence."""
    complaints = heard(MISSING_ROLE, piece=piece)
    assert complaints.activity == 'creating TABLE "public.orders"'
    judged = classify(complaints, WHERE, 1)
    assert judged.kind is WorkFailure.MISMATCH
    assert judged.reason == (
        "the dump needs the role app, which db:5432 does not have and which is not declared (at TABLE orders app)"
    )


@pytest.mark.parametrize(
    ("said", "kind", "word"),
    [
        ('could not execute query: ERROR:  extension "postgis" is not available', WorkFailure.MISMATCH, "postgis"),
        (
            'could not execute query: ERROR:  could not open extension control file "/usr/ext/postgis.control": No such',
            WorkFailure.MISMATCH,
            "extension postgis,",
        ),
        (
            'COPY failed for table "t": ERROR:  could not extend file "base/1/2": No space left on device',
            WorkFailure.DISK_FULL,
            "the disk of db:5432 is full",
        ),
        ("error returned by PQputCopyData: server closed the connection unexpectedly", WorkFailure.UNREACHABLE, WHERE),
        ('connection to server at "db", port 5432 failed: Connection refused', WorkFailure.UNREACHABLE, WHERE),
        ("could not execute query: ERROR:  permission denied to create extension", WorkFailure.REFUSED, "permission"),
        ("could not read from input file: end of file", WorkFailure.FAILED, "end of file"),
    ],
)
def test_each_kind_of_failure_is_told_apart(said: str, kind: WorkFailure, word: str) -> None:
    """And the sentence says where."""
    judged = classify(heard(f"pg_restore: error: {said}\n".encode()), WHERE, 1)
    assert judged.kind is kind
    assert word in judged.reason


def test_lines_of_the_server_are_kept_and_those_of_the_dump_are_not() -> None:
    """Rows and commands of a dump may look like anything, an error of ours too."""
    complaints = heard(
        b"pg_restore: error: COPY failed: ERROR:  bad row\nDETAIL:  why\nCommand was: x\n"
        b'HINT:  pg_restore: error: role "root" does not exist\n'
    )
    assert complaints.error == "COPY failed: ERROR:  bad row; DETAIL:  why"


def test_an_endless_line_takes_no_memory() -> None:
    """A row may have a gigabyte."""
    complaints = ErrorOutput()
    for _ in range(1000):
        complaints.take(b"x" * 65536)
    assert len(complaints._rest) < 10_000


@pytest.mark.parametrize(("ended", "how"), [(-9, "ended by signal 9"), (3, "ended with code 3")])
def test_an_end_without_a_word_is_called_that(ended: int, how: str) -> None:
    """Killed for its memory, say."""
    judged = classify(ErrorOutput(), WHERE, ended)
    assert judged.kind is WorkFailure.FAILED
    assert how in judged.reason
