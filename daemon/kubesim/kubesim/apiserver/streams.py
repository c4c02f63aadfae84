"""
Serving watches over HTTP: lines as they come, bookmarks, the client's timeout, the freeze.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

from aiohttp import web

from kubesim.apiserver.api_faults import ApiFaults, Fault, apply_to_stream
from kubesim.apiserver.paths import Target
from kubesim.apiserver.tables import table_of, wants_table
from kubesim.apiserver.watches import Stream, Watch, as_it_is, begin, bookmark
from kubesim.cluster_time import ClusterTime
from kubesim.manifest import Json
from kubesim.storage.selectors import query_matcher
from kubesim.storage.status import ApiRefusal
from kubesim.storage.store import Store

BOOKMARK_EVERY: Final = timedelta(minutes=1)
BEFORE_END: Final = timedelta(seconds=2)
LONGEST: Final = range(1800, 3600)
"""Seconds after which a watch without `timeoutSeconds` ends, drawn at random."""


class Streams:
    """Serve watches."""

    def __init__(self, store: Store, faults: ApiFaults, time: ClusterTime, unfrozen: asyncio.Event) -> None:
        self._store = store
        self._faults = faults
        self._time = time
        self._unfrozen = unfrozen

    async def serve(self, http: web.Request, path: str, target: Target, fault: Fault | None) -> web.StreamResponse:
        """Answer a watch request until it ends; raise ApiRefusal when it cannot begin."""
        watch = self._read(http, target)
        stream = Stream(path)
        if fault is not None:
            stream.doom, stream.doom_after = partial(apply_to_stream, fault.kind), fault.after
        end = begin(self._store, watch, stream)
        self._faults.opened(stream)
        try:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(http)
            with suppress(ConnectionResetError):  # a client that was killed says no good-bye
                await self._pump(
                    response, stream, watch, float(http.query.get("timeoutSeconds") or secrets.choice(LONGEST))
                )
        finally:
            end()
            self._faults.closed(stream)
        return response

    def _read(self, http: web.Request, target: Target) -> Watch:
        query = http.query
        version = query.get("resourceVersion") or "0"
        if not version.isdigit():  # a 500 from the real server, too
            message = (
                f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
            )
            raise ApiRefusal(500, "", message)
        matcher = query_matcher(target.resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        initial = query.get("sendInitialEvents", "").lower() == "true"
        return Watch(
            resource=target.resource,
            namespace=target.namespace,
            matcher=matcher,
            version=0 if initial else int(version),
            bookmarks=query.get("allowWatchBookmarks", "").lower() in ("true", "1"),
            initial_events=initial,
            show=self._as_table(target) if wants_table(http.headers.get("Accept", "")) else as_it_is,
        )

    def _as_table(self, target: Target) -> Callable[[Json], Json]:
        return lambda obj: table_of(target.resource, [obj], {}, self._time.now())

    async def _pump(self, response: web.StreamResponse, stream: Stream, watch: Watch, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        bookmark_at = self._next_bookmark(clock(), deadline)
        while clock() < deadline:
            try:
                async with asyncio.timeout_at(min(deadline, bookmark_at)):
                    line = await stream.next_line()
            except TimeoutError:
                bookmark_at = self._next_bookmark(clock(), deadline)
                if watch.bookmarks and self._faults.bookmarks and self._store.version > watch.version:
                    stream.send(bookmark(watch.resource, self._store.version))
                continue
            await self._unfrozen.wait()
            if line is None:
                return
            await response.write(line)

    def _next_bookmark(self, now: float, deadline: float) -> float:
        """Return when the next bookmark is due: once a minute, and once shortly before the end."""
        regular, last = now + self._time.seconds(BOOKMARK_EVERY), deadline - BEFORE_END.total_seconds()
        return last if now < last < regular else regular
