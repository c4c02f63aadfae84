"""
The readiness of the daemon, and the parts that are waited for: checked on the event loop of the parts.

Every caller may see the parts. The reasons name the database's host and user, and are for people with a token.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

from kintsugi.errors import KintsugiError
from kintsugi.telemetry import SECRETS, get_logger

log = get_logger(__name__)

Check = Callable[[], Awaitable[str]]
"""Returns "" when all is well, else what is not; may raise any KintsugiError."""

_TIMEOUT = 1.0
"""Seconds that one check may take; a kubelet waits about as long."""


class Component(StrEnum):
    """A part that must work before the daemon is ready."""

    LEDGER = "ledger"
    CLOCK = "clock"
    CACHES = "caches"
    EVENT_LOOP = "event-loop"


class Readiness:
    """The checks of one daemon."""

    def __init__(self, checks: Mapping[Component, Check]) -> None:
        self._checks = checks
        self._last: frozenset[Component] = frozenset()

    async def check(self) -> Mapping[Component, str]:
        """Ask every check; return the parts that are waited for, each with what is not well. A change is logged."""
        parts = list(self._checks)
        found = await asyncio.gather(*(_ask(self._checks[part]) for part in parts))
        waiting_for = {part: SECRETS.text(text) for part, text in zip(parts, found, strict=True) if text}
        if waiting_for.keys() != self._last:
            self._last = frozenset(waiting_for)
            log.info("readiness changed", ready=not waiting_for, waiting_for=waiting_for)
        return waiting_for


async def _ask(check: Check) -> str:
    """Ask one check, for a second at most."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await check()
    except TimeoutError:
        return f"no answer within {_TIMEOUT:g}s"
    except KintsugiError as error:
        return str(error)
