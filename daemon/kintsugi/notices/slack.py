"""
Slack: one message of each incident in a channel, edited as the incident goes on, and answers by its buttons.

The answers come by Socket Mode: the daemon opens the connection, and needs no way in from outside.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from kintsugi.decisions.incident_summary import summarize
from kintsugi.errors import KintsugiError, LedgerError, NotRecorded, ProbeFailed
from kintsugi.ledger import Outbox
from kintsugi.model.api_types import Answerer, AnswerRequest, TakeResult
from kintsugi.model.notices import IncidentMessage, incident_url
from kintsugi.model.questions import Answer, AnswerSource, Question
from kintsugi.model.records import Notice
from kintsugi.notices.notice_texts import IncidentReader
from kintsugi.notices.notifier import Way
from kintsugi.notices.pair_files import read_pairs
from kintsugi.notices.slack_message import BUTTONS, TAKE, WHY, Asked, SlackMessage, escaped, message_of, plain_message
from kintsugi.settings import NotificationSettings, SettingsError
from kintsugi.telemetry import SECRETS, get_logger
from kintsugi.tokens import is_name, read_bearer

log = get_logger(__name__)

_GONE = frozenset({"message_not_found", "channel_not_found", "is_archived", "cant_update_message"})
"""Slack's refusals of an edit that will never be possible (https://docs.slack.dev/reference/methods/chat.update)."""
_AGAIN = timedelta(seconds=5)
_CONNECTED_WITHIN = timedelta(seconds=30)
"""How long a connection may take to be opened."""


class _MessageGone(ProbeFailed):
    """The message was deleted, or the app may not edit in its channel any more."""


class IncidentOperations(IncidentReader, Protocol):
    """What a message shows and its buttons do; `OperatorService` implements it."""

    async def answer(self, incident: str, request: AnswerRequest, answerer: Answerer) -> Question: ...

    async def take(self, incident: str, *, who: str, why: str) -> TakeResult: ...


class _User(msgspec.Struct, frozen=True):
    id: str


class _Channel(msgspec.Struct, frozen=True):
    id: str


class _Action(msgspec.Struct, frozen=True):
    action_id: str
    value: str = ""


class _Typed(msgspec.Struct, frozen=True):
    value: str | None = None


class _State(msgspec.Struct, frozen=True):
    values: dict[str, dict[str, _Typed]]


class _Pressed(msgspec.Struct, frozen=True):
    """The payload of a pressed button (https://docs.slack.dev/reference/interaction-payloads/block_actions-payload)."""

    type: str
    user: _User
    channel: _Channel
    actions: list[_Action]
    state: _State = _State(values={})

    @property
    def why(self) -> str:
        """Return the typed reason."""
        typed = (inputs[WHY].value for inputs in self.state.values.values() if WHY in inputs)
        return " ".join(next((each for each in typed if each), "").split())


def read_members(file: Path) -> Mapping[str, str]:
    """
    Read which member of Slack is which operator, one a line: `U0123456789: maria`.

    Raises SettingsError, with each wrong line.
    """
    return read_pairs(file, _objection)


def _objection(member: str, name: str) -> str:
    if member.isalnum() and member.isupper() and is_name(name):
        return ""
    return "write MEMBER: OPERATOR, the id of a member of Slack and the name of an operator, as in U0123456789: maria"


class Slack:
    """
    The messages of all routes to Slack. `incidents` is read for each message, and is told the answers.

    A message shows buttons only where `notifications.slackAppTokenFile` is set: else no answer could arrive. Raises SettingsError for
    a file that does not hold what it should.
    """

    def __init__(
        self,
        settings: NotificationSettings,
        outbox: Outbox,
        incidents: IncidentOperations,
        *,
        clock: Callable[[], datetime],
        public_url: str | None = None,
    ) -> None:
        self._settings, self._outbox, self._incidents, self._clock = settings, outbox, incidents, clock
        self._public_url = public_url
        self._client = AsyncWebClient(base_url=settings.slack_url, timeout=round(settings.timeout.total_seconds()) or 1)
        self._posting = asyncio.Lock()  # two notices of one incident are one message
        if problems := tuple(self._problems()):
            raise SettingsError(problems)

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with the files of the settings."""
        chosen = self._settings
        for file, prefix in ((chosen.slack_token_file, "xoxb-"), (chosen.slack_app_token_file, "xapp-")):
            try:
                if file is not None and not read_bearer(file).startswith(prefix):
                    yield f"{file} does not hold a token of Slack that begins with {prefix}"
            except ProbeFailed as error:
                yield str(error)
        try:
            self._members()
        except SettingsError as error:
            yield from error.problems

    def _members(self) -> Mapping[str, str]:
        """Return which member is which operator now. Raises SettingsError."""
        file = self._settings.slack_members_file
        return read_members(file) if file is not None else {}

    def way(self, route: str, channel: str) -> Way:
        """Return the way of a route to a channel."""
        return Way(name=channel, send=partial(self.send, route, channel))

    async def send(self, route: str, channel: str, notice: Notice) -> None:
        """Show a notice in a channel: as a message of its incident, unless there is one, which `run` edits. Raises ProbeFailed."""
        async with self._posting:
            try:
                if notice.incident is not None:
                    await self._show(route, channel, notice.incident)
                    return
            except NotRecorded:
                log.warning("notice of an incident that is not kept", notice=notice.id, incident=notice.incident)
            await self._post(channel, plain_message(notice.text))

    async def _show(self, route: str, channel: str, incident: str) -> None:
        known = await self._outbox.message_of(route, incident)
        if known is None:
            shown, final = await self._message(incident)
            posted = await self._post(channel, shown)
            known = IncidentMessage(
                route=route,
                incident=incident,
                channel=str(posted.get("channel")),
                message=str(posted.get("ts")),
                digest=shown.digest,
                posted=self._clock(),
                final=final,
            )
            await self._outbox.put_message(known)
        elif known.final:  # the incident was reopened
            await self._outbox.put_message(replace(known, final=False))

    async def run(self) -> None:
        """Edit messages for ever, as their incidents go on."""
        while True:
            await asyncio.sleep(self._settings.interval.total_seconds())
            try:
                await self.refresh()
            except LedgerError as error:
                log.warning("messages not edited", error=str(error))

    async def refresh(self, incident: str = "") -> None:
        """Edit each message whose incident reads otherwise now, or those of one incident. Raises LedgerUnavailable."""
        for known in await self._outbox.current_messages():
            if not incident or known.incident == incident:
                try:
                    await self._edit(known)
                except (NotRecorded, ProbeFailed) as error:
                    log.warning("message not edited", incident=known.incident, route=known.route, error=str(error))

    async def _edit(self, known: IncidentMessage) -> None:
        shown, final = await self._message(known.incident)
        if shown.digest != known.digest:
            try:
                await self._call(
                    "chat.update", channel=known.channel, ts=known.message, text=shown.text, blocks=shown.blocks
                )
            except _MessageGone as error:
                log.warning("message gone", incident=known.incident, route=known.route, error=str(error))
                final = True
        if shown.digest != known.digest or final:
            await self._outbox.put_message(replace(known, digest=shown.digest, final=final))

    async def _message(self, incident: str) -> tuple[SlackMessage, bool]:
        detail = await self._incidents.incident(incident, signals=0)
        summary = summarize(detail, now=self._clock())
        buttons = self._settings.slack_app_token_file is not None
        link = incident_url(self._public_url, incident)
        return message_of(summary, buttons=buttons, link=link), detail.incident.closed is not None

    async def _post(self, channel: str, message: SlackMessage) -> Mapping[str, Any]:
        return await self._call(
            "chat.postMessage",
            channel=channel,
            text=message.text,
            blocks=message.blocks,
            unfurl_links=False,
            unfurl_media=False,
        )

    async def _call(self, method: str, **given: object) -> Mapping[str, Any]:
        """Call a method of Slack's API. Raises ProbeFailed."""
        token = _token(self._settings.slack_token_file, "notifications.slackTokenFile")
        try:
            answer = await self._client.api_call(method, json=given, headers={"Authorization": f"Bearer {token}"})
        except SlackApiError as error:
            kind = _MessageGone if error.response.get("error") in _GONE else ProbeFailed
            raise kind(f"{method}: {_said(error)}") from error
        # Contained: whatever a foreign client makes of a broken answer. The notice or the edit is tried again.
        except Exception as error:
            raise ProbeFailed(f"{method}: {_said(error)}") from error
        return answer.data if isinstance(answer.data, dict) else {}

    async def take_answers(self) -> None:
        """Take the answers of the buttons for ever, over one connection at a time. A lost one is replaced by a new client."""
        while True:
            try:
                await self._connection()
            # Contained: whatever a foreign client makes of a lost connection. Another client takes its place.
            except Exception as error:  # noqa: BLE001
                log.warning("no answers from Slack are taken", error=_said(error))
            await asyncio.sleep(_AGAIN.total_seconds())

    async def _connection(self) -> None:
        """Take answers until the connection is lost. Raises ProbeFailed, or what the client raises, if there is none."""
        token = _token(self._settings.slack_app_token_file, "notifications.slackAppTokenFile")
        client = SocketModeClient(app_token=token, web_client=self._client)
        client.socket_mode_request_listeners.append(self._take)
        try:
            async with asyncio.timeout(_CONNECTED_WITHIN.total_seconds()):
                # first, so that a refusal is seen: the client alone would try an address that has run out for ever
                client.wss_uri = await client.issue_new_wss_url()
                await client.connect()  # type: ignore[no-untyped-call]
            log.info("answers from Slack are taken")
            while await client.is_connected():
                await asyncio.sleep(_AGAIN.total_seconds())
        finally:
            await client.close()  # type: ignore[no-untyped-call]

    async def _take(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Acknowledge a request, and act on it if a button of ours was pressed."""
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type != "interactive":
            return
        try:
            pressed = msgspec.convert(request.payload, _Pressed)
            asked = [
                (each.action_id, msgspec.json.decode(each.value, type=Asked))
                for each in pressed.actions
                if each.action_id in (*BUTTONS, TAKE)
            ]
        except msgspec.DecodeError as error:
            log.warning("interaction from Slack not understood", error=str(error))
            return
        for action, about in asked:
            refused = await self._do(pressed, action, about)
            channel, member = pressed.channel.id, pressed.user.id
            try:
                if refused:
                    await self._call("chat.postEphemeral", channel=channel, user=member, text=escaped(refused))
                else:
                    await self.refresh(about.incident)
            except (LedgerError, ProbeFailed) as error:
                log.warning("result of an answer not shown", incident=about.incident, error=str(error))

    async def _do(self, pressed: _Pressed, action: str, about: Asked) -> str:
        """Give an answer, or take the incident, in a member's name; say why that cannot be done, "" when it was."""
        try:
            who = self._members().get(pressed.user.id, "")
            if not who:
                return f"Nothing was done: no operator is known for {pressed.user.id}: add a line to notifications.slackMembersFile."
            if action == TAKE:
                await self._incidents.take(about.incident, who=who, why=pressed.why)
                return ""
            answer = Answer(action)
            if answer.needs_reason and not pressed.why:
                return f"Nothing was done: the answer {answer} needs a reason. Write it into the message, then press the button."
            request = AnswerRequest(path=about.path, plan=about.plan, answer=answer, why=pressed.why)
            await self._incidents.answer(about.incident, request, Answerer(name=who, source=AnswerSource.SLACK))
        except KintsugiError as error:
            return f"Nothing was done: {error}"
        return ""


def _said(error: Exception) -> str:
    """Return what Slack has refused, or why it cannot be reached."""
    if isinstance(error, SlackApiError):
        return f"Slack refuses it: {error.response.get('error')}"
    return str(error) if isinstance(error, ProbeFailed) else f"Slack cannot be reached: {error or type(error).__name__}"


def _token(file: Path | None, setting: str) -> str:
    """Read a token as it is now. Raises ProbeFailed."""
    if file is None:
        raise ProbeFailed(f"{setting} is not set")
    token = read_bearer(file)
    SECRETS.register(token)
    return token
