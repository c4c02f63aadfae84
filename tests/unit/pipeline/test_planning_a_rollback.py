"""The preview of a rollback plans each command on the live object, as the rollback will: a refusal is shown instead."""

from collections.abc import Callable
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import encode, parse
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState, UndoRecord
from kintsugi.pipeline.change_planner import ChangePlanner
from kintsugi.runner.context import StepScope
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context, deployment, replica_set
from tests.unit.factories import run

BACK = f"kubectl rollout undo deployment/web --to-revision=1 -n {NAMESPACE}"
SCALE_BACK = f"kubectl scale deployment web --replicas=2 --current-replicas=5 -n {NAMESPACE}"

Json = dict[str, Any]


class Shown:
    """A state in which revision 1 was seen good."""

    def __init__(self) -> None:
        self.views: Json = {}

    def good(self, _: str) -> frozenset[str]:
        return frozenset({"hash-1"})

    def change_context(self, run: RunRecord, _: StepScope, step: StepRecord) -> ChangeContext:
        return change_context(run=run.id, phase=step.phase, good=self.good(""))


def paused(web: Json) -> None:
    web["spec"]["paused"] = True


def of_gitops(web: Json) -> None:
    web["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}


def edited(web: Json) -> None:
    marks = {RUN_ANNOTATION: "run-1/forward/set#0@now", TEMPLATE_ANNOTATION: "another"}
    web["metadata"]["annotations"].update(marks)


def planner(change: Callable[[Json], None] | None = None) -> tuple[ChangePlanner, ClusterOfDicts]:
    kube = ClusterOfDicts(
        (DEPLOYMENTS, deployment()), (REPLICASETS, replica_set(1, "web:1")), (REPLICASETS, replica_set(2, "web:2"))
    )
    if change is not None:
        change(kube.at(DEPLOYMENTS, "web"))
    actions: Any = Actions(kube, Clients.restricted_to(AddressRule()))
    observed: Any = Shown()
    return ChangePlanner(prober=actions, observed=observed, run=run()), kube


def scaled(path: str = "scale#0") -> StepRecord:
    """Return a change whose undo expects five replicas; there are three."""
    undo = UndoRecord(commands=(encode(parse(SCALE_BACK)),), texts=(SCALE_BACK,))
    return StepRecord(
        run="run-1", path=path, phase=Phase.FORWARD, state=StepState.DONE, changes=True, text="kubectl scale", undo=undo
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (paused, "paused"),
        (of_gitops, "Argo CD"),
        (edited, "has been changed by another client since this run changed it: it is left as it is"),
    ],
)
async def test_a_rollback_that_would_be_refused_is_shown_with_the_reason(
    change: Callable[[Json], None], why: str
) -> None:
    planned, kube = planner(change)
    shown = await planned.step(BACK)
    assert shown.startswith(f"# {BACK}: ")
    assert why in shown
    assert kube.writes == [], "planning only reads"


async def test_a_rollback_that_would_be_made_is_shown_as_a_command() -> None:
    planned, kube = planner()
    assert await planned.step(BACK) == BACK
    assert kube.writes == []


@pytest.mark.parametrize("text", ["kubectl get pods -n production", "kubectl rollout undo ${service.workload}"])
async def test_a_step_that_rolls_nothing_back_or_has_no_values_yet_is_shown_as_it_is_written(text: str) -> None:
    planned, _ = planner()
    assert await planned.step(text) == text


async def test_an_undo_that_would_be_refused_is_shown_with_the_reason() -> None:
    planned, _ = planner()
    (shown,) = await planned.undos([scaled()])
    assert shown.startswith(f"# {SCALE_BACK}: ")


async def test_an_undo_after_another_change_of_the_same_object_is_not_judged_before_that() -> None:
    planned, _ = planner()
    await planned.step(BACK)
    assert await planned.undos([scaled()]) == [SCALE_BACK]
