"""
Authentication and authorisation of requests: one table of rights, one function that reads it.

Tokens come from files that are read anew when they change. Nothing here reads a request's body.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aiohttp import web

from kintsugi.settings import SettingsError
from kintsugi.telemetry import SECRETS, get_logger
from kintsugi.tokens import read_tokens

log = get_logger(__name__)


class ApiRole(StrEnum):
    """The role of a request, by its token."""

    NOBODY = "nobody"
    WEBHOOK = "webhook"
    OPERATOR = "operator"


class Action(StrEnum):
    """The action of a route, for which a role needs the right."""

    DESCRIBE = "describe"
    DELIVER = "deliver"
    READ = "read"
    ANSWER = "answer"
    ABORT = "abort"
    TAKE = "take"
    ROLL_BACK = "roll-back"
    PAUSE = "pause"
    DRILL = "drill"
    RECOVER = "recover"
    RESEND = "resend"
    TEST_ROUTE = "test-route"


RIGHTS: Mapping[ApiRole, frozenset[Action]] = {
    ApiRole.NOBODY: frozenset({Action.DESCRIBE}),
    ApiRole.WEBHOOK: frozenset({Action.DESCRIBE, Action.DELIVER}),
    ApiRole.OPERATOR: frozenset(
        {
            Action.DESCRIBE,
            Action.READ,
            Action.ANSWER,
            Action.ABORT,
            Action.TAKE,
            Action.ROLL_BACK,
            Action.PAUSE,
            Action.DRILL,
            Action.RECOVER,
            Action.RESEND,
            Action.TEST_ROUTE,
        }
    ),
}
"""All that anybody may do. The webhook's token starts runbooks by delivering alerts, and nothing else."""


def may(role: ApiRole, action: Action) -> bool:
    """Return whether a role has a right; what is not in the table is denied."""
    return action in RIGHTS.get(role, frozenset())


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """
    The sender of a request: `name` is empty where the token belongs to no particular person.

    `taken` are the names that have a token of their own, where this one has no name: it cannot claim them.
    """

    role: ApiRole
    name: str = ""
    taken: frozenset[str] = frozenset()


ANONYMOUS = Principal(role=ApiRole.NOBODY)

IDENTITY = web.RequestKey("identity", Principal)
"""The key under which a request keeps its principal."""


@dataclass(frozen=True, slots=True)
class _Token:
    """A token as it is compared: never itself, only its digest."""

    digest: bytes
    name: str


class TokenFiles:
    """
    The tokens in some files, one a line, a person's as `NAME:TOKEN` where `named` allows it.

    All of them are valid at once, so that a token can be rotated under load (A9). A file in which anything is wrong, or
    that cannot be read, keeps the tokens it had: a file being replaced must not cost a delivery. To take a token back,
    write another. At the start there is nothing to keep: then SettingsError is raised with all that is wrong.
    """

    def __init__(self, paths: Iterable[Path], *, named: bool = False) -> None:
        self._named = named
        self._stamps: dict[Path, object] = dict.fromkeys(paths)
        self._tokens: dict[Path, tuple[_Token, ...]] = {}
        problems = tuple(f"{path}: {problem}" for path in self._stamps for problem in self._read(path))
        if problems:
            raise SettingsError(problems)

    def __bool__(self) -> bool:
        """Return whether there is any token."""
        return any(self._tokens.values())

    @property
    def names(self) -> frozenset[str]:
        """Return the names that have a token of their own."""
        return frozenset(known.name for tokens in self._tokens.values() for known in tokens if known.name)

    def holder(self, token: bytes) -> str | None:
        """Return the name of a token's holder (empty for a bare one), None for a token that is not known."""
        return self.holder_of(hashlib.sha256(token).digest())

    def holder_of(self, digest: bytes) -> str | None:
        """Return the same of the token with a SHA-256 digest."""
        self._refresh()
        found = None
        for known in (each for tokens in self._tokens.values() for each in tokens):
            if hmac.compare_digest(digest, known.digest):
                found = known.name
        return found

    def _refresh(self) -> None:
        """Read the files that have changed; what is wrong with one is said once, not at each request."""
        for path, stamp in self._stamps.items():
            problems = self._read(path) if stamp != _stamp(path) else ()
            if problems:
                log.warning("token file refused, its last tokens stay valid", file=str(path), problems=list(problems))

    def _read(self, path: Path) -> tuple[str, ...]:
        """Take the tokens of one file, or return what is wrong with it and leave those that it had."""
        self._stamps[path] = _stamp(path)
        try:
            read = read_tokens(path.read_bytes(), named=self._named)
        except OSError as error:
            return (f"it cannot be read: {error.strerror or error}",)
        if read.problems:
            return read.problems
        for line in read.lines:
            SECRETS.register(line.token.decode("ascii"))
        self._tokens[path] = tuple(_Token(hashlib.sha256(line.token).digest(), line.name) for line in read.lines)
        return ()


def _stamp(path: Path) -> object:
    """Distinguish one version of a file from another; a mounted Secret is replaced by turning a link."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


class Authenticator:
    """Resolves who a request comes from by its `Authorization`."""

    def __init__(self, webhook: TokenFiles, operators: TokenFiles, *, open_webhook: bool = False) -> None:
        """Let `open_webhook` make everybody without credentials a webhook: only by the explicit flag."""
        self._webhook, self._operators = webhook, operators
        self._without = Principal(role=ApiRole.WEBHOOK) if open_webhook and not webhook else ANONYMOUS

    def identify(self, authorization: Sequence[str]) -> Principal:
        """Identify by all `Authorization` headers of a request: none, or one with a known bearer token (A10)."""
        if not authorization:
            return self._without
        scheme, _, token = authorization[0].partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer":
            return ANONYMOUS
        raw = token.strip().encode("utf-8", "surrogateescape")
        name = self._operators.holder(raw)
        if name is not None:
            return Principal(role=ApiRole.OPERATOR, name=name, taken=frozenset() if name else self._operators.names)
        return ANONYMOUS if self._webhook.holder(raw) is None else Principal(role=ApiRole.WEBHOOK)
