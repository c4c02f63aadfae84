"""
Who is asking, and whether they may: one table of rights, one function that reads it.

Tokens come from files that are read anew when they change. Nothing here reads a request's body.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kintsugi.telemetry import SECRETS, get_logger

log = get_logger(__name__)


class Role(StrEnum):
    """What a request is, by the token it carries."""

    NOBODY = "nobody"
    WEBHOOK = "webhook"
    OPERATOR = "operator"


class Action(StrEnum):
    """What a route does."""

    DESCRIBE = "describe"
    DELIVER = "deliver"
    READ = "read"
    APPROVE = "approve"
    ROLL_BACK = "roll-back"
    PAUSE = "pause"
    DRILL = "drill"
    RESEND = "resend"


RIGHTS: Mapping[Role, frozenset[Action]] = {
    Role.NOBODY: frozenset({Action.DESCRIBE}),
    Role.WEBHOOK: frozenset({Action.DESCRIBE, Action.DELIVER}),
    Role.OPERATOR: frozenset(
        {
            Action.DESCRIBE,
            Action.READ,
            Action.APPROVE,
            Action.ROLL_BACK,
            Action.PAUSE,
            Action.DRILL,
            Action.RESEND,
        }
    ),
}
"""All that anybody may do. The webhook's token starts runbooks by delivering alerts, and nothing else."""


def may(role: Role, action: Action) -> bool:
    """Tell whether a role has a right; what is not in the table is denied."""
    return action in RIGHTS.get(role, frozenset())


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a request comes from: `name` is empty where the token belongs to no particular person."""

    role: Role
    name: str = ""


ANONYMOUS = Identity(role=Role.NOBODY)


@dataclass(frozen=True, slots=True)
class _Token:
    """A token as it is compared: never itself, only its digest."""

    digest: bytes
    name: str


class TokenFiles:
    """
    The tokens in some files, one a line, a person's as `NAME:TOKEN` where `named` allows it.

    All of them are valid at once, so that a token can be rotated under load (A9). A file that cannot be read or holds
    nothing keeps the tokens it had: a file being replaced must not cost a delivery. To take a token back, write another.
    """

    def __init__(self, paths: Iterable[Path], *, named: bool = False) -> None:
        self._named = named
        self._stamps: dict[Path, object] = dict.fromkeys(paths)
        self._tokens: dict[Path, tuple[_Token, ...]] = {}
        self._refresh()

    def __bool__(self) -> bool:
        """Tell whether there is any token."""
        return any(self._tokens.values())

    def holder(self, token: bytes) -> str | None:
        """Give the name of a token's holder (empty for a bare one), None for a token that is not known."""
        self._refresh()
        digest, found = hashlib.sha256(token).digest(), None
        for known in (each for tokens in self._tokens.values() for each in tokens):
            if hmac.compare_digest(digest, known.digest):
                found = known.name
        return found

    def _refresh(self) -> None:
        """Read the files that have changed."""
        for path, stamp in self._stamps.items():
            now = _stamp(path)
            if now is None or now == stamp:
                continue
            tokens = self._read(path)
            if tokens:
                self._tokens[path], self._stamps[path] = tokens, now

    def _read(self, path: Path) -> tuple[_Token, ...]:
        """Read one file; empty when there is nothing in it."""
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            log.warning("token file cannot be read, its last tokens stay valid", file=str(path), error=str(error))
            return ()
        tokens = tuple(self._token(line.strip()) for line in lines if line.strip())
        if not tokens:
            log.warning("token file is empty, its last tokens stay valid", file=str(path))
        return tokens

    def _token(self, line: bytes) -> _Token:
        """Take one line apart and forget the token itself."""
        name, colon, token = line.partition(b":") if self._named else (b"", b"", line)
        if not colon:
            name, token = b"", line
        SECRETS.register(token.decode("utf-8", "replace"))
        return _Token(hashlib.sha256(token).digest(), name.decode("utf-8", "replace"))


def _stamp(path: Path) -> object:
    """Tell one version of a file from another; a mounted Secret is replaced by turning a link."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


class Authentication:
    """Tells who a request comes from by its `Authorization`."""

    def __init__(self, webhook: TokenFiles, operators: TokenFiles, *, open_webhook: bool = False) -> None:
        """Let `open_webhook` make everybody without credentials a webhook: only by the explicit flag."""
        self._webhook, self._operators = webhook, operators
        self._without = Identity(role=Role.WEBHOOK) if open_webhook and not webhook else ANONYMOUS

    def identify(self, authorization: Sequence[str]) -> Identity:
        """Identify by all `Authorization` headers of a request: none, or one with a known bearer token (A10)."""
        if not authorization:
            return self._without
        scheme, _, token = authorization[0].partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer":
            return ANONYMOUS
        raw = token.strip().encode("utf-8", "surrogateescape")
        name = self._operators.holder(raw)
        if name is not None:
            return Identity(role=Role.OPERATOR, name=name)
        return ANONYMOUS if self._webhook.holder(raw) is None else Identity(role=Role.WEBHOOK)
