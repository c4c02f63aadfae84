"""What `pg_restore` says becomes one sentence and a kind; what stands in a dump becomes neither."""

import pytest

from kintsugi_restore.worker.restore_errors import ErrorOutput, classify
from kintsugi_restore.worker_results import WorkFailure

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
