"""
Commands in containers: `pods/exec` over a WebSocket.

In a container with a program the command is run; otherwise the image's own table of commands answers. A command that the
image does not know ends as in a container without such a program.
"""

import asyncio
import shlex
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Final

import orjson
from aiohttp import WSMsgType, web

from kubesim.images import ExecReply, Images
from kubesim.manifest import Json, containers_of, is_true, statuses_of, uid_of
from kubesim.runtime.logs import container_of
from kubesim.runtime.process import CHUNK, Process
from kubesim.runtime.runtime import NoSuchProgram, Running, Runtime
from kubesim.storage.status import ApiRefusal, bad_request

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS = b"\x00", b"\x01", b"\x02", b"\x03"
STDIN_CLOSED: Final = b"\xff\x00"
SUCCESS: Final[Json] = {"metadata": {}, "status": "Success"}
NOT_READY: Final = ExecReply(exit_code=2, stderr="connection refused\n")


class Executions:
    """Answer `pods/exec`."""

    def __init__(self, images: Images, runtime: Runtime) -> None:
        self._images = images
        self._runtime = runtime

    async def serve(self, http: web.Request, pod: Json) -> web.StreamResponse:
        """Answer one command; raise ApiRefusal when there is no container that could take it."""
        if http.headers.get("Upgrade", "").lower() != "websocket":
            raise bad_request("Upgrade request required")
        command = http.query.getall("command", [])
        if not command:
            raise bad_request("you must specify at least 1 command for the container")
        container = container_of(pod, http.query.get("container", ""))
        self._check(pod, container)
        running = self._runtime.find(uid_of(pod), container)
        socket = web.WebSocketResponse(protocols=PROTOCOLS)
        await socket.prepare(http)
        wants_input = http.query.get("stdin") == "true"
        if running is None:
            ending = await self._send_reply(
                socket, self._answer(pod, container, command), command, reads_input=wants_input
            )
        else:
            ending = await self._run(socket, running, command, reads_input=wants_input)
        await socket.send_bytes(STATUS + orjson.dumps(ending))
        await socket.close()
        return socket

    def _check(self, pod: Json, container: str) -> None:
        status: Json = next((each for each in statuses_of(pod) if each["name"] == container), {})
        running = self._runtime.find(uid_of(pod), container)
        if "running" not in status.get("state", {}) or (running is not None and running.exit_code is not None):
            message = f'unable to upgrade connection: container not found ("{container}")'
            raise ApiRefusal(500, "InternalError", message, {})

    async def _send_reply(
        self, socket: web.WebSocketResponse, reply: ExecReply | None, command: Sequence[str], *, reads_input: bool
    ) -> Json:
        if reads_input:
            await _hear(socket, None)
        for channel, text in ((STDOUT, reply.stdout), (STDERR, reply.stderr)) if reply else ():
            if text:
                await socket.send_bytes(channel + text.encode())
        return _ended(reply.exit_code) if reply is not None else _not_started(str(NoSuchProgram(command[0])))

    def _answer(self, pod: Json, container: str, command: Sequence[str]) -> ExecReply | None:
        """Find what the command says; None when the image has no such program."""
        name = next(each["image"] for each in containers_of(pod) if each["name"] == container)
        image, line = self._images.find(name), shlex.join(command)
        known = image.commands.items() if image is not None else ()
        reply = next((reply for pattern, reply in known if fnmatchcase(line, pattern)), None)
        return NOT_READY if reply is not None and reply.needs_ready and not is_true(pod, "Ready") else reply

    async def _run(
        self, socket: web.WebSocketResponse, running: Running, command: Sequence[str], *, reads_input: bool
    ) -> Json:
        """Run a command to its end. It ends, too, when its container does, or the client goes away."""
        try:
            process = await self._runtime.execute(running, command)
        except (LookupError, OSError) as problem:
            return _not_started(str(problem))
        hearing = asyncio.create_task(_hear(socket, process)) if reads_input else None
        if hearing is None:
            process.input.close()
        try:
            await asyncio.gather(_pass(process.output, socket, STDOUT), _pass(process.errors, socket, STDERR))
            return _ended(await process.ended())
        finally:
            self._runtime.end(running, process)
            if hearing is not None:
                hearing.cancel()


async def _hear(socket: web.WebSocketResponse, process: Process | None) -> None:
    """Read the command's input until it is closed, and hand it to the process if there is one."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            continue
        if message.data == STDIN_CLOSED:
            break
        if process is not None and message.data.startswith(STDIN):
            process.input.write(message.data[1:])
            with suppress(ConnectionError):  # a command need not read what it is sent
                await process.input.drain()
    if process is not None:
        process.input.close()


async def _pass(reader: asyncio.StreamReader, socket: web.WebSocketResponse, channel: bytes) -> None:
    while chunk := await reader.read(CHUNK):
        await socket.send_bytes(channel + chunk)


def _not_started(why: str) -> Json:
    message = (
        "Internal error occurred: Internal error occurred: error executing command in container: failed to exec in "
        "container: failed to start exec: OCI runtime "
        f"exec failed: exec failed: unable to start container process: {why}: unknown"
    )
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}


def _ended(exit_code: int) -> Json:
    if exit_code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: command terminated with exit code {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }
