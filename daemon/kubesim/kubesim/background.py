"""
A cluster on a thread and an event loop of its own, for callers that have none: synchronous tests, scripts.

    with in_background(speed=20) as cluster:
        cluster.apply(manifest)
        cluster.until(lambda inside: inside.find(PODS))
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from kubeobjects.resources import Resource
from kubesim.cluster import EmbeddedCluster
from kubesim.images import Image
from kubesim.manifest import Json, copy

T = TypeVar("T")

PAUSE: Final = 0.02
"""Seconds between two looks of `until`."""


class BackgroundCluster:
    """
    A cluster that lives on another thread; every call is made there.

    `url` is its API, `token` its administrator's, `kubeconfig` a file with both, which goes with the cluster.
    """

    def __init__(self, inside: EmbeddedCluster, loop: asyncio.AbstractEventLoop, kubeconfig: Path) -> None:
        self.url, self.token = inside.url, inside.admin_token
        self.kubeconfig = kubeconfig
        self._inside = inside
        self._loop = loop

    def call(self, work: Callable[[EmbeddedCluster], T]) -> T:
        """Do something with the cluster, on its own thread; return its answer or raise its error."""

        async def done() -> T:
            return work(self._inside)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result()

    def until(
        self, found: Callable[[EmbeddedCluster], T], *, within: float = 30, what: str = "what was waited for"
    ) -> T:
        """Wait until the cluster shows something, and return it, not to be changed; raise TimeoutError after `within` seconds."""

        async def run() -> T:
            async with asyncio.timeout(within):
                while not (value := found(self._inside)):
                    await asyncio.sleep(PAUSE)
                return value

        try:
            return asyncio.run_coroutine_threadsafe(run(), self._loop).result()
        except TimeoutError:
            raise TimeoutError(f"not within {within:g} s: {what}") from None

    def apply(self, manifest: Json) -> Json:
        """Create an object or merge a manifest into the one that exists; namespaces are made when missing."""
        return self.call(lambda inside: copy(inside.apply(copy(manifest))))

    def get(self, resource: Resource, name: str, namespace: str | None = "default") -> Json | None:
        """Find an object; None when it is not there."""
        return self.call(lambda inside: copy(inside.get(resource, name, namespace)))

    def find(
        self, resource: Resource, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Json]:
        """List objects, those with all these labels."""
        return self.call(lambda inside: copy(inside.find(resource, namespace, labels)))

    def delete(self, resource: Resource, name: str, namespace: str | None = "default") -> None:
        """Delete an object, as an administrator would."""
        self.call(lambda inside: inside.delete(resource, name, namespace))


@contextmanager
def in_background(
    speed: float = 1.0,
    port: int = 0,
    *,
    images: Mapping[str, Image] | None = None,
    nodes: Sequence[str] = ("node-1",),
) -> Iterator[BackgroundCluster]:
    """
    Run a cluster on a thread of its own until the block ends; the arguments are those of `EmbeddedCluster.start`.

    Raises OSError when the port is taken, and KubesimError at the end when one of the controllers has failed meanwhile.
    """
    begun: Future[BackgroundCluster] = Future()
    over = asyncio.Event()

    async def live() -> None:
        with TemporaryDirectory(prefix="kubesim-") as folder:
            async with EmbeddedCluster.start(speed, port, images=images, nodes=nodes) as inside:
                kubeconfig = inside.kubeconfig(Path(folder, "kubeconfig"))
                begun.set_result(BackgroundCluster(inside, asyncio.get_running_loop(), kubeconfig))
                await over.wait()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="kubesim") as threads:
        life = threads.submit(asyncio.run, live())
        first: Sequence[Future[Any]] = (begun, life)
        wait(first, return_when=FIRST_COMPLETED)
        if not begun.done():
            life.result()
        cluster = begun.result()
        try:
            yield cluster
        finally:
            cluster.call(lambda _: over.set())
        life.result()
