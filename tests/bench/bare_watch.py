"""
The least that a watch can cost: list in pages, decode each event into the kept struct, keep the newest. No rules.

`python -m tests.bench.bare_watch API_PORT` prints `0` once it watches, and goes on until it is killed.
"""

import asyncio
import sys

import aiohttp
import msgspec

from kintsugi.kube.watch_events import WatchEvent
from kubeobjects.kept import Pod

_PODS = "/api/v1/pods"
_BUFFER = 2 * 1024 * 1024


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _Metadata
    items: list[Pod]


async def watch(url: str) -> None:
    """List, then watch until the connection ends."""
    kept: dict[tuple[str, str], Pod] = {}
    async with aiohttp.ClientSession(url, read_bufsize=_BUFFER, timeout=aiohttp.ClientTimeout(total=None)) as session:
        version = await _list(session, kept)
        print(0, flush=True)
        events = msgspec.json.Decoder(WatchEvent[Pod])
        rest = b""
        async with session.get(_PODS, params={"watch": "true", "resourceVersion": version}) as response:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    pod = events.decode(line).object
                    kept[pod.metadata.namespace, pod.metadata.name] = pod


async def _list(session: aiohttp.ClientSession, kept: dict[tuple[str, str], Pod]) -> str:
    pages = msgspec.json.Decoder(_Page)
    more = "0"
    while True:
        async with session.get(_PODS, params={"limit": "500", "continue": more}) as response:
            page = pages.decode(await response.read())
        kept.update({(pod.metadata.namespace, pod.metadata.name): pod for pod in page.items})
        more = page.metadata.continue_
        if not more:
            return page.metadata.resource_version


if __name__ == "__main__":
    asyncio.run(watch(f"http://127.0.0.1:{sys.argv[1]}"))
