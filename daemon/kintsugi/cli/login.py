"""
The daemon that a person uses, remembered in a file: its address, and the files of the token and of its authority.

The token itself stays in its own file. An address that is typed, or is in KINTSUGI_SERVER, is another daemon: nothing of the
file is used with it, so that no token is sent elsewhere.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from kintsugi.cli.options import DEFAULT_SERVER, Connection
from kintsugi.errors import UsageError


class Login(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The remembered daemon; paths are absolute."""

    server: str
    token_file: str = ""
    ca_file: str = ""


def login_file(environ: Mapping[str, str]) -> Path:
    """Return where the login is kept, by the XDG Base Directory Specification."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kintsugi" / "login.json"


def with_login(connection: Connection, environ: Mapping[str, str]) -> Connection:
    """Return a connection with the login's values where no address was given. Raises UsageError for a file that cannot be read."""
    if connection.server is not None:
        return connection
    file = login_file(environ)
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Login)
    except FileNotFoundError:
        return replace(connection, server=DEFAULT_SERVER)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}; `kintsugi login` writes it") from error
    token = connection.token_file or (None if environ.get("KINTSUGI_TOKEN") else _path(kept.token_file))
    return replace(connection, server=kept.server, token_file=token, ca_file=connection.ca_file or _path(kept.ca_file))


def keep(connection: Connection, environ: Mapping[str, str]) -> Path:
    """Write a connection down as the login, and return the file."""
    kept = Login(
        server=connection.server or DEFAULT_SERVER,
        token_file=_text(connection.token_file),
        ca_file=_text(connection.ca_file),
    )
    file = login_file(environ)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
    return file


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _text(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())
