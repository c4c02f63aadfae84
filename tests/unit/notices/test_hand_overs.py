"""
What a hand-over says: one notice a kind of cause, as whoever knows Kubernetes and not Kintsugi reads it.

`python -m tests.unit.notices.test_hand_overs` writes the texts again.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.decisions.remedies import remedy
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, KeptDiagnosis, Notice, Occasion, StepState, UndoRecord
from kintsugi.model.remedies import RevisionFacts
from kintsugi.notices.notice_texts import NoticeTexts
from kintsugi.runner.report import hand_over
from kubediagnosis.diagnose import diagnose
from tests.contract.ledger.build import NOW, begin, step
from tests.faults import page
from tests.harness.incident_reader import LedgerIncidents
from tests.harness.ledgers import in_memory, save_step
from tests.unit.diagnosis import test_rows_of_the_faults_page, test_rows_of_what_stands_around

ROOT = Path(__file__).parents[3]
FILE = Path(__file__).with_name("hand_overs.txt")
BROKEN = {**test_rows_of_the_faults_page.BROKEN, **test_rows_of_what_stands_around.BROKEN}
TRIED = "hanging-for-ever"
"""The row for which Kintsugi has restarted a pod before."""

ROWS = (
    "image-of-good-revision-gone",
    "configmap-deleted",
    "setting-not-known",
    "quota-used-up",
    "claim-without-volume",
    "node-cordoned",
    "pod-held-by-finalizer",
    "selector-wrong",
    "cluster-dns-down",
    "token-wrong",
    TRIED,
    "policy-denies-ingress",
    "certificate-expired",
    "observer-dns-down",
)


async def notice_of(row: str, ledger: Ledger) -> str:
    """Return the notice with which an incident of a row is handed over."""
    run = await begin(ledger, service="web", namespace="shop")
    if row == TRIED:
        undo = UndoRecord(texts=(), note="a deleted pod comes back by itself")
        change = replace(step(run), state=StepState.DONE, text="kubectl delete pod web-good-1 -n shop", undo=undo)
        await save_step(ledger, change, expect=None, now=NOW)
    found = replace(diagnose(BROKEN[row]().facts()), at=NOW)
    kept = KeptDiagnosis(incident=run.incident, occasion=Occasion.HAND_OVER, diagnosis=found)
    await ledger.incidents.keep_diagnosis(kept)
    why = remedy(found, RevisionFacts(known_good=True)).reason
    text = hand_over(f"web is not healthy: 1 of 2 ready; {why}", await ledger.incidents.steps(run.id))
    await ledger.incidents.move_run(run.id, IncidentState.NEEDS_OPERATOR, text, NOW)
    told = Notice(id="ntc-1", incident=run.incident, kind=IncidentState.NEEDS_OPERATOR, text=text, created=NOW, due=NOW)
    headlines = NoticeTexts(incidents=LedgerIncidents(ledger), clock=lambda: NOW, delay=timedelta(0))
    (complete,) = await headlines.complete([told])
    return complete.text.replace(run.incident, "inc-1")


def golden() -> Mapping[str, str]:
    """Return the texts that are written down, by row."""
    parts = re.split(r"^## (.*)\n", FILE.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], (each.strip("\n") for each in parts[1::2]), strict=True))


@pytest.mark.parametrize("row", ROWS)
async def test_a_hand_over_names_the_cause_what_was_done_and_the_exact_next_command(row: str, ledger: Ledger) -> None:
    assert await notice_of(row, ledger) == golden()[row]


def test_each_of_these_rows_ends_handed_over() -> None:
    assert [row for row in ROWS if not page.row(row).end.startswith("handed over")] == []


def test_the_hand_over_in_the_guide_is_one_of_these() -> None:
    assert f"```text\n{golden()['setting-not-known']}\n```" in (ROOT / "docs" / "notices.md").read_text()


async def write() -> None:
    """Write the texts as they are."""
    parts = []
    for row in ROWS:
        async with in_memory(NOW) as ledger:
            parts.append(f"## {row}\n{await notice_of(row, ledger)}\n")
    FILE.write_text("\n".join(parts))


if __name__ == "__main__":
    asyncio.run(write())
