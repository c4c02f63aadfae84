"""
The container runtime: starts the programs of containers, executes commands in them, and waits for their ends.

The kubelet sets the programs to run and is woken by changes; it never waits here.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kubesim.cluster_time import ClusterTime
from kubesim.controllers.control import Key
from kubesim.images import Program
from kubesim.manifest import Json, name_of, namespace_of, uid_of
from kubesim.runtime.environment import environment, expand
from kubesim.runtime.logs import PodLogs
from kubesim.runtime.mounts import Folders, Mounts
from kubesim.runtime.probes import Probe
from kubesim.runtime.process import CHUNK, Command, Process
from kubesim.runtime.translation import Translation
from kubesim.storage.store import Store

LONGEST_LINE: Final = 64 * 1024
"""Characters of a line after which it is cut."""

NOT_STARTED: Final = 128
"""The exit code of a container whose program could not be started, as container runtimes give it."""


class NoSuchProgram(LookupError):
    """The image has no program of this name; the message is the one of a container runtime."""

    def __init__(self, name: str) -> None:
        super().__init__(f'exec: "{name}": executable file not found in $PATH')


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """One start of a container: of what, and the address of its pod."""

    pod: Json
    container: Json
    instance: int
    address: str
    program: Program


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRun:
    """The state of the program of one start of a container, for the kubelet; `exit_code` once it has ended."""

    instance: int
    ready: bool
    exit_code: int | None


@dataclass(kw_only=True, slots=True)
class Running:
    """The runtime's own state of one start; `exit_code` once it has ended."""

    start: Start
    ready: bool = False
    exit_code: int | None = None
    stopping: bool = False
    forgotten: bool = False
    process: Process | None = None
    task: "asyncio.Task[None] | None" = None
    probing: "asyncio.Task[None] | None" = None
    executions: set[Process] = field(default_factory=set)

    @property
    def run(self) -> ContainerRun:
        """Return the state for the kubelet."""
        return ContainerRun(instance=self.start.instance, ready=self.ready, exit_code=self.exit_code)

    def end(self) -> None:
        """End the program, what is executed beside it, and the asking whether it is ready."""
        self.stopping = True
        for process in (self.process, *self.executions):
            if process is not None:
                process.kill()
        if self.probing is not None:
            self.probing.cancel()


class Runtime:
    """Run containers as processes. `on_change` is called with a pod's key when one has become ready or has ended."""

    def __init__(self, store: Store, time: ClusterTime, logs: PodLogs) -> None:
        self.folders = Folders()
        self.on_change: Callable[[Key], None] = lambda _: None
        self._store = store
        self.time = time
        self._logs = logs
        self._mounts = Mounts(store, self.folders)
        self._running: dict[tuple[str, str], Running] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def check(self, start: Start) -> None:
        """Raise MountFailed or ConfigError when a container could not be started now."""
        self._mounts.check(start.pod)
        environment(self._store, start.pod, start.container, address=start.address)

    def start(self, start: Start) -> None:
        """Begin to start a container."""
        running = Running(start=start)
        self._running[uid_of(start.pod), start.container["name"]] = running
        running.task = asyncio.create_task(self._live(running))

    def find(self, pod_uid: str, container: str) -> Running | None:
        """Find the last start of a container; None when it has no program, or none was started yet."""
        return self._running.get((pod_uid, container))

    def lives(self, pod_uid: str) -> bool:
        """Return whether a program of a pod has not ended yet."""
        return any(True for _ in self._of(pod_uid))

    def children(self) -> list[int]:
        """Return the process ids of the first processes of all containers, and of commands that are executed in them."""
        processes = [each for running in self._running.values() for each in (running.process, *running.executions)]
        return [each.pid for each in processes if each is not None and each.runs]

    def outlived(self, pod: Json) -> bool:
        """Return whether programs of an earlier pod of this name, deleted without grace, have not ended yet."""
        return any(
            each.exit_code is None and _key(each.start.pod) == _key(pod) and uid_of(each.start.pod) != uid_of(pod)
            for each in self._running.values()
        )

    def stop(self, pod_uid: str) -> None:
        """Ask the programs of a pod to end, once."""
        for running in self._of(pod_uid):
            if not running.stopping and running.process is not None:
                running.stopping = True
                running.process.signal(running.start.program.stop_signal)

    def kill(self, pod_uid: str) -> None:
        """End the programs of a pod."""
        for running in self._of(pod_uid):
            running.end()

    def forget(self, pod_uid: str) -> None:
        """Drop what is left of a pod that is gone, once its programs have ended."""
        self.kill(pod_uid)
        for key, running in tuple(self._running.items()):
            if key[0] == pod_uid:
                running.forgotten = True
                self._drop(running)

    def _drop(self, running: Running) -> None:
        if running.forgotten and running.exit_code is not None:
            uid, container = uid_of(running.start.pod), running.start.container["name"]
            self._running.pop((uid, container), None)
            self.folders.remove_pod(uid)

    async def execute(self, running: Running, words: Sequence[str]) -> Process:
        """Start a command in a running container; raise NoSuchProgram, ConfigError, MountFailed."""
        process = await Process.start(self._command(running.start, words, self._translation(running.start)), apart=True)
        running.executions.add(process)
        return process

    def end(self, running: Running, process: Process) -> None:
        """End a command that was executed, if it has not ended yet."""
        running.executions.discard(process)
        ending = asyncio.create_task(process.gone())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End everything, and remove the disk."""
        for running in self._running.values():
            running.end()
        tasks = [task for each in self._running.values() for task in (each.task, each.probing) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*self._ending, return_exceptions=True)
        self.folders.close()

    def _of(self, pod_uid: str) -> Iterator[Running]:
        return (each for key, each in self._running.items() if key[0] == pod_uid and each.exit_code is None)

    async def _live(self, running: Running) -> None:
        start = running.start
        code = NOT_STARTED
        try:
            words, translation = self._first_words(start)
            running.process = await Process.start(self._command(start, words, translation))
            if running.stopping:
                running.process.kill()
            running.probing = asyncio.create_task(self._probe(running))
            await self._keep_log(running.process, start, translation)
            code = await running.process.ended()
        except (LookupError, OSError) as problem:
            self._log(start, str(problem))
        finally:
            running.end()
            running.ready, running.exit_code = False, code
            self._drop(running)
            self.on_change(_key(start.pod))

    async def _keep_log(self, process: Process, start: Start, translation: Translation) -> None:
        rest = ""
        while chunk := await process.output.read(CHUNK):
            *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], ""
            self._log(start, *map(translation.back, lines))
        if rest:
            self._log(start, translation.back(rest))

    def _log(self, start: Start, *lines: str) -> None:
        self._logs.write(start.pod, start.container["name"], start.instance, *lines)

    async def _probe(self, running: Running) -> None:
        async def execute(words: Sequence[str]) -> int:
            try:
                process = await self.execute(running, words)
            except LookupError:
                return 1
            try:
                process.input.close()
                await asyncio.gather(process.output.read(CHUNK), process.errors.read(CHUNK))
                return await process.ended()
            finally:
                self.end(running, process)

        def report(ready: bool) -> None:
            running.ready = ready
            self.on_change(_key(running.start.pod))

        await Probe(running.start.container, running.start.address, execute).watch(self.time, report)

    def _first_words(self, start: Start) -> tuple[Sequence[str], Translation]:
        """Clear the container's own folders; say what it runs first: its command, else the image's, and its arguments."""
        shutil.rmtree(self._own_folder(start), ignore_errors=True)
        for folder in start.program.folders:
            self._inside(start, folder).mkdir(parents=True)
        command = start.container.get("command") or start.program.entrypoint
        return [*command, *(start.container.get("args") or ())], self._translation(start)

    def _translation(self, start: Start) -> Translation:
        own = {folder: self._inside(start, folder) for folder in start.program.folders}
        return Translation(
            store=self._store,
            mounts={**own, **self._mounts.of(start.pod, start.container)},
            loopback=start.address if start.program.own_loopback else "",
        )

    def _command(self, start: Start, words: Sequence[str], translation: Translation) -> Command:
        values = environment(self._store, start.pod, start.container, address=start.address)
        given = {**start.program.environment, "HOSTNAME": name_of(start.pod), "POD_ADDRESS": start.address, **values}
        name, *arguments = [expand(word, given) for word in words]
        known = start.program.programs.get(Path(name).name)
        if known is None:
            raise NoSuchProgram(name)
        return Command(
            words=(*known, *(translation.word(each) for each in arguments)),
            environment={name: translation.value(value) for name, value in given.items()},
            folder=self._own_folder(start),
        )

    def _inside(self, start: Start, path: str) -> Path:
        return self._own_folder(start) / path.strip("/")

    def _own_folder(self, start: Start) -> Path:
        folder = self.folders.pod(uid_of(start.pod)) / str(start.container["name"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _key(pod: Json) -> Key:
    return (namespace_of(pod), name_of(pod))
