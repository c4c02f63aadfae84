"""
The context that the parts of one run share: the scope of a step, and the ports that `app` and `pipeline` implement.
"""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan
from kintsugi.actions.job_effect import JobState
from kintsugi.actions.probe import PodChecks, Prober
from kintsugi.actions.workload_reads import ServiceFacts
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.executor import Admission, Executor
from kintsugi.expressions import NOTHING_LOST, Bindings, Lost, TextTemplate
from kintsugi.mask import MASK
from kintsugi.model.command import Command
from kintsugi.model.history import RunRemedies
from kintsugi.model.outages import Outage
from kintsugi.model.questions import Question, QuestionKind
from kintsugi.model.records import (
    Incident,
    IncidentState,
    Occasion,
    Phase,
    RunRecord,
    SeenWorkload,
    Signal,
    StepRecord,
    Target,
)
from kintsugi.model.rules import Mode
from kintsugi.model.runbooks import CommandTemplate, Runbook
from kintsugi.model.services import Service, WorkloadRef
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.model.views import ServiceView
from kintsugi.runner.journal import WHY_LOST, Journal, masked_paths
from kintsugi.runner.sections import Section
from kintsugi.scope.values import EvaluationContext, StepOutcome, step_names
from kubeobjects.metadata import Metadata

HELPED = frozenset({IncidentState.RECOVERED, IncidentState.NO_ACTION})
"""Ends of a child after which its parent goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackDecision:
    """The workload when a run's rollback was decided, since when it goes on, and whether a person has requested it."""

    workload: SeenWorkload | None
    since: datetime
    requested: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StepScope:
    """
    The scope of a step: the interpreter's stack frame.

    `outcomes` maps step ids to outcomes, and is shared by all steps of one runbook (a child has its own). `prefix` is
    the path above, `service` the current service. `alert` is the one that began the run, None where the runbook may not read it:
    one on another service may not. `section` is what must be completed once begun, None outside of one.
    `child` is the path of the innermost step that runs another runbook, RUN outside of any. `completing`: the changes here
    complete one that was made, and are needed until that one is undone. `rollback` is the decision that the changes here
    follow, None outside of a rollback; `undoes`: they are recorded undos of the run's own changes.
    """

    phase: Phase
    service: str
    runbook: str
    prefix: StepPath = RUN
    parameters: Mapping[str, object] = field(default_factory=dict)
    alert: Signal | None = None
    outcomes: dict[str, StepOutcome] = field(default_factory=dict)
    item: object = None
    section: Section | None = None
    child: StepPath = RUN
    completing: bool = False
    rollback: RollbackDecision | None = None
    undoes: bool = False

    def path(self, step: str) -> StepPath:
        """Return the path of a step here."""
        return self.prefix.down(step)

    def below(self, step: str) -> "StepScope":
        """Return the scope of the steps inside a step."""
        return replace(self, prefix=self.path(step))

    def lost(self, own: Iterable[str]) -> Lost:
        """Return which names of an expression are lost; `own` are the lost paths of the step's own result."""
        paths = {f"steps.{step}.{path}" for step, outcome in self.outcomes.items() for path in outcome.lost}
        if paths:
            paths.update(masked_paths(self.item, "each"))
        paths.update(own)
        return Lost(paths=frozenset(paths), mark=MASK, why=WHY_LOST) if paths else NOTHING_LOST


class RunProber(Prober, Protocol):
    """A prober that also splits commands, plans changes, and reads workloads and the state of Jobs."""

    def split(self, command: Command) -> tuple[Command, ...]: ...

    async def plan_effect(self, command: Command, context: ChangeContext) -> EffectPlan:
        """Judge a change by a live read; nothing is changed. Raises Refused with the reason, KubeError, CommandError."""

    async def metadata(self, workload: WorkloadRef, namespace: str) -> Metadata | None:
        """Return a workload's metadata from the API server, None where it does not exist. Raises KubeError."""

    async def is_as_left(self, workload: WorkloadRef, namespace: str, run: str) -> bool:
        """Return whether a workload has the template that a run has left. Raises KubeError."""

    async def watch(self, plan: EffectPlan, context: ChangeContext) -> JobState:
        """Return the state of the Job that was made. Raises KubeError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepQuestion:
    """
    What a step asks a person: to approve it, or to do it by `command`.

    `expiry` is how long the question is good, None for as long as any. `continues_at_no`: a no leaves the step out.
    """

    path: StepPath
    text: str
    kind: QuestionKind = QuestionKind.APPROVAL
    command: str = ""
    expiry: timedelta | None = None
    continues_at_no: bool = False


class ChangeGate(Protocol):
    """The gate of one run: it is asked before every change and every question to a person."""

    def admission(self, scope: StepScope, command: Command | None = None, *, phase: Phase | None = None) -> Admission:
        """Return the gate before a change in this scope, of the command's object where that is known already."""

    async def release(self, child: StepPath) -> None:
        """Release what a child of the run has locked, or the run itself (RUN) of other services than its own."""

    async def ask(self, scope: StepScope, question: StepQuestion) -> Question:
        """Wait for a person's answer, and return it. Raises ExecutionStopped when it does not come in time, and at a no."""


class Diagnoses(Protocol):
    """The port that diagnoses a service and keeps the result with its incident: `pipeline.IncidentDiagnoses`."""

    async def make(self, incident: str, service: Service, occasion: Occasion) -> None:
        """Make and keep a diagnosis in bounded time, even if it fails. Raises LedgerUnavailable, StaleEpoch."""


class ClusterView(Protocol):
    """The current state of the services; `stale_reason` says why it cannot be trusted, "" when it can."""

    @property
    def views(self) -> Mapping[str, ServiceView]: ...

    @property
    def stale_reason(self) -> str: ...

    @property
    def start_up(self) -> timedelta: ...

    def annotation_pause(self, namespace: str) -> str:
        """Return the pause that a person has set by an annotation on the namespace, "" for none."""

    def outage(self, service: str) -> Outage | None:
        """Return the outage of a service, None where it is not down."""

    async def silence(self, alerts: AsyncIterable[str]) -> str:
        """Return a sentence when all of these alerts (by fingerprint) are silenced or that is unknown; "" otherwise."""

    @property
    def mode(self) -> Mode: ...

    def mode_of(self, rule: str, runbook: str, services: Collection[str]) -> Mode:
        """Return how far runs of a rule may go now: as the daemon's mode, the rule and those of other services let a runbook."""

    def retired(self, rule: str) -> str:
        """Return a sentence when a rule is no longer in the catalog, "" otherwise."""

    def observer(self) -> ObserverHealth:
        """Return the health of the observer."""

    def upstream(self, service: str) -> str:
        """Return an upstream that went down and is being recovered now; "" for none."""

    def explained_by(self, service: str, began: datetime) -> str:
        """Return an upstream that is down and explains a problem that began at `began`; "" for none."""

    def overtaker(self, service: str) -> str:
        """Return a service of higher priority that waits for the slot of a service under recovery; "" for none."""

    def slot_namespaces(self) -> tuple[str, ...]:
        """Return the namespaces of the services that have a slot, one for each."""

    def slot_given(self) -> None:
        """Note that a run has given its slot away and that the ledger has it."""

    def slot_refusal(self, service: str) -> Callable[[tuple[str, ...]], str]:
        """Return a function from the namespaces with a slot to why the service gets none, "" when it gets one."""

    @property
    def covered(self) -> bool:
        """Return whether a run about all services is under way, which will recover the others."""

    def good(self, service: str) -> frozenset[str]: ...

    def adopted(self, service: str) -> Mapping[str, int]:
        """Return the good templates that were adopted, and the numbers of their revisions."""

    def none_good(self, service: str) -> str:
        """Return why no revision is good yet, "" where one is or that is not known."""

    def last_good(self, service: str) -> int:
        """Return the number of the newest good revision that is not the current one; 0 when none is known."""

    def change_context(self, run: RunRecord, scope: StepScope, step: StepRecord) -> ChangeContext: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerDeps:
    """
    The dependencies that all runs share. `poll_interval` is the pause between two probes, `command_timeout` the limit
    of a probe, `prometheus` the URL of a Prometheus ("" for none).

    `diagnoses` None: no causes are looked for. `declared` returns the facts of a workload that its objects do not show,
    `checks` asks a single pod, `tried` returns what recent runs of a service with its present template have tried, the newest first. `stopping` is set when the
    daemon stops: nothing new is begun then. A run holds `yielding` while it gives its slot away, so that no two runs make
    room for one.
    """

    executor: Executor
    prober: RunProber
    observed: ClusterView
    clock: Callable[[], datetime]
    poll_interval: timedelta
    command_timeout: timedelta
    prometheus: str = ""
    diagnoses: Diagnoses | None = None
    declared: Callable[[Target], ServiceFacts] = lambda _: ServiceFacts()
    checks: PodChecks | None = None
    tried: Callable[[ServiceView], Awaitable[tuple[RunRemedies, ...]]] | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    yielding: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildCall:
    """The call of a step that runs a runbook on a service."""

    run: RunRecord
    step: str
    runbook: Runbook
    service: str


class Children(Protocol):
    """The port that starts child runs; `pipeline.ChildRuns` implements it."""

    async def start(self, call: ChildCall) -> RunRecord:
        """
        Start the run that a step calls for, once, or join the one that its service has under way.

        A run that may not start yet is requested again. Raises ExecutionStopped when it may not start at all,
        LedgerUnavailable, StaleEpoch.
        """

    async def until_over(self, child: RunRecord) -> RunRecord:
        """Wait until a child run is over, and return it as it ended."""


@dataclass(frozen=True, kw_only=True)
class ReadContext:
    """The context in which the steps of a run read, which is all that a preview of the run does."""

    deps: RunnerDeps
    journal: Journal
    incident: Incident
    alert: Signal | None = None

    def alert_for(self, service: str) -> Signal | None:
        """Return the alert that began the run, for a runbook on the run's own service."""
        return self.alert if service == self.journal.run.service else None

    def names(
        self, scope: StepScope, result: Mapping[str, object] | None = None, lost: frozenset[str] = frozenset()
    ) -> Bindings:
        """Return the names that an expression in this scope sees now; `lost` are the paths of `result` that were lost."""
        views = self.deps.observed.views
        around = EvaluationContext(
            now=self.deps.clock(),
            incident=self.incident,
            alert=scope.alert,
            parameters=scope.parameters,
            service=views.get(scope.service),
            services=views,
            prometheus=self.deps.prometheus,
            covered=self.deps.observed.covered,
        )
        return step_names(around, earlier=scope.outcomes, own=result, each=scope.item, lost=scope.lost(lost))

    def bound(self, template: CommandTemplate, scope: StepScope) -> Command:
        """Bind a command in this scope. Raises CommandError or EvaluationError."""
        return template.bind(self.names(scope), namespace=self.namespace(scope))

    def text(self, template: TextTemplate, scope: StepScope) -> str:
        """Evaluate a text in this scope. Raises EvaluationError."""
        return str(template.evaluate(self.names(scope)))

    async def wait_until_current(self, scope: StepScope) -> None:
        """Wait until the service's view is current: a stale view is no reason to act (P6)."""
        observed = self.deps.observed
        while True:
            view = observed.views.get(scope.service)
            if not observed.stale_reason and (view is None or view.is_current):
                return
            await asyncio.sleep(self.deps.poll_interval.total_seconds())

    def namespace(self, scope: StepScope) -> str:
        """Return the namespace of a command without `-n`."""
        view = self.deps.observed.views.get(scope.service)
        return view.service.namespace if view is not None else self.journal.run.namespace


@dataclass(frozen=True, kw_only=True)
class RunContext(ReadContext):
    """The context of one run. After `retry_until`, or a later deadline of the run, no change is tried again."""

    gate: ChangeGate
    retry_until: datetime
