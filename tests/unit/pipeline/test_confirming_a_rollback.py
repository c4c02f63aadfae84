"""A person confirms the rollback that was shown: its commands and what would be lost, and no other."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from kintsugi.errors import WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, RunRecord, UndoRecord
from kintsugi.model.run_update import SeenWorkload
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.operator_service import OperatorService
from kintsugi.pipeline.rollback_difference import RollbackDifference
from tests.contract.ledger.build import kept
from tests.harness.ledger_rows import change, keep
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.factories import NOW, incident, moment, virtual_clock
from tests.unit.pipeline.test_what_a_rollback_would_lose import CATALOG, COUNTED, RESTORED, RUN, done, row
from tests.unit.runner.fakes import ScriptedProber, ShownState

PAST = replace(RUN, catalog=CATALOG.digest, state=IncidentState.RECOVERED, finished=NOW, changed=True)
CHANGED = done("data/scale#0", changes=True, undo=UndoRecord(texts=("kubectl scale deployment web --replicas=2",)))


@dataclass
class Drivers:
    """A supervisor that carries the run; `begun` tells who asked for it to be taken back."""

    prober: ScriptedProber
    begun: list[str] = field(default_factory=list)

    def roll_back(self, _: str, who: str, shown: SeenWorkload | None) -> bool:
        assert shown is not None
        self.begun.append(who)
        return True


class RollbackScene:
    """What a person asks: an incident with one run that has restored a database and scaled a deployment."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.supervisor = Drivers(ScriptedProber())
        self.rows = [row("orders", 1012), row("items", 7)]
        self.supervisor.prober.will("kubectl exec", lambda: {"rows": self.rows})
        self.observed = observed = ShownState(CATALOG)
        observed.clock = virtual_clock  # type: ignore[attr-defined]
        active_catalog = ActiveCatalog(CATALOG, ledger.catalogs, lambda _: CATALOG)
        parts: dict[str, Any] = {
            "cluster": "",
            "since": None,
            "ledger": ledger,
            "observed": observed,
            "supervisor": self.supervisor,
            "pipeline": None,
            "explainer": None,
            "diagnoser": None,
            "diagnoses": None,
            "differences": RollbackDifference(kube=ClusterOfDicts()),
            "outages": None,
            "unresolved": str,
            "drill_scheduler": None,
            "manual_starts": None,
            "reread": None,
        }
        self.deeds = OperatorService(active_catalog=active_catalog, **parts)

    async def shown(self) -> str:
        answer = await self.deeds.roll_back("inc-1", who="ana")
        assert answer.begun is False
        assert answer.commands == ("kubectl scale deployment web --replicas=2",)
        assert answer.digest
        return answer.digest

    async def confirm(self, digest: str) -> bool:
        return (await self.deeds.roll_back("inc-1", who="ana", confirmed=digest)).begun


@pytest.fixture
async def scene(ledger: Ledger) -> RollbackScene:
    await keep(ledger, incident(), PAST, RESTORED, COUNTED, CHANGED)
    return RollbackScene(ledger)


async def test_a_rollback_that_was_shown_is_begun(scene: RollbackScene) -> None:
    assert await scene.confirm(await scene.shown())
    assert scene.supervisor.begun == ["ana"]


async def test_a_database_that_goes_on_being_written_to_does_not_make_it_another(scene: RollbackScene) -> None:
    shown = await scene.shown()
    scene.rows = [row("orders", 1050), row("items", 7)]
    assert await scene.confirm(shown)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row("orders", 2000), row("items", 7)], "1000 rows inserted"),
        ([row("orders", 1012, deleted=1), row("items", 7)], "1 rows deleted"),
        ([row("orders", 1012), row("items", 8)], "public.items: 1 rows inserted"),
        ([row("orders", 1012)], "the counters were reset"),
    ],
)
async def test_more_that_would_be_lost_is_shown_first(
    scene: RollbackScene, rows: list[dict[str, object]], told: str
) -> None:
    shown = await scene.shown()
    scene.rows = rows
    with pytest.raises(WrongState, match="the rollback has changed since it was shown") as caught:
        await scene.confirm(shown)
    assert told in str(caught.value)
    assert scene.supervisor.begun == []


async def test_another_change_that_would_be_taken_back_is_shown_first(scene: RollbackScene) -> None:
    shown = await scene.shown()
    more = UndoRecord(texts=("kubectl uncordon node-1",))
    await keep(scene.ledger, done("data/cordon#0", changes=True, undo=more))
    with pytest.raises(WrongState, match="kubectl uncordon node-1"):
        await scene.confirm(shown)
    assert scene.supervisor.begun == []


async def test_another_template_of_the_workload_is_shown_first(scene: RollbackScene) -> None:
    """The one that was shown is the one that is begun, though the commands are the same."""
    shown = await scene.shown()
    scene.observed.show(template="newer")
    with pytest.raises(WrongState, match="the rollback has changed since it was shown"):
        await scene.confirm(shown)
    assert scene.supervisor.begun == []


async def test_another_run_of_the_incident_is_shown_first(scene: RollbackScene) -> None:
    shown = await scene.shown()
    await keep(scene.ledger, replace(PAST, id="run-2", started=moment(minutes=1)))
    with pytest.raises(WrongState):
        await scene.confirm(shown)
    assert scene.supervisor.begun == []


@pytest.mark.parametrize("digest", ["", "any"])
async def test_a_run_that_changed_nothing_has_nothing_to_undo(scene: RollbackScene, digest: str) -> None:
    await change(scene.ledger, RunRecord, changed=False)
    with pytest.raises(WrongState, match="nothing to undo: the run changed nothing"):
        await scene.deeds.roll_back("inc-1", who="ana", confirmed=digest)
    assert scene.supervisor.begun == []


async def test_the_diagnosis_is_shown_with_a_rollback(scene: RollbackScene) -> None:
    await scene.ledger.diagnoses.keep(kept(RUN))
    assert (await scene.deeds.roll_back("inc-1", who="ana")).wrong.startswith("ImagePull (certain): deployment/web ")


@pytest.mark.parametrize(
    ("leads_to", "adopted", "says"), [(4, {"hash": 4}, True), (4, {"hash": 3}, False), (5, {"hash": 4}, False)]
)
async def test_a_rollback_to_an_adopted_revision_says_so(
    scene: RollbackScene, leads_to: int, adopted: dict[str, int], says: bool
) -> None:
    """The last good revision is 4."""
    back = UndoRecord(texts=(f"kubectl rollout undo deployment/web --to-revision={leads_to} -n production",))
    await keep(scene.ledger, done("data/image#0", changes=True, undo=back))
    scene.observed.last_good_number, scene.observed.known_adopted = 4, adopted
    shown = await scene.deeds.roll_back("inc-1", who="ana")
    assert shown.text.endswith("would be rolled back; revision 4 was adopted as good") is says
