"""What a run works with, in memory: a ledger with the real one's rules, a world that is shown, looks that are scripted."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.actions.asker import NOBODY, Asker
from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.job_progress import Stage, Standing
from kintsugi.actions.prepared import Prepared
from kintsugi.actions.result import Result
from kintsugi.commands import render
from kintsugi.errors import BudgetSpent, KintsugiError, WrongState
from kintsugi.guards import Observer
from kintsugi.ledger.admissions import Stops
from kintsugi.model.bounds import Budget, Lock
from kintsugi.model.command import Command, Cordon, Delete, Mark, Scale
from kintsugi.model.documents import Catalog, Mode
from kintsugi.model.history import History
from kintsugi.model.records import (
    Approval,
    Incident,
    IncidentState,
    Pause,
    RunRecord,
    Signal,
    SignalStatus,
    StepRecord,
    StepState,
)
from kintsugi.model.trigger import Trigger
from kintsugi.model.views import ServiceView
from kintsugi.objects.kept import Pod
from kintsugi.runner.memory import Bearings
from kintsugi.runner.standstill import is_in_force
from tests.unit.executor.cas_journal import CasJournal
from tests.unit.factories import NOW, deployment, trigger_of, view, virtual_clock


class RunLedger(CasJournal):
    """
    The ledger of one run.

    `moves` tells every state with its reason, `trouble` is raised when pauses are read, `answers_after` is how long Ada
    takes to say yes (None: she does not).
    """

    def __init__(self, run: RunRecord, incident: Incident) -> None:
        super().__init__()
        self.record = run
        self.incident = incident
        self.signals: list[Signal] = []
        self.pauses: list[Pause] = []
        self.locks: dict[str, Lock] = {}
        self.asked_about: list[str] = []
        self.disruptions: tuple[datetime, ...] = ()
        self.questions: list[Approval] = []
        self.moves: list[tuple[IncidentState, str]] = []
        self.trouble: KintsugiError | None = None
        self.answers_after: timedelta | None = None
        self.told: list[tuple[IncidentState, str]] = []

    async def run(self, run: str) -> RunRecord:
        """Give the run as it was last committed."""
        return self.record

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        """Give the steps in the order in which they were first written."""
        return tuple(self.kept.values())

    async def save_step(
        self, step: StepRecord, *, expect: StepState | None, now: datetime, budget: Budget | None = None
    ) -> None:
        """Commit a step; there is no new intent for a run that is over, nor beyond the budget."""
        if step.state is StepState.INTENT and self.record.finished is not None:
            raise WrongState(f"run {step.run} is over: no new intent for {step.path}")
        spent = sum(moment > budget.since for moment in self.disruptions) if budget is not None else 0
        if budget is not None and spent >= budget.most:
            raise BudgetSpent(f"{spent} changes of late")
        await super().save_step(step, expect=expect, now=now)

    async def move_run(
        self,
        run: str,
        state: IncidentState,
        reason: str,
        now: datetime,
        *,
        deadline: datetime | None = None,
        walked: datetime | None = None,
    ) -> RunRecord:
        """Move the run; one that is over stays as it is."""
        self.power.passing(f"before the move to {state}")
        if self.record.finished is not None:
            raise WrongState(f"run {run} is over ({self.record.state}): it cannot become {state}")
        self.record = replace(
            self.record,
            state=state,
            reason=reason,
            deadline=deadline or self.record.deadline,
            walked=walked or self.record.walked,
            finished=now if state.is_final else None,
        )
        self.moves.append((state, reason))
        self.power.tell(f"run {state}")
        self.power.passing(f"after the move to {state}")
        return self.record

    async def stops(self, namespace: str, since: datetime, now: datetime) -> Stops:
        """Return the pauses that hold, and the changes in the namespace of late."""
        self.asked_about.append(namespace)
        if self.trouble is not None:
            raise self.trouble
        return Stops(
            pauses=tuple(each for each in self.pauses if each.until is None or each.until > now),
            disruptions=tuple(moment for moment in self.disruptions if moment > since),
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

    async def release_locks(self, run: str, path: str) -> None:
        """Give back the locks of a child."""
        self.locks = {name: lock for name, lock in self.locks.items() if (lock.run, lock.path) != (run, path)}

    async def trigger_of(self, incident: str) -> Trigger:
        """Sum the incident's signals up."""
        return trigger_of(self.signals)

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
        """Tell of the changes in the namespace of late."""
        return History(disruptions=self.disruptions)

    async def ask(self, approval: Approval) -> None:
        """Keep a question."""
        self.power.passing("before the commit of a question")
        self.questions.append(approval)
        if self.answers_after is not None:
            delay = self.answers_after.total_seconds()
            asyncio.get_running_loop().call_later(delay, self.approve, approval.path)
        self.power.passing("after the commit of a question")

    async def approvals(self, incident: str) -> tuple[Approval, ...]:
        """List the questions."""
        return tuple(self.questions)

    async def tell_once(self, incident: str, kind: IncidentState, text: str, now: datetime) -> None:
        """Tell a person, once for the same words."""
        if (kind, text) not in self.told:
            self.told.append((kind, text))

    def approve(self, path: str) -> None:
        """Let Ada say yes to the question at a step."""
        self.questions = [
            replace(each, who="ada", answered=virtual_clock()) if each.path == path else each for each in self.questions
        ]


class ShownWorld:
    """The services as they are shown; since when they are well or failing is kept."""

    def __init__(self, catalog: Catalog) -> None:
        self.views: dict[str, ServiceView] = {
            name: view(service, template="found") for name, service in catalog.services.items()
        }
        self.blind = ""
        self.mode = Mode.AUTO
        self.modes: dict[str, Mode] = {}
        self.observed = Observer()
        self.annotated: dict[str, str] = {}
        self.silenced: set[str] = set()
        self.known_good: frozenset[str] = frozenset()
        self.last_good_number = 0

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

        The rollout is complete unless fewer pods are `updated` than are asked for.
        """
        before = self.views[name]
        ready = before.ready if ready is None else ready
        desired = before.desired if desired is None else desired
        well = ready >= desired if healthy is None else healthy
        since = (before.healthy_since if well else before.failing_since) if before.healthy is well else None
        moment = since or virtual_clock()
        self.views[name] = replace(
            before,
            fresh=True,
            ready=ready,
            desired=desired,
            healthy=well,
            healthy_since=moment if well else None,
            failing_since=None if well else moment,
            pods=before.pods if pods is None else pods,
            workload=deployment(before.service, desired=desired, ready=ready, updated=updated),
            template=before.template if template is None else template,
        )

    def hide(self, name: str = "web") -> None:
        """Let a service's view be old news."""
        self.views[name] = replace(self.views[name], fresh=False, healthy=None, healthy_since=None, failing_since=None)

    def mode_of(self, rule: str) -> Mode:
        """Return how far runs of a rule may go."""
        return self.modes.get(rule, Mode.AUTO).at_most(self.mode)

    def observer(self) -> Observer:
        """Return how well we see."""
        return replace(self.observed, blind=self.blind)

    def annotation_pause(self, namespace: str) -> str:
        """Give the pause that stands on the namespace."""
        return self.annotated.get(namespace, "")

    async def silence(self, alerts: AsyncIterable[str]) -> str:
        """Say that all of these alerts are silenced."""
        keys = {alert async for alert in alerts}
        return "silenced" if keys and keys <= self.silenced else ""

    def last_good(self, service: str) -> int:
        """Give the number of the last good revision."""
        return self.last_good_number

    def good(self, service: str) -> frozenset[str]:
        """Name the templates that were seen good."""
        return self.known_good

    def circumstances(self, run: RunRecord, at: Bearings, step: StepRecord) -> Circumstances:
        """Say for whom a change is made."""
        return Circumstances(
            phase=step.phase, incident=run.incident, run=run.id, path=step.path, now=virtual_clock(), service=at.service
        )


Answer = Callable[[], Mapping[str, object] | Result | Exception]


class ScriptedLooker:
    """
    Answers looks by the beginning of their text; `looked` tells when each was asked.

    `workers` tells how a worker stands, by the beginning of its command's text; it is done where nothing is said.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.workers: dict[str, Callable[[], Standing | Exception]] = {}
        self.looked: list[tuple[float, str]] = []
        self.deadlines: list[timedelta] = []
        self.askers: list[Asker] = []

    def will(self, beginning: str, answer: Answer) -> None:
        """Answer commands that begin so."""
        self.answers[beginning] = answer

    async def look(self, command: Command, *, deadline: timedelta, asker: Asker = NOBODY) -> Result:
        """Answer one look."""
        text = render(command)
        self.looked.append(((virtual_clock() - NOW).total_seconds(), text))
        self.deadlines.append(deadline)
        self.askers.append(asker)
        answers = [answer for beginning, answer in self.answers.items() if text.startswith(beginning)]
        given = answers[0]() if answers else {"items": [{}]}
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, Result) else Result(names=given, summary=text)

    async def watch(self, prepared: Prepared, circumstances: Circumstances) -> Standing:
        """Tell how a worker stands."""
        text = render(prepared.command)
        given = next((stands() for beginning, stands in self.workers.items() if text.startswith(beginning)), None)
        if isinstance(given, Exception):
            raise given
        return given or Standing(stage=Stage.DONE)

    def split(self, command: Command) -> tuple[Command, ...]:
        """Make a change over several objects into changes of one each."""
        if isinstance(command, Cordon | Delete | Mark | Scale):
            return tuple(replace(command, objects=(each,)) for each in command.objects)
        return (command,)
