"""A person confirms the rollback that was shown: its commands and what would be lost, and no other."""

from dataclasses import dataclass, field, replace

import pytest

from kintsugi.errors import WrongState
from kintsugi.model.records import RunRecord, StepRecord, UndoRecord
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.operations import Deeds
from tests.unit.factories import virtual_clock
from tests.unit.pipeline.business import MemoryInbox
from tests.unit.pipeline.test_what_a_rollback_would_lose import CATALOG, COUNTED, RESTORED, RUN, done, row
from tests.unit.runner.fakes import ScriptedLooker, ShownWorld

CHANGED = done("data/scale#0", changes=True, undo=UndoRecord(texts=("kubectl scale deployment web --replicas=2",)))


@dataclass
class PastRuns:
    """A ledger with the runs of one incident and the steps of each."""

    runs: list[RunRecord]
    known: list[StepRecord]
    reopened: list[str] = field(default_factory=list)

    async def runs_of(self, _: str) -> tuple[RunRecord, ...]:
        return tuple(self.runs)

    async def steps(self, _: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        return tuple(self.known)


@dataclass
class Carriers:
    """A roster that carries the run; `begun` tells who asked for it to be taken back."""

    looker: ScriptedLooker
    begun: list[str] = field(default_factory=list)

    def roll_back(self, _: str, who: str) -> bool:
        self.begun.append(who)
        return True


class Scene:
    """What a person asks: an incident with one run that has restored a database and scaled a deployment."""

    def __init__(self) -> None:
        self.ledger = PastRuns([replace(RUN, catalog=CATALOG.digest)], [RESTORED, COUNTED, CHANGED])
        self.roster = Carriers(ScriptedLooker())
        self.rows = [row("orders", 1012), row("items", 7)]
        self.roster.looker.will("kubectl exec", lambda: {"rows": self.rows})
        world = ShownWorld(CATALOG)
        world.clock = virtual_clock  # type: ignore[attr-defined]
        in_force = InForce(CATALOG, MemoryInbox(), lambda _: CATALOG)  # type: ignore[arg-type]
        parts = {"pipeline": None, "explaining": None, "drilling": None, "read_again": None}
        self.deeds = Deeds(ledger=self.ledger, in_force=in_force, world=world, roster=self.roster, **parts)  # type: ignore[arg-type]

    async def shown(self) -> str:
        answer = await self.deeds.roll_back("inc-1", who="ana")
        assert answer.begun is False
        assert answer.commands == ("kubectl scale deployment web --replicas=2",)
        assert answer.digest
        return answer.digest

    async def confirm(self, digest: str) -> bool:
        return (await self.deeds.roll_back("inc-1", who="ana", confirmed=digest)).begun


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_was_shown_is_begun(scene: Scene) -> None:
    assert await scene.confirm(await scene.shown())
    assert scene.roster.begun == ["ana"]


async def test_a_database_that_goes_on_being_written_to_does_not_make_it_another(scene: Scene) -> None:
    shown = await scene.shown()
    scene.rows = [row("orders", 1050), row("items", 7)]
    assert await scene.confirm(shown)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row("orders", 2000), row("items", 7)], "1000 rows inserted"),
        ([row("orders", 1012, deleted=1), row("items", 7)], "1 rows deleted"),
        ([row("orders", 1012), row("items", 8)], "public.items: 1 rows inserted"),
        ([row("orders", 1012)], "the counters began anew"),
    ],
)
async def test_more_that_would_be_lost_is_shown_first(scene: Scene, rows: list[dict[str, object]], told: str) -> None:
    shown = await scene.shown()
    scene.rows = rows
    with pytest.raises(WrongState, match="it is no more what was shown") as caught:
        await scene.confirm(shown)
    assert told in str(caught.value)
    assert scene.roster.begun == []


async def test_another_change_that_would_be_taken_back_is_shown_first(scene: Scene) -> None:
    shown = await scene.shown()
    more = UndoRecord(texts=("kubectl uncordon node-1",))
    scene.ledger.known.append(done("data/cordon#0", changes=True, undo=more))
    with pytest.raises(WrongState, match="kubectl uncordon node-1"):
        await scene.confirm(shown)
    assert scene.roster.begun == []


async def test_another_run_of_the_incident_is_shown_first(scene: Scene) -> None:
    shown = await scene.shown()
    scene.ledger.runs.append(replace(scene.ledger.runs[0], id="run-2"))
    with pytest.raises(WrongState):
        await scene.confirm(shown)
    assert scene.roster.begun == []
