"""A container's log as a stream of bytes: followed or not, bounded in bytes and in time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import TypedDict

from kintsugi.kube.api_errors import Request, unanswered
from kintsugi.kube.transport import Transport
from kintsugi.settings import KubeSettings

DEFAULT_LIMIT_BYTES = 10 * 1024 * 1024


class LogOptions(TypedDict, total=False):
    """
    Options of a log: the wanted part.

    `follow` goes on until `deadline` (counted from the first read; the request timeout by default) and then ends
    quietly; a log that is not followed must come whole by then. `limit_bytes` ends it quietly, too (10 MiB).
    """

    container: str | None
    previous: bool
    since: timedelta | None
    tail: int | None
    timestamps: bool
    follow: bool
    limit_bytes: int
    deadline: timedelta | None


def log_request(path: str, options: LogOptions) -> Request:
    """Return the request for a log: `path` is that of the pod's subresource."""
    since = options.get("since")
    tail = options.get("tail")
    params = {
        "container": options.get("container") or "",
        "sinceSeconds": "" if since is None else str(max(1, int(since.total_seconds()))),
        "tailLines": "" if tail is None else str(tail),
        "limitBytes": str(options.get("limit_bytes", DEFAULT_LIMIT_BYTES)),
        **{flag: "true" for flag, wanted in _flags(options).items() if wanted},
    }
    return Request(method="GET", path=path, params={key: value for key, value in params.items() if value})


async def read_log(
    transport: Transport, request: Request, options: LogOptions, settings: KubeSettings
) -> AsyncGenerator[bytes, None]:
    """Yield the log's chunks. Raises a KubeError when it cannot be read, or breaks off."""
    follow = options.get("follow", False)
    deadline = asyncio.get_running_loop().time() + (options.get("deadline") or settings.request_timeout).total_seconds()
    left = options.get("limit_bytes", DEFAULT_LIMIT_BYTES)
    async with AsyncExitStack() as stack:
        try:
            # Around single waits only: a deadline must not strike while the reader of the log is at work.
            async with asyncio.timeout_at(deadline):
                stream = transport.stream(request, silence=None if follow else settings.read_timeout)
                chunks = await stack.enter_async_context(stream)
            while left > 0:
                async with asyncio.timeout_at(deadline):
                    chunk = await anext(chunks, b"")
                if not chunk:
                    return
                yield chunk[:left]
                left -= len(chunk)
        except TimeoutError as error:
            if not follow:
                raise unanswered(request, "the log was not complete before its deadline") from error


def _flags(options: LogOptions) -> dict[str, bool]:
    return {
        "previous": options.get("previous", False),
        "timestamps": options.get("timestamps", False),
        "follow": options.get("follow", False),
    }
