"""
All objects of a kind, one after another, for a decision that is about all of them, however many there are.

A list of thousands would be freed at once by its last holder, on the event loop. So each object is let go of when the next is
asked for, and the loop has its turn in between.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache

from kintsugi.errors import KubeError
from kintsugi.kube.api_errors import Request
from kintsugi.kube.object_cache import T
from kintsugi.kube.pages import ListMetadata, Page, Reader, raw_items
from kintsugi.kube.watch_events import EventReader, Undecodable
from kubeobjects.resources import Resource

AT_ONCE = 16
"""Objects between two turns of the loop: of usual ones 64 KiB."""


async def iter_objects(
    pages: Callable[[Reader[list[T | Undecodable]]], AsyncIterator[Page[list[T | Undecodable]]]],
    kept: type[T],
    resource: Resource,
) -> AsyncIterator[T]:
    """Yield the objects of a list. Raises KubeError for one that cannot be read, and what `pages` raises."""
    reader = _reader(kept)

    def read(request: Request, body: bytes) -> tuple[ListMetadata, list[T | Undecodable]]:
        metadata, items = raw_items(request, body)
        read: list[T | Undecodable] = []
        for item in items:
            read.append(reader.read_object(item))
            if isinstance(read[-1], Undecodable):  # it ends the list
                break
        return metadata, read

    found: list[T | Undecodable] = []
    try:
        async for page in pages(read):
            if page.first:
                await _let_go(found)
            found = found + page.items if found else page.items
        found.reverse()
        while found:
            item = found.pop()
            if isinstance(item, Undecodable):
                named = f"{resource.singular} {item.identity.namespace}/{item.identity.name}"
                raise KubeError(f"{named} cannot be read: {item.reason}")
            yield item
            if len(found) % AT_ONCE == 0:
                await asyncio.sleep(0)
    finally:
        await _let_go(found)


async def _let_go(items: list[T | Undecodable]) -> None:
    while items:
        del items[-AT_ONCE:]
        await asyncio.sleep(0)


@cache
def _reader(kept: type[T]) -> EventReader[T]:
    return EventReader(kept)
