"""The shipped generic runbook: what it restarts by a diagnosis, what it leaves, and the way back of its rollback."""

from collections.abc import Mapping
from datetime import timedelta
from textwrap import dedent

import pytest

from kintsugi.commands.registry import definition_of
from kintsugi.errors import KubeError
from kintsugi.model.command import Command
from kintsugi.model.records import IncidentState
from kubeobjects.kept import StatefulSet
from kubeobjects.metadata import Metadata
from kubeobjects.workloads import StatefulSetStatus
from tests.harness.daemon import ROOT
from tests.unit.factories import pod
from tests.unit.runner.bench import RunBench, clock, diagnosed, generic, of_template

pytestmark = pytest.mark.looptime


def failing(remedy: str, *, kind: str = "Pod", name: str = "", answered_after: int = 0) -> RunBench:
    """Make a run on a service without a ready pod; the API server answers a diagnosis only after so many times."""
    times = iter(range(1000))

    def answer() -> dict[str, object]:
        if next(times) < answered_after:
            raise KubeError("GET deployment/web: not answered within 30 s")
        return diagnosed(remedy, kind=kind, name=name)

    bench = generic(*(pod(f"web-{n}", ready=False) for n in (1, 2, 3)), diagnosis=answer)
    bench.prober.will("kubectl get pods", lambda: {"items": [{"metadata": {"uid": f"uid-web-{n}"}} for n in (1, 2, 3)]})
    return bench


@pytest.mark.parametrize(
    ("remedy", "kind", "verb"),
    [
        ("restart-canary", "Pod", "evict-pod"),
        ("restart", "Pod", "delete"),
        ("move-pods", "Node", "cordon"),
        ("grow-claim-asked", "PersistentVolumeClaim", "patch"),
    ],
)
async def test_a_diagnosed_object_is_named_by_its_uid_so_that_a_later_one_of_its_name_is_left_alone(
    remedy: str, kind: str, verb: str
) -> None:
    bench = failing(remedy, kind=kind, name="web-1")
    bench.ledger.answers_after = timedelta(seconds=5)
    planned: list[Command] = []

    def keep(command: Command) -> Mapping[str, object]:
        planned.append(command)
        return {}

    bench.actor.facts_of = keep
    await bench.drive()
    definition = definition_of(planned[0])
    assert definition.spec is not None
    assert definition.spec.verb == f"kubectl {verb}"
    assert [each.uid for each in definition.objects(planned[0])] == ["uid-web-1"]


async def test_without_a_diagnosis_nothing_is_restarted() -> None:
    bench = failing("restart", answered_after=1000)
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
    why = "Without a diagnosis nothing is changed: GET deployment/web: not answered"
    assert why in bench.reason, bench.reason


async def test_a_diagnosis_that_a_busy_api_server_did_not_answer_at_first_is_asked_for_again() -> None:
    bench = failing("restart", name="web-1", answered_after=60)
    await bench.drive()
    assert bench.deleted[0] == "web-1"


@pytest.mark.parametrize("has_successor", [False, True])
async def test_unhealthy_pods_are_restarted_once_the_successor_of_the_first_is_ready(has_successor: bool) -> None:
    bench = failing("restart", name="web-1")
    if has_successor:
        bench.at(60, lambda: bench.observed.show(ready=1, pods=(pod("web-4"), *bench.found[1:])))
    await bench.drive()
    assert bench.deleted == (["web-1", "web-2", "web-3"] if has_successor else ["web-1"])
    assert len(bench.effects) == len(bench.deleted)
    if not has_successor:
        assert bench.state is IncidentState.NEEDS_OPERATOR
        assert "Restart one pod" in bench.reason, bench.reason


@pytest.mark.parametrize(
    "now",
    [{"remedy": "wait", "reason": "no pod is restarted while its upstream db is not healthy"}, {"cause": "Upstream"}],
    ids=["another remedy", "another cause"],
)
async def test_a_pod_is_left_alone_where_the_diagnosis_no_longer_asks_for_its_restart(now: dict[str, object]) -> None:
    answers = iter([diagnosed("restart", name="web-1")])
    first = diagnosed("restart", name="web-1")
    bench = failing("restart")
    bench.prober.will("kintsugi diagnose", lambda: next(answers, {**first, **now}))
    await bench.drive()
    assert bench.deleted == []
    assert "the diagnosis no longer asks for it" in bench.step("restart/first").error


IN_FORCE, FIRST_BAD, LAST_GOOD = "web-3", "web-2", "web-1"


@pytest.mark.parametrize("template", [FIRST_BAD, IN_FORCE])
async def test_an_unhealthy_pod_of_an_earlier_template_is_deleted_before_the_cause_is_looked_for(template: str) -> None:
    """A StatefulSet waits for it in vain; one of the template in force is not deleted before the cause is known."""
    well = of_template("web-0", LAST_GOOD, ready=True)
    bench = generic(well, of_template("web-1", template, ready=False), diagnosis=lambda: diagnosed("hand-over"))
    metadata = Metadata(name="web", namespace="production", uid="uid-web")
    bench.observed.stateful_set = StatefulSet(metadata=metadata, status=StatefulSetStatus(update_revision=IN_FORCE))
    if template == FIRST_BAD:
        bench.at(60, lambda: bench.observed.show(pods=(well, of_template("web-1", IN_FORCE, ready=False))))
    await bench.drive()
    assert bench.deleted == (["web-1"] if template == FIRST_BAD else [])
    assert len(bench.effects) == len(bench.deleted)
    first = next(moment for moment, text in bench.prober.looked if text.startswith("kintsugi diagnose"))
    assert first >= (60 if template == FIRST_BAD else 0), "it has looked before the template in force has shown itself"


async def test_a_cause_against_which_no_step_helps_is_handed_over_at_once() -> None:
    bench = failing("hand-over")
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
    assert clock() < 30


ROLLBACK = dedent((ROOT / "runbooks" / "workload-recovery.yaml").read_text().partition("  rollback:\n")[2])
BAD, GOOD = "web-bad", "web-good"
BACK = "kubectl rollout undo deployment/web --to-revision=1 -n production"
TO_KEPT = "kubectl rollout undo deployment/web --to-good-template --current-revision=3 -n production"
KEPT = "image shop:2.0 instead of image shop:2.1"


def back_at_the_deadline(*, good: bool, kept: str = "", heals: str = TO_KEPT) -> RunBench:
    """Make a run whose steps change nothing, of a service that fails at the deadline; revision 1 was seen good, or only its template is kept."""
    first = {"number": 1, "current": False, "good": good, "cause": "", "images": [], "created": None}
    about: dict[str, object] = {"name": "", "template": BAD, "revision": 3, "good": int(good), "kept": kept}
    answers: dict[str, Mapping[str, object]] = {
        "kintsugi diagnose": {**diagnosed(""), **about},
        "kubectl rollout history": {
            "revisions": [first, {**first, "number": 3, "current": True, "good": False}],
            **({"lastGood": first} if good else {}),
        },
        "kubectl rollout status": {"complete": True, "message": ""},
    }
    bench = RunBench("- {id: look, run: kubectl get pods}", rollback=ROLLBACK, heals=heals, answers=answers)
    bench.found = (
        of_template("web-0", GOOD, ready=True),
        of_template("web-1", GOOD, ready=False),
        of_template("web-2", BAD, ready=False),
    )
    return bench


async def test_the_pod_of_the_bad_template_that_a_stateful_set_waits_for_is_deleted() -> None:
    bench = back_at_the_deadline(good=True, heals="kubectl delete pod")
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    assert (bench.effects[0], bench.deleted) == (BACK, ["web-2"])


async def test_a_template_that_only_the_ledger_has_is_gone_back_to_once_a_person_agrees() -> None:
    bench = back_at_the_deadline(good=False, kept=KEPT)
    bench.ledger.answers_after = timedelta(minutes=5)
    assert (await bench.drive()).state is IncidentState.ROLLED_BACK
    (question,) = bench.ledger.questions
    assert KEPT in question.text
    assert (bench.effects[0], bench.deleted) == (TO_KEPT, ["web-2"])


@pytest.mark.parametrize(
    ("kept", "asked", "why"), [(KEPT, 1, "no answer within"), ("", 0, "the run has no change to undo")]
)
async def test_a_template_that_nobody_agrees_to_or_that_is_not_kept_is_not_gone_back_to(
    kept: str, asked: int, why: str
) -> None:
    bench = back_at_the_deadline(good=False, kept=kept)
    await bench.drive()
    assert bench.ended == (IncidentState.NEEDS_OPERATOR, [])
    assert len(bench.ledger.questions) == asked
    assert why in bench.reason
