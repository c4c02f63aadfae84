"""A person ends the rest of a service after a hand-over: its signals are evaluated anew at once."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from kintsugi.errors import NotRecorded, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import ActivityKind
from kintsugi.model.records import IncidentState, Reason, VerdictKind
from kintsugi.pipeline.operator_service import OperatorService
from tests.harness.ledger_rows import keep
from tests.unit.factories import NOW, incident, moment, run, signal
from tests.unit.pipeline.business import PipelineBench

pytestmark = pytest.mark.looptime


class OperatorBench(PipelineBench):
    """A daemon on a ledger, and what people ask of it; `untold` has by service for how long nobody was notified."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger=ledger)
        self.untold: dict[str, timedelta] = {}
        supervisor: Any = SimpleNamespace(timings=None)
        others = ("explainer", "drill_scheduler", "manual_starts", "reread", "diagnoser", "diagnoses", "rollbacks")
        parts: dict[str, Any] = {
            **dict.fromkeys(others),
            "outages": SimpleNamespace(unnotified=self.untold, notifies=False),
            "supervisor": supervisor,
            "unresolved": str,
        }
        self.operator = OperatorService(
            cluster="",
            since=NOW,
            ledger=ledger,
            active_catalog=self.active_catalog,
            observed=self.observed,
            pipeline=self.pipeline,
            **parts,
        )

    async def resume(self, of: str = "inc-1") -> None:
        """Let ana resume it."""
        await self.operator.resume(of, who="ana", why="the disk has room")

    async def current(self) -> ActivityKind:
        """Return what happens with web."""
        (web,) = (await self.operator.services()).services
        return web.activity.kind


async def handed_over(ledger: Ledger, state: IncidentState = IncidentState.NEEDS_OPERATOR) -> OperatorBench:
    """Return a daemon whose web service had a run that ended so five minutes ago."""
    ended = replace(run(), state=state, started=moment(minutes=-20), finished=moment(minutes=-5))
    await keep(ledger, replace(incident(), state=state, opened=ended.started, closed=ended.finished), ended)
    return OperatorBench(ledger)


async def test_a_resumed_service_is_evaluated_anew_and_the_next_daemon_knows_it(ledger: Ledger) -> None:
    bench, given = await handed_over(ledger), signal()
    refused = await bench.judged(given)
    assert (refused.reason, "kintsugi resume inc-1 --why TEXT" in refused.text) == (Reason.HUMAN, True)
    assert await bench.current() is ActivityKind.HANDED_OVER

    await bench.resume()
    assert await bench.current() is not ActivityKind.HANDED_OVER
    next_daemon = OperatorBench(ledger)
    await next_daemon.pipeline.step()
    assert (await next_daemon.verdicts())[given.id].kind is VerdictKind.STARTED
    assert len(next_daemon.supervisor.started) == 1
    resumed = (await next_daemon.operator.incident("inc-1")).resumed
    assert resumed is not None
    assert (resumed.who, resumed.why, resumed.since) == ("ana", "the disk has room", NOW)


@pytest.mark.parametrize("state", [IncidentState.RECOVERED, IncidentState.CANCELLED, IncidentState.RUNNING])
async def test_an_incident_that_was_not_handed_over_is_not_resumed(ledger: Ledger, state: IncidentState) -> None:
    bench = await handed_over(ledger, state)
    with pytest.raises(WrongState, match=f"incident inc-1 is {state}: it has not ended in a hand-over"):
        await bench.resume()
    with pytest.raises(NotRecorded, match="neither a pause nor an incident inc-9"):
        await bench.resume("inc-9")


async def test_a_rest_that_is_over_is_not_ended(ledger: Ledger) -> None:
    """By a person, or because the service was well for long enough."""
    bench = await handed_over(ledger)
    limits = bench.observed.limits
    bench.cluster.run("web-3")
    bench.cluster.services.refresh(everything=True)
    bench.observed.limits = replace(limits, good_after=timedelta())
    assert await bench.current() is not ActivityKind.HANDED_OVER
    with pytest.raises(WrongState, match="incident inc-1: web does not rest after this hand-over, or no longer"):
        await bench.resume()
    bench.observed.limits = limits
    await bench.resume()
    with pytest.raises(WrongState, match="or no longer"):
        await bench.resume()


async def test_the_daemon_counts_the_services_that_are_down_and_of_which_no_person_was_notified(ledger: Ledger) -> None:
    """P11."""
    bench = OperatorBench(ledger)
    bench.untold.update(web=timedelta(minutes=1), api=timedelta())
    status = (await bench.operator.services()).daemon
    assert (status.unnotified, status.notifies) == (1, False)
