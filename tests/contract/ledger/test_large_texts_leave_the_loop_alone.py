"""What a stranger has written at length is masked beside the event loop, on its way in and on its way out (E27)."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from kintsugi.ledger import Ledger
from kintsugi.server.answers import answer
from kintsugi.telemetry.redaction import Redactor
from tests.contract.ledger.build import NOW, begin, diagnosis, kept, step

LONG = "all is well, " * 400


async def ends_a_step(ledger: Ledger) -> None:
    """Keep a step that has seen a long text."""
    await ledger.runs.save_step(step(await begin(ledger), result={"text": LONG}), expect=None, now=NOW)


async def keeps_evidence(ledger: Ledger) -> None:
    """Keep a long log."""
    await ledger.evidence.keep((await begin(ledger)).id, "look", "log", LONG, NOW)


async def keeps_a_diagnosis(ledger: Ledger) -> None:
    """Keep what a diagnosis has found in a long log."""
    found = kept(await begin(ledger))
    await ledger.diagnoses.keep(replace(found, diagnosis=diagnosis(text=LONG)))


async def answers_a_person(_ledger: Ledger) -> None:
    """Show a person a long text."""
    await answer({"text": LONG})


@pytest.mark.parametrize("work", [ends_a_step, keeps_evidence, keeps_a_diagnosis, answers_a_person])
async def test_a_long_text_is_masked_in_a_thread(
    ledger: Ledger, work: Callable[[Ledger], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = threading.get_ident()
    threads: set[int] = set()
    text = Redactor.text

    def masked(redactor: Redactor, told: str) -> str:
        if LONG in told:
            threads.add(threading.get_ident())
        return text(redactor, told)

    monkeypatch.setattr(Redactor, "text", masked)
    await work(ledger)
    assert threads
    assert here not in threads
