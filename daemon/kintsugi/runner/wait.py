"""
Probes, and waiting: a probe is repeated until an expectation has held for its time, or the step's time is over.

The same loop judges a step that probes, a step that only waits, and the result of a change.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kintsugi.actions.probe import OwnWorkload, ProbeContext
from kintsugi.commands import render
from kintsugi.commands.registry import definition_of
from kintsugi.commands.results import PART
from kintsugi.decisions.priorities import unhealthy_upstream
from kintsugi.errors import CommandError, EvaluationError, KubeError, ProbeFailed, Refused, ResolverFailed
from kintsugi.expressions import Expression
from kintsugi.model.records import Phase, StepState
from kintsugi.model.runbooks import OnFailure, Run, Step
from kintsugi.model.views import ServiceView
from kintsugi.runner.context import ReadContext, StepScope
from kintsugi.runner.ends import ExpectationUndecided, StepEnd, merge_results
from kintsugi.runner.restoring import as_owner, restored_databases
from kintsugi.telemetry import get_logger

OBJECTS = frozenset({"items", "item"})
"""The result names with the objects of a change: where an expectation waits for them, they are read again."""

MOST_KEPT = 100
"""The most items of a result that `keep` keeps."""

NOT_MET = "not met"

ResultNames = Mapping[str, object]

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """
    The last look: its result names, whether the expectation held, and the error if it did not.

    `unknown`: the probe could not be made through a fault of the daemon's own, so that nothing follows.
    """

    result: ResultNames
    met: bool
    error: str = ""
    unknown: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """
    An expectation, and for how long to look.

    `within` is the time until it first holds, `for_duration` the unbroken time that it must go on holding; `progress` starts
    `within` anew whenever its value changes. `every` is the pause between two looks.
    """

    expect: Expression | None
    within: timedelta
    for_duration: timedelta
    progress: Expression | None
    every: timedelta


async def probe(context: ReadContext, step: Step, scope: StepScope) -> StepEnd:
    """Run a command that only looks until the step's expectation holds; keep of its result what the step's `keep` says."""
    assert isinstance(step.do, Run), step.id
    template, deps = step.do.command, context.deps
    timeout = step.timeout or deps.command_timeout
    asked: list[str] = []
    forward = scope.phase is Phase.FORWARD
    restored = restored_databases(context.journal.changes(Phase.FORWARD) if forward else ())

    async def once() -> ResultNames:
        bound = context.bound(template, scope)
        command = as_owner(bound, restored)
        asked[:] = [render(command)]
        verb, asking = definition_of(command), probe_context(context, step, scope)
        deadline = step.for_duration or timeout if verb.follows(command) else timeout
        view = deps.observed.views.get(scope.service)
        if verb.diagnoses and deps.tried is not None and view is not None:
            asking = replace(asking, seen=replace(asking.seen, tried=await deps.tried(view)))
        result = await deps.prober.read(command, deadline=deadline, probe_context=asking)
        if result.failed and step.expect is None:
            raise ProbeFailed(result.failed)
        return result.names

    observation = await until(context, step, scope, once)
    ended = StepEnd(
        ran=True, met=observation.met, result=observation.result, error=observation.error, text="".join(asked)
    )
    if step.keep is None or not ended.result:
        return ended
    try:
        kept = step.keep.evaluate(context.names(scope, ended.result))
    except EvaluationError as error:
        log.info("step result not readable", step=str(scope.path(step.id)), why=str(error))
        return replace(ended, result={})
    assert isinstance(kept, list), "a list is expected"
    # lists that are sorted by time end with the newest
    return replace(ended, result={PART: kept[-MOST_KEPT:]})


async def wait(context: ReadContext, step: Step, scope: StepScope) -> StepEnd:
    """Wait until a step's expectation about the service holds; a step without one is met at once."""

    async def no_result() -> ResultNames:
        return {}

    observation = await until(context, step, scope, no_result)
    return StepEnd(ran=True, met=observation.met, error=observation.error)


async def settled(context: ReadContext, step: Step, scope: StepScope, ended: StepEnd) -> StepEnd:
    """After a change, look until the expectation holds; where nothing was changed, look only once."""
    if step.expect is None or ended.left_out or ended.state is StepState.FAILED:
        return ended
    patient = step if ended.ran else replace(step, within=timedelta(0), for_duration=timedelta(0))

    read = {name.partition(".")[0] for name in step.expect.reads}
    reads_again = (patient.within > timedelta(0) or bool(ended.lost)) and not OBJECTS.isdisjoint(read)
    lost = frozenset(each for each in ended.lost if not (reads_again and each.partition(".")[0] in OBJECTS))

    async def result() -> ResultNames:
        """Return the result of the change, with the objects that it touched as they are now. Raises KubeError."""
        if not reads_again:
            return ended.result
        made = [each for each in context.journal.changes(scope.phase) if each.state is StepState.DONE]
        below = [each for each in made if each.step_path.is_below(scope.path(step.id))]
        afresh = [await context.deps.executor.reread(each) for each in below]
        return {**ended.result, **merge_results(afresh)}

    observation = await until(context, patient, scope, result, lost)
    error = "; ".join(part for part in (ended.error, observation.error) if part)
    return replace(ended, met=observation.met, error="" if observation.met else error)


def probe_context(context: ReadContext, step: Step, scope: StepScope) -> ProbeContext:
    """Return the context in which a command of this step looks."""
    observed = context.deps.observed
    view = observed.views.get(scope.service)
    return ProbeContext(
        namespace=context.namespace(scope),
        env=view.service.env if view is not None else {},
        good=observed.good(scope.service),
        adopted=frozenset(observed.adopted(scope.service)),
        none_good=observed.none_good(scope.service),
        patterns=step.scan.patterns if step.scan is not None else (),
        upstream=unhealthy_upstream(scope.service, observed.views),
        now=context.deps.clock(),
        service=scope.service,
        seen=own_workload_of(view) if view is not None else OwnWorkload(),
        declared=context.deps.declared,
        checks=context.deps.checks,
    )


def own_workload_of(view: ServiceView) -> OwnWorkload:
    """Return the known facts about a service's workload that its objects do not show."""
    return OwnWorkload(
        reference=str(view.service.workload),
        replicas=view.replicas,
        rests=view.rests,
        max_allowed=view.service.max_allowed,
    )


async def until(
    context: ReadContext,
    step: Step,
    scope: StepScope,
    probe_once: Callable[[], Awaitable[ResultNames]],
    lost: frozenset[str] = frozenset(),
) -> Observation:
    """
    Look until a step's expectation holds, as long as the step says; `lost` as for `ReadContext.names`.

    Raises ExpectationUndecided when the last probe could not be made, unless the step's failure is ignored anyway.
    """
    deps = context.deps
    expectation = Expectation(
        expect=step.expect,
        within=step.within,
        for_duration=step.for_duration,
        progress=step.progress,
        every=deps.poll_interval,
    )
    observation = await poll_until(
        expectation,
        probe_once,
        lambda result: context.names(scope, result, lost),
        deps.clock,
        lambda: deps.observed.stale_reason,
    )
    if observation.unknown and step.on_failure is not OnFailure.CONTINUE:
        raise ExpectationUndecided(scope.path(step.id), observation.error)
    return observation


async def poll_until(
    expectation: Expectation,
    probe: Callable[[], Awaitable[ResultNames]],
    names: Callable[[ResultNames], Mapping[str, object]],
    clock: Callable[[], datetime],
    stale_reason: Callable[[], str] = lambda: "",
) -> Observation:
    """
    Probe until the expectation is met or cannot be met in time. A probe without an answer counts as not met.

    While `stale_reason` gives a reason not to trust the observed state, neither the probes nor the time count (P6).
    """
    started = last_read = clock()
    held: datetime | None = None
    progress: object = None
    while True:
        observation = await poll_once(expectation, probe, names)
        now = clock()
        unseen, last_read = now - last_read, now
        if stale_reason():
            held, started = None, started + unseen
            await asyncio.sleep(expectation.every.total_seconds())
            continue
        held = (held or now) if observation.met else None
        if held is not None and now - held >= expectation.for_duration:
            return observation
        current = measure(expectation.progress, names(observation.result))
        if current != progress:
            progress, started = current, now
        if held is None and now - started >= expectation.within:
            return observation
        await asyncio.sleep(expectation.every.total_seconds())


async def poll_once(
    expectation: Expectation,
    probe: Callable[[], Awaitable[ResultNames]],
    names: Callable[[ResultNames], Mapping[str, object]],
) -> Observation:
    """Look once."""
    try:
        result = await probe()
    except ResolverFailed as error:
        return Observation(result={}, met=False, error=str(error), unknown=True)
    except (KubeError, ProbeFailed, Refused, CommandError, EvaluationError) as error:
        return Observation(result={}, met=False, error=str(error))
    if expectation.expect is None:
        return Observation(result=result, met=True)
    try:
        met = expectation.expect.evaluate(names(result)) is True
    except EvaluationError as error:
        return Observation(result=result, met=False, error=f"no answer: {error}")
    return Observation(result=result, met=met, error="" if met else f"{NOT_MET}: {expectation.expect.source}")


def measure(progress: Expression | None, names: Mapping[str, object]) -> object:
    """Evaluate `progress`; an evaluation error counts as no progress."""
    if progress is None:
        return None
    try:
        return progress.evaluate(names)
    except EvaluationError:
        return None
