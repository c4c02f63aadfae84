"""A section is completed once it has begun: the example of docs/runbooks.md is, in a run of another runbook."""

import pytest

from kintsugi.catalog import CatalogErrors
from kintsugi.decisions.planner import parameters_for
from kintsugi.model.records import IncidentState
from kintsugi.model.step_path import RUN
from kintsugi.runner.sections import Section
from tests.unit.catalog.test_guides import GUIDES, examples
from tests.unit.factories import catalog, runbook_text
from tests.unit.runner.bench import RunBench

pytestmark = pytest.mark.looptime

EXAMPLE = next(each for each in examples(GUIDES[1]) if "completeOnceBegun: true" in each)
STOP = "kubectl scale deployment api-deployment --replicas=0 -n production"
RESTART = "kubectl rollout restart deployment/web -n production"
START = "kubectl scale deployment api-deployment --replicas=3 -n production"


def bench(example: str = EXAMPLE) -> RunBench:
    """Have a run whose runbook runs the example; the service looks well as soon as the writers are stopped."""
    made = RunBench("- {id: switch, runbook: restart-without-writers}", documents=(example,))
    made.actor.on_change = lambda text: made.heal() if text == STOP else None
    return made


async def test_a_section_goes_to_its_end_though_the_trigger_ends() -> None:
    story = bench()
    assert (await story.drive()).state is IncidentState.RECOVERED
    assert story.effects == [STOP, RESTART, START]


async def test_a_runbook_that_is_no_section_skips_what_is_no_longer_needed() -> None:
    story = bench(EXAMPLE.replace("completeOnceBegun: true", "completeOnceBegun: false"))
    await story.drive()
    assert RESTART not in story.effects


async def test_a_section_that_another_one_runs_is_part_of_it() -> None:
    """What it may stop is added to what the outer one may stop."""
    outer = "completeOnceBegun: true\nparameters: {more: {type: [workload], default: [deployment/more]}}"
    story = RunBench("- {id: switch, runbook: restart-without-writers}", documents=(EXAMPLE,), more=outer)
    service = story.catalog.services["web"]
    section = Section.of(story.runbook, service, parameters_for(story.runbook, service), RUN)
    inner = story.catalog.runbooks["restart-without-writers"]
    section = Section.of(inner, service, parameters_for(inner, service), RUN.down("switch"), section)
    assert section is not None
    assert section.path == RUN
    assert section.stoppable_workloads == {"deployment/web", "deployment/more", "deployment/api-deployment"}


async def test_a_section_that_stops_is_left_for_a_person() -> None:
    story = bench(EXAMPLE.replace("expect: service.healthy", "expect: service.ready > 9"))
    ended = await story.drive()
    assert (ended.state, story.effects) == (IncidentState.NEEDS_OPERATOR, [STOP, RESTART])
    assert ended.reason.startswith("Restart without writers is left as it is for a person: stopped at switch/restart")


@pytest.mark.parametrize(
    "command", ["pg_restore -e -1 -h database -U postgres -d app /backups/a.dump", "kubectl delete pvc data"]
)
def test_a_runbook_that_replaces_data_must_be_a_section(command: str) -> None:
    steps = f"- {{id: group, steps: [{{id: replace, run: {command}}}]}}"
    with pytest.raises(CatalogErrors, match="write `completeOnceBegun: true`"):
        catalog(runbook_text(steps))
    assert catalog(runbook_text(steps, more="completeOnceBegun: true")).runbooks["mend"].complete_once_begun
