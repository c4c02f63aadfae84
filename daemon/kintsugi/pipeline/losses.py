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
class Loss:
    """
    One thing that would be lost, for people in `text`.

    `scale` is what a person agrees to: the same with numbers to their power of ten only, since a live database goes on
    while they think, and one more row makes it no other question.
    """

    text: str
    scale: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Losses:
    """Asks the database once more. `looker` does commands that only look."""

    looker: Looker

    async def of(self, run: RunRecord, catalog: Catalog, steps: Sequence[StepRecord]) -> tuple[Loss, ...]:
        """Say what would be lost if a run were taken back now; nothing when it has restored nothing."""
        found: list[Loss] = []
        for path, runbook in restores_of(catalog.runbooks[run.runbook], catalog):
            restored = restored_at(path, steps)
            if restored is not None:
                found += [await self._since(path, runbook, steps, restored), Loss(text=KEPT, scale=(KEPT,))]
        return tuple(found)

    async def _since(self, path: str, runbook: Runbook, steps: Sequence[StepRecord], restored: datetime) -> Loss:
        """Say what has been written since a step counted it, or why that cannot be known."""
        everything = f"whatever was written since the restore at {_clock(restored)}"
        counted = next((each for each in steps if each.path == _below(path, runbook.rollback.loses)), None)
        if not runbook.rollback.loses or counted is None or counted.met is not True or counted.finished is None:
            why = "how much that is cannot be known, because nothing was counted before traffic was resumed"
            return _unknown(path, f"{everything}; {why}")
        try:
            answer = await self.looker.look(parse(counted.text), deadline=PATIENCE, asker=NOBODY)
        except (CommandError, KubeError, ProbeFailed, Refused) as error:
            return _unknown(path, f"{everything}; how much that is cannot be known now: {error}")
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


def written_since(before: Counts, now: Counts, moment: datetime) -> Loss:
    """Tell the difference, table by table. Counters that went back (the server has crashed since) tell nothing."""
    nothing = (0,) * len(COUNTED)
    differences = {
        table: tuple(after - earlier for after, earlier in zip(seen, before.get(table, nothing), strict=True))
        for table, seen in now.items()
    }
    if not now or before.keys() - now.keys() or any(min(each) < 0 for each in differences.values()):
        why = "how much that is cannot be known: the counters began anew"
        return _unknown(_clock(moment), f"whatever was written since {_clock(moment)}; {why}")
    told = [
        f"{table}: " + ", ".join(f"{number} rows {name}" for number, name in zip(each, COUNTED, strict=True) if number)
        for table, each in differences.items()
        if any(each)
    ]
    text = f"written since {_clock(moment)}: " + ("; ".join(told) or "nothing that the database has counted")
    scale = sorted(
        f"{table}: {[len(str(number)) if number else 0 for number in each]}" for table, each in differences.items()
    )
    return Loss(text=text, scale=(_clock(moment), *scale))


def _unknown(what: str, text: str) -> Loss:
    return Loss(text=text, scale=(what, "unknown"))


def _below(path: str, step: str) -> str:
    return f"{path}/{step}" if path else step


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
