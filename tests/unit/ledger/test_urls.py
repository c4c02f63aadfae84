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


def test_what_psql_takes_for_encryption_is_taken() -> None:
    """libpq says sslmode, asyncpg says ssl."""
    assert dict(parse_url("postgresql://db/kintsugi?sslmode=verify-full").query) == {"ssl": "verify-full"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("not a url", "cannot be read"),
        ("mysql://db/kintsugi", "cannot be kept in mysql"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(url: str, said: str) -> None:
    """No stack trace for a typing error; and no password in a message."""
    with pytest.raises(LedgerError, match=said) as refused:
        parse_url(url)
    assert "sqlite:////path/file" in str(refused.value) or "in memory" in str(refused.value)
