"""
The data that a rollback of a restore would lose: the writes since traffic was resumed, as far as they are known.

The restoring runbook names the step (`rollback.dataLossCheck`) that counted the writes of every table by then. The same query
is run again; the difference exists only on the new volume.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kintsugi.actions.probe_context import ANONYMOUS_PROBE
from kintsugi.actions.prober import Prober
from kintsugi.commands import parse
from kintsugi.errors import CommandError, KubeError, ProbeFailed, Refused
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import Phase, RunRecord, StepRecord, StepState
from kintsugi.model.runbooks import Runbook
from kintsugi.model.step_path import StepPath
from kintsugi.runner.journal import recalled
from kintsugi.runner.restoring import restore_of
from kintsugi.runner.sections import sections

COUNTED = ("inserted", "updated", "deleted")
COUNT_TIMEOUT = timedelta(seconds=20)
KEPT = "both volumes are kept; the removed data stay on the new volume"

Counts = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataLoss:
    """
    One thing that would be lost, for people in `text`.

    `scale` is the text that a person confirms: with numbers rounded to powers of ten, since a live database changes
    meanwhile, and one more row does not make it another question.
    """

    text: str
    scale: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataLossEstimator:
    """Queries the database again. `prober` runs commands that only look."""

    prober: Prober

    async def of(self, run: RunRecord, catalog: Catalog, steps: Sequence[StepRecord]) -> tuple[DataLoss, ...]:
        """Return the losses if a run were rolled back now; none when it has restored nothing."""
        found: list[DataLoss] = []
        for path, runbook in sections(catalog.runbooks[run.runbook], catalog):
            restored = restored_at(path, steps) if runbook.replaces_data else None
            if restored is not None:
                found += [await self._since(path, runbook, steps, restored), DataLoss(text=KEPT, scale=(KEPT,))]
        return tuple(found)

    async def _since(
        self, path: StepPath, runbook: Runbook, steps: Sequence[StepRecord], restored: datetime
    ) -> DataLoss:
        """Return the writes since a step counted them, or why they cannot be known."""
        everything = f"all writes since the restore at {_clock(restored)}"
        counted = next((each for each in steps if each.step_path == path.down(runbook.rollback.data_loss_check)), None)
        if (
            not runbook.rollback.data_loss_check
            or counted is None
            or counted.met is not True
            or counted.finished is None
        ):
            why = "the amount is unknown, because no step counted the rows before traffic resumed"
            return _unknown(str(path), f"{everything}; {why}")
        try:
            answer = await self.prober.read(parse(counted.text), deadline=COUNT_TIMEOUT, probe_context=ANONYMOUS_PROBE)
        except (CommandError, KubeError, ProbeFailed, Refused) as error:
            return _unknown(str(path), f"{everything}; the amount is unknown now: {error}")
        return written_since(counts(recalled(counted.result)), counts(answer.names), counted.finished)


def restored_at(path: StepPath, steps: Iterable[StepRecord]) -> datetime | None:
    """Return when a restore at a path put data into the database, None when it did not."""
    moments = [
        step.finished
        for step in steps
        if step.phase is Phase.FORWARD
        and step.step_path.is_below(path)
        and step.state is StepState.DONE
        and step.changes
        and restore_of(step) is not None
    ]
    return max((moment for moment in moments if moment is not None), default=None)


def counts(names: Mapping[str, object]) -> Counts:
    """Return the inserts, updates and deletes by table from the rows of the counting query."""
    rows = names.get("rows")
    found: dict[str, tuple[int, ...]] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and {"schemaname", "relname", *COUNTED} <= row.keys():
            numbers = [row[name] for name in COUNTED]
            found[f"{row['schemaname']}.{row['relname']}"] = tuple(
                int(each) for each in numbers if isinstance(each, int)
            )
    return found


def written_since(before: Counts, now: Counts, moment: datetime) -> DataLoss:
    """Return the difference by table. Counters that decreased (the server has crashed since) are ignored."""
    zeros = (0,) * len(COUNTED)
    differences = {
        table: tuple(after - earlier for after, earlier in zip(seen, before.get(table, zeros), strict=True))
        for table, seen in now.items()
    }
    if not now or before.keys() - now.keys() or any(min(each) < 0 for each in differences.values()):
        why = "the amount is unknown, because the counters were reset"
        return _unknown(_clock(moment), f"all writes since {_clock(moment)}; {why}")
    lines = [
        f"{table}: " + ", ".join(f"{number} rows {name}" for number, name in zip(each, COUNTED, strict=True) if number)
        for table, each in differences.items()
        if any(each)
    ]
    text = f"written since {_clock(moment)}: " + ("; ".join(lines) or "no counted writes")
    scale = sorted(
        f"{table}: {[len(str(number)) if number else 0 for number in each]}" for table, each in differences.items()
    )
    return DataLoss(text=text, scale=(_clock(moment), *scale))


def _unknown(what: str, text: str) -> DataLoss:
    return DataLoss(text=text, scale=(what, "unknown"))


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
