"""
What a person loses who takes a restore back: what has been written since traffic was resumed, as far as it can be known.

The restoring runbook names the step (`rollback.loses`) that counted what every table had seen written by then. The same
question is asked again; the difference is what the new volume has and the old one has not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kintsugi.actions.asker import NOBODY
from kintsugi.commands import parse
from kintsugi.errors import CommandError, KubeError, ProbeFailed, Refused
from kintsugi.model.command import PgRestore
from kintsugi.model.documents import Catalog, Runbook
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState
from kintsugi.runner.restoring import restores_below
from kintsugi.runner.storage import recalled
from kintsugi.runner.tools import Looker

COUNTED = ("inserted", "updated", "deleted")
PATIENCE = timedelta(seconds=20)
KEPT = "both volumes are kept: the data that are taken away now can be had from the new one"

Counts = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """Asks the database once more. `looker` does commands that only look."""

    looker: Looker

    async def of(self, run: RunRecord, catalog: Catalog, steps: Sequence[StepRecord]) -> tuple[str, ...]:
        """Say what would be lost if a run were taken back now; nothing when it has restored nothing."""
        found: list[str] = []
        for path, runbook in restores_of(catalog.runbooks[run.runbook], catalog):
            restored = restored_at(path, steps)
            if restored is not None:
                found += [await self._since(path, runbook, steps, restored), KEPT]
        return tuple(found)

    async def _since(self, path: str, runbook: Runbook, steps: Sequence[StepRecord], restored: datetime) -> str:
        """Say what has been written since a step counted it, or why that cannot be known."""
        everything = f"whatever was written since the restore at {_clock(restored)}"
        counted = next((each for each in steps if each.path == _below(path, runbook.rollback.loses)), None)
        if not runbook.rollback.loses or counted is None or counted.met is not True or counted.finished is None:
            return f"{everything}; how much that is cannot be known, because nothing was counted before traffic was resumed"
        try:
            answer = await self.looker.look(parse(counted.text), deadline=PATIENCE, asker=NOBODY)
        except (CommandError, KubeError, ProbeFailed, Refused) as error:
            return f"{everything}; how much that is cannot be known now: {error}"
        return written_since(counts(recalled(counted.result)), counts(answer.names), counted.finished)


def restores_of(runbook: Runbook, catalog: Catalog) -> Iterator[tuple[str, Runbook]]:
    """List the restores of a runbook by their paths: itself at "", and those that its steps run."""
    if runbook.restores:
        yield "", runbook
    yield from restores_below(runbook.steps, catalog)


def restored_at(path: str, steps: Iterable[StepRecord]) -> datetime | None:
    """Say when a restore at a path put data into the database, None when it did not."""
    prefix = _below(path, "")
    moments = [
        step.finished
        for step in steps
        if step.phase is Phase.FORWARD
        and step.path.startswith(prefix)
        and step.state is StepState.DONE
        and step.command is not None
        and step.command.get("command") == PgRestore.__name__
    ]
    return max((moment for moment in moments if moment is not None), default=None)


def counts(names: Mapping[str, object]) -> Counts:
    """Read the rows of the counting question: by table what was inserted, updated and deleted."""
    rows = names.get("rows")
    found: dict[str, tuple[int, ...]] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and {"schemaname", "relname", *COUNTED} <= row.keys():
            numbers = [row[name] for name in COUNTED]
            found[f"{row['schemaname']}.{row['relname']}"] = tuple(
                int(each) for each in numbers if isinstance(each, int)
            )
    return found


def written_since(before: Counts, now: Counts, moment: datetime) -> str:
    """Tell the difference, table by table. Counters that went back (the server has crashed since) tell nothing."""
    nothing = (0,) * len(COUNTED)
    differences = {
        table: tuple(after - earlier for after, earlier in zip(seen, before.get(table, nothing), strict=True))
        for table, seen in now.items()
    }
    if not now or before.keys() - now.keys() or any(min(each) < 0 for each in differences.values()):
        return f"whatever was written since {_clock(moment)}; how much that is cannot be known: the counters began anew"
    told = [
        f"{table}: " + ", ".join(f"{number} rows {name}" for number, name in zip(each, COUNTED, strict=True) if number)
        for table, each in differences.items()
        if any(each)
    ]
    return f"written since {_clock(moment)}: " + ("; ".join(told) or "nothing that the database has counted")


def _below(path: str, step: str) -> str:
    return f"{path}/{step}" if path else step


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
