"""Where a ledger may be kept, and what is said of everything else."""

from pathlib import Path

import pytest

from kintsugi.errors import LedgerError
from kintsugi.ledger.engines import file_of, parse_url


@pytest.mark.parametrize(
    ("url", "driver", "file"),
    [
        ("sqlite:////var/lib/kintsugi/ledger.db", "sqlite+aiosqlite", Path("/var/lib/kintsugi/ledger.db")),
        ("sqlite+aiosqlite:///ledger.db", "sqlite+aiosqlite", Path("ledger.db")),
        ("postgresql://me@db/kintsugi", "postgresql+asyncpg", None),
        ("postgres://me@db/kintsugi", "postgresql+asyncpg", None),
        ("postgresql+psycopg://me@db/kintsugi", "postgresql+asyncpg", None),
    ],
)
def test_a_ledger_is_kept_in_sqlite_or_postgresql(url: str, driver: str, file: Path | None) -> None:
    """One code base for both; the driver is ours to choose."""
    parsed = parse_url(url)
    assert (parsed.drivername, file_of(parsed)) == (driver, file)


def test_the_word_of_psql_for_encryption_is_taken() -> None:
    """libpq says sslmode, asyncpg says ssl."""
    assert dict(parse_url("postgresql://db/kintsugi?sslmode=verify-full").query) == {"ssl": "verify-full"}


def test_the_end_of_a_file_s_line_is_no_part_of_a_url() -> None:
    """A Secret made by `--from-file` holds it."""
    assert parse_url("postgresql://me@db/kintsugi\n").database == "kintsugi"


@pytest.mark.parametrize(
    ("url", "said", "right"),
    [
        ("not a url", "cannot be read", "sqlite:////path/file"),
        ("mysql://db/kintsugi", "cannot be stored in mysql", "sqlite:////path/file"),
        ("sqlite://", "needs a file", "in memory"),
        ("sqlite:///:memory:", "needs a file", "in memory"),
    ],
)
def test_any_other_url_is_refused_with_what_would_be_right(url: str, said: str, right: str) -> None:
    """No stack trace for a typing error; and no password in a message."""
    with pytest.raises(LedgerError, match=said) as refused:
        parse_url(url)
    assert right in str(refused.value)
