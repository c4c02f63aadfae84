"""
Commands in containers: `pods/exec` over a WebSocket, answered from the image's own table of commands.

Nothing is executed. A command that the image does not know ends as in a container without such a program.
"""

import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

import orjson
from aiohttp import WSMsgType, web

from kintsugi.rehearsal.images import Images, Spoken
from kintsugi.rehearsal.logs import container_of
from kintsugi.rehearsal.manifest import Json, dig, is_true
from kintsugi.rehearsal.status import ApiRefusal, bad_request

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDOUT, STDERR, STATUS = b"\x01", b"\x02", b"\x03"
STDIN_CLOSED: Final = b"\xff\x00"
SUCCESS: Final[Json] = {"metadata": {}, "status": "Success"}
NOT_READY: Final = Spoken(exit_code=2, stderr="connection refused\n")


class Executions:
    """Answer `pods/exec`."""

    def __init__(self, images: Images) -> None:
        self._images = images

    async def serve(self, http: web.Request, pod: Json) -> web.StreamResponse:
        """Answer one command; raise ApiRefusal when there is no container that could take it."""
        if http.headers.get("Upgrade", "").lower() != "websocket":
            raise bad_request("Upgrade request required")
        command = http.query.getall("command", [])
        if not command:
            raise bad_request("you must specify at least 1 command for the container")
        spoken = self._answer(pod, container_of(pod, http.query.get("container", "")), command)
        socket = web.WebSocketResponse(protocols=PROTOCOLS)
        await socket.prepare(http)
        if http.query.get("stdin") == "true":
            await _hear(socket)
        for channel, text in ((STDOUT, spoken.stdout), (STDERR, spoken.stderr)) if spoken else ():
            if text:
                await socket.send_bytes(channel + text.encode())
        await socket.send_bytes(STATUS + orjson.dumps(_ending(spoken, command)))
        await socket.close()
        return socket

    def _answer(self, pod: Json, container: str, command: Sequence[str]) -> Spoken | None:
        """Find what the command says; None when the image has no such program."""
        statuses = dig(pod, "status", "containerStatuses", default=[])
        status: Json = next((each for each in statuses if each["name"] == container), {})
        if "running" not in status.get("state", {}):
            message = f'unable to upgrade connection: container not found ("{container}")'
            raise ApiRefusal(500, "InternalError", message, {})
        name = next(each["image"] for each in pod["spec"]["containers"] if each["name"] == container)
        image, line = self._images.find(name), shlex.join(command)
        known = image.commands.items() if image is not None else ()
        spoken = next((spoken for pattern, spoken in known if fnmatchcase(line, pattern)), None)
        return NOT_READY if spoken is not None and spoken.needs_ready and not is_true(pod, "Ready") else spoken


async def _hear(socket: web.WebSocketResponse) -> None:
    """Read the command's input until it is closed."""
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data == STDIN_CLOSED:
            return


def _ending(spoken: Spoken | None, command: Sequence[str]) -> Json:
    if spoken is None:
        message = (
            "Internal error occurred: Internal error occurred: error executing command in container: failed to exec in "
            "container: failed to start exec: OCI runtime "
            f'exec failed: exec failed: unable to start container process: exec: "{command[0]}": '
            "executable file not found in $PATH: unknown"
        )
        return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}
    if spoken.exit_code == 0:
        return SUCCESS
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: command terminated with exit code {spoken.exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(spoken.exit_code)}]},
    }
