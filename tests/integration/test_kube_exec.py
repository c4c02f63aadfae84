"""
Commands in containers: outputs apart and whole, the command's own exit code, and no guess where there is none.

P3: a command whose end was not seen may have run. Fault B7 for exec.
"""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from kintsugi.errors import Forbidden, OutcomeUnknown, ServerUnavailable
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from tests.integration.scripted_api import Answer, ScriptedApi, kubeconfig, refuse, scripted_api, status

EXEC = "GET /api/v1/namespaces/production/pods/database-0/exec"
STDOUT, STDERR, STATUS = b"\x01", b"\x02", b"\x03"
WELL = STATUS + json.dumps({"metadata": {}, "status": "Success"}).encode()


def ended(code: int) -> bytes:
    """Make the status of a command that ended with this code."""
    sentence = f"command terminated with non-zero exit code: exit status {code}"
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return STATUS + json.dumps(status(500, "NonZeroExitCode", sentence, causes)).encode()


def command(*frames: bytes, heard: list[bytes] | None = None, hangs: bool = False) -> Answer:
    """Answer an upgrade: first hear the whole input if it is wanted, then send the frames, then end (or not)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io", "v4.channel.k8s.io"))
        await socket.prepare(request)
        while heard is not None and b"\xff\x00" not in heard:
            message = await socket.receive()
            assert message.type is WSMsgType.BINARY, f"the input ended without its close: {heard}"
            heard.append(message.data)
        for frame in frames:
            await socket.send_bytes(frame)
        if hangs:
            await asyncio.Event().wait()
        await socket.close()
        return socket

    return answer


async def test_outputs_are_apart_and_bytes_stay_bytes(api: ScriptedApi, kube: KubeClient) -> None:
    """A character may be split between two frames, and output need not be text."""
    api.on(EXEC, command(STDOUT, STDOUT + b"caf\xc3", STDERR + b"notice\n", STDOUT + b"\xa9\x00\xff", WELL))
    done = await kube.execute("database-0", "production", ["psql", "-c", "SELECT 1; $(reboot)"], container="db")
    assert (done.stdout, done.stderr, done.exit_code) == (b"caf\xc3\xa9\x00\xff", b"notice\n", 0)
    assert not done.truncated


async def test_words_are_passed_as_they_are(api: ScriptedApi, kube: KubeClient) -> None:
    """P10: each word of the command is one argument, and no shell sees it."""
    words: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        words.extend(request.query.getall("command"))
        return await command(WELL)(request)

    api.on(EXEC, answer)
    await kube.execute("database-0", "production", ["psql", "-c", "SELECT 'a b' & \"$(reboot)\""])
    assert words == ["psql", "-c", "SELECT 'a b' & \"$(reboot)\""]


@pytest.mark.parametrize("code", [1, 3, 137])
async def test_the_exit_code_is_the_commands_own(api: ScriptedApi, kube: KubeClient, code: int) -> None:
    """A command that fails is an answer, not an error."""
    api.on(EXEC, command(STDERR + b"no such table\n", ended(code)))
    done = await kube.execute("database-0", "production", ["psql"])
    assert (done.exit_code, done.stderr) == (code, b"no such table\n")


async def test_input_is_sent_whole_and_closed(api: ScriptedApi, kube: KubeClient) -> None:
    """A command that reads to the end of its input comes to an end."""
    heard: list[bytes] = []
    api.on(EXEC, command(STDOUT + b"ok", WELL, heard=heard))
    done = await kube.execute("database-0", "production", ["cat"], stdin=b"SELECT 1;")
    assert (done.stdout, heard) == (b"ok", [b"\x00SELECT 1;", b"\xff\x00"])


async def test_an_endless_output_is_cut_at_its_limit(api: ScriptedApi, kube: KubeClient) -> None:
    """Bounded memory; the exit code still counts."""
    api.on(EXEC, command(*[STDOUT + b"x" * 600] * 5, ended(2)))
    done = await kube.execute("database-0", "production", ["yes"], limit_bytes=1000)
    assert (done.stdout, done.exit_code, done.truncated) == (b"x" * 1000, 2, True)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(command(STDOUT + b"DELETE 5"), id="connection lost"),
        pytest.param(command(STDOUT + b"DELETE 5", hangs=True), id="no end within the deadline"),
        pytest.param(
            command(STATUS + json.dumps(status(500, "InternalError", "container not found")).encode()),
            id="no exit code",
        ),
        pytest.param(command(STATUS + b"not JSON"), id="a status that cannot be read"),
        pytest.param(refuse(502, "", "error dialing backend"), id="no upgrade"),
    ],
)
async def test_a_command_whose_end_was_not_seen_is_unknown(api: ScriptedApi, kube: KubeClient, answer: Answer) -> None:
    """P3, B7, C7, E2, E3: it may have run, or may run still; it is not executed again."""
    api.on(EXEC, answer)
    with pytest.raises(OutcomeUnknown):
        await kube.execute("database-0", "production", ["psql"], deadline=timedelta(seconds=5))
    assert len(api.requests(EXEC)) == 1


async def test_a_missing_right_is_told_in_the_servers_words(api: ScriptedApi, kube: KubeClient) -> None:
    """B11: a refused upgrade has no body; the sentence is fetched."""
    sentence = 'pods "database-0" is forbidden: User "kintsugi" cannot get resource "pods/exec" in API group ""'
    api.on(EXEC, refuse(403, "Forbidden", sentence))
    with pytest.raises(Forbidden) as caught:
        await kube.execute("database-0", "production", ["psql"])
    assert str(caught.value) == sentence


async def test_an_expired_token_does_not_stop_a_command(api: ScriptedApi, kube: KubeClient) -> None:
    """B10: 401 is no outcome; one more try with credentials read anew."""
    api.on(EXEC, refuse(401, "Unauthorized"), command(WELL))
    assert (await kube.execute("database-0", "production", ["true"])).exit_code == 0


async def test_a_command_that_could_not_be_sent_did_not_run(tmp_path: Path) -> None:
    """P3: a refused connection is no unknown outcome."""
    async with scripted_api() as gone:
        path = kubeconfig(tmp_path, gone.url)
    async with KubeClient.connect(KubeSettings(kubeconfig=path)) as kube:
        with pytest.raises(ServerUnavailable, match="nothing was sent"):
            await kube.execute("database-0", "production", ["true"])
