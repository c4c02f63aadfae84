"""
What one step does: looks, changes, waits, asks a person; its beginning and its end are committed.

`walk` decides which step comes next; the effects themselves are the executor's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from kintsugi.actions.asker import Asker
from kintsugi.commands import render
from kintsugi.errors import EvaluationError, ProbeFailed
from kintsugi.model.command import Logs
from kintsugi.model.documents import Run, Step
from kintsugi.model.records import Phase, StepRecord, StepState
from kintsugi.runner.changes import Changes
from kintsugi.runner.desk import Desk
from kintsugi.runner.ends import Ended, Stopped
from kintsugi.runner.looking import Own
from kintsugi.runner.memory import Bearings
from kintsugi.runner.restored import as_owner, restored_databases
from kintsugi.runner.rounds import rounds
from kintsugi.runner.storage import storable

OBJECTS = frozenset({"items", "item"})
"""Names of what a change touched: where an expectation waits for them, they are read afresh."""


class Work:
    """The single steps of one run."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.changes = Changes(desk)
        self._began: dict[tuple[Phase, str], datetime] = {}

    def has_begun(self, step: Step, at: Bearings) -> bool:
        """Tell whether the step was begun before a restart: what made it wanted then is not asked again."""
        return self.desk.journal.known(at.phase, at.path(step.id)) is not None

    async def begin(self, step: Step, at: Bearings) -> None:
        """Commit that a step begins, unless it is a single look, which may as well be looked again."""
        self._began[at.phase, at.path(step.id)] = self.desk.tools.clock()
        if not isinstance(step.do, Run) or step.do.command.changes or step.for_each is not None:
            await self.desk.save(self._record(step, at), expect=None)

    async def end(self, step: Step, at: Bearings, ended: Ended) -> Ended:
        """Commit how a step ended."""
        known = self.desk.journal.known(at.phase, at.path(step.id))
        record = replace(
            known or self._record(step, at),
            state=ended.state,
            result=storable(ended.own),
            met=ended.met,
            error=ended.error,
            text=ended.text or (known or self._record(step, at)).text,
            facts={"ran": ended.ran, "left_out": ended.left_out},
            finished=self.desk.tools.clock(),
        )
        await self.desk.save(record, expect=known.state if known else None)
        return ended

    def at_service(self, step: Step, at: Bearings) -> Bearings:
        """Go over to the service that the step names."""
        if step.service is None or step.for_each is not None:
            return at
        try:
            return replace(at, service=str(step.service.evaluate(self.desk.names(at))))
        except EvaluationError as error:
            raise Stopped(at.path(step.id), f"its service cannot be told: {error}") from error

    async def command(self, step: Step, at: Bearings) -> Ended:
        """Run a step's command, for each item where there are several; after changes wait for what is expected."""
        assert isinstance(step.do, Run), step.id
        once = self.changes.change if step.do.command.changes else self._look
        ended = await (rounds(self.desk, step, at, once) if step.for_each is not None else once(step, at))
        return await self._settled(step, at, ended) if step.do.command.changes else ended

    async def wait(self, step: Step, at: Bearings) -> Ended:
        """Wait until a step's expectation holds; without one it is met at once."""
        seen = await self.desk.until(step, at, nothing)
        return Ended(ran=True, met=seen.met, error=seen.error)

    async def each(self, step: Step, at: Bearings, turn: Callable[[Step, Bearings], Awaitable[Ended]]) -> Ended:
        """Do a step that is made of steps for every item of its list."""
        return await rounds(self.desk, step, at, lambda one, here: turn(one, self.at_service(one, here)))

    async def approval(self, step: Step, at: Bearings) -> None:
        """Ask a person and wait for the answer. Raises Stopped when nobody answers in time."""
        assert step.approve is not None, step.id
        try:
            question = str(step.approve.evaluate(self.desk.names(at)))
        except EvaluationError as error:
            raise Stopped(at.path(step.id), f"its question cannot be told: {error}") from error
        await self.desk.gate.ask(at.phase, at.path(step.id), question)

    async def _look(self, step: Step, at: Bearings) -> Ended:
        assert isinstance(step.do, Run), step.id
        template, tools = step.do.command, self.desk.tools
        timeout = step.timeout or tools.command_timeout
        asked: list[str] = []
        forward = at.phase is Phase.FORWARD
        restored = restored_databases(self.desk.journal.changes(Phase.FORWARD) if forward else ())

        async def look() -> Own:
            bound = template.bind(self.desk.names(at), namespace=self.desk.namespace(at))
            command = as_owner(bound, restored)
            asked[:] = [render(command)]
            deadline = step.hold or timeout if isinstance(command, Logs) and command.follow else timeout
            result = await tools.looker.look(command, deadline=deadline, asker=self._asker(step, at))
            if result.failed and step.expect is None:
                raise ProbeFailed(result.failed)
            return result.names

        seen = await self.desk.until(step, at, look)
        return Ended(ran=True, met=seen.met, own=seen.own, error=seen.error, text="".join(asked))

    def _asker(self, step: Step, at: Bearings) -> Asker:
        world = self.desk.tools.world
        view = world.views.get(at.service)
        return Asker(
            namespace=self.desk.namespace(at),
            env=view.service.env if view is not None else {},
            good=world.good(at.service),
            patterns=step.scan.patterns if step.scan is not None else (),
        )

    async def _settled(self, step: Step, at: Bearings, ended: Ended) -> Ended:
        """After a change look until the expectation holds; where nothing was done, look only once."""
        if step.expect is None or ended.left_out or ended.state is StepState.FAILED:
            return ended
        patient = step if ended.ran else replace(step, within=timedelta(0), hold=timedelta(0))

        reads_again = patient.within > timedelta(0) and not OBJECTS.isdisjoint(step.expect.reads)

        async def own() -> Own:
            """Give what the change gave, and the objects that it touched as they are now."""
            return {**ended.own, **await self.changes.afresh(step, at)} if reads_again else ended.own

        seen = await self.desk.until(patient, at, own)
        error = "; ".join(part for part in (ended.error, seen.error) if part)
        return replace(ended, met=seen.met, error="" if seen.met else error)

    def _record(self, step: Step, at: Bearings) -> StepRecord:
        text = step.do.command.source if isinstance(step.do, Run) else ""
        record = self.desk.blank(at.path(step.id), name=step.name or step.id, phase=at.phase)
        began = self._began.get((at.phase, at.path(step.id)), self.desk.tools.clock())
        return replace(record, started=began, text=text)


async def nothing() -> Own:
    """Look at nothing: the expectation is about the service."""
    return {}
