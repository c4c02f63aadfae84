"""
A ledger that the revision before has left in the middle of everything is taken up: nothing is lost, nothing is done twice.

`tests/data/ledgers/0009.sql` was written by that revision's own ledger, of runs that its own runner had carried until it was
killed; the revision told by sentences and notes what has columns of its own now.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kintsugi.actions.effect_plan import EffectStatus
from kintsugi.ledger import Ledger
from kintsugi.model.records import Approval, Incident, IncidentState, Pause, Phase, RunRecord, StepRecord, StepState
from kintsugi.model.run_update import SeenWorkload
from kubesim import EmbeddedCluster
from tests.harness import ledgers
from tests.harness.daemon import DaemonProcess
from tests.harness.waiting import eventually
from tests.unit.factories import moment
from tests.unit.runner.bench import RunBench
from tests.unit.virtual import play

OLD = Path(__file__).parents[1] / "data" / "ledgers" / "0009.sql"
LATER = datetime(2100, 1, 1, tzinfo=UTC)
CORDON = "- {id: one, run: kubectl cordon one}"
FOUND = SeenWorkload(template="found", revision=0, desired=3, ready=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenUp:
    """What a new leader finds: runs by their services, with their incidents, steps and questions; the pauses; past runs."""

    runs: dict[str, RunRecord]
    incidents: dict[str, Incident]
    steps: dict[str, tuple[StepRecord, ...]]
    questions: dict[str, tuple[Approval, ...]]
    pauses: tuple[Pause, ...]
    open: frozenset[str]
    locks: frozenset[str]
    rests: IncidentState


@pytest.fixture
def old(tmp_path: Path) -> TakenUp:
    """Return what a leader finds who takes the lead twice, as after one more restart."""
    file = put(tmp_path / "ledger.db")
    first = asyncio.run(taken_up(ledgers.url_of(file)))
    again = asyncio.run(taken_up(ledgers.url_of(file)))
    assert again == first
    return first


def put(file: Path) -> Path:
    """Make the ledger in a file."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD.read_text())
    return file


async def taken_up(url: str) -> TakenUp:
    """Open a ledger, take the lead, and read what there is."""
    async with Ledger.open(url, holder="kintsugi-1") as ledger:
        await ledger.lead(moment(minutes=10))
        incidents = {each.service: each for each in await ledger.incidents.newest()}
        runs = {name: (await ledger.runs.of_incident(each.id))[-1] for name, each in incidents.items()}
        history = await ledger.run_requests.history("resting", "production", moment(minutes=10))
        [rested] = [each for each in history.recent if each.service == "resting"]
        return TakenUp(
            runs=runs,
            incidents=incidents,
            steps={name: await ledger.runs.steps(each.id, strict=False) for name, each in runs.items()},
            questions={name: await ledger.approvals.of_incident(each.id) for name, each in incidents.items()},
            pauses=await ledger.pauses.in_force(moment(minutes=10)),
            open=frozenset(each.service for each in await ledger.runs.open_runs()),
            locks=frozenset(history.locks),
            rests=rested.state,
        )


def carry(
    old: TakenUp, service: str, bench: RunBench, *, since: float, deed: tuple[float, Callable[[], None]] | None = None
) -> None:
    """Carry a run on, from where it was left that many seconds after its start, to its end; something is done meanwhile."""
    run = old.runs[service]
    bench.ledger.record = replace(run, service="web")
    bench.ledger.incident = replace(old.incidents[service], service="web")
    bench.ledger.kept = {(each.phase, each.path): each for each in old.steps[service]}
    bench.ledger.questions = list(old.questions[service])

    async def story() -> None:
        if deed is not None:
            bench.at(*deed)
        await bench.sleep_until(since)
        await bench.drive()

    play(story())


def test_pauses_questions_and_locks_are_still_there(old: TakenUp) -> None:
    [pause] = old.pauses
    assert (pause.name, pause.who, pause.why) == ("awaiting", "ada", "we look first")
    [question] = old.questions["awaiting"]
    assert (question.path, question.question, question.answered) == ("scale", "Scale web to five?", None)
    assert old.open == {"mid-step", "verifying", "stopped", "asked", "awaiting", "all", "unclear"}
    assert old.locks == {f"service {each}" for each in old.open}


def test_a_run_that_is_over_stays_over_and_counts(old: TakenUp) -> None:
    """A restore that is parked is left as it is, with its story; a failed run rests."""
    parked = old.runs["parked"]
    assert (parked.state, parked.finished) == (IncidentState.NEEDS_OPERATOR, moment(minutes=5))
    assert "the restore is left as it is for a person" in parked.reason
    assert old.steps["parked"][0].undo is not None
    assert old.rests is IncidentState.FAILED


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("mid-step", lambda run: (run.stopped_at, run.rollback_requested_by, run.workload_found) == (None, "", FOUND)),
        ("stopped", lambda run: (run.stopped_at, run.workload_found) == ("look", FOUND)),
        ("verifying", lambda run: run.stopped_at is None and run.steps_finished_at is not None),
        ("asked", lambda run: (run.rollback_requested_by, run.state) == ("ada", IncidentState.ROLLING_BACK)),
        ("all", lambda run: run.awaits_person),
        ("unclear", lambda run: run.rollback_requested_by == "a person"),
    ],
)
def test_the_facts_of_sentences_and_notes_stand_in_columns(
    old: TakenUp, service: str, told: Callable[[RunRecord], bool]
) -> None:
    assert told(old.runs[service]), old.runs[service]


def test_an_intent_without_a_result_is_probed_and_not_done_again(old: TakenUp) -> None:
    bench = RunBench(CORDON)
    bench.actor.will("probe", EffectStatus.DONE)
    carry(old, "mid-step", bench, since=1, deed=(30, bench.heal))
    assert bench.effects == []
    assert bench.step("one#0").state is StepState.DONE
    assert bench.ledger.record.state is IncidentState.RECOVERED
    assert bench.ledger.record.workload_found == FOUND


def test_a_run_that_is_watched_is_watched_on(old: TakenUp) -> None:
    bench = RunBench(CORDON)
    carry(old, "verifying", bench, since=31, deed=(60, bench.heal))
    assert bench.effects == []
    assert bench.ledger.record.state is IncidentState.RECOVERED


def test_a_run_that_stopped_with_nothing_to_go_back_to_is_handed_over(old: TakenUp) -> None:
    bench = RunBench("- {id: look, run: kubectl get pods, expect: size(items) > 5}", rollback="after: 10m\nthen: leave")
    carry(old, "stopped", bench, since=3)
    assert bench.effects == []
    assert bench.ledger.record.state is IncidentState.NEEDS_OPERATOR
    assert "no further action is available; stopped at look" in bench.ledger.record.reason


def test_a_rollback_that_a_person_wants_goes_on_and_takes_nothing_back_twice(old: TakenUp) -> None:
    steps = CORDON + "\n- {id: wait, expect: service.ready > 99, within: 1h}"
    bench = RunBench(steps)
    carry(old, "asked", bench, since=66, deed=(70, bench.heal))
    assert bench.effects == []
    assert bench.step("one#0~0", Phase.UNDO).state is StepState.DONE
    assert bench.ledger.record.state is IncidentState.ROLLED_BACK
    assert bench.ledger.record.reason.startswith("rolled back (rollback asked for by ada): kubectl uncordon one")


def test_a_question_is_not_asked_again_and_its_answer_counts(old: TakenUp) -> None:
    asks = '- {id: scale, approve: "Scale web to five?", run: kubectl scale deployment/web --replicas=5}'
    bench = RunBench(asks, heals="kubectl scale")

    def answer() -> None:
        [question] = bench.ledger.questions
        bench.ledger.questions = [replace(question, who="ada", answered=moment(seconds=90))]

    carry(old, "awaiting", bench, since=61, deed=(90, answer))
    assert len(bench.ledger.questions) == 1
    assert len(bench.effects) == 1
    assert bench.ledger.record.state is IncidentState.RECOVERED


@pytest.mark.long
async def test_a_run_that_cannot_be_carried_on_is_handed_to_a_person_with_its_story(tmp_path: Path) -> None:
    """The documents of these runs are in force nowhere: each is closed once, with what it did and how that is taken back."""
    url = ledgers.url_of(put(tmp_path / "ledger.db"))
    async with EmbeddedCluster.start() as cluster:
        daemon = DaemonProcess(
            kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"), folder=tmp_path / "daemon", ledger=url
        )
        for _ in range(2):
            await asyncio.to_thread(daemon.start)
            try:
                await asyncio.to_thread(daemon.wait_ready)
                async with Ledger.read(url) as ledger:

                    async def is_over() -> bool:
                        return not await ledger.incidents.newest(open_only=True)

                    await eventually(is_over, within=60, describe=daemon.tail)
                    ended = {each.service: each for each in await ledger.incidents.newest()}
                    told = [(each.incident, each.kind) for each in await ledger.outbox.due_notices(LATER)]
                assert await asyncio.to_thread(daemon.stop) == 0, daemon.tail()
            finally:
                await asyncio.to_thread(daemon.kill)
            assert {name for name, each in ended.items() if each.state is not IncidentState.NEEDS_OPERATOR} == {
                "resting"
            }
            assert "Uncertain:\n  kubectl cordon one" in ended["mid-step"].reason
            assert "Done:\n  kubectl cordon one" in ended["verifying"].reason
            assert "kubectl uncordon one" in ended["verifying"].reason
            assert "kubectl scale statefulset/database --replicas=0" in ended["parked"].reason
            assert sorted(told) == sorted(set(told)), "nobody is told twice"
            assert {incident for incident, _ in told} == {each.id for each in ended.values()}
