"""`deadlines` scales what ends a wait for the cluster, besides `durations`, and nothing else."""

from datetime import timedelta

from kintsugi.catalog import Source, load_sources
from kintsugi.model.runbooks import Runbook
from tests.unit import factories

RUNBOOK = factories.runbook_text(
    "- {id: up, run: kubectl get pods, expect: size(items) > 0, within: 5m, for: 30s, timeout: 40s}",
    rollback="after: 30m",
)


def runbook(*, durations: float, deadlines: float) -> Runbook:
    """Load a runbook that waits, holds and has a deadline."""
    texts = (factories.service_text(), factories.rule_text(), RUNBOOK)
    sources = [Source(name=f"{index}.yaml", content=text.encode()) for index, text in enumerate(texts)]
    return load_sources(sources, durations=durations, deadlines=deadlines).runbooks["mend"]


def test_a_deadline_is_scaled_by_both_settings_and_a_duration_that_must_hold_by_one() -> None:
    loaded = runbook(durations=0.1, deadlines=5)
    [step] = loaded.steps
    assert step.within == timedelta(minutes=2.5)
    assert step.timeout == timedelta(seconds=20)
    assert loaded.rollback.after == timedelta(minutes=15)
    assert step.for_duration == timedelta(seconds=3)
    assert step.within == 5 * runbook(durations=0.1, deadlines=1).steps[0].within
