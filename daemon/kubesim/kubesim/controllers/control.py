"""
The control loop: changes of the store become keys, and each controller reconciles its keys one by one.

Controllers are level-driven and synchronous: they read and write one moment of the store.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final

from kubesim.storage.registry import Registry
from kubesim.storage.store import Change, Store

LOG: Final = logging.getLogger(__name__)
RETRY_AFTER: Final = 0.05
"""Seconds until a key is looked at again whose controller failed."""

Key = tuple[str | None, str]
"""Namespace and name."""


class Controller(ABC):
    """One loop of the control plane, or of a kubelet."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store

    @abstractmethod
    def affected(self, change: Change) -> Iterable[Key]:
        """Name the objects that must be looked at after a change."""

    @abstractmethod
    def reconcile(self, key: Key) -> float | None:
        """Bring one object nearer to what is wanted; answer in how many seconds to look again, if at all."""


class ControlLoop:
    """Run controllers until cancelled. A failing one is kept in `failures` and tries again; the others go on."""

    def __init__(self, store: Store, controllers: Sequence[Controller]) -> None:
        self._controllers = controllers
        self._queue: dict[tuple[int, Key], None] = {}
        self._timers: dict[tuple[int, Key], asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self.failures: list[Exception] = []
        store.subscribe(self._on_change)

    async def run(self) -> None:
        """Look at what has changed, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                place, key = next(iter(self._queue))
                del self._queue[place, key]
                self._reconcile(place, key)
            await asyncio.sleep(0)

    def enqueue(self, controller: Controller, key: Key) -> None:
        """Have a controller look at an object soon."""
        self._enqueue(self._controllers.index(controller), key)

    def stop(self) -> None:
        """Drop every timer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _on_change(self, change: Change) -> None:
        for place, controller in enumerate(self._controllers):
            for key in controller.affected(change):
                self._enqueue(place, key)

    def _enqueue(self, place: int, key: Key) -> None:
        self._queue[place, key] = None
        self._wake.set()

    def _reconcile(self, place: int, key: Key) -> None:
        try:
            again = self._controllers[place].reconcile(key)
        except Exception as failure:  # contained: one broken object must not stop the cluster; shown at its end
            controller = type(self._controllers[place]).__name__
            LOG.exception("controller failed to reconcile", extra={"controller": controller, "key": key})
            self.failures.append(failure)
            again = RETRY_AFTER
        timer = self._timers.pop((place, key), None)
        if timer is not None:
            timer.cancel()
        if again is not None:
            loop = asyncio.get_running_loop()
            self._timers[place, key] = loop.call_later(again, self._enqueue, place, key)
