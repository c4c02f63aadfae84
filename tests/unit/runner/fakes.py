"""What a run works with, in memory: a ledger with the real one's rules, a world that is shown, looks that are scripted."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, Intent
from kintsugi.actions.job_effect import JobStage, JobState
from kintsugi.actions.probe import ANONYMOUS_PROBE, ProbeContext, Result
from kintsugi.commands import render
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.errors import BudgetSpent, KintsugiError, WrongState
from kintsugi.executor import Executor
from kintsugi.ledger.incidents.incidents import RecentChanges
from kintsugi.model.catalog import Catalog
from kintsugi.model.change_limits import Budget, Disruptions, Lock
from kintsugi.model.command import Command, Delete, SetMetadata
from kintsugi.model.good_state import ScaledToZero
from kintsugi.model.history import Abort, History, MadeChange
from kintsugi.model.outages import Outage
from kintsugi.model.questions import Answer, Question
from kintsugi.model.records import (
    NO_UPDATE,
    Incident,
    IncidentState,
    KeptDiagnosis,
    Pause,
    Phase,
    RunRecord,
    RunUpdate,
    Signal,
    SignalStatus,
    StepRecord,
    StepState,
    Trigger,
    UndoRecord,
    alert_of,
)
from kintsugi.model.rules import Mode
from kintsugi.model.services import WorkloadRef
from kintsugi.model.views import ServiceView
from kintsugi.runner import RunnerDeps
from kintsugi.runner.context import ClusterView, RunProber, StepScope
from kintsugi.runner.deadlines import is_in_force
from kintsugi.verbs.drain import Cordon
from kintsugi.verbs.scale import Scale
from kubeobjects.kept import Pod, StatefulSet
from kubeobjects.metadata import Metadata
from kubeobjects.predicates import START_UP_ALLOWANCE
from tests.harness.answers import said
from tests.unit.executor.effects import Boundary
from tests.unit.executor.power import Power
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import NOW, deployment, trigger_of, view, virtual_clock

Deferred = Callable[[], Awaitable[object]]


class RunLedger:
    """
    The ledger of one run; `power` may end the process before or after any commit.

    `moves` tells every state with its reason, `trouble` is raised when pauses are read, `answers_after` is how long Ada
    takes to say yes (None: she does not). `commit_takes` is how long it is until a step is committed. `recovery` is the incident
    that a recovery of the service has open.
    """

    def __init__(self, run: RunRecord, incident: Incident) -> None:
        self.power = Power()
        self.kept: dict[tuple[Phase, str], StepRecord] = {}
        self.record = run
        self.incident = incident
        self.signals: list[Signal] = []
        self.pauses: list[Pause] = []
        self.locks: dict[str, Lock] = {}
        self.disruptions: tuple[datetime, ...] = ()
        self.changes_of_late: tuple[MadeChange, ...] = ()
        self.questions: list[Question] = []
        self.aborted: Abort | None = None
        self.moves: list[tuple[IncidentState, str]] = []
        self.trouble: KintsugiError | None = None
        self.answers_after: timedelta | None = None
        self.told: list[tuple[IncidentState, str]] = []
        self.taken = False
        self.diagnosed: list[KeptDiagnosis] = []
        self.commit_takes = timedelta(0)
        self.zero: dict[str, ScaledToZero] = {}
        self.recovery = ""

    async def run(self, run: str) -> RunRecord:
        """Return the run as it was last committed."""
        return self.record

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        """Return the steps in the order in which they were first written."""
        return tuple(self.kept.values())

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None:
        """Commit a step that is in state `expect`; there is no new intent for a run that is over, nor beyond the budget."""
        if self.commit_takes:
            await asyncio.sleep(self.commit_takes.total_seconds())
        if step.state is StepState.INTENT and self.record.finished is not None:
            raise WrongState(f"run {step.run} is over: no new intent for {step.path}")
        spent = sum(moment > budget.since for moment in self.disruptions) if budget is not None else 0
        if budget is not None and spent >= budget.most:
            raise BudgetSpent(f"{spent} changes of late")
        uid = str(step.facts.get("uid", ""))
        for objection in (each.objection(uid, self._changed()) for each in (budget.pods if budget is not None else ())):
            if objection:
                raise BudgetSpent(objection)
        key = (step.phase, step.path)
        self.power.hit(f"before the commit of {step.path} as {step.state}")
        known = self.kept.get(key)
        if known != step:
            if (known.state if known else None) is not expect:
                raise WrongState(f"{step.path} is {known.state if known else 'not written'}, expected {expect}")
            self.kept[key] = step
            self.power.tell(f"{step.path} {step.state}")
        self.power.hit(f"after the commit of {step.path} as {step.state}")

    async def keep_evidence(self, run: str, path: str, kind: str, text: str, now: datetime) -> None:
        """Commit evidence."""
        self.power.hit(f"before the commit of evidence {kind}")
        self.power.tell(f"{path} evidence {kind}")
        self.power.hit(f"after the commit of evidence {kind}")

    async def step_write(self, step: StepRecord, **more: Any) -> Deferred:
        """Return what commits a step."""
        return partial(self.save_step, step, **more)

    async def evidence_write(self, *evidence: Any) -> Deferred:
        """Return what commits evidence."""
        return partial(self.keep_evidence, *evidence)

    def move_write(self, *moved: Any, **more: Any) -> Deferred:
        """Return what moves the run."""
        return partial(self.move_run, *moved, **more)

    def update_write(self, run: str, updates: RunUpdate) -> Deferred:
        """Return what writes what the run has found."""
        return partial(self.update_run, run, updates)

    async def commit(self, *writes: Deferred) -> list[object]:
        """Commit one after the other: the process may end between any two."""
        return [await write() for write in writes]

    def known(self, path: str, phase: Phase = Phase.FORWARD) -> StepRecord | None:
        """Return what is kept of a step."""
        return self.kept.get((phase, path))

    def _changed(self) -> frozenset[str]:
        """List the uids of what was changed, or may have been."""
        made = (StepState.INTENT, StepState.UNKNOWN, StepState.DONE)
        return frozenset(str(each.facts.get("uid", "")) for each in self.kept.values() if each.state in made)

    async def move_run(
        self,
        run: str,
        state: IncidentState,
        reason: str,
        now: datetime,
        *,
        deadline: datetime | None = None,
        updates: RunUpdate = NO_UPDATE,
    ) -> RunRecord:
        """Move the run; one that is over stays as it is."""
        self.power.hit(f"before the move to {state}")
        if self.record.finished is not None:
            raise WrongState(f"run {run} is over ({self.record.state}): it cannot become {state}")
        self.record = replace(
            self.record,
            state=state,
            reason=reason,
            deadline=deadline or self.record.deadline,
            finished=now if state.is_final else None,
            **updates.given,
        )
        self.moves.append((state, reason))
        self.power.tell(f"run {state}")
        self.power.hit(f"after the move to {state}")
        return self.record

    async def update_run(self, run: str, updates: RunUpdate) -> RunRecord:
        """Write what the run has found."""
        what = " ".join(updates.given)
        self.power.hit(f"before the marks {what}")
        self.record = replace(self.record, **updates.given)
        self.power.tell(f"marks {what}")
        self.power.hit(f"after the marks {what}")
        return self.record

    async def take_slot(
        self, run: str, refusal: Callable[[tuple[str, ...]], str], reason: str, now: datetime, *, deadline: datetime
    ) -> RunRecord | None:
        """Let the run go on if it is held, and has a slot in the ledger's eyes, too."""
        if self.record.state is not IncidentState.HELD:
            return self.record
        if refusal(()) or self.taken:
            return None
        return await self.move_run(run, IncidentState.RUNNING, reason, now, deadline=deadline)

    async def scaled_to_zero(self, workload: str) -> ScaledToZero | None:
        """Return which run has scaled a workload to 0."""
        return self.zero.get(workload)

    async def constraints(
        self, namespace: str, since: datetime, now: datetime, *, changes: bool = False
    ) -> RecentChanges:
        """Return the pauses that hold, and the changes in the namespace of late."""
        if self.trouble is not None:
            raise self.trouble
        return RecentChanges(
            pauses=tuple(each for each in self.pauses if each.until is None or each.until > now),
            disruptions=Disruptions(
                moments=tuple(moment for moment in self.disruptions if moment > since), objects=self._changed()
            ),
            changes=tuple(each for each in self.changes_of_late if changes and each.finished > since),
        )

    async def locks_of(self, run: str) -> tuple[Lock, ...]:
        """List the locks that the run holds."""
        return tuple(lock for lock in self.locks.values() if lock.run == run)

    async def take_locks(self, run: str, path: str, names: Sequence[str], now: datetime) -> Lock | None:
        """Take locks, or return one that another run holds."""
        foreign = [lock for name in names if (lock := self.locks.get(name)) is not None and lock.run != run]
        if foreign:
            return foreign[0]
        for name in names:
            self.locks.setdefault(name, Lock(name=name, run=run, path=path))
        return None

    async def release_locks(self, run: str, names: Sequence[str]) -> None:
        """Release some locks of a run."""
        self.locks = {name: lock for name, lock in self.locks.items() if lock.run != run or name not in names}

    async def trigger_of(self, incident: str) -> Trigger:
        """Sum the incident's signals up."""
        return trigger_of(self.signals)

    async def alert_that_began(self, incident: str) -> Signal | None:
        """Return the first signal, if it is an alert."""
        return alert_of(next(iter(self.signals), None))

    async def firing_keys(self, incident: str) -> AsyncIterator[str]:
        """Yield the keys of the alerts that fire."""
        for signal in self.signals:
            if signal.status is SignalStatus.FIRING:
                yield signal.key

    async def pauses_since(self, moment: datetime, now: datetime) -> tuple[Pause, ...]:
        """List the pauses that held since a moment; one that was lifted is told to `lift`."""
        return tuple(each for each in self.pauses if each.since <= now and (each.until is None or each.until > moment))

    def lift(self) -> None:
        """Lift all pauses that hold."""
        now = virtual_clock()
        self.pauses = [each if is_in_force(each, now) is False else replace(each, until=now) for each in self.pauses]

    async def history(self, service: str, namespace: str, now: datetime) -> History:
        """Return the changes of late, and what a rehearsal gives way to."""
        pauses = (await self.constraints(namespace, now, now)).pauses
        return History(disruptions=self.disruptions, incident=self.recovery, pauses=pauses)

    async def ask(self, approval: Question) -> None:
        """Keep a question."""
        self.power.hit("before the commit of a question")
        self.questions.append(approval)
        if self.answers_after is not None:
            delay = self.answers_after.total_seconds()
            asyncio.get_running_loop().call_later(delay, self.approve, approval.path)
        self.power.hit("after the commit of a question")

    async def abort_of(self, incident: str) -> Abort | None:
        """Return the abort of the incident."""
        return self.aborted

    async def diagnoses_of(self, incident: str) -> tuple[KeptDiagnosis, ...]:
        """Return the diagnoses of the incident."""
        return tuple(self.diagnosed)

    async def questions_of(self, *of: str) -> tuple[Question, ...]:
        """List the questions of incidents."""
        return tuple(each for each in self.questions if each.incident in of)

    async def put_notice_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
        """Notify a person, once for the same words."""
        if (kind, text) not in self.told:
            self.told.append((kind, text))

    def reject(self, path: str) -> None:
        """Let Ada say no to the question at a step."""
        self.answer(path, Answer.NO, "not tonight")

    def approve(self, path: str) -> None:
        """Let Ada say yes to the question at a step."""
        self.answer(path, Answer.YES)

    def answer(self, path: str, answer: Answer, why: str = "") -> None:
        """Let Ada answer the question at a step."""
        given = said(answer, "ada", virtual_clock(), why)
        self.questions = [replace(each, **given) if each.path == path else each for each in self.questions]


class ShownState:
    """The services as they are shown; since when they are well or failing is kept."""

    def __init__(self, catalog: Catalog) -> None:
        self.views: dict[str, ServiceView] = {
            name: view(service, template="found") for name, service in catalog.services.items()
        }
        self.stale_reason = ""
        self.start_up = START_UP_ALLOWANCE
        self.mode = Mode.AUTO
        self.modes: dict[str, Mode] = {}
        self.health = ObserverHealth()
        self.annotated: dict[str, str] = {}
        self.taken_out = ""
        self.asked_for_silences = 0
        self.silenced: set[str] = set()
        self.known_good: frozenset[str] = frozenset()
        self.last_good_number = 0
        self.known_adopted: dict[str, int] = {}
        self.waits_for = ""
        self.down = ""
        self.stateful_set: StatefulSet | None = None
        self.release = ""
        self.covered = False
        self.higher = ""
        self.full = ""
        self.outages: dict[str, Outage] = {}

    def overtaker(self, service: str) -> str:
        """Return who waits for the slot of every service."""
        return self.higher

    def slot_namespaces(self) -> tuple[str, ...]:
        """Return none: whether there is a slot is said by `full`."""
        return ()

    def slot_given(self) -> None:
        """Hear that a slot was given away."""

    def slot_refusal(self, service: str) -> Callable[[tuple[str, ...]], str]:
        """Return what refuses every slot while all are taken."""
        return lambda _: self.full

    def explained_by(self, service: str, began: datetime) -> str:
        """Return what the test says is down."""
        return self.down

    def outage(self, service: str) -> Outage | None:
        """Return the outage that the test shows."""
        return self.outages.get(service)

    def upstream(self, service: str) -> str:
        """Return what every service depends on that is being recovered just now."""
        return self.waits_for

    def show(
        self,
        name: str = "web",
        *,
        ready: int | None = None,
        desired: int | None = None,
        healthy: bool | None = None,
        pods: tuple[Pod, ...] | None = None,
        template: str | None = None,
        updated: int | None = None,
    ) -> None:
        """
        Show a service anew; what is not given stays. Health follows readiness unless it is given.

        The rollout is complete unless fewer pods are `updated` than are asked for. Its workload is a Deployment, of `release`, or `stateful_set`.
        """
        before = self.views[name]
        ready = before.ready if ready is None else ready
        desired = before.desired if desired is None else desired
        well = ready >= desired if healthy is None else healthy
        since = (before.healthy_since if well else before.failing_since) if before.healthy is well else None
        moment = since or virtual_clock()
        self.views[name] = replace(
            before,
            is_current=True,
            ready=ready,
            desired=desired,
            healthy=well,
            healthy_since=moment if well else None,
            failing_since=None if well else moment,
            pods=before.pods if pods is None else pods,
            workload=self.stateful_set
            or deployment(before.service, desired=desired, ready=ready, updated=updated, release=self.release),
            template=before.template if template is None else template,
        )

    def hide(self, name: str = "web") -> None:
        """Let a service's view be old news."""
        self.views[name] = replace(
            self.views[name], is_current=False, healthy=None, healthy_since=None, failing_since=None
        )

    def mode_of(self, rule: str, runbook: str, services: Collection[str]) -> Mode:
        """Return how far runs of a rule may go."""
        return self.modes.get(rule, Mode.AUTO).at_most(self.mode)

    def retired(self, rule: str) -> str:
        """Return whether the test has taken a rule out."""
        return self.taken_out

    def observer(self) -> ObserverHealth:
        """Return how well we see."""
        return replace(self.health, stale_reason=self.stale_reason)

    def annotation_pause(self, namespace: str) -> str:
        """Return the pause that stands on the namespace."""
        return self.annotated.get(namespace, "")

    async def silence(self, alerts: AsyncIterable[str]) -> str:
        """Return a sentence that all of these alerts are silenced."""
        self.asked_for_silences += 1
        keys = {alert async for alert in alerts}
        return "silenced" if keys and keys <= self.silenced else ""

    def last_good(self, service: str) -> int:
        """Return the number of the last good revision."""
        return self.last_good_number

    def adopted(self, service: str) -> Mapping[str, int]:
        """Return the adopted templates."""
        return self.known_adopted

    def none_good(self, service: str) -> str:
        """Return no reason why no revision is good."""
        return ""

    def good(self, service: str) -> frozenset[str]:
        """Name the templates that were seen good."""
        return self.known_good

    def change_context(self, run: RunRecord, scope: StepScope, step: StepRecord) -> ChangeContext:
        """Return for whom a change is made."""
        return ChangeContext(
            phase=step.phase,
            incident=run.incident,
            run=run.id,
            path=step.path,
            now=virtual_clock(),
            service=scope.service,
        )


ProbeAnswer = Callable[[], Mapping[str, object] | Result | Exception]


class ScriptedProber:
    """
    Answers looks by the beginning of their text; `looked` tells when each was asked.

    `workers` tells how a worker stands, by the beginning of its command's text; it is done where nothing is said. The API
    server has of a workload what is seen in `views`, unless `ahead` says what else it has.
    """

    def __init__(self, views: Callable[[], Mapping[str, ServiceView]] = dict) -> None:
        self.views = views
        self.ahead: Metadata | Exception | None = None
        self.answers: dict[str, ProbeAnswer] = {}
        self.workers: dict[str, Callable[[], JobState | Exception]] = {}
        self.looked: list[tuple[float, str]] = []
        self.deadlines: list[timedelta] = []
        self.askers: list[ProbeContext] = []
        self.as_left: Callable[[], bool] = lambda: True

    def will(self, beginning: str, answer: ProbeAnswer) -> None:
        """Answer commands that begin so."""
        self.answers[beginning] = answer

    async def read(
        self, command: Command, *, deadline: timedelta, probe_context: ProbeContext = ANONYMOUS_PROBE
    ) -> Result:
        """Answer one look."""
        text = render(command)
        self.looked.append(((virtual_clock() - NOW).total_seconds(), text))
        self.deadlines.append(deadline)
        self.askers.append(probe_context)
        answers = [answer for beginning, answer in self.answers.items() if text.startswith(beginning)]
        given = answers[0]() if answers else {"items": [{}]}
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, Result) else Result(names=given, summary=text)

    async def metadata(self, workload: WorkloadRef, namespace: str) -> Metadata | None:
        """Return what the API server has of a workload."""
        if isinstance(self.ahead, Exception):
            raise self.ahead
        seen = (each.workload for each in self.views().values() if each.service.namespace == namespace)
        return self.ahead or next(
            (each.metadata for each in seen if each and each.metadata.name == workload.name), None
        )

    async def is_as_left(self, workload: WorkloadRef, namespace: str, run: str) -> bool:
        """Return whether a workload is as the run has left it."""
        return self.as_left()

    async def plan_effect(self, command: Command, context: ChangeContext) -> EffectPlan:
        """Judge no change."""
        return EffectPlan(command=command, intent=Intent(uid=""), undo=UndoRecord())

    async def watch(self, prepared: EffectPlan, guard_context: ChangeContext) -> JobState:
        """Return how a worker stands."""
        text = render(prepared.command)
        given = next((stands() for beginning, stands in self.workers.items() if text.startswith(beginning)), None)
        if isinstance(given, Exception):
            raise given
        return given or JobState(stage=JobStage.DONE)

    def split(self, command: Command) -> tuple[Command, ...]:
        """Make a change over several objects into changes of one each."""
        if isinstance(command, Cordon | Delete | SetMetadata | Scale):
            return tuple(replace(command, objects=(each,)) for each in command.objects)
        return (command,)


def runner_deps(
    prober: RunProber,
    observed: ClusterView,
    actor: ScriptedActor | None = None,
    *,
    power: Power | None = None,
    pace: timedelta = timedelta(seconds=1),
    **more: Any,
) -> RunnerDeps:
    """Return what runs work with, which look once each `pace`; unless it says otherwise, an actor changes nothing."""
    return RunnerDeps(
        executor=Executor(actor or ScriptedActor(), Boundary(power=power or Power()), clock=virtual_clock),
        prober=prober,
        observed=observed,
        clock=virtual_clock,
        poll_interval=pace,
        command_timeout=timedelta(seconds=30),
        **more,
    )
