"""A ledger that has its tables and no rows: made once a run, since migrations take longer than most tests do with it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from kintsugi.ledger import Ledger


def url_of(file: Path) -> str:
    """Return the URL of a ledger in an SQLite file."""
    return f"sqlite:///{file}"


async def make(url: str) -> None:
    """Let a ledger make its tables."""
    async with Ledger.open(url, holder="its maker"):
        pass


@cache
def content() -> bytes:
    """Return what is in an SQLite file after that, for a test to write to a file of its own."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        # In a thread, for callers that run on an event loop of their own.
        with ThreadPoolExecutor(max_workers=1) as aside:
            aside.submit(lambda: asyncio.run(make(url_of(file)))).result()
        return file.read_bytes()
