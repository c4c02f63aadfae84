"""
A server that speaks the part of Slack's API that Kintsugi calls, as https://docs.slack.dev/reference documents it.

It refuses what Slack refuses: a wrong token, an unknown channel or message, blocks beyond Slack's limits. Messages are kept as
they are sent, and a test presses their buttons.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.harness.notices_page import slack_secret

Json = dict[str, Any]

BOT, APP, CHANNEL = "xoxb-not-a-real-token-of-a-bot", "xapp-not-a-real-token-of-an-app", "C0123456789"
MEMBER, OPERATOR, STRANGER = "U0123456789", "maria", "U0000000000"

_CALLS = {"chat.postMessage": BOT, "chat.update": BOT, "chat.postEphemeral": BOT, "apps.connections.open": APP}


@dataclass
class SlackServer:
    """The messages of one channel. `edits` counts the edits, `ephemerals` are the texts that only one member sees."""

    url: str = ""
    messages: dict[str, Json] = field(default_factory=dict)
    edits: int = 0
    ephemerals: list[tuple[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    down: bool = False
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    _numbers: Any = field(default_factory=lambda: count(1))

    def settings(self, folder: Path) -> dict[str, str]:
        """Return the settings of a daemon that uses this server; its tokens and members are files in `folder`, as docs/notices.md says."""
        for name, content in slack_secret(bot=BOT, app=APP).items():
            (folder / name).write_text(content)
        return {
            "KINTSUGI_NOTIFICATIONS__SLACK_URL": self.url,
            "KINTSUGI_NOTIFICATIONS__SLACK_TOKEN_FILE": str(folder / "bot"),
            "KINTSUGI_NOTIFICATIONS__SLACK_APP_TOKEN_FILE": str(folder / "app"),
            "KINTSUGI_NOTIFICATIONS__SLACK_MEMBERS_FILE": str(folder / "members"),
            "KINTSUGI_NOTIFICATIONS__INTERVAL": "1s",
        }

    def texts(self, message: str) -> str:
        """Return all words of a message, a line for each line."""
        return "\n".join(_texts(self.messages[message]["blocks"]))

    def buttons(self, message: str) -> dict[str, Json]:
        """Return the buttons of a message, by their action."""
        rows = (block for block in self.messages[message]["blocks"] if block["type"] == "actions")
        return {each["action_id"]: each for row in rows for each in row["elements"]}

    async def press(
        self, message: str, action: str, *, member: str = MEMBER, why: str = "", button: Json | None = None
    ) -> None:
        """Press a button of a message, as it is now or was, with a reason in its input; return when the app has acknowledged it."""
        blocks = self.messages[message]["blocks"]
        inputs = {
            each["block_id"]: {each["element"]["action_id"]: _typed(why)} for each in blocks if each["type"] == "input"
        }
        pressed = button or self.buttons(message)[action]
        payload = {
            "type": "block_actions",
            "user": {"id": member, "username": "maria", "team_id": "T0123456789"},
            "channel": {"id": CHANNEL, "name": "on-call"},
            "message": {"ts": message, "type": "message"},
            "container": {"type": "message", "message_ts": message, "channel_id": CHANNEL},
            "state": {"values": inputs},
            "actions": [{"type": "button", "action_id": action, "value": pressed["value"], "action_ts": "1.1"}],
            "response_url": "https://hooks.slack.com/actions/T0123456789/1/x",
        }
        envelope = f"envelope-{next(self._numbers)}"
        sent = {"type": "interactive", "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        await self.sockets[-1].send_json(sent)
        async with asyncio.timeout(30):
            while envelope not in self.acknowledged:
                await asyncio.sleep(0.02)

    async def call(self, request: web.Request) -> web.Response:
        """Answer a call of the Web API."""
        method = request.match_info["method"]
        if self.down:
            return web.json_response({"ok": False, "error": "internal_error"}, status=503)
        if method not in _CALLS:
            return self._no("unknown_method")
        if request.headers.get("Authorization") != f"Bearer {_CALLS[method]}":
            return self._no("invalid_auth")
        if method == "apps.connections.open":
            address = str(request.url.origin()).replace("http", "ws", 1)
            return web.json_response({"ok": True, "url": f"{address}/link"})
        given = await request.json()
        if given.get("channel") != CHANNEL:
            return self._no("channel_not_found")
        if wrong := _wrong_blocks(given.get("blocks", [])):
            return self._no(wrong)
        return self._take(method, given)

    def _take(self, method: str, given: Json) -> web.Response:
        message = given.get("ts") or f"17000000{next(self._numbers):02}.000100"
        match method:
            case "chat.postEphemeral":
                self.ephemerals.append((given["user"], given["text"]))
                return web.json_response({"ok": True, "message_ts": message})
            case "chat.update" if message not in self.messages:
                return self._no("message_not_found")
            case "chat.update":
                self.edits += 1
        self.messages[message] = {"text": given["text"], "blocks": given.get("blocks", [])}
        return web.json_response({"ok": True, "channel": CHANNEL, "ts": message, "text": given["text"]})

    def _no(self, error: str) -> web.Response:
        self.refused.append(error)
        return web.json_response({"ok": False, "error": error})

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        """Hold the connection of Socket Mode, and note what is acknowledged."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A0123456789"}})
        self.sockets.append(socket)
        async for message in socket:
            self.acknowledged.add(message.json()["envelope_id"])
        return socket


@asynccontextmanager
async def slack_server() -> AsyncIterator[SlackServer]:
    """Serve on a free port until the end."""
    server, app = SlackServer(), web.Application()
    app.router.add_post("/api/{method}", server.call)
    app.router.add_get("/link", server.link)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    try:
        yield server
    finally:
        await runner.cleanup()


def _wrong_blocks(blocks: list[Json]) -> str:
    """Return the error for blocks beyond the limits of the reference, "" for none."""
    ids = [each["block_id"] for each in blocks if "block_id" in each]
    texts = [each["text"] for each in _elements(blocks) if isinstance(each.get("text"), str)]
    buttons = [each for each in _elements(blocks) if each.get("type") == "button"]
    limits = (
        len(blocks) <= 50,
        len(ids) == len(set(ids)) and all(len(each) <= 255 for each in ids),
        all(0 < len(each) <= 4_000 for each in texts),
        sum(map(len, texts)) <= 12_000,
        all(len(each["value"]) <= 2_000 and len(each["text"]["text"]) <= 75 for each in buttons),
    )
    return "" if all(limits) else "invalid_blocks"


def _elements(value: object) -> list[Json]:
    """List a value's objects, also those inside others."""
    match value:
        case dict():
            return [value, *(each for inner in value.values() for each in _elements(inner))]
        case list():
            return [each for inner in value for each in _elements(inner)]
        case _:
            return []


def _texts(blocks: list[Json]) -> list[str]:
    return "".join(f"{each['text']}" for each in _elements(blocks) if isinstance(each.get("text"), str)).splitlines()


def _typed(text: str) -> Json:
    return {"type": "plain_text_input", "value": text or None}
