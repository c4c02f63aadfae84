"""What happened when in a story: what was done, and how many pods of each service were ready from then on."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.harness.api import ApiError

_LOOKS_EVERY = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """At `at` seconds something was done, or (with the name of a service) so many of its pods were ready from then on."""

    at: float
    text: str
    service: str = ""
    ready: int = 0


class Timeline:
    """Looks at services in a thread, and writes down each change of how many of their pods are ready."""

    def __init__(self, ask: Mapping[str, Callable[[], int]]) -> None:
        self._ask = ask
        self._began = time.monotonic()
        self._moments: list[Moment] = []
        self._last: dict[str, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="timeline", daemon=True)

    def __str__(self) -> str:
        """Return a line for each moment."""
        return "\n".join(f"{each.at:6.1f}s  {each.text}" for each in self._moments)

    def start(self) -> None:
        """Begin at second 0, with what is ready now as it is."""
        self._look()
        self._began = time.monotonic()
        self._moments.clear()
        self._thread.start()

    def stop(self) -> None:
        """Look no longer."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def note(self, text: str) -> None:
        """Write down something that a story did."""
        self._moments.append(Moment(at=time.monotonic() - self._began, text=text))

    def ready(self, service: str) -> int:
        """Return how many pods of a service were ready when it was looked at last."""
        return self._last[service]

    def down(self, service: str) -> float | None:
        """Return the second at which the last ready pod of a service was first gone, None when that never was."""
        return next((each.at for each in self._moments if each.service == service and each.ready == 0), None)

    def _watch(self) -> None:
        while not self._over.wait(_LOOKS_EVERY):
            self._look()

    def _look(self) -> None:
        for service, ask in self._ask.items():
            try:
                ready = ask()
            except (ApiError, OSError):
                continue  # a story may stop the API server
            if self._last.get(service) != ready:
                self._last[service] = ready
                at = time.monotonic() - self._began
                self._moments.append(Moment(at=at, text=f"{service}: {ready} ready", service=service, ready=ready))
