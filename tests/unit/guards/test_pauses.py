"""A person's stop, from wherever it was given (E29, E30)."""

from datetime import datetime

import pytest

from kintsugi.model.history import History
from kintsugi.model.records import Pause, PauseScope, Reason, VerdictKind
from tests.unit.factories import moment, pause
from tests.unit.guards.questions import guard_context, judged

AGAIN = moment(seconds=30)


@pytest.mark.parametrize(
    ("stop", "covers"),
    [
        (pause(PauseScope.GLOBAL), True),
        (pause(PauseScope.NAMESPACE, "production"), True),
        (pause(PauseScope.NAMESPACE, "staging"), False),
        (pause(PauseScope.NAMESPACE, "web-pods"), False),
        (pause(PauseScope.RULE, "web-pods"), True),
        (pause(PauseScope.RULE, "api-pods"), False),
        (pause(PauseScope.RULE, "production"), False),
        (pause(PauseScope.SERVICE, "web"), True),
        (pause(PauseScope.SERVICE, "api"), False),
        (pause(PauseScope.GLOBAL, freeze=True), True),
    ],
    ids=str,
)
def test_a_pause_covers_what_its_scope_names(stop: Pause, covers: bool) -> None:
    verdict = judged(history=History(pauses=(stop,)))
    assert verdict.kind is (VerdictKind.REFUSED if covers else VerdictKind.STARTED)


def test_a_pause_says_who_and_why_and_what() -> None:
    verdict = judged(history=History(pauses=(pause(PauseScope.NAMESPACE, "production"),)))
    assert verdict.text == "paused (namespace production) by ada: a release"


@pytest.mark.parametrize(
    ("until", "again"),
    [
        (None, AGAIN),
        (moment(seconds=10), moment(seconds=10)),
        (moment(hours=8), AGAIN),
    ],
    ids=["without an end", "that ends soon", "that may be lifted before its end"],
)
def test_a_paused_signal_is_judged_again_soon(until: datetime | None, again: datetime) -> None:
    """A person may lift a pause long before its end: what waited must not sleep until then (E29)."""
    verdict = judged(history=History(pauses=(pause(until=until),)))
    assert (verdict.reason, verdict.until) == (Reason.PAUSED, again)


def test_the_first_pause_that_covers_speaks() -> None:
    other = pause(PauseScope.RULE, "api-pods")
    verdict = judged(history=History(pauses=(other, pause(PauseScope.RULE, "web-pods"))))
    assert verdict.text.startswith("paused (rule web-pods)")


def test_an_annotation_on_the_namespace_pauses_without_us() -> None:
    """S10: a person can reach it with kubectl while the daemon is down."""
    verdict = judged(guard_context(annotation="paused by annotation kintsugi.dev/paused"))
    assert (verdict.kind, verdict.reason, verdict.until) == (VerdictKind.REFUSED, Reason.PAUSED, AGAIN)
    assert verdict.text == "paused by annotation kintsugi.dev/paused"
