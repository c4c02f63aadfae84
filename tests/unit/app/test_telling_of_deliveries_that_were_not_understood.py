"""A person hears that alerts were delivered which nobody here knows (P9)."""

from types import SimpleNamespace
from typing import Any

from kintsugi.app.serving import NOT_UNDERSTOOD, NotifyingInbox
from kintsugi.ledger import Ledger
from kintsugi.sources.alertmanager import decode
from tests.unit.factories import moment

GROUP = b'{"version":"4","groupKey":"{}:{namespace=\\"shop\\"}","truncatedAlerts":%d,"alerts":[]}'


async def test_alerts_that_a_group_was_cut_short_by_are_told_in_a_notice_once_an_hour(ledger: Ledger) -> None:
    """A7: nothing can ask for them, and their number is another one each time."""
    minutes = 0
    core: Any = SimpleNamespace(
        ledger=ledger,
        pipeline=SimpleNamespace(wake=lambda: None),
        clock=SimpleNamespace(now=lambda: moment(minutes=minutes)),
    )
    inbox = NotifyingInbox(core)
    told = []
    for minutes in (0, 5, 59, 70):
        left_out = decode(GROUP % (minutes + 1), moment(minutes=minutes)).left_out
        assert left_out is not None
        await inbox.keep_dead_letters([left_out])
        told.append(len(await ledger.outbox.due_notices(moment(hours=24))))
    assert told == [1, 1, 1, 2]
    assert {each.text for each in await ledger.outbox.due_notices(moment(hours=24))} == {NOT_UNDERSTOOD}
    await inbox.keep_dead_letters([])
    assert len(await ledger.outbox.due_notices(moment(hours=24))) == 2
