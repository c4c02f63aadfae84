"""A verdict without an incident says what is wrong; what is only observed is told, once an episode of its service."""

import asyncio
from datetime import timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.pipeline.incident_diagnoses import IncidentDiagnoses
from kintsugi.pipeline.verdict_diagnoses import VerdictDiagnoses
from kintsugi.telemetry import Containment
from tests.unit.factories import NOW, moment, signal, virtual_clock
from tests.unit.pipeline.business import PipelineBench
from tests.unit.pipeline.test_diagnoses_of_incidents import CountingDiagnoser

pytestmark = pytest.mark.looptime

WRONG = "; problem: deployment/web: fine"


class ObservingBench:
    """A pipeline in mode observe with what diagnoses its verdicts."""

    def __init__(self, ledger: Ledger, *, notifies: bool = True) -> None:
        self.ledger = ledger
        self.business = PipelineBench(mode=Mode.OBSERVE, ledger=ledger)
        self.diagnoser = CountingDiagnoser()
        self.notified: list[str] = []
        containment = Containment()
        within = timedelta(seconds=5)
        diagnoses = IncidentDiagnoses(
            self.diagnoser, ledger.diagnoses, clock=virtual_clock, within=within, containment=containment
        )
        active = self.business.active_catalog
        self.verdicts = VerdictDiagnoses(
            diagnoses,
            ledger,
            active,
            clock=virtual_clock,
            containment=containment,
            on_notice=self.notified.append if notifies else None,
        )
        self.business.pipeline.on_verdict(self.verdicts.note)

    async def judge(self, *signals: Signal) -> None:
        """Have signals judged, and their verdicts diagnosed."""
        await self.ledger.signals.accept(signals, NOW)
        await self.business.pipeline.step()
        running = asyncio.create_task(self.verdicts.run())
        await asyncio.sleep(10)
        running.cancel()

    async def texts(self) -> list[str]:
        """List the texts of all verdicts, oldest first."""
        return [verdict.text for _, verdict in reversed(await self.ledger.signals.newest()) if verdict is not None]

    async def told(self) -> list[str]:
        """List what people are told."""
        notices = await self.ledger.outbox.due_notices(moment(hours=1), 100)
        assert {each.kind for each in notices} <= {IncidentState.OPEN}
        return [each.text for each in notices]


async def test_a_verdict_of_mode_observe_says_what_is_wrong_and_is_told_once_an_episode(ledger: Ledger) -> None:
    bench = ObservingBench(ledger)
    first, second = signal(id="sig-1"), signal(id="sig-2", key="web-pods/uid-web-2")
    await bench.judge(first)
    await bench.judge(second)
    observed = "mode is observe: mend would have been started"
    assert await bench.texts() == [observed + WRONG, observed]
    (text,) = await bench.told()
    assert text.splitlines() == [
        "problem: deployment/web: fine",
        f"observed: web: rule web-pods: {observed}",
        "next: kintsugi diagnose deployment/web -n production",
    ]
    assert (len(bench.diagnoser.asked), bench.notified) == (1, ["web"])


async def test_the_next_episode_is_diagnosed_anew(ledger: Ledger) -> None:
    bench = ObservingBench(ledger)
    await bench.judge(signal(id="sig-1"))
    await ledger.signals.accept([signal(id="end", ended=moment(seconds=20))], moment(seconds=20))
    await bench.judge(signal(id="sig-2", key="web-pods/uid-web-2"))
    assert [text.endswith(WRONG) for text in await bench.texts()] == [True, True]
    assert len(bench.diagnoser.asked) == 2


async def test_a_verdict_is_told_to_nobody_where_the_setting_says_so(ledger: Ledger) -> None:
    bench = ObservingBench(ledger, notifies=False)
    await bench.judge(signal(id="sig-1"))
    assert (await bench.texts())[0].endswith(WRONG)
    assert await bench.told() == []


@pytest.mark.parametrize(
    ("kind", "reason", "diagnosed"),
    [
        (VerdictKind.REFUSED, Reason.COOLDOWN, True),
        (VerdictKind.REFUSED, Reason.OWNED, True),
        (VerdictKind.REFUSED, Reason.FOREIGN_TARGET, False),
        (VerdictKind.OBSERVED, Reason.RESOLVED, False),
        (VerdictKind.STARTED, Reason.MATCHED, False),
    ],
)
async def test_a_refusal_about_the_service_is_diagnosed_and_told_to_nobody(
    ledger: Ledger, kind: VerdictKind, reason: Reason, diagnosed: bool
) -> None:
    bench = ObservingBench(ledger)
    judged = Verdict(kind=kind, reason=reason, text="so it is", rule="web-pods")
    await ledger.signals.accept([signal(id="sig-1")], NOW)
    await ledger.signals.settle({"sig-1": judged}, NOW)
    bench.verdicts.note(signal(id="sig-1"), judged)
    await bench.judge()
    assert await bench.texts() == [f"so it is{WRONG if diagnosed else ''}"]
    assert await bench.told() == []


async def test_a_refusal_that_is_judged_again_says_it_again(ledger: Ledger) -> None:
    bench = ObservingBench(ledger)
    again = moment(minutes=1)
    judged = Verdict(kind=VerdictKind.REFUSED, reason=Reason.COOLDOWN, text="cooling", rule="web-pods", until=again)
    await ledger.signals.accept([signal(id="sig-1")], NOW)
    for _ in range(2):
        await ledger.signals.settle({"sig-1": judged}, NOW)
        bench.verdicts.note(signal(id="sig-1"), judged)
        await bench.judge()
        assert await bench.texts() == [f"cooling{WRONG}"]
    assert len(bench.diagnoser.asked) == 1
