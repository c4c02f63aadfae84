"""The worker's command line and its environment, read into values."""

from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi_restore.worker.options import (
    DatabaseRole,
    FetchOptions,
    RestoreOptions,
    ServerOptions,
    password_variable,
    read,
)

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
