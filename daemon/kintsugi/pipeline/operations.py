"""
What people may ask and say: the deeds behind the API.
"""

from collections.abc import Sequence

from kintsugi.errors import UsageError, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.answers import (
    Explanation,
    IncidentDetail,
    JudgedSignal,
    KeptText,
    PauseWish,
    RollbackAnswer,
    RunDetail,
    ServiceSummary,
)
from kintsugi.model.command import Verb
from kintsugi.model.documents import CommandTemplate, Run
from kintsugi.model.identity import new_id
from kintsugi.model.records import (
    Approval,
    Incident,
    Pause,
    PauseScope,
    RunRecord,
    Signal,
    StepState,
    Target,
)
from kintsugi.pipeline.explaining import Explaining
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.losses import Losses
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.roster import Roster
from kintsugi.runner.carrier import ASKED
from kintsugi.runner.handover import undo_texts


class Deeds:
    """Implements `server.Operations` on the ledger and the live daemon."""

    def __init__(
        self,
        ledger: Ledger,
        in_force: InForce,
        world: World,
        roster: Roster,
        pipeline: Pipeline,
        explaining: Explaining,
    ) -> None:
        self._ledger = ledger
        self._in_force = in_force
        self._world = world
        self._roster = roster
        self._pipeline = pipeline
        self._explaining = explaining
        self._losses = Losses(looker=roster.looker)

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        return await self._ledger.incidents(limit=limit, service=service, open_only=open_only)

    async def incident(self, incident: str) -> IncidentDetail:
        """Give everything about one."""
        found = await self._ledger.incident(incident)
        signals = await self._ledger.signals_of(incident)
        runs = [await self._detail(run) for run in await self._ledger.runs_of(incident)]
        return IncidentDetail(
            incident=found,
            signals=tuple(JudgedSignal(signal=signal, verdict=verdict) for signal, verdict in signals),
            runs=tuple(runs),
            approvals=await self._ledger.approvals(incident),
        )

    async def approve(self, incident: str, *, path: str, plan: str, who: str) -> Approval:
        """Say yes to the plan that was shown; what waits for it goes on within moments."""
        return await self._ledger.approve(incident, path, plan, who, self._world.clock())

    async def roll_back(self, incident: str, *, who: str, confirmed: bool) -> RollbackAnswer:
        """
        Undo a run now; unless confirmed, only say what would be done.

        A run under way goes back at its next step boundary; one that is over is taken up again for it. Raises
        WrongState when there is nothing to take back.
        """
        runs = await self._ledger.runs_of(incident)
        if not runs:
            raise WrongState(f"incident {incident} never had a run: there is nothing to take back")
        run = runs[-1]
        commands = await self._way_back(run)
        if not confirmed:
            text = f"{run.runbook} on {run.service} would be rolled back"
            losses = await self._losses.of(
                run, await self._in_force.by_digest(run.catalog), await self._ledger.steps(run.id)
            )
            return RollbackAnswer(begun=False, text=text, commands=commands, losses=losses)
        if not self._roster.roll_back(incident, who):
            now = self._world.clock()
            self._roster.start(await self._ledger.reopen_run(run.id, f"{ASKED} {who}", now))
        return RollbackAnswer(
            begun=True, text=f"{run.runbook} on {run.service} is being rolled back", commands=commands
        )

    async def pauses(self) -> Sequence[Pause]:
        """List the pauses that hold."""
        return await self._ledger.pauses(self._world.clock())

    async def pause(self, wish: PauseWish, *, who: str) -> Pause:
        """Begin a pause. Raises UsageError for a rule or namespace that is not named."""
        if wish.scope is not PauseScope.GLOBAL and not wish.name:
            raise UsageError(f"a pause of one {wish.scope} needs its name")
        if wish.scope is PauseScope.RULE and wish.name not in self._in_force.catalog.rules:
            raise UsageError(f"there is no rule {wish.name}")
        now = self._world.clock()
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
        await self._ledger.pause(pause)
        return pause

    async def resume(self, pause: str, *, who: str, why: str) -> Pause:
        """Lift a pause; what it held back is judged again."""
        lifted = await self._ledger.resume(pause, who, why, self._world.clock())
        self._pipeline.wake()
        return lifted

    async def services(self) -> Sequence[ServiceSummary]:
        """Tell how each service is, the highest priority first."""
        views = sorted(self._world.views.values(), key=lambda view: (view.service.priority, view.name))
        open_incidents = {each.service: each.id for each in await self._ledger.incidents(limit=1000, open_only=True)}
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

    async def explain(self, about: Signal | Target) -> Explanation:
        """Say what would become of an alert or an object, without doing or keeping anything."""
        return await self._explaining.explain(about)

    async def _detail(self, run: RunRecord) -> RunDetail:
        kept = await self._ledger.evidence(run.id)
        return RunDetail(
            run=run,
            steps=await self._ledger.steps(run.id),
            evidence=tuple(KeptText(path=each.path, kind=each.kind, text=each.text) for each in kept),
        )

    def _shown(self, command: CommandTemplate, run: RunRecord) -> str:
        """Write a command of the rollback down; where its values come only later, the revision that it would go to."""
        view, number = self._world.views.get(run.service), self._world.last_good(run.service)
        if command.verb is Verb.ROLLOUT_UNDO and view is not None and number:
            return f"kubectl rollout undo {view.service.workload} --to-revision={number} -n {run.namespace}"
        return command.source

    async def _way_back(self, run: RunRecord) -> tuple[str, ...]:
        """Give the commands that take a run back: the runbook's own, as far as they are known now, then each undo."""
        catalog = await self._in_force.by_digest(run.catalog)
        steps = catalog.runbooks[run.runbook].rollback.steps
        made = [step for step in await self._ledger.steps(run.id) if step.changes and step.state is StepState.DONE]
        written = [self._shown(step.do.command, run) for step in steps if isinstance(step.do, Run)]
        return (*written, *undo_texts(made))
