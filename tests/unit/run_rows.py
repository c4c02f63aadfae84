"""The in-memory ledger with one run in it, whose rows a test reads and writes without waiting."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Table, delete, insert, select

from kintsugi.ledger import Ledger
from kintsugi.ledger.store.rows import columns, read_strictly, values
from kintsugi.ledger.store.tables import evidence, incidents, runs, steps
from kintsugi.model.records import Incident, Phase, RunRecord, StepRecord, StepState
from tests.harness.ledgers import LedgerAtOnce
from tests.unit.executor.power import Power

Row = Incident | RunRecord | StepRecord
_TABLES: dict[type[Row], Table] = {Incident: incidents, RunRecord: runs, StepRecord: steps}
OTHER = "run-2"
"""The run of another service, `other`."""

_VERBS = {"save-step": "", "keep-evidence": "evidence"}
"""What the story of a run says in place of a commit's name."""


def change_of(run: str, text: str, *, at: datetime) -> StepRecord:
    """Return a change that a run made in its namespace at a moment."""
    return StepRecord(
        run=run,
        path=text,
        text=text,
        state=StepState.DONE,
        changes=True,
        namespace="production",
        started=at,
        finished=at,
    )


class Commits:
    """
    A ledger's failpoints that note each commit: `states` are those of steps, in their order.

    `power` may end the process before or after any commit.
    """

    def __init__(self) -> None:
        self.power = Power()
        self.states: list[StepState] = []

    def hit(self, kind: str, name: str, *, before: bool) -> None:
        """Pass one side of a commit, and note what it was."""
        if before:
            self.power.hit(f"before the {kind} {name}")
            return
        verb, _, about = name.partition(" ")
        if verb == "save-step":
            self.states.append(StepState(about.rpartition(" ")[2]))
        self.power.tell(f"{_VERBS.get(verb, verb)} {about}".strip())
        self.power.hit(f"after the {kind} {name}")


class RunRows:
    """What the ledger has of one run, and what else a test lets stand there."""

    def __init__(self, run: RunRecord, about: Incident) -> None:
        self.commits = Commits()
        self._memory = LedgerAtOnce(self.commits)
        self._run, self._about = run, about
        self.add(about, run)

    @property
    def ledger(self) -> Ledger:
        """The ledger that the run works with."""
        return self._memory.ledger

    def add(self, *rows: Row) -> None:
        """Write rows in this order; a run comes after its incident, a step after its run."""
        with self._memory.writing() as connection:
            for row in rows:
                connection.execute(insert(_TABLES[type(row)]).values(values(row)))

    def known(self, path: str, phase: Phase = Phase.FORWARD) -> StepRecord | None:
        """Return what is kept of a step."""
        where = (steps.c.run == self._run.id, steps.c.phase == phase, steps.c.path == path)
        with self._memory.reading() as connection:
            row = connection.execute(select(*columns(StepRecord, steps)).where(*where)).one_or_none()
        return None if row is None else read_strictly(StepRecord, row)

    @property
    def evidence(self) -> list[tuple[str, str, str]]:
        """What was kept before it was changed: of which step, of what kind, and the text."""
        query = select(evidence.c.path, evidence.c.kind, evidence.c.text).order_by(evidence.c.number)
        with self._memory.reading() as connection:
            return [(row.path, row.kind, row.text) for row in connection.execute(query)]

    def add_other(self) -> None:
        """Let another service have a run under way."""
        about = replace(self._about, id=f"inc-of-{OTHER}", service="other")
        self.add(about, replace(self._run, id=OTHER, incident=about.id, service="other"))

    def disrupt(self, *given: StepRecord) -> None:
        """Let changes of another run stand in the ledger in place of those that stood there."""
        with self._memory.writing() as connection:
            connection.execute(delete(steps).where(steps.c.run != self._run.id))
        self.add(*given)
