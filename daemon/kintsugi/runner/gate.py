"""
The gate of one run: it gathers the current state, asks `admission`, and then waits, asks a person or holds the run.

`holds` asks a person, about a step or about the whole run, and waits for the answer. `affected_by` names the services and
namespaces that a change affects: their pauses, budgets and locks apply to it. Locks are taken in one order, by the priority and
the name of the service: a run waits only for a lock that comes after all that it holds, so that two runs never wait for each
other.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kintsugi.actions.verb_bases import is_change, namespace_of, object_of
from kintsugi.commands.kinds import is_built_in
from kintsugi.commands.registry import definition_of
from kintsugi.decisions.admission import (
    AdmissionDecision,
    AdmissionInput,
    AdmissionResult,
    Attempt,
    admit,
    can_oppose,
    goes_forward,
    opposition,
)
from kintsugi.decisions.disruptions import budgets_of, may_remove_any_pod, pod_deleted_by, services_of_removed, uid_of
from kintsugi.decisions.guards import Limits
from kintsugi.decisions.planner import locks_of
from kintsugi.decisions.priorities import rank
from kintsugi.decisions.watchdog import superseded
from kintsugi.decisions.zero_replicas import AtZero, as_at_zero, objection
from kintsugi.ledger import Ledger
from kintsugi.model.change_limits import Budget, Disruptions, PodBudget
from kintsugi.model.command import Command, ObjectName
from kintsugi.model.manual import MANUAL
from kintsugi.model.questions import ANYBODY, Approvers, Question
from kintsugi.model.records import Incident, Phase, RunRecord, clear_since
from kintsugi.model.rules import Mode
from kintsugi.model.services import Service
from kintsugi.model.step_path import RUN, StepPath
from kintsugi.model.views import ServiceView
from kintsugi.runner.context import RunnerDeps, StepQuestion, StepScope
from kintsugi.runner.ends import ExecutionStopped, OpposingChange, RollbackSuperseded, TriggerResolved, WritesForbidden
from kintsugi.runner.holds import Questions
from kintsugi.runner.journal import Journal
from kintsugi.runner.sections import has_begun
from kintsugi.runner.seen_workload import rollout_verb, seen_workload
from kintsugi.telemetry import get_logger
from kubeobjects import resources
from kubeobjects.resources import CRONJOBS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS, Resource

log = get_logger(__name__)

SILENCE_AGE = timedelta(seconds=30)
"""The time for which a run that is silenced relies on that answer before it asks again."""

LOCKED_KINDS = frozenset({CRONJOBS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS})
"""Built-in kinds whose objects are locked also where no service of the catalog is about them, as those of other kinds always are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImpactScope:
    """
    The services, namespaces and locks that one change of one run affects.

    `namespace` is that of the object, `namespaces` and `services` those of the run and of the object together; `locks`
    are the names that the run must hold. `known` are all services, whose order is that of their locks. `pod` is the name of a pod
    that is deleted, "" for other changes.
    """

    namespace: str
    namespaces: frozenset[str]
    services: frozenset[str]
    locks: tuple[str, ...]
    known: Mapping[str, Service]
    pod: str = ""

    def may_wait_for(self, lock: str, held: Iterable[str]) -> bool:
        """Return whether a run that holds some locks may wait for another: it comes after all of them."""
        order = {lock: rank(each) for each in self.known.values() for lock in locks_of(each)}
        return all(_place(each, order) < _place(lock, order) for each in held)


def affected_by(run: RunRecord, service: str, command: Command | None, views: Mapping[str, ServiceView]) -> ImpactScope:
    """
    Return what a change of a run's step affects: its service, and the object's where the command is known already.

    An object's services are those whose workload, pod, claim, volume or Kubernetes Service it is. Whose an object of a kind is that
    is not built in cannot be seen: the pauses and the modes of all services of its namespace apply.
    """
    asked = object_of(command) if command is not None and is_change(command) else None
    namespace = (namespace_of(command) if command is not None else None) or run.namespace
    services = {name: view.service for name, view in views.items()}
    names = {service, *services_of_removed(command, views)}
    if asked is not None:
        names.update(name for name, view in views.items() if _has(view, asked, namespace))
    changed = sorted((services[name] for name in names if name in services), key=rank)
    unseen = asked is not None and not is_built_in(asked.resource)
    near = [name for name, each in services.items() if unseen and each.namespace == namespace]
    own = [f"{namespace}/{asked}"] if asked is not None and _is_locked(asked.resource) else []
    return ImpactScope(
        namespace=namespace,
        namespaces=frozenset({run.namespace, namespace, *(each.namespace for each in changed)}),
        services=frozenset({run.service, *names, *near}),
        locks=tuple(dict.fromkeys([*(lock for each in changed for lock in locks_of(each)), *own])),
        known=services,
        pod=pod_deleted_by(command),
    )


def _is_locked(resource: Resource) -> bool:
    return resource in LOCKED_KINDS or not is_built_in(resource)


def _has(view: ServiceView, asked: ObjectName, namespace: str) -> bool:
    """Return whether an object is one of a service's."""
    if asked.resource == resources.PVS:
        return any(claim.spec.volume_name == asked.name for claim in view.all_pvcs)
    if view.service.namespace != namespace:
        return False
    match asked.resource:
        case resources.PODS:
            return any(pod.metadata.name == asked.name for pod in view.pods)
        case resources.PVCS:
            return any(claim.metadata.name == asked.name for claim in view.all_pvcs)
        case resources.SERVICES:
            return view.host.partition(".")[0] == asked.name
        case _:
            return str(view.service.workload) == str(asked)


def started_by(command: Command | None, affected: ImpactScope, views: Mapping[str, ServiceView]) -> AtZero | None:
    """Return the workload that a command scales up from 0, None for any other command."""
    if command is None or not definition_of(command).starts(command):
        return None
    place = (affected.namespace, str(object_of(command)))
    for view in views.values():
        if (view.service.namespace, str(view.service.workload)) == place:
            return as_at_zero(view)
    return None


def _place(lock: str, order: Mapping[str, tuple[int, str]]) -> tuple[int, int, str]:
    known = order.get(lock)
    return (0, *known) if known is not None else (1, 0, lock)


@dataclass(kw_only=True)
class RunGate:
    """
    The gate of one run. `journal.run` is replaced when an approval has moved the deadline. `parent` is the incident of a
    child's parent. `abort_reason` says which person wants no further step, and why; "" for no one.
    """

    deps: RunnerDeps
    ledger: Ledger
    journal: Journal
    incident: Incident
    limits: Limits
    plan: str
    expiry: timedelta
    parent: str = ""
    approvers: Approvers = ANYBODY
    abort_reason: str = ""
    questions: Questions = field(init=False)
    _silence: str = field(init=False, default="")
    _silent_until: datetime = field(init=False, default=datetime.min.replace(tzinfo=UTC))

    def __post_init__(self) -> None:
        self.questions = Questions(
            deps=self.deps,
            ledger=self.ledger,
            journal=self.journal,
            incident=self.incident,
            plan=self.plan,
            expiry=self.expiry,
            parent=self.parent,
            approvers=self.approvers,
        )

    @property
    def is_manual(self) -> bool:
        """
        Return whether a person started this run: it then continues, even if the alerts that have joined it end.

        A child may have taken over a waiting incident, and is no longer needed once that is clear.
        """
        return self.journal.run.rule == MANUAL and not self.journal.run.parent

    def admission(
        self, scope: StepScope, command: Command | None = None, *, phase: Phase | None = None
    ) -> "RunAdmission":
        """Return the gate before a change in this scope, of the command's object where that is known already."""
        run, views = self.journal.run, self.deps.observed.views
        affected = affected_by(run, scope.service, command, views)
        starts = None if scope.section is not None else started_by(command, affected, views)
        return RunAdmission(
            gate=self, scope=scope, phase=phase or scope.phase, affected=affected, command=command, starts=starts
        )

    async def release(self, child: StepPath) -> None:
        """Release what a child of the run has locked, or the run itself (RUN) of other services than its own."""
        run, views = self.journal.run, self.deps.observed.views
        own = {f"service {run.service}", *affected_by(run, run.service, None, views).locks}
        held = await self.ledger.incidents.locks_of(run.id)
        names = [lock.name for lock in held if lock.path == str(child) and lock.name not in own]
        if names:
            await self.ledger.incidents.release_locks(run.id, names)

    async def ask(self, scope: StepScope, question: StepQuestion) -> Question:
        """
        Ask a person, wait, and return the question with its answer. The time of waiting does not count towards the deadline.

        A step of a rollback has its own question, independent of a forward step of the same name. Raises
        ApprovalExpired on expiry and at a no that ends the execution, WritesForbidden as soon as a yes could not be acted on.
        """
        if scope.phase is not Phase.FORWARD:
            question = replace(question, path=question.path.in_phase(scope.phase.value))
        return await self.questions.ask(question, scope.phase, self.admission(scope).raise_if_forbidden)

    async def skip_reason(self, attempt: Attempt) -> str:
        """
        Return why a change forward is no longer needed, "" when it is.

        Raises TriggerResolved when the trigger of the run ended before anything was changed. A section that has begun
        continues after the end of the trigger: half of it would be worse than none.
        """
        if not goes_forward(attempt) or self.is_manual:
            return ""
        trigger = await self.ledger.signals.trigger_of(self.incident.id)
        if not trigger.lasting or clear_since(self.incident, trigger) is None:
            return ""
        if not self.journal.changed:
            raise TriggerResolved(RUN, "the trigger ended before anything was changed")
        view = self.deps.observed.views.get(self.journal.run.service)
        return "the trigger has ended and the service is healthy" if view is not None and view.healthy else ""

    async def silence(self) -> str:
        """
        Return a sentence when people have silenced all alerts of the run, "" otherwise (reliability A19).

        The answer lists all of Alertmanager's alerts: while they are silenced it is asked for anew after `SILENCE_AGE` only.
        """
        if self.deps.clock() < self._silent_until:
            return self._silence
        if self.is_manual or not (await self.ledger.signals.trigger_of(self.incident.id)).alerts_only:
            return ""
        self._silence = await self.deps.observed.silence(self.ledger.signals.firing_keys(self.incident.id))
        if self._silence:
            self._silent_until = self.deps.clock() + SILENCE_AGE
        return self._silence


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAdmission:
    """
    The gate of a run before the attempts of one effect; implements `executor.Admission`.

    `starts` is the workload that the effect starts from 0, None for none, or where a section starts again what it has stopped.
    """

    gate: RunGate
    scope: StepScope
    phase: Phase
    affected: ImpactScope
    command: Command | None = None
    starts: AtZero | None = None

    async def admit(self) -> str:
        """
        Wait until an attempt may be made, and hold the locks of what it changes.

        Return why the change is no longer needed, "" when it is. Raises TriggerResolved, WritesForbidden, ConflictingChange,
        ApprovalExpired, RollbackSuperseded, ExecutionStopped.
        """
        logged = ""
        while blocked_by := await self._blocked_by():
            if blocked_by != logged:
                log.info("change waiting", run=self.gate.journal.run.id, why=blocked_by)
                logged = blocked_by
            await asyncio.sleep(self.gate.deps.poll_interval.total_seconds())
        if why := await self._superseded():
            raise RollbackSuperseded(RUN, why)
        return "" if self.scope.completing else await self.gate.skip_reason(self._attempt())

    async def objection(self) -> str:
        """
        Return the current objection to an attempt whose intent is committed, "" for none. Raises StaleEpoch.

        The intent's own transaction has asked the budgets: now they hold that very intent.
        """
        return self._aborted or (await self._decide(counted=True)).reason or await self._superseded()

    @property
    def _aborted(self) -> str:
        """Return which person wants no further step forward, and why; "" for no one."""
        return self.gate.abort_reason if self.phase is Phase.FORWARD else ""

    async def _superseded(self) -> str:
        """
        Return why the rollback that this change belongs to may not go on, "" where it may: it compares the live workload.

        Health counts until the rollback has made a change, and the template until it has changed that: what follows is by it.
        """
        decision, run, views = self.scope.rollback, self.gate.journal.run, self.gate.deps.observed.views
        if decision is None or run.service not in views:
            return ""
        made = self.gate.journal.made_in_rollback(decision.since)
        service = views[run.service].service
        if any(rollout_verb(each, service) for each in made):
            return ""
        found = await seen_workload(self.gate.deps, run.service)
        assert found is not None, run.service
        if why := superseded(decision.workload, found, service):
            return f"{why}, and is left as it is"
        if (
            found.healthy
            and not made
            and not decision.requested
            and not (decision.workload and decision.workload.healthy)
        ):
            return f"{run.service} has become healthy since the rollback was decided"
        return ""

    async def raise_if_forbidden(self) -> None:
        """Raise WritesForbidden where nothing more may be written: then no person is asked, and no answer is waited for."""
        result = await self._decide()
        if result.decision is AdmissionDecision.DENY:
            raise WritesForbidden(RUN, result.reason)

    def budget(self, now: datetime) -> Budget | None:
        """Return the budget that the intent is counted against; a rollback and a section under way have none."""
        if not goes_forward(self._attempt()):
            return None
        limits = self.gate.limits
        return Budget(most=limits.budget, since=now - limits.budget_window, pods=self._pods())

    async def _blocked_by(self) -> str:
        if self._aborted:
            raise WritesForbidden(RUN, self._aborted)
        result = await self._decide(silence=goes_forward(self._attempt()))
        match result.decision:
            case AdmissionDecision.DENY:
                raise WritesForbidden(RUN, result.reason)
            case AdmissionDecision.HAND_OVER:
                raise OpposingChange(RUN, result.reason)
            case AdmissionDecision.ASK:
                run = self.gate.journal.run
                text = f"{result.reason}: may {run.runbook} on {run.service} continue?"
                question = StepQuestion(path=RUN, text=text)
                await self.gate.questions.ask(question, self.phase, self.raise_if_forbidden)
                return result.reason
            case AdmissionDecision.WAIT:
                return result.reason
            case AdmissionDecision.ADMIT:
                return await self._blocked_by_lock() or await self._blocked_at_zero()

    async def _decide(self, *, silence: bool = False, counted: bool = False) -> AdmissionResult:
        gate, observed, attempt = self.gate, self.gate.deps.observed, self._attempt()
        now = gate.deps.clock()
        mode = observed.mode_of(gate.journal.run.rule, self.scope.runbook, self.affected.services)
        since, opposable = now - gate.limits.budget_window, goes_forward(attempt) and can_oppose(self.command)
        constraints = await gate.ledger.incidents.constraints(self.affected.namespace, since, now, changes=opposable)
        inputs = AdmissionInput(
            mode=mode,
            observer=observed.observer(),
            approved=mode is not Mode.APPROVE or await gate.questions.cover_run(),
            stopping=gate.deps.stopping.is_set(),
            pauses=constraints.pauses,
            annotations=[observed.annotation_pause(each) for each in sorted(attempt.namespaces)],
            retired=observed.retired(gate.journal.run.rule),
            upstream=observed.upstream(gate.journal.run.service),
            opposed=opposition(self.command, constraints.changes, rule=gate.journal.run.rule, run=gate.journal.run.id),
            disruptions=Disruptions() if counted else constraints.disruptions,
            pods=() if counted else self._pods(),
        )
        result = admit(attempt, inputs, gate.limits)
        if silence and result.decision is AdmissionDecision.ADMIT:
            return admit(attempt, replace(inputs, silence=await gate.silence()), gate.limits)
        return result

    async def _blocked_by_lock(self) -> str:
        """
        Take the locks of the services that are changed; return which other run holds one of them, "" for none.

        Raises ExecutionStopped where the wait could never end: two runs would wait for each other.
        """
        gate, run = self.gate, self.gate.journal.run
        held = {lock.name for lock in await gate.ledger.incidents.locks_of(run.id)}
        if held.issuperset(self.affected.locks):
            return ""
        foreign = await gate.ledger.incidents.take_locks(
            run.id, str(self.scope.child), self.affected.locks, gate.deps.clock()
        )
        if foreign is None:
            return ""
        why = f"{foreign.name} is held by run {foreign.run}"
        if not self.affected.may_wait_for(foreign.name, held):
            raise ExecutionStopped(RUN, f"{why}, which may wait for this run")
        return why

    def _pods(self) -> tuple[PodBudget, ...]:
        views, limits = self.gate.deps.observed.views, self.gate.limits
        pod, namespace = self.affected.pod, self.affected.namespace
        service = "" if may_remove_any_pod(self.command) else self.scope.service
        return budgets_of(pod, namespace, views, limits.max_unavailable, service=service)

    async def _blocked_at_zero(self) -> str:
        """
        Raise ExecutionStopped where what would be started from 0 may not be.

        No other run can scale it from here on: this run holds its lock.
        """
        if self.starts is not None and self.phase is Phase.FORWARD:
            stop = await self.gate.ledger.good_state.scaled_to_zero(self.starts.uid)
            if why := objection(self.starts, stop):
                raise ExecutionStopped(RUN, why)
        return ""

    def _attempt(self) -> Attempt:
        section, views = self.scope.section, self.gate.deps.observed.views
        return Attempt(
            phase=self.phase,
            rule=self.gate.journal.run.rule,
            namespaces=self.affected.namespaces,
            services=self.affected.services,
            pod=uid_of(self.affected.pod, self.affected.namespace, views),
            must_complete=section is not None and has_begun(self.gate.journal, section.path),
        )
