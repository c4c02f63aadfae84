"""
The sessions of people in the console.

A session begins with an operator's token, and ends with it: it is valid only as long as the token is. Sessions are kept in
memory, so that a restart of the daemon asks for the tokens again.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

LASTS = timedelta(hours=12)
"""The length of a session, about a shift."""

_MOST = 1000
"""Sessions that are kept; the oldest is dropped for a new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsoleSession:
    """
    The session of the operator `name`, whose token has the `digest`.

    `form_key` is in each form of the session's pages: another site cannot know it, and so cannot send a form in the operator's
    name (https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html).
    """

    name: str
    digest: bytes
    form_key: str
    expires: datetime

    def has_form_key(self, sent: str) -> bool:
        """Return whether a form was of this session."""
        return hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), self.form_key.encode())


class ConsoleSessions:
    """`operator_of` returns the operator whose token has a digest: "" for a token without a name, None for no token."""

    def __init__(self, operator_of: Callable[[bytes], str | None], clock: Callable[[], datetime]) -> None:
        self._operator_of, self._clock = operator_of, clock
        self._sessions: dict[bytes, ConsoleSession] = {}  # by the digest of the cookie, the oldest first

    def begin(self, token: str) -> str | None:
        """Return the cookie of a new session, None unless the token, or what follows the name in NAME:TOKEN, is a named operator's."""
        known = ((each, self._operator_of(each)) for each in map(_digest, (token, token.partition(":")[2])))
        digest, name = next(((each, name) for each, name in known if name), (b"", ""))
        if not name:
            return None
        if len(self._sessions) >= _MOST:
            del self._sessions[next(iter(self._sessions))]
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = ConsoleSession(
            name=name, digest=digest, form_key=secrets.token_urlsafe(32), expires=self._clock() + LASTS
        )
        return cookie

    def of(self, cookie: str) -> ConsoleSession | None:
        """Return the session of a cookie, None once it has expired or its token is not valid any more."""
        found = self._sessions.get(_digest(cookie))
        if found is not None and (found.expires <= self._clock() or self._operator_of(found.digest) != found.name):
            self.end(cookie)
            return None
        return found

    def end(self, cookie: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(cookie), None)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
