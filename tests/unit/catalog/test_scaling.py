"""`durations` scales what a pod may take to become ready, `deadlines` what ends a wait for the cluster, and neither anything else."""

from datetime import timedelta

import pytest

from kintsugi.catalog import Source, load_sources
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Phase
from kintsugi.model.rules import RuleSource
from kintsugi.model.runbooks import Runbook
from kintsugi.runner.context import StepScope
from kintsugi.scope.values import EvaluationContext, rule_names, step_names
from kubeobjects.kept import Condition, Pod
from kubeobjects.pods import ContainerState, ContainerStateRunning, ContainerStatus, PodStatus
from tests.unit import factories
from tests.unit.catalog.documents import answer
from tests.unit.factories import NOW
from tests.unit.pipeline.business import PipelineBench

ALLOWED = timedelta(minutes=2)


def starting(age: timedelta) -> Pod:
    """Return a pod that was never ready since it was started so long ago."""
    began = NOW - age
    running = ContainerStatus(name="main", state=ContainerState(running=ContainerStateRunning(started_at=began)))
    unready = Condition(type="Ready", status="False", last_transition_time=began)
    status = PodStatus(phase="Running", conditions=(unready,), container_statuses=(running,))
    plain = factories.pod()
    return Pod(metadata=plain.metadata, status=status)


def catalog(durations: float) -> Catalog:
    """Load files that ask whether pods are unhealthy in a rule, in a runbook and in a check."""
    check = "checks: {smoke: [{id: young, expect: '!service.pods.exists(p, p.unhealthy)'}]}\n"
    return factories.catalog(
        factories.service_text(more=check),
        factories.rule_text(),
        factories.runbook_text("- {id: each, forEach: service.pods, when: each.unhealthy, run: kubectl get pods}"),
        durations=durations,
    )


def answers(durations: float, pod: Pod) -> list[object]:
    """Ask all of them whether a pod is unhealthy."""
    loaded = catalog(durations)
    view = factories.view(loaded.services["web"], pods=(pod,))
    names = step_names(EvaluationContext(now=NOW, service=view, services={"web": view}), each=pod)
    return [
        answer(loaded.rules["web-pods"].when, rule_names(RuleSource.POD, now=NOW, object=pod)),
        answer(loaded.runbooks["mend"].steps[0].when, names),
        not answer(loaded.services["web"].checks["smoke"][0].expect, names),
    ]


@pytest.mark.parametrize("durations", [0.05, 1, 3])
@pytest.mark.parametrize("part", [0.9, 1.1])
def test_a_pod_has_its_start_up_times_the_factor(durations: float, part: float) -> None:
    assert set(answers(durations, starting(ALLOWED * durations * part))) == {part > 1}


def test_two_catalogs_of_different_factors_do_not_share_it() -> None:
    """A run that began under another version of the files is judged by that one."""
    pod = starting(timedelta(seconds=30))
    assert [set(answers(durations, pod)) for durations in (0.05, 1, 0.05)] == [{True}, {False}, {True}]


@pytest.mark.looptime
async def test_a_change_is_judged_by_the_same_time() -> None:
    business = PipelineBench()
    business.observed.start_up = timedelta(seconds=6)
    at = StepScope(phase=Phase.FORWARD, service="web", runbook="mend")
    change_context = business.observed.change_context(factories.run(), at, factories.step())
    assert change_context.startup == timedelta(seconds=6)


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
