"""A step of a run about all services starts one run of a service, or joins the one that is under way."""

from dataclasses import replace

import pytest

from kintsugi.errors import WrongState
from kintsugi.ledger import Ledger, RunRequest
from kintsugi.model.records import IncidentState, RunRecord, VerdictKind
from kintsugi.model.services import STACK
from tests.contract.ledger.build import MINUTE, NOW, begin, hold, refuse_to_decide, run_request, signal, start, started


async def parent_of(ledger: Ledger) -> RunRecord:
    """Start a run about all services."""
    return await begin(ledger, STACK, namespace="")


def of(parent: RunRecord, step: str = "data/web", *, service: str = "web") -> RunRequest:
    """Make the claim of a step of another run."""
    return replace(run_request(service=service), parent=parent.id, parent_step=step)


async def test_a_step_starts_one_run_however_often_it_asks(ledger: Ledger) -> None:
    """P2: the answer to the first claim may have been lost; and the run may be over when it is asked for again."""
    parent = await parent_of(ledger)
    first = await ledger.run_requests.request_run(of(parent), start, NOW)
    run = started(first)
    assert (run.parent, run.parent_step) == (parent.id, "data/web")
    assert (await ledger.run_requests.request_run(of(parent), refuse_to_decide, NOW)).run == run
    over = await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW)
    assert (await ledger.run_requests.request_run(of(parent), refuse_to_decide, NOW)).run == over
    assert await ledger.runs.children_of(parent.id) == (over,)


async def test_steps_of_one_run_start_runs_of_their_own(ledger: Ledger) -> None:
    parent = await parent_of(ledger)
    web = started(await ledger.run_requests.request_run(of(parent, "web"), start, NOW))
    api = started(await ledger.run_requests.request_run(of(parent, "api", service="api"), start, NOW + MINUTE))
    assert await ledger.runs.children_of(parent.id) == await ledger.runs.open_children_of(parent.id) == (web, api)
    assert await ledger.runs.children_of(web.id) == ()


async def test_the_open_runs_that_a_run_has_started_are_those_that_are_not_over(ledger: Ledger) -> None:
    parent = await parent_of(ledger)
    web = started(await ledger.run_requests.request_run(of(parent, "web"), start, NOW))
    api = started(await ledger.run_requests.request_run(of(parent, "api", service="api"), start, NOW + MINUTE))
    over = await ledger.runs.move_run(web.id, IncidentState.RECOVERED, "it is well", NOW)
    assert await ledger.runs.children_of(parent.id) == (over, api)
    assert await ledger.runs.open_children_of(parent.id) == (api,)


async def test_a_child_takes_over_the_incident_of_its_service_that_is_held(ledger: Ledger) -> None:
    """P9: the signals that were held get the child's verdict."""
    parent, told = await parent_of(ledger), signal()
    await ledger.signals.accept([told], NOW)
    held = (await ledger.run_requests.request_run(run_request(told), hold, NOW)).incident
    assert held is not None
    run = started(await ledger.run_requests.request_run(of(parent), start, NOW))
    assert run.incident == held.id
    assert (await ledger.incidents.get(held.id)).state is IncidentState.RUNNING
    ((_, verdict),) = await ledger.signals.of_incident(held.id)
    assert verdict is not None
    assert verdict.kind is VerdictKind.STARTED


async def test_a_child_joins_the_run_that_its_service_has_under_way(ledger: Ledger) -> None:
    """P2."""
    parent = await parent_of(ledger)
    own = await begin(ledger, "web")
    joined = await ledger.run_requests.request_run(of(parent), refuse_to_decide, NOW)
    assert (joined.verdict.kind, joined.run) == (VerdictKind.ATTACHED, own)
    assert await ledger.runs.children_of(parent.id) == ()


async def test_a_run_about_all_services_has_nothing_to_take_back(ledger: Ledger) -> None:
    parent = await parent_of(ledger)
    await ledger.runs.move_run(parent.id, IncidentState.RECOVERED, "all is well", NOW)
    with pytest.raises(WrongState, match="roll back the runs that it started"):
        await ledger.runs.reopen_run(parent.id, "asked for", NOW, who="ana")
