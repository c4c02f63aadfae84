"""Notice routes: which notices go where, and the message that a chat has of an incident."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from kintsugi.model.records import IncidentState
from kintsugi.model.rules import LabelMatcher
from kintsugi.model.runbooks import Severity

WEBHOOK = "webhook"
"""The name by which the ledger knows the receiver at `notifications.url`; no route has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """
    Hours of some weekdays (0 is Monday) in a time zone: from `begin` until before `end`, which may be on the next day.

    An `end` equal to `begin` is the whole day.
    """

    begin: time
    end: time
    days: frozenset[int]
    zone: ZoneInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackChannel:
    """A channel of Slack, by its id."""

    channel: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AppriseDestination:
    """A destination of Apprise, by its name in `notifications.destinationsFile`."""

    name: str


Destination = SlackChannel | AppriseDestination


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageLimit:
    """The most messages that a route gets within a time. Beyond it, all notices that are due are one message."""

    messages: int
    within: timedelta


PLACEHOLDERS = ("incident", "state", "text", "title", "url")
"""What a template of a message may name: the first line of the notice is its title, all lines are its text."""

DEFAULT_TEMPLATE = "${text}\n\n${url}"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeRoute:
    """
    Where people hear of some notices: the first of the `destinations` that takes one, up to the `limit`.

    `template` is Markdown with `PLACEHOLDERS` (`${title}`), of which Apprise makes a message.

    A condition that is empty or None holds for every notice. `matchers` compare the labels of the incident's signals: one signal
    must satisfy all of them.
    """

    name: str
    services: frozenset[str] = frozenset()
    severities: frozenset[Severity] = frozenset()
    matchers: tuple[LabelMatcher, ...] = ()
    hours: Hours | None = None
    limit: MessageLimit
    template: str
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeSubject:
    """The service of a notice's incident, and the labels of the newest signals. Both are empty without an incident."""

    service: str = ""
    labels: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentMessage:
    """
    The message that a route has sent of an incident to a chat in which messages can be edited.

    `message` is its id in the `channel`. `digest` is that of its content. `final`: it shows that the incident is closed.
    """

    route: str
    incident: str
    channel: str
    message: str
    digest: str
    posted: datetime
    final: bool = False


def incident_url(public_url: str | None, incident: str | None) -> str:
    """Return the address of an incident in the console, "" where no browser reaches the console."""
    return f"{public_url}/incidents/{incident}" if public_url is not None and incident is not None else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPage:
    """A page that a pager has, by the name of its destination, about an incident, and how that is."""

    destination: str
    incident: str
    service: str
    state: IncidentState
