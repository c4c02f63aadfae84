"""Child runs are claimed in the name of their parent and waited for; those that wait for room ask one at a time, the most important first."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from kintsugi.ledger import Ledger
from kintsugi.ledger.incidents.run_requests import STARTED
from kintsugi.model.manual import MANUAL, Override
from kintsugi.model.records import (
    IncidentState,
    Reason,
    RunRecord,
    StepRecord,
    StepState,
)
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK
from kintsugi.pipeline.children import ChildRuns, SlotQueue
from kintsugi.runner.context import ChildCall
from kintsugi.runner.ends import ExecutionStopped
from tests.harness.ledger_rows import keep
from tests.unit.factories import (
    catalog,
    ended,
    incident,
    moment,
    rule_text,
    run,
    runbook_text,
    service_text,
    virtual_clock,
)
from tests.unit.pipeline.business import ListedRuns, NotedRequests, PipelineBench

pytestmark = pytest.mark.looptime


CATALOG = catalog(service_text(), rule_text(), runbook_text())
PARENT = replace(run(service=STACK), id="run-stack", incident="inc-stack", rule="web-pods", catalog=CATALOG.digest)


class EndingRuns(ListedRuns):
    """Runs whose task ends twice; only then a run is over."""

    poll_interval = timedelta(seconds=1)
    slot_namespaces = ()

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger
        self._ends = 0

    async def until_over(self, run: str) -> None:
        """Wait for the end of a task."""
        await asyncio.sleep(1)
        self._ends += 1
        if self._ends == 2:
            await self._ledger.incidents.move_run(run, IncidentState.RECOVERED, "all is well", virtual_clock())


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Who starts child runs over a ledger in which the parent is under way."""

    runs: ChildRuns
    requests: NotedRequests
    supervisor: EndingRuns


async def scene(ledger: Ledger, *refusals: Reason, parent: RunRecord = PARENT, own: Mode = Mode.AUTO) -> Scene:
    """Let the parent be under way; the first requests of children are refused for these reasons."""
    await keep(ledger, replace(incident(service=STACK), id=PARENT.incident), parent)
    ledger.incidents = requests = NotedRequests(ledger._store)
    requests.refusals += refusals
    business, supervisor = PipelineBench(mode=own, known=CATALOG, ledger=ledger), EndingRuns(ledger)
    runs = ChildRuns(ledger, business.active_catalog, business.observed, supervisor)  # type: ignore[arg-type]
    return Scene(runs=runs, requests=requests, supervisor=supervisor)


def call(service: str = "web") -> ChildCall:
    """Return a step's wish."""
    return ChildCall(run=PARENT, step="data/web", runbook=CATALOG.runbooks["mend"], service=service)


def started_by_hand(overrides: frozenset[Override]) -> StepRecord:
    """Return what the parent keeps of who started it, with what that person has overruled."""
    said = {"who": "ada", "why": "", "overrides": sorted(overrides), "plan": ""}
    return StepRecord(run=PARENT.id, path=STARTED, state=StepState.DONE, started=PARENT.started, result=said, met=True)


async def run_to_its_end(runs: ChildRuns, wish: ChildCall) -> RunRecord:
    """Start a child and wait until it is over."""
    return await runs.until_over(await runs.start(wish))


async def test_a_child_is_claimed_in_the_name_of_its_parent_and_within_its_time(ledger: Ledger) -> None:
    made = await scene(ledger)
    ended = await run_to_its_end(made.runs, call())
    (request,) = made.requests.asked
    assert (ended.state, [each.id for each in made.supervisor.started]) == (IncidentState.RECOVERED, [ended.id])
    assert (ended.parent, ended.parent_step, ended.service, ended.catalog) == (
        PARENT.id,
        "data/web",
        "web",
        PARENT.catalog,
    )
    assert request.deadline <= PARENT.deadline
    assert request.locks == ("service web", "production/deployment/web")


@pytest.mark.parametrize(("own", "starts"), [(Mode.AUTO, True), (Mode.APPROVE, True), (Mode.OBSERVE, False)])
async def test_a_child_goes_no_further_than_its_services_own_rules_let_it(
    own: Mode, starts: bool, ledger: Ledger
) -> None:
    """P8: one that may do nothing is not started, one that must ask asks before its first change."""
    made = await scene(ledger, own=own)
    with (
        nullcontext() if starts else pytest.raises(ExecutionStopped, match="mend on web may not start: mode is observe")
    ):
        await run_to_its_end(made.runs, call())
    (request,) = made.requests.asked
    assert (request.mode, bool(made.supervisor.started)) == (own, starts)


@pytest.mark.parametrize(
    ("overrides", "starts"),
    [(frozenset(), False), ({Override.COOLDOWN}, False), ({Override.HANDED_OVER}, True)],
)
async def test_a_child_of_what_a_person_started_is_that_persons_too(
    overrides: frozenset[Override], starts: bool, ledger: Ledger
) -> None:
    """No document has its rule; what was overruled for the parent is overruled for it, and nothing else."""
    made = await scene(ledger, parent=replace(PARENT, rule=MANUAL))
    await keep(ledger, *ended(IncidentState.NEEDS_OPERATOR, finished=moment(minutes=-1)), started_by_hand(overrides))
    with suppress(ExecutionStopped):
        await run_to_its_end(made.runs, replace(call(), run=replace(PARENT, rule=MANUAL)))
    (request,) = made.requests.asked
    assert (request.rule, request.parent, request.mode) == (MANUAL, PARENT.id, Mode.AUTO)
    assert bool(made.supervisor.started) is starts


async def test_a_run_that_is_under_way_is_joined(ledger: Ledger) -> None:
    """P2."""
    made = await scene(ledger)
    await keep(ledger, replace(incident(), id="inc-web"), replace(run(), id="run-web", incident="inc-web"))
    ended = await run_to_its_end(made.runs, call())
    assert (ended.id, ended.state) == ("run-web", IncidentState.RECOVERED)


@pytest.mark.parametrize("reason", [Reason.STALE, Reason.LOCKED, Reason.BUDGET, Reason.BREAKER, Reason.PAUSED])
async def test_a_child_waits_for_a_refusal_that_passes(reason: Reason, ledger: Ledger) -> None:
    made = await scene(ledger, reason, reason)
    with suppress(ExecutionStopped):
        await run_to_its_end(made.runs, call())
    assert (len(made.requests.asked), [each.service for each in made.supervisor.started]) == (3, ["web"])
    assert made.supervisor.rehearsals_ended == (["web"] * 2 if reason is Reason.LOCKED else []), "they hold the lock"


@pytest.mark.parametrize("reason", [Reason.PROTECTED, Reason.MODE, Reason.HUMAN, Reason.FAILURES, Reason.OWNED])
async def test_a_no_stops_the_step_with_its_reason(reason: Reason, ledger: Ledger) -> None:
    made = await scene(ledger, reason)
    with pytest.raises(ExecutionStopped, match=f"mend on web may not start: it is {reason}"):
        await run_to_its_end(made.runs, call())
    assert made.supervisor.started == []


async def test_a_service_that_is_not_there_stops_the_step(ledger: Ledger) -> None:
    made = await scene(ledger)
    with pytest.raises(ExecutionStopped, match="there is no service ghost"):
        await run_to_its_end(made.runs, call("ghost"))


class Places:
    """So many places, and who has asked for one, in their order."""

    def __init__(self, free: int) -> None:
        self.free = free
        self.full = ""
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.line = SlotQueue(lambda namespace: self.free > 0 and namespace != self.full)

    async def take(self, name: str, priority: int = 1) -> None:
        """Wait for a turn, and take a place; one NAMESPACE/NAME is there."""
        async with self.line.slot((priority, name), name.partition("/")[0]):
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(1)
            self.asked.append(name)
            self.free -= 1
            self.at_once -= 1

    def give_back(self) -> None:
        """Let one more place be free."""
        self.free += 1
        self.line.move_on()


async def begun(places: Places, *wanted: tuple[str, int]) -> Sequence[asyncio.Task[None]]:
    """Let several wait for a place, and let time go by."""
    tasks = [asyncio.create_task(places.take(name, priority)) for name, priority in wanted]
    await asyncio.sleep(10)
    return tasks


async def test_the_most_important_asks_first_whoever_came_first() -> None:
    places = Places(0)
    tasks = await begun(places, ("web", 3), ("api", 2), ("database", 1))
    for _ in range(3):
        places.give_back()
        await asyncio.sleep(10)
    assert places.asked == ["database", "api", "web"]
    await asyncio.gather(*tasks)


async def test_no_child_asks_while_there_is_no_room() -> None:
    places = Places(1)
    tasks = await begun(places, ("a", 1), ("b", 1), ("c", 1))
    assert places.asked == ["a"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_children_ask_one_at_a_time_as_long_as_there_is_room() -> None:
    places = Places(3)
    await asyncio.gather(*(places.take(name) for name in "abc"))
    assert (places.asked, places.most_at_once) == (["a", "b", "c"], 1)


async def test_a_child_that_goes_away_while_waiting_or_asking_holds_up_no_other() -> None:
    places = Places(0)
    first, second, last = await begun(places, ("a", 1), ("b", 2), ("c", 3))
    second.cancel()
    places.give_back()
    first.cancel()
    await asyncio.wait([first, second])
    await last
    assert places.asked == ["c"]


async def test_a_child_that_waits_for_room_in_its_namespace_holds_up_no_other_namespace() -> None:
    places = Places(2)
    places.full = "shop"
    tasks = await begun(places, ("shop/database", 1), ("bank/api", 2), ("shop/web", 3))
    assert places.asked == ["bank/api"]
    places.full = ""
    places.give_back()
    await asyncio.gather(*tasks)
    assert places.asked == ["bank/api", "shop/database", "shop/web"]
