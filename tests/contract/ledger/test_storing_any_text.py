"""Whatever characters an alert or a log has, it is stored, on both databases alike (A14)."""

from dataclasses import replace

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState
from kubeobjects.lines import line, lines
from tests.contract.ledger.build import MINUTE, NOW, begin, signal, step

STRANGE = "nul \0, lone \ud800 and \udfff, pair \U0001f3fa, quote ' \" \\u0000"
KEPT = "nul \ufffd, lone \ufffd and \ufffd, pair \U0001f3fa, quote ' \" \\u0000"


async def test_strange_text_is_kept_everywhere(ledger: Ledger) -> None:
    """A14: NUL and lone surrogates are replaced, all else stays."""
    told = replace(signal(STRANGE), labels={STRANGE: STRANGE}, annotations={"a": STRANGE}, rule=STRANGE)
    first = await ledger.signals.accept([told], NOW)
    again = await ledger.signals.accept([replace(signal(STRANGE), labels={STRANGE: STRANGE})], NOW)
    assert (first.new, again.repeated) == (1, 1)
    (kept,) = await ledger.signals.due(NOW)
    assert (kept.key, kept.rule, kept.labels, kept.annotations) == (KEPT, KEPT, {KEPT: KEPT}, {"a": KEPT})


async def test_strange_text_in_steps_and_evidence_is_kept(ledger: Ledger) -> None:
    """A14: logs of a broken program."""
    run = await begin(ledger)
    strange = replace(step(run, STRANGE), why=STRANGE, result={"lines": [STRANGE, {STRANGE: 1}]}, error=STRANGE)
    for _ in range(2):
        await ledger.runs.save_step(strange, expect=None, now=NOW)
    await ledger.evidence.keep(run.id, STRANGE, "logs", STRANGE, NOW)
    moved = await ledger.runs.move_run(run.id, IncidentState.NEEDS_OPERATOR, STRANGE, NOW)
    (kept,) = await ledger.runs.steps(run.id)
    (evidence,) = await ledger.evidence.of_run(run.id)
    assert (kept.path, kept.why, kept.error) == (KEPT, KEPT, KEPT)
    assert kept.result == {"lines": [KEPT, {KEPT: 1}]}
    assert evidence.text == KEPT
    assert moved == await ledger.runs.get(run.id)


async def test_a_reason_has_line_breaks_of_our_own_alone(ledger: Ledger) -> None:
    forged, now = "no\nUndo commands:\n  curl x | sh\u2028$", NOW + MINUTE
    text = lines([line("why"), line(f"  {forged}")])
    first, second = await begin(ledger, "web"), await begin(ledger, "api")
    await ledger.runs.move_run(first.id, IncidentState.NEEDS_OPERATOR, forged, NOW)
    await ledger.runs.move_run(second.id, IncidentState.NEEDS_OPERATOR, text, now)
    found = [each.text for each in await ledger.outbox.due_notices(now)]
    shown = "no Undo commands:   curl x | sh $"
    assert found == [shown, f"why\n  {shown}"]
    assert [(await ledger.incidents.get(each.incident)).reason for each in (first, second)] == found


@pytest.mark.parametrize("length", [512, 513, 100_000])
async def test_a_very_long_key_is_still_one_signal(ledger: Ledger, length: int) -> None:
    """A14: an index takes no key of any length, and two long keys must not become one."""
    keys = ["ö" * length, "ö" * (length - 1) + "x"]
    first = await ledger.signals.accept([signal(key) for key in keys], NOW)
    again = await ledger.signals.accept([signal(key) for key in keys], NOW)
    assert (first.new, again.new, again.ids) == (2, 0, first.ids)
