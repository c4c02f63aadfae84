"""
What people may ask and say: the deeds behind the API.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import structlog

from kintsugi.drills.decision import RULE
from kintsugi.errors import NotRecorded, UsageError, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.answers import (
    SIGNALS,
    DeadLetterSummary,
    Explanation,
    IncidentDetail,
    JudgedSignal,
    KeptText,
    PauseWish,
    Resent,
    RollbackAnswer,
    RunDetail,
    ServiceSummary,
    SignalWish,
)
from kintsugi.model.command import Verb
from kintsugi.model.documents import CommandTemplate, Run
from kintsugi.model.identity import new_id
from kintsugi.model.records import (
    Approval,
    DeadLetter,
    Incident,
    Pause,
    PauseScope,
    RunKind,
    RunRecord,
    Signal,
    StepState,
    Target,
)
from kintsugi.pipeline.drilling import Drilling
from kintsugi.pipeline.explaining import Explaining
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.losses import Losses
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.roster import Roster
from kintsugi.planner import digest_of
from kintsugi.runner.carrier import ASKED
from kintsugi.runner.handover import undo_texts

log = structlog.get_logger(__name__)


class ReadAgain(Protocol):
    """What a dead letter holds as it is understood now; made by `sources`."""

    @property
    def signals(self) -> Sequence[Signal]: ...

    @property
    def dead_letters(self) -> Sequence[DeadLetter]: ...

    @property
    def unreadable(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Deeds:
    """Implements `server.Operations` on the ledger and the live daemon."""

    ledger: Ledger
    in_force: InForce
    world: World
    roster: Roster
    pipeline: Pipeline
    explaining: Explaining
    drilling: Drilling
    read_again: Callable[[DeadLetter, datetime], ReadAgain]

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        return await self.ledger.incidents(limit=limit, service=service, open_only=open_only)

    async def incident(self, incident: str, *, signals: int = SIGNALS, skip: int = 0) -> IncidentDetail:
        """Return everything about one, as far as it can be read, with so many of its signals after the first `skip`."""
        found = await self.ledger.incident(incident, strict=False)
        page = await self.ledger.signals_of(incident, limit=signals, skip=skip)
        runs = [await self._detail(run) for run in await self.ledger.runs_of(incident)]
        return IncidentDetail(
            incident=found,
            signals=tuple(JudgedSignal(signal=signal, verdict=verdict) for signal, verdict in page),
            runs=tuple(runs),
            approvals=await self.ledger.approvals(incident),
            signals_total=await self.ledger.count_signals(incident),
            firing=(await self.ledger.trigger_of(incident)).firing,
        )

    async def signals(self, wish: SignalWish) -> Sequence[JudgedSignal]:
        """List signals with their verdicts, newest first."""
        return await self.ledger.list_signals(wish)

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        """List what could not be understood, newest first."""
        return await self.ledger.list_dead_letters(limit=limit, before=before)

    async def resend(self, letter: str, *, who: str) -> Resent:
        """
        Take a dead letter in as if it came now.

        Its signals are committed before it goes, so that one that is sent in twice is taken once. Raises NotRecorded for no
        such letter, WrongState while nothing of it can be understood.
        """
        kept = await self.ledger.dead_letter(letter)
        now = self.world.clock()
        read = self.read_again(kept, now)
        if not read.signals:
            why = read.unreadable or next((each.reason for each in read.dead_letters), "it holds no alert")
            raise WrongState(f"dead letter {letter} cannot be sent in: {why}")
        await self.ledger.accept(read.signals, now)
        await self.ledger.keep_dead_letters(read.dead_letters)
        await self.ledger.forget_dead_letter(letter)
        log.info("dead letter sent in again", letter=letter, who=who, signals=len(read.signals))
        self.pipeline.wake()
        return Resent(id=letter, accepted=len(read.signals), dead_letters=len(read.dead_letters))

    async def approve(self, incident: str, *, path: str, plan: str, who: str) -> Approval:
        """Say yes to the plan that was shown; what waits for it goes on within moments."""
        return await self.ledger.approve(incident, path, plan, who, self.world.clock())

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackAnswer:
        """
        Undo a run now; unless the digest of what was shown is `confirmed`, only say what would be done.

        A run under way goes back at its next step boundary; one that is over is taken up again for it. Raises
        WrongState when there is nothing to take back, or what would be done or lost has changed since it was shown.
        """
        runs = await self.ledger.runs_of(incident)
        if not runs:
            raise WrongState(f"incident {incident} never had a run: there is nothing to take back")
        run = runs[-1]
        if run.kind is RunKind.DRILL and run.finished is not None:
            raise WrongState(f"run {run.id} was a drill: it has taken back all that it made, and touched nothing else")
        shown = await self._shown(run)
        if not confirmed:
            return shown
        if confirmed != shown.digest:
            what = "; ".join([*shown.commands, *(f"lost: {loss}" for loss in shown.losses)])
            raise WrongState(
                f"incident {incident}: nothing is begun, it is no more what was shown. Now {shown.text}: {what}"
            )
        if not self.roster.roll_back(incident, who):
            now = self.world.clock()
            self.roster.start(await self.ledger.reopen_run(run.id, f"{ASKED} {who}", now))
        return replace(shown, begun=True, text=f"{run.runbook} on {run.service} is being rolled back")

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        return await self.ledger.pauses(self.world.clock())

    async def pause(self, wish: PauseWish, *, who: str) -> Pause:
        """
        Begin a pause.

        Raises UsageError for a rule, service or namespace that is not named, NotRecorded for a rule or service that is not
        there, WrongState for one with an end while the clock is in doubt: once that is set, the end might be past.
        """
        if wish.scope is not PauseScope.GLOBAL and not wish.name:
            raise UsageError(f"a pause of one {wish.scope} needs its name")
        if wish.scope is PauseScope.RULE and wish.name not in (*self.in_force.catalog.rules, RULE):
            raise NotRecorded(f"there is no rule {wish.name}")
        if wish.scope is PauseScope.SERVICE and wish.name not in self.in_force.catalog.services:
            raise NotRecorded(f"there is no service {wish.name}")
        if wish.lasts is not None and self.world.clock_problem:
            why = f"it cannot be told when the pause would end: {self.world.clock_problem}"
            raise WrongState(f"{why}. Pause without an end, and resume later")
        now = self.world.clock()
        pause = Pause(
            id=new_id("pau", now),
            scope=wish.scope,
            name=wish.name,
            who=who,
            why=wish.why,
            freeze=wish.freeze,
            since=now,
            until=now + wish.lasts if wish.lasts is not None else None,
        )
        await self.ledger.pause(pause)
        return pause

    async def resume(self, pause: str, *, who: str, why: str) -> Pause:
        """Lift a pause; what it held back is judged again."""
        lifted = await self.ledger.resume(pause, who, why, self.world.clock())
        self.pipeline.wake()
        return lifted

    async def services(self) -> Sequence[ServiceSummary]:
        """Tell how each service is, the highest priority first."""
        views = sorted(self.world.views.values(), key=lambda view: (view.service.priority, view.name))
        found = await self.ledger.incidents(limit=1000, open_only=True)
        open_incidents = {each.service: each.id for each in found if each.kind is RunKind.RECOVERY}
        return [
            ServiceSummary(
                name=view.name,
                namespace=view.service.namespace,
                priority=view.service.priority,
                healthy=view.healthy,
                ready=view.ready,
                desired=view.desired,
                since=view.healthy_since or view.failing_since,
                incident=open_incidents.get(view.name, ""),
                depends_on=view.service.depends_on,
            )
            for view in views
        ]

    async def drill(self, service: str, *, who: str) -> Incident:
        """Begin a drill. Raises NotRecorded for no such service, WrongState with the reason when it may not be now."""
        return await self.drilling.begin(service, who)

    async def explain(self, about: Signal | Target) -> Explanation:
        """Say what would become of an alert or an object, without doing or keeping anything."""
        return await self.explaining.explain(about)

    async def _detail(self, run: RunRecord) -> RunDetail:
        kept = await self.ledger.evidence(run.id)
        return RunDetail(
            run=run,
            steps=await self.ledger.steps(run.id, strict=False),
            evidence=tuple(KeptText(path=each.path, kind=each.kind, text=each.text) for each in kept),
        )

    async def _shown(self, run: RunRecord) -> RollbackAnswer:
        """Return what taking a run back would do and lose, and name it by a digest."""
        commands = await self._way_back(run)
        losses = await Losses(looker=self.roster.looker).of(
            run, await self.in_force.by_digest(run.catalog), await self.ledger.steps(run.id, strict=False)
        )
        return RollbackAnswer(
            begun=False,
            text=f"{run.runbook} on {run.service} would be rolled back",
            commands=commands,
            losses=tuple(loss.text for loss in losses),
            digest=digest_of(run.id, *commands, *(repr(loss.scale) for loss in losses)),
        )

    def _written(self, command: CommandTemplate, run: RunRecord) -> str:
        """Write a command of the rollback down; where its values come only later, the revision that it would go to."""
        view, number = self.world.views.get(run.service), self.world.last_good(run.service)
        if command.verb is Verb.ROLLOUT_UNDO and view is not None and number:
            return f"kubectl rollout undo {view.service.workload} --to-revision={number} -n {run.namespace}"
        return command.source

    async def _way_back(self, run: RunRecord) -> tuple[str, ...]:
        """Give the commands that take a run back: the runbook's own, as far as they are known now, then each undo."""
        catalog = await self.in_force.by_digest(run.catalog)
        steps = catalog.runbooks[run.runbook].rollback.steps
        known = await self.ledger.steps(run.id, strict=False)
        made = [step for step in known if step.changes and step.state is StepState.DONE]
        written = [self._written(step.do.command, run) for step in steps if isinstance(step.do, Run)]
        return (*written, *undo_texts(made))
