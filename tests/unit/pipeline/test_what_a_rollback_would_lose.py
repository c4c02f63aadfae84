"""Before a restore is taken back a person reads what has been written since, or that it cannot be known."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.commands import encode, parse
from kintsugi.errors import ProbeFailed
from kintsugi.model.records import StepRecord, StepState
from kintsugi.pipeline.data_loss import KEPT, DataLossEstimator
from tests.unit.factories import NOW, catalog, rule_text, run, runbook_text, service_text
from tests.unit.runner.fakes import ScriptedProber

QUESTION = "kubectl exec statefulset/database -n production -- psql -U postgres -d app -c 'TABLE pg_stat_user_tables'"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump"
CHILD = runbook_text(
    f"- {{id: restore, run: {RESTORE}}}\n- id: written\n  run: >-\n    {QUESTION}",
    name="restore",
    more="completeOnceBegun: true",
    rollback="after: 20m\nthen: leave\ndataLossCheck: written",
)
CATALOG = catalog(service_text(), rule_text(), runbook_text("- {id: data, runbook: restore}"), CHILD)
RUN = replace(run(), runbook="mend")


def row(table: str, inserted: int, updated: int = 0, deleted: int = 0) -> dict[str, object]:
    return {"schemaname": "public", "relname": table, "inserted": inserted, "updated": updated, "deleted": deleted}


def done(path: str, **changes: Any) -> StepRecord:
    made = StepRecord(run=RUN.id, path=path, state=StepState.DONE, finished=NOW, met=True)
    return replace(made, **changes)


RESTORED = done("data/restore#0", changes=True, command=encode(parse(RESTORE, namespace="production")))
COUNTED = done(
    "data/written",
    text=QUESTION,
    finished=NOW + timedelta(minutes=5),
    result={"rows": [row("orders", 1000), row("items", 7)]},
)


async def told(steps: tuple[StepRecord, ...], answer: Mapping[str, object] | Exception) -> tuple[str, ...]:
    """Ask what would be lost."""
    prober = ScriptedProber()
    prober.will("kubectl exec", lambda: answer)
    return tuple(loss.text for loss in await DataLossEstimator(prober=prober).of(RUN, CATALOG, steps))


async def test_the_writes_to_every_table_since_the_restore_are_told() -> None:
    now = {"rows": [row("orders", 1012, 3), row("items", 7), row("visits", 0, 0, 2)]}
    said, kept = await told((RESTORED, COUNTED), now)
    assert said == (
        "written since 2026-05-04 12:05:00 UTC: public.orders: 12 rows inserted, 3 rows updated; public.visits: 2 rows deleted"
    )
    assert kept == KEPT


async def test_a_database_without_writes_is_told_as_nothing_written() -> None:
    said, _ = await told((RESTORED, COUNTED), {"rows": [row("orders", 1000), row("items", 7)]})
    assert said == "written since 2026-05-04 12:05:00 UTC: no counted writes"


@pytest.mark.parametrize(
    ("steps", "answer", "why"),
    [
        ((RESTORED,), {}, "no step counted the rows before traffic resumed"),
        (
            (RESTORED, COUNTED),
            ProbeFailed("statefulset/database has no primary that answers"),
            "no primary that answers",
        ),
        ((RESTORED, COUNTED), {"rows": [row("orders", 3), row("items", 0)]}, "the counters were reset"),
        ((RESTORED, COUNTED), {"rows": [row("orders", 1012)]}, "the counters were reset"),
        ((RESTORED, COUNTED), {}, "the counters were reset"),
    ],
)
async def test_a_loss_that_cannot_be_known_is_said(
    steps: tuple[StepRecord, ...], answer: Mapping[str, object] | Exception, why: str
) -> None:
    """P6: no answer is not nothing."""
    said, _ = await told(steps, answer)
    assert said.startswith("all writes since")
    assert "amount is unknown" in said
    assert why in said


async def test_a_run_that_restored_nothing_loses_nothing() -> None:
    assert await told((), {}) == ()
    assert await told((replace(RESTORED, state=StepState.FAILED),), {}) == ()
