"""
A command executed in a container, over the API server's WebSocket: `kubectl exec` without a terminal.

Output and error output stay apart, bytes stay bytes, and the exit code is the command's own. Kubernetes has no uid
precondition for exec: the caller checks the pod before and after.
"""

import re
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import TypedDict

import aiohttp

from kintsugi.kube.api_errors import LONGEST_MESSAGE, Request, read_status, unanswered
from kintsugi.kube.transport import Transport

DEFAULT_LIMIT_BYTES = 10 * 1024 * 1024
# The fifth version can close the command's input; servers before 1.30 speak the fourth.
_CODE = re.compile(r"-?[0-9]{1,10}")
_V5, _V4 = "v5.channel.k8s.io", "v4.channel.k8s.io"


class _Channel(IntEnum):
    """The first byte of each message."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STATUS = 3
    CLOSE = 255


class ExecOptions(TypedDict, total=False):
    """
    Options of an exec.

    `stdin` is all that it reads; `limit_bytes` bounds each of its outputs (10 MiB), the rest is dropped; `deadline`
    bounds the whole (the request timeout by default).
    """

    container: str | None
    stdin: bytes | None
    limit_bytes: int
    deadline: timedelta | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Executed:
    """The result of an exec. `truncated`: an output was longer than the limit."""

    stdout: bytes
    stderr: bytes
    exit_code: int
    truncated: bool


def exec_request(path: str, command: Sequence[str], options: ExecOptions) -> Request:
    """Return the request for an execution: `path` is that of the pod's subresource."""
    container = options.get("container")
    params = [
        *(("command", word) for word in command),
        *((("container", container),) if container else ()),
        *((("stdin", "true"),) if options.get("stdin") is not None else ()),
        ("stdout", "true"),
        ("stderr", "true"),
    ]
    return Request(method="GET", path=path, params=params, changes=True)


async def execute(transport: Transport, request: Request, options: ExecOptions) -> Executed:
    """
    Execute and wait for the end. The caller holds the deadline.

    Raises OutcomeUnknown when the connection ends before the command's status has come, or the server reports no exit
    code: the command may have run, or may run still.
    """
    stdin = options.get("stdin")
    async with transport.websocket(request, protocols=(_V5, _V4) if stdin is None else (_V5,)) as socket:
        if stdin is not None:
            await socket.send_bytes(bytes([_Channel.STDIN]) + stdin)
            await socket.send_bytes(bytes([_Channel.CLOSE, _Channel.STDIN]))
        return await _outcome(request, socket, options.get("limit_bytes", DEFAULT_LIMIT_BYTES))


async def _outcome(request: Request, messages: AsyncIterable[aiohttp.WSMessage], limit: int) -> Executed:
    outputs = {_Channel.STDOUT: bytearray(), _Channel.STDERR: bytearray()}
    truncated = False
    async for message in messages:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _Channel.STATUS:
            return Executed(
                stdout=bytes(outputs[_Channel.STDOUT]),
                stderr=bytes(outputs[_Channel.STDERR]),
                exit_code=_exit_code(request, data),
                truncated=truncated,
            )
        output = outputs.get(_Channel(channel)) if channel in (_Channel.STDOUT, _Channel.STDERR) else None
        if output is not None:
            left = limit - len(output)
            output += data[:left]
            truncated = truncated or len(data) > left
    raise unanswered(request, "the connection ended before the command did")


def _exit_code(request: Request, body: bytes) -> int:
    status = read_status(body)
    if status.status == "Success":
        return 0
    for cause in status.causes:
        if cause.reason == "ExitCode" and _CODE.fullmatch(cause.message):
            return int(cause.message)
    why = status.message[:LONGEST_MESSAGE] or body[:200].decode(errors="replace")
    raise unanswered(request, f"no exit code: {why}")
