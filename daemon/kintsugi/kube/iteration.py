"""
All objects of a kind, one after another, for a decision that is about all of them, however many there are.

The loop has its turn after each 500 of them, as after each page.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache

from kintsugi.errors import KubeError
from kintsugi.kube.api_errors import Request
from kintsugi.kube.object_cache import T
from kintsugi.kube.pages import PAGE, ListMetadata, Page, Reader, raw_items
from kintsugi.kube.watch_events import EventReader, Undecodable
from kubeobjects.resources import Resource


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
    async for page in pages(read):
        if page.first:
            found.clear()
        found += page.items
    for count, item in enumerate(found, start=1):
        if isinstance(item, Undecodable):
            named = f"{resource.singular} {item.identity.namespace}/{item.identity.name}"
            raise KubeError(f"{named} cannot be read: {item.reason}")
        yield item
        if count % PAGE == 0:
            await asyncio.sleep(0)


@cache
def _reader(kept: type[T]) -> EventReader[T]:
    return EventReader(kept)
