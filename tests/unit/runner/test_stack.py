"""A run about all services: its steps start runs of services, it changes nothing itself, and says what is well and what not."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.model.questions import Answer, Question
from kintsugi.model.records import Incident, IncidentState, RunRecord, StepRecord, StepState, UndoRecord
from kintsugi.model.services import STACK
from kintsugi.model.step_path import StepPath
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.context import ChildCall
from kintsugi.runner.ends import ExecutionStopped
from kintsugi.runner.stack import StackDriver
from tests.harness.answers import said
from tests.unit.factories import NOW, catalog, rule_text, run, runbook_text, service_text, virtual_clock
from tests.unit.runner.bench import RunBench
from tests.unit.runner.fakes import RunLedger

pytestmark = pytest.mark.looptime

NAMES = ("database", "api", "web")
STEPS = """\
- {id: nodes, run: kubectl get nodes}
- {id: database, unless: services.database.healthy, service: database, runbook: mend}
- id: front
  parallel:
    - {id: api, unless: services.api.healthy, service: api, runbook: mend}
    - {id: web, unless: services.web.healthy, service: web, runbook: mend}
"""


QUESTION = Question(incident="", path="restore/agreed", text="Restore it?", plan="", asked=NOW, expires=NOW)
SCALED = StepRecord(
    run="run-database",
    path="writers#0",
    name="Stop the writers",
    state=StepState.DONE,
    changes=True,
    text="kubectl scale deployment/api --replicas=0",
    undo=UndoRecord(texts=("kubectl scale deployment/api --replicas=2 --current-replicas=0",)),
)


class StackLedger(RunLedger):
    """The ledger of a run about all services; `started` are the runs that its steps have started."""

    started: tuple[RunRecord, ...] = ()

    def __init__(self, run: RunRecord, about: Incident) -> None:
        super().__init__(run, about)
        self.done_by: dict[str, tuple[StepRecord, ...]] = {}
        self.listed = 0

    async def steps(self, run: str, *, strict: bool = True) -> tuple[StepRecord, ...]:
        """Return the steps of a run."""
        return await super().steps(run, strict=strict) if run == self.record.id else self.done_by.get(run, ())

    async def children_of(self, run: str) -> tuple[RunRecord, ...]:
        """Return them."""
        self.listed += 1
        return tuple(each for each in self.started if each.parent == run)

    async def open_children_of(self, run: str) -> tuple[RunRecord, ...]:
        """Return those that are not over."""
        return tuple(each for each in self.started if each.parent == run and each.finished is None)

    async def run(self, run: str) -> RunRecord:
        """Return a run as it was last committed."""
        return next((each for each in self.started if each.id == run), self.record)


class StackBench(RunBench):
    """
    A run about a database, an API and a web front end that are all down.

    Each child `takes` a minute, and ends as `ends` says; one that recovers has its service well. Before that, it waits for
    a person for as long as `asks_for` says. What is `joined` was begun by others.
    """

    LEDGER = StackLedger
    ledger: StackLedger

    def __init__(self, steps: str = STEPS, *, rollback: str = "") -> None:
        super().__init__("- {id: look, run: kubectl get pods}\n")
        texts = (service_text(name) for name in NAMES)
        everything = runbook_text(steps, name="everything", rollback=rollback)
        known = catalog(*texts, rule_text(), runbook_text(), everything)
        self.begin(known, replace(run(service=STACK), runbook="everything"))
        self.ends = dict.fromkeys(NAMES, IncidentState.RECOVERED)
        self.takes = timedelta(minutes=1)
        self.well: set[str] = set()
        self.calls: dict[str, tuple[float, float]] = {}
        self.stack: StackDriver | None = None
        self.before_child: Callable[[ChildCall], None] = lambda _: None
        self.asks_for: dict[str, timedelta] = {}
        self.joined: set[str] = set()

    async def start(self, call: ChildCall) -> RunRecord:
        """Be the one who starts children."""
        self.before_child(call)
        child = replace(
            run(service=call.service), id=f"run-{call.service}", incident=f"inc-{call.service}", parent=call.run.id
        )
        child = replace(child, parent_step=call.step, runbook=call.runbook.name, deadline=call.run.deadline)
        child = replace(child, parent="", parent_step="") if call.service in self.joined else child
        self.ledger.started += (child,)
        return child

    async def until_over(self, child: RunRecord) -> RunRecord:
        """Let a child take its time, and end as it must."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self.ask(child, self.asks_for.get(child.service, timedelta()))
        now = virtual_clock()
        await asyncio.sleep(self.takes.total_seconds())
        child = self.show(replace(child, state=self.ends[child.service], finished=now + self.takes))
        if child.state is IncidentState.RECOVERED:
            self.observed.show(child.service, ready=3)
        self.calls[child.service] = (began, loop.time())
        return child

    async def ask(self, child: RunRecord, patience: timedelta) -> None:
        """Let a child ask a person, who answers after a while; before the child's own ledger hears of it."""
        if not patience:
            return
        asked = replace(
            QUESTION, incident=child.incident, asked=virtual_clock(), expires=virtual_clock() + timedelta(hours=9)
        )
        self.ledger.questions.append(asked)
        self.show(replace(child, state=IncidentState.AWAITING_APPROVAL))
        await asyncio.sleep(patience.total_seconds())
        self.ledger.questions[-1] = replace(asked, **said(Answer.YES, "ann", virtual_clock()))
        self.show(child)

    def show(self, child: RunRecord) -> RunRecord:
        """Let the ledger know a child as it is now."""
        self.ledger.started = tuple(child if each.id == child.id else each for each in self.ledger.started)
        return child

    def show_found(self) -> None:
        """Let all services be down but those that are well."""
        for name in set(NAMES) - self.well:
            self.observed.show(name, ready=0)

    def make_driver(self, deps: RunnerDeps, journal: Journal) -> StackDriver:
        """Make the driver of one process."""
        gate = self.make_gate(deps, journal)
        self.stack = StackDriver(**self.parts(deps, journal), gate=gate, children=self)
        return self.stack


async def test_a_run_heals_level_by_level_and_what_may_go_together_at_once() -> None:
    """Its children are all listed once, and afterwards those that are open."""
    bench = StackBench()
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    assert bench.calls["api"][0] >= bench.calls["database"][1]
    assert bench.calls["web"][0] < bench.calls["api"][1]
    assert all(f"mend on {name}: recovered (incident inc-{name})" in ended.reason for name in NAMES), ended.reason
    assert bench.step("front/api").text == "mend on api: recovered (incident inc-api)"
    assert bench.ledger.listed == 1


async def test_after_a_restart_a_run_knows_what_it_has_seen_to_and_calls_for_no_step_that_has_ended() -> None:
    """A service that fails again after that is no longer covered by it."""
    bench = StackBench()
    await bench.drive_until_killed(90)
    seen_to = {"database": NOW + timedelta(minutes=1)}
    assert bench.stack is not None
    assert bench.stack.waits.ended == seen_to
    called: list[str] = []
    bench.before_child = lambda call: called.append(call.service)
    again = asyncio.create_task(bench.drive())
    await asyncio.sleep(5)
    assert bench.stack.waits.ended == seen_to
    assert ((await again).state, sorted(called)) == (IncidentState.RECOVERED, ["api", "web"])


@pytest.mark.parametrize(
    ("well", "state", "calls"),
    [({"database", "api"}, IncidentState.RECOVERED, ["web"]), (set(NAMES), IncidentState.NO_ACTION, [])],
)
async def test_a_service_that_is_well_has_no_run_started(
    well: set[str], state: IncidentState, calls: list[str]
) -> None:
    bench = StackBench()
    bench.well |= well
    assert ((await bench.drive()).state, list(bench.calls)) == (state, calls)


async def test_a_child_that_does_not_help_ends_the_run_and_what_recovered_stays() -> None:
    bench = StackBench()
    bench.ends["api"] = IncidentState.NEEDS_OPERATOR
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    head, *lines = ended.reason.splitlines()
    assert head.startswith("stopped at front/api: mend on api: needs-operator (incident inc-api)"), head
    text = "\n".join(lines)
    assert "Not healthy:\n  api" in text
    assert "Healthy:\n  database\n  web" in text
    assert "mend on web: recovered (incident inc-web)" in text
    assert lines[-1] == "Recovered services keep their changes; nothing is undone there."
    assert bench.effects == []


async def test_a_run_at_its_deadline_leaves_its_children_at_work_and_takes_nothing_back() -> None:
    bench = StackBench(rollback="after: 30m")
    bench.takes = timedelta(minutes=20)
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("stopped: the deadline was reached before all steps had finished")
    assert "Still running, each with its own watchdog:\n  kintsugi incident inc-api" in ended.reason
    assert bench.effects == []


async def test_a_run_whose_steps_are_done_is_not_recovered_while_a_service_is_ill() -> None:
    bench = StackBench("- {id: database, service: database, runbook: mend}\n")
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert ended.reason.startswith("every step was done, but these services are not healthy: api, web")


@pytest.mark.parametrize(
    ("joined", "asks", "takes"),
    [(False, 120, 1), (True, 120, 1), (False, 25, 4)],
    ids=["its own", "one that others have begun", "less than until the deadline"],
)
async def test_while_a_child_waits_for_a_person_the_deadline_waits_too_and_the_next_have_the_time_that_was_left(
    joined: bool, asks: float, takes: float
) -> None:
    bench = StackBench(rollback="after: 30m")
    bench.asks_for["database"] = timedelta(minutes=asks)
    bench.takes = timedelta(minutes=takes)
    bench.joined |= {"database"} if joined else set()
    due = bench.ledger.record.started + timedelta(minutes=asks + 30)
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason
    assert "mend on database: recovered (incident inc-database)" in ended.reason
    [api] = [each for each in bench.ledger.started if each.service == "api"]
    assert abs(api.deadline - due) < timedelta(seconds=5)


async def test_a_run_says_for_which_child_a_person_is_waited_and_how_it_is_answered_and_then_that_it_goes_on() -> None:
    bench = StackBench()
    bench.asks_for["database"] = timedelta(minutes=5)
    await bench.drive()
    said = [reason for state, reason in bench.ledger.moves if state is IncidentState.RUNNING]
    assert list(dict.fromkeys(said)) == [
        "waits for a person: mend on database: awaiting-approval (incident inc-database), kintsugi approve inc-database",
        "a person has answered, and the run continues",
    ]


async def test_a_person_who_is_waited_for_when_a_run_is_taken_up_again_is_no_reason_to_end_it() -> None:
    bench = StackBench(rollback="after: 30m")
    bench.asks_for["database"] = timedelta(hours=2)
    bench.joined |= {"database"}
    await bench.drive_until_killed(3600)
    bench.asks_for.clear()
    ended = await bench.drive()
    assert ended.state is IncidentState.RECOVERED, ended.reason


async def test_the_changes_of_a_child_that_did_not_help_are_handed_over_with_the_commands_that_take_them_back() -> None:
    bench = StackBench()
    bench.ends["database"] = IncidentState.NEEDS_OPERATOR
    bench.ledger.done_by["run-database"] = (SCALED,)
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert (
        "Undo commands of mend on database, newest first:\n"
        "  kubectl scale deployment/api --replicas=2 --current-replicas=0\n"
        "To continue after the repair:\n"
    ) in ended.reason
    overruling = "--override handed-over --override cooldown --why ..."
    assert f"  kintsugi recover mend --service database {overruling}\n" in ended.reason
    assert f"  kintsugi recover everything --service stack {overruling}\n" in ended.reason


@pytest.mark.parametrize(
    ("end", "why"), [(RunBench.abort, "aborted by ada: a deploy"), (RunBench.request_rollback, "ended by ada")]
)
async def test_a_person_may_end_a_run_and_its_children_go_on(end: Callable[[RunBench], None], why: str) -> None:
    bench = StackBench()
    bench.at(90, lambda: end(bench))
    await bench.drive()
    assert (bench.state, bench.reason) == (IncidentState.CANCELLED, f"{why}; its child runs continue on their own")


async def test_a_child_that_may_not_start_stops_the_run() -> None:
    bench = StackBench()

    def refuse(call: ChildCall) -> None:
        raise ExecutionStopped(StepPath.parse(call.step), "mend on database may not start: a person has it")

    bench.before_child = refuse
    ended = await bench.drive()
    assert ended.state is IncidentState.NEEDS_OPERATOR
    assert "a person has it" in ended.reason
