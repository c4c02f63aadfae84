"""A notice reaches each of its routes once: by the first destination that takes it, and again later where none did."""

from collections.abc import Mapping
from datetime import timedelta

from kintsugi.errors import ProbeFailed
from kintsugi.ledger import Ledger
from kintsugi.model.notices import NoticeRoute, SlackChannel
from kintsugi.model.records import Notice
from kintsugi.notices.notifier import Notifier, Send, Ways
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import Metrics
from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded
from tests.unit.factories import NOW
from tests.unit.notices.test_routes import route_text

FIRST, SECOND, OTHER = "C0000000001", "C0000000002", "C0000000003"


class Channels:
    """Channels that take notices, but for those that are `closed`."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.taken: list[str] = []

    def way(self, _route: str, place: SlackChannel) -> Send:
        async def send(_notice: Notice) -> None:
            if place.channel in self.closed:
                raise ProbeFailed(f"{place.channel} is closed")
            self.taken.append(place.channel)

        return send

    async def webhook(self, _notice: Notice) -> None:
        self.taken.append("webhook")


def routes() -> Mapping[str, NoticeRoute]:
    """Return a route with a second destination, another one, and one whose condition does not hold."""
    two = f"[{{slack: {{channel: {FIRST}}}}}, {{slack: {{channel: {SECOND}}}}}]"
    texts = [
        route_text("services: []", name="a", to=two),
        route_text("services: []", name="b", to=f"[{{slack: {{channel: {OTHER}}}}}]"),
        route_text("severities: [info]", name="c"),
    ]
    return loaded(SERVICE, RUNBOOK, *texts).notice_routes


async def test_each_route_gets_a_notice_once_and_those_that_have_it_are_left_out_of_a_later_attempt(
    ledger: Ledger,
) -> None:
    channels, now = Channels(), [NOW]
    ways = Ways(webhook=channels.webhook, routes=routes, destination=channels.way)
    notifier = Notifier(NotificationSettings(), ledger.outbox, ways, metrics=Metrics(), clock=lambda: now[0])
    await ledger.outbox.put_daemon_notice("names do not resolve", NOW)

    channels.closed = {FIRST, OTHER}
    assert await notifier.send_due() == 0
    assert channels.taken == ["webhook", SECOND]

    channels.closed, now[0] = set(), NOW + timedelta(minutes=1)
    assert await notifier.send_due() == 1
    assert channels.taken == ["webhook", SECOND, OTHER]
    assert await notifier.send_due() == 0
