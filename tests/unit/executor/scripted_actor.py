"""A cluster that counts its changes, answers probes truthfully, and fails as it is told to."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from kintsugi.actions.circumstances import Circumstances
from kintsugi.actions.prepared import Evidence, Happened, PatchWrite, Prepared
from kintsugi.actions.result import Result
from kintsugi.actions.undo import not_undone, undone_by
from kintsugi.commands import render
from kintsugi.errors import OutcomeUnknown
from kintsugi.model.command import Command, Cordon, Scale
from kintsugi.model.records import UndoRecord
from tests.unit.executor.power import Power


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """The answer of a change is lost; `applied` tells whether the change was made all the same."""

    applied: bool


Turn = Exception | Lost | Happened | None


class ScriptedActor:
    """
    Performs commands by counting them under their marks.

    `script` holds, by stage (and for one command by "STAGE TEXT"), what happens at each call in turn; None and an empty
    script mean that it works. `takes` is how long a change lasts, `on_change` is called with each one that is made,
    `undo_of` gives the way back, `facts_of` what else the intent holds, and `results` names by the beginning of a text.
    """

    def __init__(self, power: Power | None = None) -> None:
        self.power = power or Power()
        self.script: dict[str, deque[Turn]] = defaultdict(deque)
        self.calls: list[str] = []
        self.made: Counter[str] = Counter()
        self.texts: list[str] = []
        self.evidence: tuple[Evidence, ...] = ()
        self.takes = timedelta(0)
        self.on_change: Callable[[str], None] = lambda _: None
        self.undo_of: Callable[[Command], UndoRecord] = undo_of
        self.facts_of: Callable[[Command], Mapping[str, object]] = lambda _: {}
        self.results: dict[str, Mapping[str, object]] = {}

    def will(self, stage: str, *turns: Turn) -> None:
        """Say what happens at the next calls of a stage."""
        self.script[stage].extend(turns)

    async def prepare(self, command: Command, circumstances: Circumstances) -> Prepared:
        """Judge a change."""
        self._turn("prepare", command)
        self.power.passing(f"prepared {render(command)}")
        return Prepared(
            command=command,
            facts={"uid": "u-1", "mark": circumstances.mark, **self.facts_of(command)},
            undo=self.undo_of(command),
            evidence=self.evidence,
            write=PatchWrite(operations=()),
        )

    async def perform(self, prepared: Prepared) -> Result:
        """Make a change."""
        text = render(prepared.command)
        turn = self._turn("perform", prepared.command)
        self.power.passing(f"before the effect of {text}")
        await asyncio.sleep(self.takes.total_seconds())
        if not isinstance(turn, Lost) or turn.applied:
            self.made[str(prepared.facts["mark"])] += 1
            self.texts.append(text)
            self.power.tell(f"effect {text}")
            self.on_change(text)
        self.power.passing(f"after the effect of {text}")
        if isinstance(turn, Lost):
            raise OutcomeUnknown("the answer was lost")
        return self._result(text)

    async def probe(self, prepared: Prepared) -> Happened:
        """Tell whether a change was made."""
        turn = self._turn("probe", prepared.command)
        if isinstance(turn, Happened):
            return turn
        return Happened.DONE if self.made[str(prepared.facts["mark"])] else Happened.NOT_DONE

    async def look_again(self, prepared: Prepared) -> Result:
        """Read the object again."""
        self._turn("look_again", prepared.command)
        return self._result(render(prepared.command))

    def _result(self, text: str) -> Result:
        given = [names for beginning, names in self.results.items() if text.startswith(beginning)]
        return Result(names=given[0] if given else {"items": []}, summary=text)

    def _turn(self, stage: str, command: Command) -> Turn:
        self.calls.append(stage)
        own = f"{stage} {render(command)}"
        turns = self.script[own] or self.script[stage]
        turn = turns.popleft() if turns else None
        if isinstance(turn, Exception):
            raise turn
        return turn


def undo_of(command: Command) -> UndoRecord:
    """Give the way back: three replicas for a scale, the opposite for a cordon, none for the rest."""
    match command:
        case Scale():
            return undone_by(replace(command, replicas=3))
        case Cordon():
            return undone_by(replace(command, on=not command.on))
        case _:
            return not_undone("its controller makes another")
