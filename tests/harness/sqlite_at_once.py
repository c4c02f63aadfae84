"""
SQLite on the event loop's own thread, and what else would be in a thread: the real ledger where time is virtual.

A loop in virtual time finds nothing to do while a thread is at work, and moves its clock: every commit would take as long
as the next timer is away. Here a call is over before anybody waits for it.
"""

import concurrent.futures
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

from sqlalchemy import URL, Dialect, Engine, create_engine

_COMPILED: dict[Any, Any] = {}


@contextmanager
def at_once() -> Iterator[None]:
    """Let ledgers that are opened inside speak to SQLite without a thread."""
    engines = "kintsugi.ledger.store.engines"
    with patch(f"{engines}.ThreadPoolExecutor", ExecutorAtOnce), patch(f"{engines}.create_engine", _engine):
        yield


def _engine(url: URL, **settings: Any) -> Engine:
    """Make an engine. A statement is compiled for a dialect: all share one, and what was compiled for it."""
    engine = create_engine(url, execution_options={"compiled_cache": _COMPILED}, **settings)
    engine.dialect = _connected()
    return engine


@cache
def _connected() -> Dialect:
    """Return a dialect that knows the version of SQLite, as each does after its engine's first connection."""
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()
    return engine.dialect


class ExecutorAtOnce(ThreadPoolExecutor):
    """A loop's default executor that does what it is given in the thread that asks."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "concurrent.futures.Future[Any]":
        """Call the function now."""
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            done.set_result(fn(*args, **kwargs))
        # As a thread of the pool does, it hands everything on to who waits.
        except BaseException as error:  # noqa: BLE001
            done.set_exception(error)
        return done
