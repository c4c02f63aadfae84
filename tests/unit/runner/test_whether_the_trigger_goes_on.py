"""Since when nothing that started an incident holds any more."""

from datetime import datetime

import pytest

from kintsugi.model.trigger import Trigger
from kintsugi.runner.trigger import clear_since
from tests.unit.factories import NOW, incident, moment


@pytest.mark.parametrize(
    ("trigger", "since"),
    [
        (Trigger(firing=True), None),
        (Trigger(firing=True, ended=moment(minutes=3)), None),
        (Trigger(ended=moment(minutes=3)), moment(minutes=3)),
        (Trigger(), NOW),
    ],
)
def test_all_lasting_signals_must_have_ended(trigger: Trigger, since: datetime | None) -> None:
    assert clear_since(incident(), trigger) == since


def test_what_can_end_is_told_from_what_cannot() -> None:
    assert Trigger(firing=True).lasting
    assert Trigger(ended=NOW).lasting
    assert not Trigger(alerts_only=False).lasting
