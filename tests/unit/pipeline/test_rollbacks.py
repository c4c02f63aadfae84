"""A person is shown a rollback as it would be made, with what would be lost, and confirms that one and no other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.actions.change_context import ChangeContext
from kintsugi.actions.effect_plan import RUN_ANNOTATION, TEMPLATE_ANNOTATION
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import encode, parse
from kintsugi.errors import ProbeFailed, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, Phase, RunRecord, SeenWorkload, StepRecord, StepState, UndoRecord
from kintsugi.model.services import WorkloadRef
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.previews import KEPT, ChangePlanner, RollbackPreviewer, difference_to, losses_of
from kintsugi.runner.context import StepScope
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS
from tests.contract.ledger.build import kept
from tests.harness.ledger_rows import change, keep
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, change_context, deployment, replica_set
from tests.unit.factories import (
    NOW,
    catalog,
    incident,
    moment,
    rule_text,
    run,
    runbook_text,
    service_text,
    virtual_clock,
)
from tests.unit.pipeline.business import operator_service
from tests.unit.runner.fakes import ScriptedProber, ShownState

QUESTION = "kubectl exec statefulset/database -n production -- psql -U postgres -d app -c 'TABLE pg_stat_user_tables'"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump"
CHILD = runbook_text(
    f"- {{id: restore, run: {RESTORE}}}\n- id: written\n  run: >-\n    {QUESTION}",
    name="restore",
    more="completeOnceBegun: true",
    rollback="after: 20m\nthen: leave\ndataLossCheck: written",
)
CATALOG = catalog(service_text(), rule_text(), runbook_text("- {id: data, runbook: restore}"), CHILD)
RUN = replace(run(), runbook="mend")


def row(table: str, inserted: int, updated: int = 0, deleted: int = 0) -> dict[str, object]:
    return {"schemaname": "public", "relname": table, "inserted": inserted, "updated": updated, "deleted": deleted}


def done(path: str, **changes: Any) -> StepRecord:
    made = StepRecord(run=RUN.id, path=path, state=StepState.DONE, finished=NOW, met=True)
    return replace(made, **changes)


RESTORED = done("data/restore#0", changes=True, command=encode(parse(RESTORE, namespace="production")))
COUNTED = done(
    "data/written",
    text=QUESTION,
    finished=NOW + timedelta(minutes=5),
    result={"rows": [row("orders", 1000), row("items", 7)]},
)


async def told(steps: tuple[StepRecord, ...], answer: Mapping[str, object] | Exception) -> tuple[str, ...]:
    """Ask what would be lost."""
    prober = ScriptedProber()
    prober.will("kubectl exec", lambda: answer)
    return tuple(loss.text for loss in await losses_of(prober, RUN, CATALOG, steps))


async def test_the_writes_to_every_table_since_the_restore_are_told() -> None:
    now = {"rows": [row("orders", 1012, 3), row("items", 7), row("visits", 0, 0, 2)]}
    said, kept = await told((RESTORED, COUNTED), now)
    assert said == (
        "written since 2026-05-04 12:05:00 UTC: public.orders: 12 rows inserted, 3 rows updated; public.visits: 2 rows deleted"
    )
    assert kept == KEPT


async def test_a_database_without_writes_is_told_as_nothing_written() -> None:
    said, _ = await told((RESTORED, COUNTED), {"rows": [row("orders", 1000), row("items", 7)]})
    assert said == "written since 2026-05-04 12:05:00 UTC: no counted writes"


@pytest.mark.parametrize(
    ("steps", "answer", "why"),
    [
        ((RESTORED,), {}, "no step counted the rows before traffic resumed"),
        (
            (RESTORED, COUNTED),
            ProbeFailed("statefulset/database has no primary that answers"),
            "no primary that answers",
        ),
        ((RESTORED, COUNTED), {"rows": [row("orders", 3), row("items", 0)]}, "the counters were reset"),
        ((RESTORED, COUNTED), {"rows": [row("orders", 1012)]}, "the counters were reset"),
        ((RESTORED, COUNTED), {}, "the counters were reset"),
    ],
)
async def test_a_loss_that_cannot_be_known_is_said(
    steps: tuple[StepRecord, ...], answer: Mapping[str, object] | Exception, why: str
) -> None:
    """P6: no answer is not nothing."""
    said, _ = await told(steps, answer)
    assert said.startswith("all writes since")
    assert "amount is unknown" in said
    assert why in said


async def test_a_run_that_restored_nothing_loses_nothing() -> None:
    assert await told((), {}) == ()
    assert await told((replace(RESTORED, state=StepState.FAILED),), {}) == ()


BACK = f"kubectl rollout undo deployment/web --to-revision=1 -n {NAMESPACE}"
SCALE_BACK = f"kubectl scale deployment web --replicas=2 --current-replicas=5 -n {NAMESPACE}"

Json = dict[str, Any]


class Shown:
    """A state in which revision 1 was seen good."""

    def __init__(self) -> None:
        self.views: Json = {}

    def good(self, _: str) -> frozenset[str]:
        return frozenset({"hash-1"})

    def change_context(self, run: RunRecord, _: StepScope, step: StepRecord) -> ChangeContext:
        return change_context(run=run.id, phase=step.phase, good=self.good(""))


def paused(web: Json) -> None:
    web["spec"]["paused"] = True


def of_gitops(web: Json) -> None:
    web["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}


def edited(web: Json) -> None:
    marks = {RUN_ANNOTATION: "run-1/forward/set#0@now", TEMPLATE_ANNOTATION: "another"}
    web["metadata"]["annotations"].update(marks)


def planner(change: Callable[[Json], None] | None = None) -> tuple[ChangePlanner, ClusterOfDicts]:
    kube = ClusterOfDicts(
        (DEPLOYMENTS, deployment()), (REPLICASETS, replica_set(1, "web:1")), (REPLICASETS, replica_set(2, "web:2"))
    )
    if change is not None:
        change(kube.at(DEPLOYMENTS, "web"))
    actions: Any = Actions(kube, Clients.restricted_to(AddressRule()))
    observed: Any = Shown()
    return ChangePlanner(prober=actions, observed=observed, run=run()), kube


def scaled(path: str = "scale#0") -> StepRecord:
    """Return a change whose undo expects five replicas; there are three."""
    undo = UndoRecord(commands=(encode(parse(SCALE_BACK)),), texts=(SCALE_BACK,))
    return StepRecord(
        run="run-1", path=path, phase=Phase.FORWARD, state=StepState.DONE, changes=True, text="kubectl scale", undo=undo
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (paused, "paused"),
        (of_gitops, "Argo CD"),
        (edited, "has been changed by another client since this run changed it: it is left as it is"),
    ],
)
async def test_a_rollback_that_would_be_refused_is_shown_with_the_reason(
    change: Callable[[Json], None], why: str
) -> None:
    planned, kube = planner(change)
    shown = await planned.step(BACK)
    assert shown.startswith(f"# {BACK}: ")
    assert why in shown
    assert kube.writes == [], "planning only reads"


async def test_a_rollback_that_would_be_made_is_shown_as_a_command() -> None:
    planned, kube = planner()
    assert await planned.step(BACK) == BACK
    assert kube.writes == []


@pytest.mark.parametrize("text", ["kubectl get pods -n production", "kubectl rollout undo ${service.workload}"])
async def test_a_step_that_rolls_nothing_back_or_has_no_values_yet_is_shown_as_it_is_written(text: str) -> None:
    planned, _ = planner()
    assert await planned.step(text) == text


async def test_an_undo_that_would_be_refused_is_shown_with_the_reason() -> None:
    planned, _ = planner()
    (shown,) = await planned.undos([scaled()])
    assert shown.startswith(f"# {SCALE_BACK}: ")


async def test_an_undo_after_another_change_of_the_same_object_is_not_judged_before_that() -> None:
    planned, _ = planner()
    await planned.step(BACK)
    assert await planned.undos([scaled()]) == [SCALE_BACK]


WEB = WorkloadRef(resource=DEPLOYMENTS, name="web")


@pytest.mark.parametrize(
    ("workload", "number", "said"),
    [
        (WEB, 1, "deployment/web from revision 2 (image web:2) to 1 (image web:1)"),
        (WEB, 7, ""),
        (WorkloadRef(resource=DEPLOYMENTS, name="gone"), 1, ""),
    ],
)
async def test_a_preview_says_what_the_template_would_have_instead_of_what(
    workload: WorkloadRef, number: int, said: str
) -> None:
    _, kube = planner()
    assert await difference_to(kube, workload, NAMESPACE, number) == said


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
        self.observed = observed = cast("Any", ShownState(CATALOG))
        observed.clock = virtual_clock
        active_catalog = ActiveCatalog(CATALOG, ledger.catalogs, lambda _: CATALOG)
        rollbacks = RollbackPreviewer(
            ledger=ledger,
            active_catalog=active_catalog,
            observed=observed,
            prober=self.supervisor.prober,
            kube=ClusterOfDicts(),
        )
        self.deeds = operator_service(ledger, active_catalog, observed, supervisor=self.supervisor, rollbacks=rollbacks)

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
    """A database that goes on being written to does not make it another."""
    shown = await scene.shown()
    scene.rows = [row("orders", 1050), row("items", 7)]
    assert await scene.confirm(shown)
    assert scene.supervisor.begun == ["ana"]


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


@pytest.mark.parametrize("other", ["change", "template", "run"])
async def test_another_rollback_by_now_is_shown_first(scene: RollbackScene, other: str) -> None:
    """The template that was shown is the one that is begun, though the commands are the same."""
    shown = await scene.shown()
    why: str | None = "the rollback has changed since it was shown"
    if other == "change":
        more, why = UndoRecord(texts=("kubectl uncordon node-1",)), "kubectl uncordon node-1"
        await keep(scene.ledger, done("data/cordon#0", changes=True, undo=more))
    elif other == "template":
        scene.observed.show(template="newer")
    else:
        await keep(scene.ledger, replace(PAST, id="run-2", started=moment(minutes=1)))
        why = None
    with pytest.raises(WrongState, match=why):
        await scene.confirm(shown)
    assert scene.supervisor.begun == []


@pytest.mark.parametrize("digest", ["", "any"])
async def test_a_run_that_changed_nothing_has_nothing_to_undo(scene: RollbackScene, digest: str) -> None:
    await change(scene.ledger, RunRecord, changed=False)
    with pytest.raises(WrongState, match="nothing to undo: the run changed nothing"):
        await scene.deeds.roll_back("inc-1", who="ana", confirmed=digest)
    assert scene.supervisor.begun == []


async def test_the_diagnosis_is_shown_with_a_rollback(scene: RollbackScene) -> None:
    await scene.ledger.incidents.keep_diagnosis(kept(RUN))
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
