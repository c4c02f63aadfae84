"""Which signal is the canary's, however much comes in beside it, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.cli.canary import Canary, TimeLimit, find, report, verdict_in_time
from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.model.api_types import EvaluatedSignal
from kintsugi.model.records import Reason, Verdict, VerdictKind
from tests.unit.factories import signal

NONE = Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")


class CanaryInbox:
    """Signals, the newest first, and how often they were asked for."""

    def __init__(self, *signals: EvaluatedSignal) -> None:
        self._signals, self.pages = signals, 0

    async def signals(self, *, verdict: str, reason: str, before: str, limit: int) -> Sequence[EvaluatedSignal]:
        assert (verdict, reason) == ("", "")
        self.pages += 1
        ids = [each.signal.id for each in self._signals]
        return self._signals[ids.index(before) + 1 if before else 0 :][:limit]


def of(number: int, key: str = "", verdict: Verdict | None = None) -> EvaluatedSignal:
    return EvaluatedSignal(signal=replace(signal(), id=f"sig-{number}", key=key or f"{number:016x}"), verdict=verdict)


async def test_a_canary_is_found_behind_many_others_and_not_looked_for_among_what_was_there_before() -> None:
    sent = Canary()
    own = of(5000, sent.key, NONE)
    others = [of(number) for number in range(1200)]
    assert await find(CanaryInbox(*others, own, of(5001)), sent, before="sig-5001") == own
    older = CanaryInbox(*others[:10], of(5001), own)
    assert await find(older, sent, before="sig-5001") is None
    assert older.pages == 1


@pytest.mark.parametrize("known", [(), (of(1),)])
async def test_a_canary_without_a_verdict_in_time_is_said_to_be_one_in_one_line(
    known: tuple[EvaluatedSignal, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    sent = Canary(key=known[0].signal.key) if known else Canary()
    judged = await verdict_in_time(CanaryInbox(*known), sent, "", TimeLimit(timedelta(0)))
    assert judged is None
    assert report(judged, timedelta(seconds=61), form=OutputFormat.TEXT) is ExitCode.FINDINGS
    said = capsys.readouterr().err.splitlines()
    assert said == ["error: the canary was accepted but got no verdict within 1m01s; see the daemon's log"]


def test_any_verdict_but_that_no_rule_matches_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    started = Verdict(kind=VerdictKind.STARTED, reason=Reason.MATCHED, text="rule any starts mend")
    assert report(of(1, verdict=started), timedelta(0), form=OutputFormat.TEXT) is ExitCode.FINDINGS
    assert "got the verdict started (rule any starts mend)" in capsys.readouterr().err
    assert report(of(1, verdict=NONE), timedelta(0), form=OutputFormat.JSON) is ExitCode.DONE
