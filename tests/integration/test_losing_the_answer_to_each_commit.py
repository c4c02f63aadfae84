"""The answer to each commit of a story is lost in turn, on PostgreSQL: nothing of it is left to nobody."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from kintsugi.model.records import IncidentState
from tests.harness import ledgers
from tests.harness.postgres import Postgres
from tests.integration.lossy_ledger import LossyConnection, lossy
from tests.integration.lossy_story import LossyStory, LossyStoryEnd

pytestmark = pytest.mark.long

AT_ONCE = 4
"""Stories told at the same time: they mostly wait."""

WELL = LossyStoryEnd(
    unjudged=0,
    open_runs=(),
    open_incidents=(),
    incidents=[
        ("api", IncidentState.RECOVERED),
        ("jobs", IncidentState.RECOVERED),
        ("web", IncidentState.RECOVERED),
    ],
    runs={"api": 1, "jobs": 0, "web": 1},
    effects=[
        "kubectl scale deployment api --replicas=2 -n production",
        "kubectl scale deployment web --replicas=2 -n production",
    ],
    doubled=[],
)
"""How the story ends, whatever was lost: each signal evaluated, each run over, each change made once, nothing said twice."""

MUST_BE_MADE = (
    "accept", "request-run api started", "request-run web held", "request-run web awaiting-approval", "ask ", "approve ", "start-held web",
    "save-step ask#0 intent", "move-run recovered web", "move-incident jobs recovered", "settle", "pause", "resume",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(postgres_server: Postgres) -> Iterator[str]:
    """Return the URL of a database with the tables of a ledger, to be copied."""
    dsn = postgres_server.create_database("lossy_made")
    asyncio.run(ledgers.make(dsn))
    yield dsn
    postgres_server.drop_database(dsn)


class LossyRepetition:
    """Runs the story on databases of a server, each time on a fresh one."""

    def __init__(self, server: Postgres, made: str) -> None:
        self._server, self._made = server, made
        self._at_once, self._opening = asyncio.Semaphore(AT_ONCE), asyncio.Lock()

    async def tell(self, point: str = "", *, lands: bool = True) -> tuple[LossyStoryEnd, LossyConnection]:
        """Return the story once, with one answer lost."""
        async with self._at_once:
            dsn = await asyncio.to_thread(self._server.create_database, "lossy", like=self._made)
            try:
                async with AsyncExitStack() as stack:
                    async with self._opening:  # the schema is brought up to date by one at a time in a process
                        opened = stack.enter_async_context(lossy(dsn, point=point, lands=lands))
                        ledger, line = await opened
                    return await LossyStory(ledger=ledger).tell(), line
            finally:
                await asyncio.to_thread(self._server.drop_database, dsn)

    async def trouble(self, point: str, *, lands: bool) -> str:
        """Return how the story went wrong with that answer lost; nothing when it ended well."""
        where = f"{point} ({'it landed' if lands else 'it did not land'})"
        try:
            end, line = await self.tell(point, lands=lands)
        except Exception as error:  # noqa: BLE001 - one story that fails must not hide how the others ended
            return f"{where}: {error!r}"
        if (line.lost, line.surfaced) != (1, 1):
            return f"{where}: lost {line.lost}, told to its caller {line.surfaced}; passed {line.passed}"
        return "" if end == WELL else f"{where}: {end}"


def points_of(passed: list[str]) -> list[str]:
    """Take the first commit of each kind, and every delivery: how often the others are repeated hangs on the machine."""
    return [name for name in passed if name.endswith(" 1") or name.startswith("accept ")]


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_no_run_and_no_signal_is_left_alone_whichever_answer_is_lost(
    postgres_server: Postgres, made: str
) -> None:
    """D2, P2, P5, P9: each open run has a task, each signal a verdict, each run ends, each change is made once."""
    telling = LossyRepetition(postgres_server, made)
    with capture_logs():
        end, line = await telling.tell()
        assert end == WELL
        points = points_of(line.passed)
        assert [each for each in MUST_BE_MADE if not any(name.startswith(each) for name in points)] == [], points
        lost = [(point, True) for point in points] + [(point, False) for point in points[::4]]
        troubles = await asyncio.gather(*(telling.trouble(point, lands=lands) for point, lands in lost))
    print(f"N = {len(lost)}: {len(points)} commits, each answer lost in turn, and every fourth commit itself")
    print(", ".join(points))
    assert [each for each in troubles if each] == []
