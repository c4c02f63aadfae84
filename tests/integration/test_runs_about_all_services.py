"""A daemon as a process: a run about all services starts runs of its services, level by level, and changes nothing itself."""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.ledger import Ledger
from kintsugi.model.records import Approval, Incident, IncidentState, RunRecord
from kintsugi.model.services import STACK
from kintsugi.settings import GuardSettings
from tests.integration.crash_daemon import DaemonStart
from tests.integration.crash_enumeration import Enumeration, deal, is_sure
from tests.integration.crash_restore import approve
from tests.integration.crash_stage import SELDOM, CrashStage
from tests.integration.crash_story import made, tell
from tests.integration.stack_story import WORKLOADS, StackScene, break_all

pytestmark = pytest.mark.long

SCENE = StackScene()


async def of_stack(stage: CrashStage, ledger: Ledger) -> Incident:
    """Wait until the incident about all services is over, and return it."""
    found: Sequence[Incident] = ()

    async def is_closed() -> bool:
        nonlocal found
        found = await ledger.incidents.newest(limit=50, service=STACK)
        return bool(found) and found[0].closed is not None

    await stage.until(is_closed, every=SELDOM)
    (incident,) = found
    return incident


async def children(ledger: Ledger, incident: Incident) -> Mapping[str, RunRecord]:
    """Return the runs that an incident's run has started, by their service; each service has one."""
    (run,) = await ledger.runs.of_incident(incident.id)
    found = await ledger.runs.children_of(run.id)
    assert len({each.service for each in found}) == len(found), found
    return {each.service: each for each in found}


@pytest.fixture
def birth(tmp_path: Path) -> DaemonStart:
    """How the daemon of these tests is started."""
    return SCENE.birth(tmp_path / "story")


async def test_a_run_about_all_services_heals_the_cause_first_and_the_rest_at_once(birth: DaemonStart) -> None:
    async with SCENE.stage(birth) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            break_all(stage)
            incident = await of_stack(stage, ledger)
            runs = await children(ledger, incident)
            own = [await ledger.incidents.get(run.incident) for run in runs.values()]
        assert incident.state is IncidentState.RECOVERED, incident
        assert set(runs) == set(WORKLOADS)
        assert {each.state for each in own} == {IncidentState.RECOVERED}, own
        finished = runs["store"].finished
        assert finished is not None
        assert all(runs[name].started >= finished for name in ("api", "web"))
        starts, ends = ([getattr(runs[name], what) for name in ("api", "web")] for what in ("started", "finished"))
        assert max(starts) < min(ends), runs
        assert all(stage.is_well(workload) for workload in WORKLOADS.values())


async def test_a_killed_run_about_all_services_goes_on_and_starts_no_child_twice(birth: DaemonStart) -> None:
    async with SCENE.stage(birth) as stage:
        stage.start()
        async with stage.ledger() as ledger:
            break_all(stage)

            async def has_child() -> bool:
                return any(run.parent for run in await ledger.runs.open_runs())

            await stage.until(has_child)
        await stage.kill()
        stage.start()
        async with stage.ledger() as ledger:
            incident = await of_stack(stage, ledger)
            runs = await children(ledger, incident)
            every = [run for each in await ledger.incidents.newest() for run in await ledger.runs.of_incident(each.id)]
        assert incident.state is IncidentState.RECOVERED, incident
        assert len(every) == 1 + len(runs), every
        assert set(runs) == set(WORKLOADS)


async def test_in_mode_approve_a_person_is_asked_once_about_all_services(birth: DaemonStart) -> None:
    """What the runs of its services do was in the plan that was approved."""
    birth = replace(birth, mode="approve", guards=GuardSettings(approval_expiry=timedelta(hours=20)))
    async with SCENE.stage(birth) as stage:
        birth.operators.write_text(f"ada:{secrets.token_hex(32)}\n")
        stage.start()
        async with stage.ledger() as ledger:
            break_all(stage)

            questions: Sequence[Approval] = ()

            async def is_asked() -> bool:
                nonlocal questions
                found = [await ledger.approvals.of_incident(each.id) for each in await ledger.incidents.newest()]
                questions = [question for each in found for question in each]
                return bool(questions)

            await stage.until(is_asked, every=SELDOM)
            assert made(stage) == []
            (asked,) = questions
            (asking,) = await ledger.incidents.newest()
            assert asking.state is IncidentState.AWAITING_APPROVAL, asking
            assert "store: runbook restart" in asked.question
            await approve(stage, asked)
            incident = await of_stack(stage, ledger)
            counts = [len(await ledger.approvals.of_incident(each.id)) for each in await ledger.incidents.newest()]
        assert incident.state is IncidentState.RECOVERED, incident
        assert sorted(counts) == [0, 0, 0, 1]


EVERYWHERE = bool(os.environ.get("KINTSUGI_ALL_PAIRS"))
"""Whether every commit is died at, too, and not only every effect."""

DEATHS = 1
"""How often a story dies: runs of three services pass points of the same names, whose numbers count in one life."""


@pytest.mark.timeout(36000 if EVERYWHERE else 1800)
async def test_killed_at_every_effect_a_run_about_all_services_ends_the_same(tmp_path: Path) -> None:
    """P2, P3, P8, C1, C2: before and after each of them; each pod is deleted once, and each service has one run."""
    undisturbed = await tell(SCENE.birth(tmp_path / "undisturbed"), SCENE)
    assert undisturbed.end.incidents == ["api recovered", "stack recovered", "store recovered", "web recovered"]
    assert undisturbed.end.effects == {"delete a pod that was there": 4}

    enumeration = Enumeration(scene=SCENE, folder=tmp_path, undisturbed=undisturbed, deaths=DEATHS)
    effects = [point for point in enumeration.own if " effect " in point]
    if EVERYWHERE:
        await enumeration.everywhere()
    else:
        await enumeration.at(deal([[point] for point in effects], DEATHS))

    print(enumeration.summary())
    assert not enumeration.complaints, "\n".join(enumeration.complaints)
    expected = [point for point in enumeration.own if is_sure(point)] if EVERYWHERE else effects
    assert [point for point in enumeration.missed if point in expected] == []
