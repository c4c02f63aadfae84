"""A restore goes on to its end, or waits as it is for a person, by whose word only it is taken back; what it restored is its owner's."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.actions.effect_plan import undone_by
from kintsugi.commands import encode, parse, render
from kintsugi.decisions.guards import Limits
from kintsugi.errors import Refused
from kintsugi.model.command import Command, Create, Delete, ObjectName, Patch
from kintsugi.model.records import IncidentState, Phase, RunRecord, StepRecord, StepState, UndoRecord
from kintsugi.runner.restoring import as_owner, restored_databases
from kintsugi_restore.commands import PgRestore
from kubeobjects.resources import PVCS, PVS
from tests.unit.executor import scripted_actor
from tests.unit.factories import NOW, runbook_text
from tests.unit.runner.bench import RunBench, clock, cut_everywhere

pytestmark = pytest.mark.looptime

STOP = "kubectl scale deployment api --replicas=0 -n production"
START = "kubectl scale deployment api --replicas=3 -n production"
DELETE = "kubectl delete persistentvolumeclaim data -n production"
CREATE = "kubectl create -n production -f - <<<'{}'"
RESTORE = "pg_restore --exit-on-error --single-transaction -h database.production -U postgres -d app /backups/app.dump"
ALL = [STOP, DELETE, CREATE, RESTORE, START]
STEPS = f"""\
- {{id: writers, forEach: params.writers, run: "kubectl scale ${{each}} --replicas=0"}}
- {{id: claim, run: kubectl delete pvc data}}
- {{id: restore, run: {RESTORE}, undo: none}}
- {{id: verify, run: kubectl get pods, expect: size(items) > 0}}
- {{id: resume, undoStep: writers, expect: service.healthy, within: 5m}}
"""
WRITERS = "parameters: {writers: {type: [workload], default: [deploy/api]}}\ncompleteOnceBegun: true"
CHILD = runbook_text(STEPS, name="restore", more=WRITERS, rollback="after: 20m\nthen: leave")
ROOT = "- {id: data, runbook: restore}\n- {id: last, run: kubectl get nodes}"
CLAIM = ObjectName(resource=PVCS, name="data")
AGAIN = Create(object=CLAIM, namespace="production", manifest="{}")


def undo_of(command: Command) -> UndoRecord:
    """Return the ways back that a restore has: writers start again, the old volume is bound again."""
    if not isinstance(command, Delete):
        return scripted_actor.undo_of(command)
    volume = ObjectName(resource=PVS, name="pv-1")
    return undone_by(command, Patch(object=volume, namespace="", patch="{}", kind="merge"), AGAIN)


def facts_of(command: Command) -> Mapping[str, object]:
    """Return what an intent of a restore holds besides."""
    return {"then": [encode(AGAIN)]} if isinstance(command, Delete) else {"replicas": 3}


def restoring(root: str = ROOT, *, rollback: str = "after: 30m\nthen: leave", whole: bool = True) -> RunBench:
    """Have a run whose runbook ends with a restore; the service is mended by it, and its data are whole, or not."""
    made = RunBench(root, documents=(CHILD,), rollback=rollback, heals="pg_restore")
    made.actor.undo_of, made.actor.facts_of = undo_of, facts_of
    if not whole:
        made.prober.will("kubectl get pods", lambda: {"items": []})
    return made


async def test_a_trigger_that_ends_before_it_touches_anything_ends_it() -> None:
    """E18."""
    story = restoring("- {id: wait, expect: service.ready > 5, within: 1m, onFailure: continue}\n" + ROOT)
    story.at(10, story.resolve)
    await story.drive()
    assert story.ended == (IncidentState.CANCELLED, [])


async def test_a_spent_budget_does_not_hold_what_has_begun() -> None:
    """P7: what is stopped would only be stopped for longer."""
    story = restoring()

    def spend(text: str) -> None:
        story.ledger.disruptions = (NOW,) * Limits().budget
        if text == RESTORE:
            story.heal()

    story.actor.on_change = spend
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert clock() < 600


async def test_a_person_stops_it_at_the_next_step_by_a_pause() -> None:
    """And it goes on when the pause is lifted."""
    story = restoring()
    story.at_each_change(lambda text: story.pause(clock(), clock() + 120) if text == STOP else None)
    story.actor.takes = timedelta(seconds=1)
    times = story.note_times()
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert times[DELETE] - times[STOP] == pytest.approx(120, abs=3)


def is_left_as_it_is(ended: RunRecord, story: RunBench) -> None:
    """Writers stay stopped, a person is called and reads how it is taken back; nothing is undone."""
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "Mend it is left as it is for a person" in ended.reason
    assert START in ended.reason
    assert START not in story.effects
    assert not [step for step in story.ledger.kept.values() if step.phase is Phase.UNDO]


async def test_at_the_deadline_it_is_left_for_a_person_though_all_looks_well() -> None:
    """It may just be restoring into a database that is well."""
    story = restoring(rollback="after: 20m\nthen: undo\npolicy: always")
    story.actor.takes = timedelta(minutes=9)
    is_left_as_it_is(await story.drive(), story)


async def test_a_claim_whose_successor_is_refused_stops_it() -> None:
    """There is no empty volume then."""
    story = restoring()
    story.actor.will(f"prepare {CREATE}", Refused("the name is taken"))
    is_left_as_it_is(await story.drive(), story)
    assert story.step("data/claim#0+0").state is StepState.SKIPPED
    assert RESTORE not in story.effects


@pytest.mark.parametrize("well", [True, False])
async def test_a_person_s_word_takes_it_back_newest_first_however_the_service_is(well: bool) -> None:
    """Claim, volume and claim again, in that order; then the writers, whose copies would keep the new claim in use."""
    story = restoring(whole=False)
    if not well:
        story.actor.on_change = lambda text: story.observed.show(ready=0) if text == RESTORE else None
    await story.drive()
    story.reopen()
    await story.drive()
    patch = "kubectl patch persistentvolume pv-1 --type=merge -p '{}'"
    assert story.effects == [STOP, DELETE, CREATE, RESTORE, DELETE, patch, CREATE, START]
    assert story.state is (IncidentState.ROLLED_BACK if well else IncidentState.NEEDS_OPERATOR)
    if not well:
        why = "rolled back (rollback asked for by ada): kubectl delete persistentvolumeclaim data"
        assert story.reason.startswith(why)
        assert "; but web is not healthy: 0 of 3 ready" in story.reason


@pytest.mark.long
def test_a_restore_may_be_interrupted_at_any_moment_and_each_change_is_made_once() -> None:
    """P3: the changes that complete another one, too."""

    def check(cut: str, story: RunBench, ended: RunRecord) -> None:
        assert ended.state is IncidentState.RECOVERED, f"{cut}: {ended.state} {ended.reason}"
        assert sorted(story.effects) == sorted(ALL), cut

    assert cut_everywhere(restoring, check) > 30


async def test_a_refusal_on_the_way_back_stops_the_rollback_and_is_tried_again_when_asked_again() -> None:
    """What comes after builds on it: a volume is not freed while another claim is bound to its name."""
    story = restoring(whole=False)
    await story.drive()
    story.actor.will(f"prepare {DELETE}", Refused("in use by database-0"))
    story.reopen()
    await story.drive()
    assert story.ended == (IncidentState.NEEDS_OPERATOR, [STOP, DELETE, CREATE, RESTORE])
    assert "the rollback failed: data/claim#0~0: in use by database-0" in story.reason
    story.reopen()
    assert (await story.drive()).state is IncidentState.ROLLED_BACK
    assert story.effects[4] == DELETE


async def test_a_rollback_that_nobody_asked_for_leaves_a_restore_alone() -> None:
    """A parent's own rollback takes back the parent's changes only."""
    bad = "- {id: bad, expect: service.ready > 99, onFailure: rollback}"
    story = restoring(f"- {{id: mine, run: kubectl cordon one}}\n{ROOT}\n{bad}", rollback="after: 30m")
    await story.drive()
    assert story.ended == (IncidentState.ROLLED_BACK, ["kubectl cordon one", *ALL, "kubectl uncordon one"])


IN_POD = "kubectl exec statefulset/database -n production -- psql -U postgres"
FIXED = "options=-csearch_path=pg_catalog,public"
OWNS = f"-U kintsugi_owner_app -d 'dbname=app {FIXED}' -c 'SELECT 1'"
DRILLS = (
    "kubectl exec job/kintsugi-x-restore -n production -c server -- psql -U kintsugi_owner_kintsugi_drill_x"
    f" -d 'dbname=kintsugi_drill_x {FIXED}' -c 'SELECT 1'"
)


def restored(database: str, host: str = "database") -> StepRecord:
    """Make the record of a change that restored a database."""
    command = PgRestore(host=host, user="postgres", database=database, file="/backups/a.dump")
    return StepRecord(
        run="run",
        path=database,
        phase=Phase.FORWARD,
        name="Restore",
        state=StepState.DONE,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        command=encode(command),
        facts={"job": "kintsugi-x-restore", "namespace": "production"},
    )


BOTH = restored_databases([restored("app"), restored("kintsugi_drill_x", "localhost.production")])


@pytest.mark.parametrize(
    ("asked", "turned"),
    [
        (f"{IN_POD} -d app -c 'SELECT 1'", f"kubectl exec statefulset/database -n production -- psql {OWNS}"),
        ("psql -h database.production -U postgres -d app -c 'SELECT 1'", f"psql -h database.production {OWNS}"),
        ("psql -h database.production -U app -c 'SELECT 1'", f"psql -h database.production {OWNS}"),
        (f"{IN_POD} -d kintsugi_drill_x -c 'SELECT 1'", DRILLS),
        (
            "kubectl exec pod/database-0 -n production -c own -- psql -h 10.0.0.7 -p 5433 -d kintsugi_drill_x -c 'SELECT 1'",
            DRILLS,
        ),
        (
            "psql -h database.production -p 5433 -U postgres -d 'dbname=kintsugi_drill_x sslmode=require' -c 'SELECT 1'",
            DRILLS,
        ),
    ],
)
def test_a_question_to_what_was_restored_is_its_owner_s(asked: str, turned: str) -> None:
    """E9: where the user's name stands for the database's, too. Of a drill's questions none reaches the live server."""
    command = as_owner(parse(asked), BOTH)
    assert render(command) == turned
    assert parse(render(command)) == command


@pytest.mark.parametrize(
    "asked",
    [f"{IN_POD} -d crm -c 'SELECT 1'", f"{IN_POD} -c 'SELECT 1'", "kubectl get pods -n production"],
)
def test_any_other_question_stays_as_it_is(asked: str) -> None:
    """The server's own database holds nothing that was restored."""
    command = parse(asked)
    assert as_owner(command, BOTH) is command
    own = parse(f"{IN_POD} -d app -c 'SELECT 1'")
    assert as_owner(own, restored_databases([])) == own
