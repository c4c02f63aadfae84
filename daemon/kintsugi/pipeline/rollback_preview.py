"""
Previews a rollback before a person confirms it: its commands, the difference of the templates, and the data it would lose.

The lost data are the writes since a restore resumed traffic, as far as they are known: the restoring runbook names the step
(`rollback.dataLossCheck`) that counted the writes of every table by then. The same query is run again; the difference exists
only on the new volume.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kintsugi.actions.probe import ANONYMOUS_PROBE
from kintsugi.actions.workload_reads import find_revisions
from kintsugi.commands import parse
from kintsugi.commands.registry import definitions_by_verb
from kintsugi.decisions.planner import digest_of
from kintsugi.decisions.remedies import adopted_clause
from kintsugi.errors import CommandError, KubeError, ProbeFailed, Refused
from kintsugi.kube.client import KubeClient
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import RollbackPreview
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import ObjectName
from kintsugi.model.records import Phase, RunRecord, SeenWorkload, StepRecord, StepState
from kintsugi.model.runbooks import CommandTemplate, Run, Runbook
from kintsugi.model.services import WorkloadRef
from kintsugi.model.step_path import StepPath
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_preview import ChangePlanner
from kintsugi.runner.context import RunProber
from kintsugi.runner.journal import recalled
from kintsugi.runner.restoring import restore_of
from kintsugi.runner.sections import sections
from kintsugi.runner.seen_workload import seen_of
from kubediagnosis.headline import headline, latest
from kubediagnosis.templates import difference, template_fields, template_of
from kubediagnosis.workload_revisions import current_of

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
class RollbackPreviewer:
    """Previews the rollbacks of runs. `prober` runs commands that only look; nothing is changed, and nothing is kept."""

    ledger: Ledger
    active_catalog: ActiveCatalog
    observed: ObservedState
    prober: RunProber
    kube: KubeClient

    async def preview(self, run: RunRecord) -> RollbackPreview:
        """Return the commands and losses of a run's rollback, with their digest."""
        catalog = await self.active_catalog.by_digest(run.catalog)
        steps = await self.ledger.runs.steps(run.id, strict=False)
        commands = await self._undo_commands(run, catalog.runbooks[run.runbook], steps)
        losses = await losses_of(self.prober, run, catalog, steps)
        number, workload = self._good_revision(run, commands), self.workload(run)
        changes = await self._changes(run, number)
        adopted = number in self.observed.adopted(run.service).values()
        identity = (workload.uid, workload.template, workload.revision) if workload is not None else ()
        return RollbackPreview(
            begun=False,
            text=f"{run.runbook} on {run.service} would be rolled back{adopted_clause(number) if adopted else ''}",
            commands=commands,
            losses=tuple(loss.text for loss in losses),
            wrong=await self._wrong(run),
            changes=changes,
            digest=digest_of(run.id, *commands, *(repr(loss.scale) for loss in losses), changes, repr(identity)),
        )

    def workload(self, run: RunRecord) -> SeenWorkload | None:
        """Return the workload of a run's service as it is shown now, None where the service is no longer in the catalog."""
        view = self.observed.views.get(run.service)
        return seen_of(view) if view is not None else None

    async def _wrong(self, run: RunRecord) -> str:
        kept = await self.ledger.diagnoses.of_incident(run.incident)
        found = latest([each.diagnosis for each in kept])
        return headline(found) if found is not None else ""

    def _good_revision(self, run: RunRecord, commands: Sequence[str]) -> int:
        """Return the number of the last good revision if a rollback leads to it, 0 otherwise."""
        number = self.observed.last_good(run.service)
        return number if any(f"--to-revision={number} " in command for command in commands) else 0

    async def _changes(self, run: RunRecord, number: int) -> str:
        """Return the rollback's difference of templates, where it leads to the last good revision `number`."""
        view = self.observed.views.get(run.service)
        if view is None or not number:
            return ""
        return await difference_to(self.kube, view.service.workload, run.namespace, number)

    def _written(self, command: CommandTemplate, run: RunRecord) -> str:
        """Return a command of the rollback as text; where its values come only later, with the revision that it would go to."""
        view, number = self.observed.views.get(run.service), self.observed.last_good(run.service)
        if definitions_by_verb()[command.verb].rolls_back and view is not None and number:
            return f"kubectl rollout undo {view.service.workload} --to-revision={number} -n {run.namespace}"
        return command.source

    async def _undo_commands(self, run: RunRecord, runbook: Runbook, steps: Sequence[StepRecord]) -> tuple[str, ...]:
        """Return the commands of a rollback: the runbook's own, as far as they are known now, then each undo."""
        made = [step for step in steps if step.changes and step.state is StepState.DONE]
        planner = ChangePlanner(prober=self.prober, observed=self.observed, run=run)
        own = [self._written(step.do.command, run) for step in runbook.rollback.steps if isinstance(step.do, Run)]
        written = [await planner.step(command) for command in own]
        return (*written, *await planner.undos(made))


async def losses_of(
    prober: RunProber, run: RunRecord, catalog: Catalog, steps: Sequence[StepRecord]
) -> tuple[DataLoss, ...]:
    """Return the losses if a run were rolled back now; none when it has restored nothing."""
    found: list[DataLoss] = []
    for path, runbook in sections(catalog.runbooks[run.runbook], catalog):
        restored = restored_at(path, steps) if runbook.replaces_data else None
        if restored is not None:
            found += [await _since(prober, path, runbook, steps, restored), DataLoss(text=KEPT, scale=(KEPT,))]
    return tuple(found)


async def _since(
    prober: RunProber, path: StepPath, runbook: Runbook, steps: Sequence[StepRecord], restored: datetime
) -> DataLoss:
    """Return the writes since a step counted them, or why they cannot be known."""
    everything = f"all writes since the restore at {_clock(restored)}"
    counted = next((each for each in steps if each.step_path == path.down(runbook.rollback.data_loss_check)), None)
    if not runbook.rollback.data_loss_check or counted is None or counted.met is not True or counted.finished is None:
        why = "the amount is unknown, because no step counted the rows before traffic resumed"
        return _unknown(str(path), f"{everything}; {why}")
    try:
        answer = await prober.read(parse(counted.text), deadline=COUNT_TIMEOUT, probe_context=ANONYMOUS_PROBE)
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


async def difference_to(kube: KubeClient, workload: WorkloadRef, namespace: str, number: int) -> str:
    """Return from which revision to which it would go, and what each has; "" where that cannot be read."""
    asked = ObjectName(resource=workload.resource, name=workload.name)
    try:
        found = await kube.get(workload.resource, workload.name, namespace)
        revisions = await find_revisions(kube, asked, found, ())
    except KubeError:
        return ""
    target, current = next((each for each in revisions if each.number == number), None), current_of(revisions)
    if target is None or current is None:
        return ""
    had, gets = difference(template_fields(template_of(found)), template_fields(target.pods))
    left, right = (f" ({words})" if words else "" for words in (had, gets))
    return f"{workload} from revision {current.number}{left} to {number}{right}"
