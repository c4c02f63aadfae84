"""A cluster that counts its changes, answers probes truthfully, and fails as it is told to."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import EffectPlan, EffectStatus, Evidence, PatchWrite, record_without_undo, undone_by
from kintsugi.actions.probe import Result
from kintsugi.actions.verb_bases import read_intent
from kintsugi.commands import render
from kintsugi.errors import OutcomeUnknown
from kintsugi.model.command import Command, Delete
from kintsugi.model.records import UndoRecord
from kintsugi.verbs.drain import Cordon
from kintsugi.verbs.scale import Scale
from tests.unit.executor.power import Power

FACTS: Mapping[str, object] = {
    **dict.fromkeys(("host", "job", "namespace", "run", "step", "claim", "digest"), ""),
    **dict.fromkeys(("replicas", "wanted", "pods"), 0),
    **dict.fromkeys(("containers", "variables"), ()),
    "former": {},
    "unschedulable": False,
}
"""What the intents of verbs must have; each takes its own fields."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """The answer of a change is lost; `applied` tells whether the change was made all the same."""

    applied: bool


ContainedCall = Exception | Lost | EffectStatus | None


class ScriptedActor:
    """
    Performs commands by counting them under their marks.

    `script` holds, by stage (and for one command by "STAGE TEXT"), what happens at each call in turn; None and an empty
    script mean that it works. `takes` is how long a change lasts, `on_change` is called with each one that is made,
    `undo_of` gives the way back, `facts_of` what else the intent holds, and `results` names by the beginning of a text.
    """

    def __init__(self, power: Power | None = None) -> None:
        self.power = power or Power()
        self.script: dict[str, deque[ContainedCall]] = defaultdict(deque)
        self.calls: list[str] = []
        self.made: Counter[str] = Counter()
        self.texts: list[str] = []
        self.evidence: tuple[Evidence, ...] = ()
        self.takes = timedelta(0)
        self.on_change: Callable[[str], None] = lambda _: None
        self.undo_of: Callable[[Command], UndoRecord] = undo_of
        self.facts_of: Callable[[Command], Mapping[str, object]] = lambda _: {}
        self.results: dict[str, Mapping[str, object]] = {}

    def will(self, stage: str, *turns: ContainedCall) -> None:
        """Script what happens at the next calls of a stage."""
        self.script[stage].extend(turns)

    async def plan_effect(self, command: Command, context: ChangeContext) -> EffectPlan:
        """Judge a change."""
        self._turn("prepare", command)
        self.power.hit(f"prepared {render(command)}")
        facts = {"uid": uid_of(command), "mark": context.mark, **FACTS, **self.facts_of(command)}
        return EffectPlan(
            command=command,
            intent=read_intent(command, facts),
            undo=self.undo_of(command),
            evidence=self.evidence,
            write=PatchWrite(operations=()),
        )

    async def apply(self, prepared: EffectPlan) -> Result:
        """Make a change."""
        text = render(prepared.command)
        turn = self._turn("perform", prepared.command)
        self.power.hit(f"before the effect of {text}")
        await asyncio.sleep(self.takes.total_seconds())
        if not isinstance(turn, Lost) or turn.applied:
            self.made[str(prepared.facts["mark"])] += 1
            self.texts.append(text)
            self.power.tell(f"effect {text}")
            self.on_change(text)
        self.power.hit(f"after the effect of {text}")
        if isinstance(turn, Lost):
            raise OutcomeUnknown("the answer was lost")
        return self._result(text)

    async def probe(self, prepared: EffectPlan) -> EffectStatus:
        """Return whether a change was made."""
        turn = self._turn("probe", prepared.command)
        if isinstance(turn, EffectStatus):
            return turn
        return EffectStatus.DONE if self.made[str(prepared.facts["mark"])] else EffectStatus.NOT_DONE

    async def reread(self, prepared: EffectPlan) -> Result:
        """Read the object again."""
        self._turn("look_again", prepared.command)
        return self._result(render(prepared.command))

    def _result(self, text: str) -> Result:
        given = [names for beginning, names in self.results.items() if text.startswith(beginning)]
        return Result(names=given[0] if given else {"items": []}, summary=text)

    def _turn(self, stage: str, command: Command) -> ContainedCall:
        self.calls.append(stage)
        own = f"{stage} {render(command)}"
        turns = self.script[own] or self.script[stage]
        turn = turns.popleft() if turns else None
        if isinstance(turn, Exception):
            raise turn
        return turn


def uid_of(command: Command) -> str:
    """Return the uid of what a command is about: of what is deleted, that of its name."""
    return f"uid-{command.objects[0].name}" if isinstance(command, Delete) else "u-1"


def undo_of(command: Command) -> UndoRecord:
    """Return the way back: three replicas for a scale, the opposite for a cordon, none for the rest."""
    match command:
        case Scale():
            return undone_by(replace(command, replicas=3))
        case Cordon():
            return undone_by(replace(command, on=not command.on))
        case _:
            return record_without_undo("its controller makes another")
