"""A signal is evaluated again once what has held it back is over: a problem before, or the mode (P9, P11)."""

from dataclasses import replace

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.outages import Fault, Outage
from kintsugi.model.records import IncidentState, KeptDiagnosis, Occasion, Reason, VerdictKind
from kintsugi.model.rules import Mode
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from tests.harness.ledger_rows import keep
from tests.unit.factories import NOW, incident, moment, run, signal
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime

DISK = Cause(
    kind=CauseKind.VOLUME, object="persistentvolumeclaim/data", confidence=Confidence.LIKELY, text="it is full"
)


def outage(fault: Fault) -> Outage:
    """Return an outage of web that began just now."""
    return Outage(service="web", since=NOW, fault=fault, fault_since=NOW, diagnosed=NOW)


async def handed_over(ledger: Ledger) -> PipelineBench:
    """Return the pipeline of a service that was handed over with a full disk five minutes ago."""
    closed = {"state": IncidentState.NEEDS_OPERATOR}
    ended = replace(run(), **closed, started=moment(minutes=-20), finished=moment(minutes=-5))  # type: ignore[arg-type]
    opened = replace(incident(), **closed, opened=moment(minutes=-20), closed=moment(minutes=-5))  # type: ignore[arg-type]
    await keep(ledger, opened, ended)
    found = Diagnosis(object="deployment/web", namespace="production", at=NOW, summary="it is full", causes=(DISK,))
    await ledger.diagnoses.keep(KeptDiagnosis(incident="inc-1", occasion=Occasion.HAND_OVER, diagnosis=found))
    return PipelineBench(ledger=ledger)


async def test_the_fault_that_was_handed_over_stays_refused_and_another_one_starts_a_run(ledger: Ledger) -> None:
    bench = await handed_over(ledger)
    bench.observed.outages = lambda _: outage(Fault.of(DISK, "hash-1"))
    given = signal()
    verdict = await bench.judged(given)
    assert (verdict.reason, verdict.until) == (Reason.HUMAN, moment(minutes=55))

    await bench.pipeline.evaluate_refused("web")
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].reason is Reason.HUMAN

    bench.observed.outages = lambda _: outage(
        Fault(template="hash-1", kind=CauseKind.IMAGE_PULL, object="deployment/web")
    )
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].reason is Reason.HUMAN, "nobody has said yet that there is another fault"
    await bench.pipeline.evaluate_refused("web")
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].kind is VerdictKind.STARTED
    assert len(bench.supervisor.started) == 1


async def test_a_signal_that_was_only_observed_starts_a_run_after_the_mode_was_changed(ledger: Ledger) -> None:
    given = signal()
    assert (await PipelineBench(ledger=ledger, mode=Mode.OBSERVE).judged(given)).kind is VerdictKind.OBSERVED
    bench = PipelineBench(ledger=ledger, mode=Mode.AUTO)
    await bench.pipeline.evaluate_observed()
    await bench.pipeline.step()
    assert (await bench.verdicts())[given.id].kind is VerdictKind.STARTED


async def test_a_signal_that_is_over_is_not_evaluated_again_after_the_mode_was_changed(ledger: Ledger) -> None:
    given = signal()
    await PipelineBench(ledger=ledger, mode=Mode.OBSERVE).judged(given)
    await ledger.signals.accept([signal(id="end", ended=moment(seconds=20))], moment(seconds=20))
    bench = PipelineBench(ledger=ledger, mode=Mode.AUTO)
    await bench.pipeline.evaluate_observed()
    await bench.pipeline.step()
    assert bench.supervisor.started == []
