"""A dead letter that is sent in again says no more than it did when it came in: what fired then may be over."""

import json
from datetime import datetime, timedelta

import pytest

from kintsugi.model.records import DeadLetter, SignalSource, SignalStatus
from kintsugi.sources.dead_letters import CURRENT_FOR, reread
from tests.unit.factories import NOW, moment

NO_END = "0001-01-01T00:00:00Z"


def alert(name: str, *, status: str = "firing", ends: str = NO_END) -> dict[str, object]:
    """Return an alert that began an hour ago, as a webhook has it."""
    began = moment(hours=-1).isoformat()
    return {"status": status, "labels": {"alertname": name}, "annotations": {}, "startsAt": began, "endsAt": ends}


def letter(
    *alerts: dict[str, object], received: datetime = NOW, source: SignalSource = SignalSource.ALERTMANAGER
) -> DeadLetter:
    """Return a letter with these alerts."""
    content: object = {"version": "4", "alerts": alerts}
    if source is SignalSource.POLL:
        content = [{**each, "status": {"state": "active"}} for each in alerts]
    return DeadLetter(
        id="dead-1", source=source, received=received, reason="?", excerpt="", payload=json.dumps(content).encode()
    )


@pytest.mark.parametrize("source", [SignalSource.ALERTMANAGER, SignalSource.POLL])
@pytest.mark.parametrize(
    ("age", "fires"), [(timedelta(0), 1), (CURRENT_FOR, 1), (CURRENT_FOR + timedelta(seconds=1), 0)]
)
def test_an_alert_that_fired_when_its_letter_came_in_fires_for_as_long_as_that_is_news(
    source: SignalSource, age: timedelta, fires: int
) -> None:
    """P6: of an older one nobody knows, and Alertmanager sends it again if it does."""
    read = reread(letter(alert("Odd"), source=source), NOW + age, timed=True)
    assert [each.status for each in read.signals] == [SignalStatus.FIRING] * fires
    assert (read.stale, read.unreadable) == (1 - fires, "")


def test_an_age_that_our_clock_cannot_tell_counts_as_old() -> None:
    """P6."""
    assert reread(letter(alert("Odd")), NOW, timed=False).stale == 1


def test_an_alert_whose_end_has_passed_since_its_letter_came_in_has_ended() -> None:
    end = moment(minutes=2)
    (signal,) = reread(letter(alert("Odd", ends=end.isoformat())), moment(minutes=3), timed=True).signals
    assert (signal.status, signal.ended) == (SignalStatus.RESOLVED, end)


def test_an_end_is_taken_at_any_age_and_what_fired_beside_it_is_left_out() -> None:
    end = moment(minutes=-5)
    both = letter(alert("Gone", status="resolved", ends=end.isoformat()), alert("Odd"))
    read = reread(both, moment(hours=72), timed=True)
    assert [(each.labels["alertname"], each.ended) for each in read.signals] == [("Gone", end)]
    assert read.stale == 1


def test_a_letter_that_was_not_kept_whole_is_not_sent_in_again() -> None:
    lost = DeadLetter(id="dead-1", source=SignalSource.ALERTMANAGER, received=NOW, reason="?", excerpt="", payload=None)
    assert reread(lost, NOW, timed=True).unreadable.startswith("it was not stored whole")
