"""
Lists read page by page, with expired page tokens (410) survived.

Items stay undecoded: the client makes JSON of them, a reflector its kept structs.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import msgspec

from kintsugi.errors import Gone
from kintsugi.kube.answers import UNREADABLE, Request, unanswered

# A page token lives five minutes at most. Where it is lost twice, everything is asked for in one answer.
_PAGED_ATTEMPTS = 2
_MOST_PAGES = 10_000
"""Pages of one list: at 500 objects a page more than any cluster holds. A list that goes on is without end."""


class ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """Where a page stands: the version of the whole list, and the token of the next page, "" on the last one."""

    resource_version: str = ""
    token: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, frozen=True):
    """A part of a list. When `first` is set the list begins, perhaps anew: what came before is void."""

    metadata: ListMetadata = ListMetadata()
    items: list[msgspec.Raw] | None = None
    first: bool = False


_PAGES = msgspec.json.Decoder(Page)


def read_page(request: Request, body: bytes, *, first: bool) -> Page:
    """Decode the answer to a list request. Raises ServerUnavailable when it is not a list."""
    try:
        page = _PAGES.decode(body)
    except UNREADABLE as error:
        raise unanswered(request, f"the answer is not a list of objects: {error}") from error
    return msgspec.structs.replace(page, first=first)


async def pages(
    fetch: Callable[[Request], Awaitable[bytes]], path: str, query: Mapping[str, str], size: int
) -> AsyncIterator[Page]:
    """
    Yield the pages of a list, `size` objects each.

    Raises what `fetch` raises; of the 410s only one of a list that was asked for whole.
    """
    for attempt in range(_PAGED_ATTEMPTS + 1):
        limit = size if attempt < _PAGED_ATTEMPTS else 0
        try:
            async for page in _pages_once(fetch, path, query, limit):
                yield page
        except Gone:
            if limit == 0:
                raise
        else:
            return


async def _pages_once(
    fetch: Callable[[Request], Awaitable[bytes]], path: str, query: Mapping[str, str], limit: int
) -> AsyncIterator[Page]:
    asked = {key: value for key, value in query.items() if value} | ({"limit": str(limit)} if limit else {})
    token = ""
    for _ in range(_MOST_PAGES):
        request = Request(method="GET", path=path, params=asked | ({"continue": token} if token else {}))
        page = read_page(request, await fetch(request), first=not token)
        yield page
        token = page.metadata.token
        if not token:
            return
    raise unanswered(request, f"the list does not end: more than {_MOST_PAGES} pages")
