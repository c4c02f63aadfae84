"""The rollback of the shipped generic runbook: to a good revision, or once a person agrees to the template that is kept, and past a pod that waits."""

from datetime import timedelta
from textwrap import dedent
from typing import Any

import pytest
from msgspec import structs

from kintsugi.model.records import IncidentState, RunRecord
from kubeobjects.kept import Pod
from tests.harness.daemon import ROOT
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

ROLLBACK = dedent((ROOT / "runbooks" / "workload-recovery.yaml").read_text().partition("  rollback:\n")[2])
BAD, GOOD = "web-bad", "web-good"
BACK = "kubectl rollout undo deployment/web --to-revision=1 -n production"
TO_KEPT = "kubectl rollout undo deployment/web --to-good-template --current-revision=3 -n production"
KEPT = "image shop:2.0 instead of image shop:2.1"


def of(name: str, template: str, *, ready: bool) -> Pod:
    """Return a pod that a StatefulSet has made of a template."""
    made = pod(name, ready=ready)
    labels = {**made.metadata.labels, "controller-revision-hash": template}
    return structs.replace(made, metadata=structs.replace(made.metadata, labels=labels))


def failing(*, good: bool, kept: str = "", heals: str = BACK) -> RunBench:
    """Make a run whose steps change nothing, of a service that fails at the deadline; revision 1 was seen good, or only its template is kept."""
    bench = RunBench("- {id: look, run: kubectl get pods}", rollback=ROLLBACK, heals=heals)
    bench.found = (of("web-0", GOOD, ready=True), of("web-1", GOOD, ready=False), of("web-2", BAD, ready=False))
    first = {"number": 1, "current": False, "good": good, "cause": "", "images": [], "created": None}
    revisions = [first, {**first, "number": 3, "current": True, "good": False}]
    names: dict[str, Any] = dict.fromkeys(
        ("cause", "object", "field", "confidence", "text", "remedy", "reason", "name"), ""
    )
    diagnosed = {**names, "template": BAD, "revision": 3, "good": int(good), "kept": kept}
    bench.prober.will("kintsugi diagnose", lambda: diagnosed)
    bench.prober.will("kubectl rollout history", lambda: {"revisions": revisions})
    bench.prober.will("kubectl rollout status", lambda: {"complete": True, "message": ""})
    return bench


async def ended(bench: RunBench, answers_after: timedelta | None = None) -> RunRecord:
    """Drive it, with a person who agrees so long after being asked, or does not."""
    bench.ledger.answers_after = answers_after
    return await bench.drive()


async def test_the_pod_of_the_bad_template_that_a_stateful_set_waits_for_is_deleted() -> None:
    bench = failing(good=True, heals="kubectl delete pod")
    assert (await ended(bench)).state is IncidentState.ROLLED_BACK
    assert bench.effects[0] == BACK
    assert [each.split()[3] for each in bench.effects[1:]] == ["web-2"], bench.effects


async def test_a_template_that_only_the_ledger_has_is_gone_back_to_once_a_person_agrees() -> None:
    bench = failing(good=False, kept=KEPT, heals=TO_KEPT)
    run = await ended(bench, timedelta(minutes=5))
    (question,) = bench.ledger.questions
    assert KEPT in question.question
    assert bench.effects[0] == TO_KEPT
    assert (run.state, [each.split()[3] for each in bench.effects[1:]]) == (IncidentState.ROLLED_BACK, ["web-2"])


async def test_a_template_that_only_the_ledger_has_is_not_gone_back_to_while_nobody_agrees() -> None:
    bench = failing(good=False, kept=KEPT, heals=TO_KEPT)
    run = await ended(bench)
    assert (run.state, bench.effects) == (IncidentState.NEEDS_OPERATOR, [])
    assert "no approval within" in run.reason


async def test_a_template_that_is_not_kept_is_not_asked_about() -> None:
    bench = failing(good=False)
    run = await ended(bench)
    assert (run.state, bench.effects, bench.ledger.questions) == (IncidentState.NEEDS_OPERATOR, [], [])
    assert "the run has no change to undo" in run.reason
