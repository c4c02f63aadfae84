"""Since when nothing that started an incident holds any more."""

from datetime import datetime

import pytest

from kintsugi.model.documents import RuleSource
from kintsugi.model.records import Signal
from kintsugi.runner.trigger import clear_since
from tests.unit.factories import NOW, incident, moment, signal

FIRING = signal()
ENDED = signal(ended=moment(minutes=3))
LATER = signal(ended=moment(minutes=5))
EVENT = signal(kind=RuleSource.EVENT)


@pytest.mark.parametrize(
    ("signals", "since"),
    [
        ([FIRING], None),
        ([FIRING, ENDED], None),
        ([ENDED], moment(minutes=3)),
        ([ENDED, LATER], moment(minutes=5)),
        ([LATER, ENDED], moment(minutes=5)),
        ([EVENT], NOW),
        ([EVENT, ENDED], moment(minutes=3)),
        ([EVENT, FIRING], None),
        ([], NOW),
    ],
)
def test_all_lasting_signals_must_have_ended(signals: list[Signal], since: datetime | None) -> None:
    assert clear_since(incident(), signals) == since
