"""
With one slot, what comes later and matters more overtakes what is under way, at a step boundary.

In virtual time, through the real pipeline, guards, supervisor, runner and ledger.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.decisions.guards import Limits
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import (
    IncidentState,
    Reason,
    RunRecord,
    Signal,
    SignalSource,
    SignalStatus,
    StepRecord,
    Target,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import RuleSource
from tests.unit.factories import catalog, runbook_text, service_text, virtual_clock
from tests.unit.pipeline.recovering import PACE, UNLIMITED, RecoveryBench, staged
from tests.unit.virtual import play

STEP = 10.0
"""How long each step of a recovery takes, in seconds."""

STEPS = 2
WITHIN = timedelta(seconds=5)
"""How long a free slot may wait for whom it is free: far less than the 30 s after which a refusal is judged again."""

EACH = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: {name}-down}}
spec: {{on: pod, service: {name}, when: "!object.ready", mode: auto}}
"""


@dataclass(frozen=True, kw_only=True)
class Coming:
    """A service whose trouble is heard of at a moment."""

    name: str
    priority: int
    at: float
    namespace: str = "shop"


def catalog_of(services: Sequence[Coming]) -> Catalog:
    """Write services that depend on nobody, each with a rule, and a runbook of steps that take their time."""
    steps = "".join(
        f"- id: part{number}\n  steps:\n    - {{id: change{number}, run: 'kubectl scale ${{service.workload}} --replicas={number + 2}'}}\n"
        f"    - {{id: time{number}, expect: service.ready > 9, within: {STEP:g}s, onFailure: continue}}\n"
        for number in range(STEPS)
    )
    texts = [
        service_text(each.name, priority=each.priority, namespace=each.namespace, runbook="mend") for each in services
    ]
    rules = [EACH.format(name=each.name) for each in services]
    return catalog(*texts, runbook_text(steps, rollback="after: 30m\nthen: leave"), *rules)


def signal_of(each: Coming) -> Signal:
    """Return what the watch has seen of a service's pod."""
    now = virtual_clock()
    return Signal(
        id=f"sig-{each.name}",
        source=SignalSource.WATCH,
        kind=RuleSource.POD,
        key=f"{each.name}-down/{each.name}",
        status=SignalStatus.FIRING,
        rule=f"{each.name}-down",
        target=Target(kind="Pod", namespace=each.namespace, name=f"{each.name}-1", uid=f"uid-{each.name}-1"),
        began=now,
        received=now,
    )


@dataclass(frozen=True, kw_only=True)
class OvertakingResult:
    """How it went: the runs by service, and their steps."""

    runs: dict[str, RunRecord]
    steps: dict[str, Sequence[StepRecord]]

    def part(self, name: str, number: int) -> tuple[float, float]:
        """Return when a step of a service's run began and ended, in seconds from the first run's start."""
        step = next(each for each in self.steps[name] if each.path == f"part{number}")
        began = min(each.started for each in self.runs.values())
        assert step.started is not None
        assert step.finished is not None, step
        return (step.started - began).total_seconds(), (step.finished - began).total_seconds()


async def recovered(services: Sequence[Coming], limits: Limits) -> OvertakingResult:
    """Let services come to harm one after the other, and follow their runs to their ends."""
    async with staged(catalog_of(services), limits) as stage:
        ended: dict[str, RunRecord] = {}
        over = asyncio.Event()

        def note(run: RunRecord, _: Sequence[StepRecord]) -> None:
            ended[run.service] = run
            if len(ended) == len(services):
                over.set()

        stage.runs.on_end(note)
        ends: list[asyncio.Task[None]] = []
        stage.actor.on_change = lambda text: ends.extend(
            end(stage, each) for each in services if is_last(text, each.name)
        )
        judging = asyncio.create_task(stage.pipeline.run(PACE))
        coming = [asyncio.create_task(come(stage, each)) for each in services]
        await asyncio.wait_for(over.wait(), 36_000)
        judging.cancel()
        await asyncio.wait([judging, *coming])
        return OvertakingResult(
            runs=ended, steps={name: await stage.ledger.incidents.steps(run.id) for name, run in ended.items()}
        )


def is_last(text: str, name: str) -> bool:
    """Return whether a change is the last one of a service's recovery."""
    return text.startswith(f"kubectl scale deployment {name} --replicas={STEPS + 1} ")


def end(stage: RecoveryBench, each: Coming) -> asyncio.Task[None]:
    """Let a service be well again, and its signal end."""

    async def told() -> None:
        stage.show(each.name, ready=True)
        stage.cluster.services.refresh()
        now = virtual_clock()
        over = replace(signal_of(each), id=f"sig-{each.name}-over", status=SignalStatus.RESOLVED, ended=now)
        await stage.ledger.signals.accept([over], now)

    return asyncio.create_task(told())


async def come(stage: RecoveryBench, each: Coming) -> None:
    """Let the watch tell of a service's trouble at its moment; it is well again once its last step was done."""
    await asyncio.sleep(each.at)
    stage.show(each.name, ready=False)
    stage.cluster.services.refresh()
    await stage.ledger.signals.accept([signal_of(each)], virtual_clock())
    stage.pipeline.wake()


def test_a_higher_priority_that_comes_later_has_the_slot_before_the_next_step() -> None:
    """One slot: web is at the first of its steps when the database goes down."""
    services = [Coming(name="web", priority=3, at=0), Coming(name="database", priority=1, at=5)]
    told = play(recovered(services, replace(UNLIMITED, max_concurrent_services=1)))
    assert told.runs["database"].started is not None
    web, database = told.part("web", 0), told.part("database", 0)
    assert web[1] - web[0] >= STEP, "the step under way was ended whole"
    assert web[1] <= database[0] <= web[1] + WITHIN.total_seconds()
    assert told.part("web", 1)[0] >= told.part("database", STEPS - 1)[1], "and web went on after it"
    assert {each.state for each in told.runs.values()} == {IncidentState.RECOVERED}


def test_the_same_priority_overtakes_nobody_and_has_the_slot_as_soon_as_the_run_has_ended() -> None:
    services = [Coming(name="web", priority=3, at=0), Coming(name="api", priority=3, at=5)]
    told = play(recovered(services, replace(UNLIMITED, max_concurrent_services=1)))
    assert told.part("api", 0)[0] >= told.part("web", STEPS - 1)[1]
    ended = told.runs["web"].finished
    assert ended is not None
    assert ended <= told.runs["api"].started <= ended + WITHIN


async def recalled(services: Sequence[Coming]) -> str:
    """Return who may overtake the web after a restart, where the API was refused a slot before."""
    async with staged(catalog_of(services), replace(UNLIMITED, max_concurrent_services=1)) as stage:
        now, waits = virtual_clock(), signal_of(services[1])
        refused = Verdict(
            kind=VerdictKind.REFUSED, reason=Reason.BUDGET, text="full", rule=waits.rule, until=now - timedelta(hours=1)
        )
        await stage.ledger.signals.accept([waits], now)
        await stage.ledger.signals.settle({waits.id: refused}, now)
        stage.observed.slot_namespaces = lambda: ("shop",)
        before = stage.observed.overtaker("web")
        await stage.pipeline.recall()
        return f"{before or 'nobody'}, {stage.observed.overtaker('web')}"


def test_after_a_restart_it_is_known_who_waits_for_a_slot_before_any_run_goes_on() -> None:
    services = [Coming(name="web", priority=3, at=0), Coming(name="api", priority=1, at=5)]
    assert play(recalled(services)) == "nobody, api"


coming = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 90), st.sampled_from(["shop", "bank"])), min_size=2, max_size=4
)


@settings(max_examples=4, deadline=None)
@given(coming, st.integers(1, 2), st.sampled_from([None, 1]))
def test_no_step_is_torn_no_limit_is_exceeded_and_all_are_recovered_whatever_comes(
    drawn: list[tuple[int, int, str]], at_once: int, there: int | None
) -> None:
    services = [
        Coming(name=f"s{number}", priority=priority, at=at, namespace=namespace)
        for number, (priority, at, namespace) in enumerate(drawn)
    ]
    limits = replace(UNLIMITED, max_concurrent_services=at_once, max_concurrent_services_per_namespace=there)
    told = play(recovered(services, limits))
    assert {each.state for each in told.runs.values()} == {IncidentState.RECOVERED}
    spans = [(*told.part(each.name, number), each) for each in services for number in range(STEPS)]
    for began, ended, each in spans:
        assert ended - began >= STEP, "each step was made whole"
        together = [other for start, end, other in spans if start <= began < end]
        assert len(together) <= at_once
        assert sum(other.namespace == each.namespace for other in together) <= (there or at_once)
    for name in told.runs:
        changes = [step.text for step in told.steps[name] if step.changes]
        assert len(changes) == len(set(changes)) == STEPS, "each change was made once"
