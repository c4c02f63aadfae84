"""
A live copy of all objects of one kind, kept by listing once and watching ever after.

It replaces the client library's watch, which fails under the faults that clusters have. After any fault of the server
(410, silence, resets, garbage, overload), the reflector recovers by itself, limits its requests, and reports the age of
its objects: `age`. Readers must not decide on stale objects.

A watch that is silent is opened anew, from the same version, and nothing is amiss unless changes come at once then: the
old connection should have brought them. After an interruption, the watch is trusted once it has caught up.

Large answers are decoded in a thread, one after the other: the order is kept, and later data wait in the connection.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from random import Random, SystemRandom
from typing import Generic

import msgspec
import structlog

from kintsugi.errors import Gone, KubeError, ServerUnavailable, StreamSilent, TooManyRequests
from kintsugi.kube.api_errors import TOO_LARGE_RESOURCE_VERSION, Request, read_status, refusal
from kintsugi.kube.client import KubeClient
from kintsugi.kube.interning import Interner
from kintsugi.kube.object_cache import Key, ObjectCache, Subscriber, T
from kintsugi.kube.pages import PAGE
from kintsugi.kube.watch_events import (
    Bookmark,
    EventReader,
    GarbledLineError,
    LineSplitter,
    Undecodable,
    WatchError,
    WatchEvent,
    WatchEventType,
)
from kintsugi.offload import MOST_ON_LOOP, processed
from kintsugi.telemetry import Containment
from kubeobjects.resources import Resource

# Rounds that may end at the same version by what the server sent there, before the list is read anew.
_RESUMES_BEFORE_LIST = 3
# However long a server asks for: meanwhile the daemon is blind, and may find out that it need not be.
_LONGEST_PAUSE = timedelta(minutes=1)
_VERSION = re.compile(r"[0-9]{1,20}")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchTiming:
    """
    The clock of a reflector. The figures are client-go's, where it has them.

    `opening`: longest wait for the begin of an answer. `silence`: longest wait for a byte; a watch that is silent for
    as long is opened anew. It is no failure: bookmarks come each minute, but none of a kind without a change since the
    API server started, and none of Events. `catch_up`: how long the changes of a gap may come after the watch is open
    again. `shortest_watch`, `longest_watch`: a watch ends by itself at a random moment between them. `first_wait`
    doubles up to `longest_wait`, and starts over after a watch that lived for `healthy_after`.
    """

    opening: timedelta = timedelta(seconds=30)
    silence: timedelta = timedelta(seconds=150)
    catch_up: timedelta = timedelta(seconds=2)
    shortest_watch: timedelta = timedelta(minutes=5)
    longest_watch: timedelta = timedelta(minutes=10)
    first_wait: timedelta = timedelta(seconds=0.8)
    longest_wait: timedelta = timedelta(seconds=30)
    healthy_after: timedelta = timedelta(minutes=2)


USUAL = WatchTiming()


class Backoff:
    """The waits of one reflector."""

    def __init__(self, timing: WatchTiming, random: Random) -> None:
        self._timing = timing
        self._random = random
        self._next = timing.first_wait

    def after(self, uptime: timedelta, *, expected: bool) -> timedelta:
        """
        Return the wait after a watch that lived so long.

        One that ended as it should (`expected`) after a healthy life is followed at once. Otherwise the wait is up
        to twice the current step (jitter), so that the reflectors of a restarted API server do not come together.
        """
        if uptime >= self._timing.healthy_after:
            self._next = self._timing.first_wait
            if expected:
                return timedelta()
        wait = self._next * (1 + self._random.random())
        self._next = min(self._next * 2, self._timing.longest_wait)
        return min(wait, self._timing.longest_wait)


class _ResyncRequired(ServerUnavailable):
    """The watch cannot go on from this version: its next line is garbage, or the server has not seen it yet."""


class Reflector(Generic[T]):
    """
    The objects of one kind, in one namespace or all, narrowed by labels ("" takes all).

    `store` is the live view by (namespace, name); `problem` says why the server is not heard now, "" when it is. `gaps`
    counts the times after which changes came together that may have happened one after the other. `sends_bookmarks`:
    the watch that is open has sent one, so that more are due, one a minute. `silence` is WatchTiming's.
    """

    def __init__(
        self,
        kube: KubeClient,
        resource: Resource,
        kept: type[T],
        *,
        namespace: str | None = None,
        labels: str = "",
        timing: WatchTiming = USUAL,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._labels = labels
        self._timing = timing
        self._reader: EventReader[T] = EventReader(kept)
        self._cache: ObjectCache[T] = ObjectCache(resource.singular)
        self._interner = Interner()
        self._random = SystemRandom()
        self._backoff = Backoff(timing, self._random)
        self._version = ""
        self._failed_resumes = 0
        self._failures = 0
        self._warned = ""
        self._was_silent = False
        self._catching_up: asyncio.TimerHandle | None = None
        self._wanted: Callable[[T], bool] | None = None
        self._relist = False
        self._synced = asyncio.Event()
        self.resource = resource
        self.store: Mapping[Key, T] = self._cache.objects
        self.undecodable_objects: Mapping[Key, str] = self._cache.undecodable_objects
        self.last_activity = float("-inf")
        self.problem = "not asked yet"
        self.lists = 0
        self.watches = 0
        self.gaps = 0
        self.sends_bookmarks = False
        self.silence = timing.silence

    @property
    def synced(self) -> bool:
        """Return whether a whole list has ever been read. How old the view is by now is another question: `age`."""
        return self._synced.is_set()

    @property
    def undecodable_count(self) -> int:
        """Count the objects that could not be read."""
        return self._cache.undecodable_count

    @property
    def subscriber_failures(self) -> int:
        """Count the exceptions of subscribers."""
        return self._cache.subscriber_failures

    def age(self, now_monotonic: float) -> float:
        """Return the seconds since the server was last heard, by the event loop's clock; infinite when it never was."""
        return now_monotonic - self.last_activity

    def contain(self, containment: Containment) -> None:
        """Let what subscribers raise be contained with what is contained elsewhere."""
        self._cache.containment = containment

    def subscribe(self, subscriber: Subscriber[T]) -> None:
        """Call `subscriber` with every change from now on; subscribe before `run` to miss none."""
        self._cache.subscribe(subscriber)

    def keep_only(self, wanted: Callable[[T], bool]) -> None:
        """
        Keep only what is wanted from now on: the rest is as if it were not there.

        What is wanted now and was not before is found by the next list, when the watch ends by itself.
        """
        self._wanted, self._relist = wanted, self.lists > 0
        for key in [key for key, item in self.store.items() if not wanted(item)]:
            self._cache.remove(key)

    async def wait_synced(self, within: timedelta) -> None:
        """Wait for the first whole list. Raises ServerUnavailable with the reason when it does not come in time."""
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._synced.wait()
        except TimeoutError as error:
            raise ServerUnavailable(
                f"no list of {self.resource.qualified} within {within.total_seconds():g} s: {self.problem}"
            ) from error

    async def run(self) -> None:
        """List and watch until cancelled."""
        clock = asyncio.get_running_loop()
        while True:
            began = clock.time()
            failure = await self._round()
            lived = timedelta(seconds=clock.time() - began)
            self._log_end(failure, lived)
            wait = self._backoff.after(lived, expected=failure is None)
            if isinstance(failure, TooManyRequests) and failure.retry_after:
                wait = max(wait, min(failure.retry_after, _LONGEST_PAUSE))
            await asyncio.sleep(wait.total_seconds())

    async def _round(self) -> KubeError | None:
        """List if need be, then watch until the watch ends; None when it ended as watches do."""
        try:
            if not self._version or self._relist:
                await self._list()
            await self._watch()
        except Gone as error:
            # as usual as the end of a watch, but until the new list is read the view is one of before
            self._version, self.problem = "", str(error)
            return None
        except _ResyncRequired as error:
            self._failed_resumes += 1
            if self._failed_resumes >= _RESUMES_BEFORE_LIST:
                self._version = ""
            return self._failed(error)
        except KubeError as error:
            return self._failed(error)
        return None

    def _failed(self, error: KubeError) -> KubeError:
        self.problem = str(error)
        return error

    def _log_end(self, failure: KubeError | None, lived: timedelta) -> None:
        """Log an interruption: a warning from the second in a row on, one for each reason."""
        if lived >= self._timing.healthy_after:
            self._failures, self._warned = 0, ""
        if failure is None:
            return
        self._failures += 1
        reason, resource = str(failure), self.resource.qualified
        if self._failures == 1:
            _log.info("watch interrupted", resource=resource, reason=reason)
        elif self._warned != reason:
            self._warned = reason
            _log.warning("watch interrupted", resource=resource, reason=reason, times=self._failures)

    async def _list(self) -> None:
        self.lists += 1
        self._relist = False
        found: dict[Key, T] = {}
        undecodable: dict[Key, str] = {}
        version = ""
        async for page in self._kube.pages(self.resource, self._read_page, self._namespace, labels=self._labels):
            if page.first:
                found, undecodable = {}, {}
            for read in page.items:
                if isinstance(read, Undecodable):
                    undecodable[read.identity.namespace, read.identity.name] = read.reason
                elif self._is_wanted(read):
                    found[read.metadata.namespace, read.metadata.name] = read
            version = page.metadata.resource_version
            self.last_activity = asyncio.get_running_loop().time()
        await self._replace_all(found, undecodable)
        self._trust()
        self._advance(version)
        self._synced.set()

    async def _replace_all(self, found: Mapping[Key, T], undecodable: Mapping[Key, str]) -> None:
        """Make the mirror what the list says; what the list does not know was deleted in the gap."""
        before = self.store.keys() | self.undecodable_objects.keys()
        gone = (partial(self._cache.remove, key) for key in before - found.keys() - undecodable.keys())
        set_aside = (partial(self._cache.mark_undecodable, key, reason) for key, reason in undecodable.items())
        there = (partial(self._cache.put, key, new) for key, new in found.items())
        for count, take_in in enumerate(chain(gone, set_aside, there)):
            take_in()
            if count % PAGE == PAGE - 1:
                await asyncio.sleep(0)

    async def _watch(self) -> None:
        self.watches += 1
        request, opening = self._watch_request(), self._timing.opening.total_seconds()
        limit = asyncio.timeout(opening)
        try:
            async with limit, self._kube.stream(request, silence=self.silence) as chunks:
                limit.reschedule(None)
                self._opened()
                await self._follow(request, chunks)
        except StreamSilent:
            self._was_silent = True
            _log.debug("silent watch opened anew", resource=self.resource.qualified)
        except TimeoutError as error:
            raise ServerUnavailable(f"{request}: no answer within {opening:g} s") from error
        except GarbledLineError as error:
            raise _ResyncRequired(f"{request}: {error}") from error
        except ServerUnavailable as error:
            if error.reason == TOO_LARGE_RESOURCE_VERSION:
                raise _ResyncRequired(str(error), status=error.status, reason=error.reason) from error
            raise
        finally:
            if self._catching_up is not None:
                self._catching_up.cancel()
                self._catching_up = None

    async def _follow(self, request: Request, chunks: AsyncIterator[bytes]) -> None:
        """Take in a watch until it ends."""
        lines = LineSplitter()
        async for chunk in chunks:
            self.last_activity = asyncio.get_running_loop().time()
            for line in lines.feed(chunk):
                if not line:
                    continue
                if len(line) <= MOST_ON_LOOP:  # forty thousand a second: a call more is a twentieth of what one costs
                    event = self._reader.read(line)
                else:
                    event = await processed(len(line), partial(self._reader.read, line))
                self._take(request, event)
        if lines.torn:
            raise ServerUnavailable(f"{request}: the watch ended in the middle of a line")

    def _watch_request(self) -> Request:
        shortest, longest = self._timing.shortest_watch, self._timing.longest_watch
        seconds = self._random.uniform(shortest.total_seconds(), longest.total_seconds())
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        if self._labels:
            params["labelSelector"] = self._labels
        return Request(method="GET", path=self.resource.path(self._namespace), params=params)

    def _take(self, request: Request, event: WatchEvent[T] | Bookmark | WatchError | Undecodable) -> None:
        """Take an event in."""
        match event:
            case WatchEvent():  # nearly all are
                if self._catching_up is not None:
                    self._note_late_change()
                self._change(event)
            case WatchError():
                raise refusal(request, read_status(event.status).code, event.status)
            case Undecodable():
                if self._catching_up is not None:
                    self._note_late_change()
                self._set_aside(event)
            case Bookmark(version=version):
                self.sends_bookmarks = True
                if _older(version, self._version):
                    went_back = f"the server's history was reset, from {self._version}"
                    raise Gone(f"{request}: {went_back}: restored from a backup?")
                self._advance(version)

    def _change(self, event: WatchEvent[T]) -> None:
        metadata = event.object.metadata
        key = (metadata.namespace, metadata.name)
        if event.type is WatchEventType.DELETED:
            self._cache.remove(key, event.object)
        elif self._wanted is not None and not self._wanted(event.object):
            self._cache.remove(key)
        else:
            self._interner.share(event.object, self.store.get(key))
            self._cache.put(key, event.object)
        self._advance(metadata.resource_version)

    def _read_page(self, _request: Request, raw: Sequence[msgspec.Raw]) -> list[T | Undecodable]:
        """Read the items of a page; what will not be kept has nothing to share."""
        items = [self._reader.read_object(item) for item in raw]
        for item in items:
            if not isinstance(item, Undecodable) and self._is_wanted(item):
                self._interner.share(item, self.store.get((item.metadata.namespace, item.metadata.name)))
        return items

    def _is_wanted(self, item: T) -> bool:
        return self._wanted is None or self._wanted(item)

    def _set_aside(self, event: Undecodable) -> None:
        key = (event.identity.namespace, event.identity.name)
        if event.deleted:
            self._cache.remove(key)
        else:
            self._cache.mark_undecodable(key, event.reason)
        self._advance(event.identity.resource_version)

    def _advance(self, version: str) -> None:
        if version:
            self._version = version
            self._failed_resumes = 0

    def _opened(self) -> None:
        """Take in that a watch is open: after a gap, it is trusted when it had the time to catch up."""
        clock = asyncio.get_running_loop()
        self.last_activity, self.sends_bookmarks = clock.time(), False
        if self.problem or self._was_silent:
            self._catching_up = clock.call_later(self._timing.catch_up.total_seconds(), self._caught_up)

    def _note_late_change(self) -> None:
        """Take in a change that has come at once after a silence: the watch before was dead, and not quiet."""
        self.problem = self.problem or "the watch before it was dead: its changes come late"

    def _caught_up(self) -> None:
        self._catching_up = None
        self._trust()

    def _trust(self) -> None:
        self._was_silent = False
        if self.problem:
            self.problem = ""
            self.gaps += 1


def _older(version: str, than: str) -> bool:
    """Compare two versions; those of the API server are numbers of 64 bits, and anything else has no order."""
    both = _VERSION.fullmatch(version) and _VERSION.fullmatch(than)
    return both is not None and int(version) < int(than)
