"""A notice reaches each of its routes once: by the first destination that takes it, and again later where none did."""

from collections.abc import Mapping
from datetime import timedelta

from kintsugi.errors import LedgerUnavailable, ProbeFailed
from kintsugi.ledger import Ledger
from kintsugi.model.notices import Destination, NoticeRoute, SlackChannel
from kintsugi.model.records import IncidentState, Notice
from kintsugi.notices.notifier import Notifier, Way, Ways
from kintsugi.settings import NotificationSettings
from kintsugi.telemetry import Metrics
from tests.contract.ledger.build import begin
from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded
from tests.unit.factories import NOW
from tests.unit.notices.test_routes import route, route_text

FIRST, SECOND, OTHER = "C0000000001", "C0000000002", "C0000000003"


class Channels:
    """Channels that take notices, but for those that are `closed`."""

    def __init__(self) -> None:
        self.closed: set[str] = set()
        self.taken: list[str] = []

    def way(self, _route: NoticeRoute, place: Destination) -> Way:
        assert isinstance(place, SlackChannel)
        channel = place.channel

        async def send(_notice: Notice) -> None:
            if channel in self.closed:
                raise ProbeFailed(f"{channel} is closed")
            self.taken.append(channel)

        return Way(name=channel, send=send)

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


async def test_beyond_its_limit_a_route_gets_one_summary_at_once_and_the_next_a_minute_later(ledger: Ledger) -> None:
    now, sent = [NOW], list[Notice]()
    limited = route("limit: {messages: 3, within: 5m}")

    async def send(notice: Notice) -> None:
        sent.append(notice)

    ways = Ways(routes=lambda: {"on-call": limited}, destination=lambda *_: Way(name="mail", send=send))
    notifier = Notifier(NotificationSettings(), ledger.outbox, ways, metrics=Metrics(), clock=lambda: now[0])

    async def due(count: int, after: timedelta) -> list[str]:
        sent.clear()
        now[0] += after
        for number in range(count):
            await ledger.outbox.put_daemon_notice(f"{now[0]} problem {number}", now[0])
        await notifier.send_due()
        return [each.text for each in sent]

    second, minute = timedelta(seconds=5), timedelta(minutes=1)
    assert len(await due(2, second)) == 2
    summary = "|".join(await due(50, second))
    assert summary.startswith("50 notices in one: the route on-call gets at most 3 messages in 5m\n")
    assert summary.endswith("… and 20 more\nnext: kintsugi incidents")
    assert await due(2, second) == []
    assert await due(0, 10 * second) == []
    assert (await due(1, second))[0].startswith("3 notices in one")
    assert len(await due(1, minute)) == 1, "one alone is no summary"
    assert len(await due(2, 5 * minute)) == 2


async def test_a_way_that_needs_a_ledger_that_is_away_does_not_lose_what_other_routes_have_got(ledger: Ledger) -> None:
    channels = Channels()

    async def send(_notice: Notice) -> None:
        raise LedgerUnavailable("the disk is full")

    def way(route: NoticeRoute, place: Destination) -> Way:
        return Way(name=route.name, send=send) if route.name == "a" else channels.way(route, place)

    ways = Ways(webhook=channels.webhook, routes=routes, destination=way)
    notifier = Notifier(NotificationSettings(), ledger.outbox, ways, metrics=Metrics(), clock=lambda: NOW)
    await ledger.outbox.put_daemon_notice("names do not resolve", NOW)
    assert await notifier.send_due() == 0
    [waiting] = await ledger.outbox.due_notices(NOW + timedelta(hours=1))
    assert sorted(waiting.reached) == ["b", "webhook"]


async def test_a_pager_is_called_only_when_a_person_is_needed(ledger: Ledger) -> None:
    calls = list[IncidentState]()

    async def call(notice: Notice) -> None:
        calls.append(notice.kind)

    ways = Ways(
        routes=lambda: {"on-call": route("")}, destination=lambda *_: Way(name="pager", send=call, is_pager=True)
    )
    notifier = Notifier(NotificationSettings(), ledger.outbox, ways, metrics=Metrics(), clock=lambda: NOW)
    await ledger.lead(NOW)
    run = await begin(ledger)
    for kind in (IncidentState.RUNNING, IncidentState.HELD, IncidentState.FAILED, IncidentState.RECOVERED):
        await ledger.outbox.put_notice_once(run.incident, kind, f"it is {kind}", NOW)
    await ledger.outbox.put_observed_notice("only observed", NOW)
    await ledger.outbox.put_daemon_notice("names do not resolve", NOW)
    assert await notifier.send_due() == 6
    assert set(calls) == {IncidentState.HELD, IncidentState.FAILED, IncidentState.NEEDS_OPERATOR}
