"""Accept signals one after another and print each key once it is durable, until killed: `python -m … URL`."""

import asyncio
import itertools
import sys

from kintsugi.ledger import Ledger
from tests.contract.ledger.build import NOW, signal


async def accept_for_ever(url: str) -> None:
    """Print what may be counted on."""
    async with Ledger.open(url, holder="kintsugi-0") as ledger:
        for number in itertools.count():
            keys = [f"durable-{number}-{caller}" for caller in range(5)]
            await asyncio.gather(*(ledger.signals.accept([signal(key)], NOW) for key in keys))
            print(*keys, flush=True)


if __name__ == "__main__":
    asyncio.run(accept_for_ever(sys.argv[1]))
