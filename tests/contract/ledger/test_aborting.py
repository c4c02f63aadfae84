"""What people abort is kept before it takes effect, with who and why."""

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.history import Abort, Rejection
from kintsugi.model.records import IncidentState
from kintsugi.model.run_update import RunUpdate
from tests.contract.ledger.build import HOUR, MINUTE, NOW, begin


def abort(incident: str, who: str = "ann") -> Abort:
    """Make an abort."""
    return Abort(incident=incident, who=who, why="a deploy", requested=NOW)


async def test_an_abort_is_kept_once_with_who_and_why(ledger: Ledger) -> None:
    run = await begin(ledger)
    assert await ledger.incidents.abort_of(run.incident) is None
    assert await ledger.incidents.abort(abort(run.incident)) == abort(run.incident)
    assert await ledger.incidents.abort(abort(run.incident, "bob")) == abort(run.incident), "the first one stays"
    assert await ledger.incidents.abort_of(run.incident) == abort(run.incident)
    await ledger.runs.move_run(run.id, IncidentState.CANCELLED, "aborted", NOW)
    assert await ledger.incidents.abort(abort(run.incident)) == abort(run.incident), "its answer was lost"


async def test_an_incident_that_is_closed_cannot_be_aborted(ledger: Ledger) -> None:
    run = await begin(ledger)
    await ledger.runs.move_run(run.id, IncidentState.RECOVERED, "it is well", NOW)
    with pytest.raises(WrongState, match="is recovered: there is nothing to abort"):
        await ledger.incidents.abort(abort(run.incident))
    with pytest.raises(NotRecorded, match="no incident inc-9"):
        await ledger.incidents.abort(abort("inc-9"))


@pytest.mark.parametrize("state", [IncidentState.ROLLING_BACK, IncidentState.AWAITING_APPROVAL])
async def test_a_rollback_cannot_be_aborted(ledger: Ledger, state: IncidentState) -> None:
    """Neither under way, nor while one of its steps asks a person; also where the incident was aborted before."""
    run = await begin(ledger)
    await ledger.incidents.abort(abort(run.incident))
    await ledger.runs.move_run(
        run.id, IncidentState.ROLLING_BACK, "back", NOW, updates=RunUpdate(steps_finished_at=NOW)
    )
    await ledger.runs.move_run(run.id, state, "back", NOW)
    with pytest.raises(WrongState, match=r"the run is rolling back, .* kintsugi pause --service web --freeze"):
        await ledger.incidents.abort(abort(run.incident))


async def test_an_aborted_incident_is_in_the_history_of_its_service(ledger: Ledger) -> None:
    run = await begin(ledger)
    await begin(ledger, "api")
    await ledger.incidents.abort(abort(run.incident))
    no = Rejection(text=f"incident {run.incident} was aborted by ann: a deploy", rejected=NOW)
    assert (await ledger.run_requests.history("web", "shop", NOW + MINUTE)).rejections == (no,)
    assert (await ledger.run_requests.history("api", "shop", NOW + MINUTE)).rejections == ()
    assert (await ledger.run_requests.history("web", "shop", NOW + 4 * HOUR)).rejections == ()
