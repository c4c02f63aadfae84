"""
Lists read page by page, with expired page tokens (410) survived.

The reader converts a page's items: the client to JSON, a reflector to kept structs. A page has as many bytes as the
server likes; a large one is read in a thread, while the server makes the next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Generic, TypeVar

import msgspec

from kintsugi.errors import Gone, KubeError
from kintsugi.kube.api_errors import UNREADABLE, Request, unanswered
from kintsugi.kube.watch_events import EventReader, Undecodable
from kintsugi.offload import processed
from kubeobjects.metadata import Object
from kubeobjects.resources import Resource

PAGE = 500
"""Objects of a page, and those that are gone through between two turns of the event loop."""

# A page token lives five minutes at most. Where it is lost twice, everything is asked for in one answer.
_PAGED_ATTEMPTS = 2
_MOST_PAGES = 10_000
"""Pages of one list: at 500 objects a page more than any cluster holds. A list that goes on is without end."""

T = TypeVar("T")
Item = TypeVar("Item", bound=Object)


class ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of a page: the version of the whole list, and the token of the next page, "" on the last one."""

    resource_version: str = ""
    token: str = msgspec.field(default="", name="continue")


Reader = Callable[[Request, Sequence[msgspec.Raw]], T]
"""Makes something of the items of a page; it runs in a thread where the page is large, and may raise ServerUnavailable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """A part of a list. When `first` is set the list begins, perhaps anew: what came before is void."""

    metadata: ListMetadata
    items: T
    first: bool = False


class _RawPage(msgspec.Struct, frozen=True):
    metadata: ListMetadata = ListMetadata()
    items: list[msgspec.Raw] | None = None


_RAW_PAGES = msgspec.json.Decoder(_RawPage)


def raw_items(request: Request, body: bytes) -> tuple[ListMetadata, Sequence[msgspec.Raw]]:
    """Return the undecoded items of a page. Raises ServerUnavailable when it is not a list."""
    try:
        page = _RAW_PAGES.decode(body)
    except UNREADABLE as error:
        raise unanswered(request, f"the answer is not a list of objects: {error}") from error
    return page.metadata, page.items or ()


async def pages(
    fetch: Callable[[Request], Awaitable[bytes]], path: str, query: Mapping[str, str], read: Reader[T]
) -> AsyncIterator[Page[T]]:
    """
    Yield the pages of a list, `PAGE` objects each.

    Raises what `fetch` and `read` raise; of the 410s only one of a list that was asked for whole.
    """
    for attempt in range(_PAGED_ATTEMPTS + 1):
        limit = PAGE if attempt < _PAGED_ATTEMPTS else 0
        try:
            asked = {key: value for key, value in {**query, "limit": str(limit or "")}.items() if value}
            async for page in _pages_once(fetch, path, asked, read):
                yield page
        except Gone:
            if limit == 0:
                raise
        else:
            return


async def _pages_once(
    fetch: Callable[[Request], Awaitable[bytes]], path: str, asked: Mapping[str, str], read: Reader[T]
) -> AsyncIterator[Page[T]]:
    request = Request(method="GET", path=path, params=asked)
    answer = asyncio.ensure_future(fetch(request))
    try:
        for number in range(_MOST_PAGES):
            body = await answer
            metadata, raw = await processed(len(body), partial(raw_items, request, body))
            items = partial(read, request, raw)
            if metadata.token:
                request = replace(request, params={**asked, "continue": metadata.token})
                answer = asyncio.ensure_future(fetch(request))
            yield Page(metadata=metadata, items=await processed(len(body), items), first=not number)
            if not metadata.token:
                return
        raise unanswered(request, f"the list does not end: more than {_MOST_PAGES} pages")
    finally:
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)


async def iter_objects(
    listed: Callable[[Reader[list[Item | Undecodable]]], AsyncIterator[Page[list[Item | Undecodable]]]],
    kept: type[Item],
    resource: Resource,
) -> AsyncIterator[Item]:
    """
    Yield all objects of a list, however many there are, for a decision that is about all of them.

    The loop has its turn after each 500 of them. Raises KubeError for one that cannot be read, and what `listed` raises.
    """
    reader = _reader(kept)

    def read(_request: Request, items: Sequence[msgspec.Raw]) -> list[Item | Undecodable]:
        read: list[Item | Undecodable] = []
        for item in items:
            read.append(reader.read_object(item))
            if isinstance(read[-1], Undecodable):  # it ends the list
                break
        return read

    found: list[Item | Undecodable] = []
    async for page in listed(read):
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
def _reader(kept: type[Item]) -> EventReader[Item]:
    return EventReader(kept)
