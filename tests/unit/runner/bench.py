"""One run of the runbook `mend` on the service web, from its start or from where a dead process left it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from textwrap import dedent
from typing import Any, Protocol

from msgspec import structs

from kintsugi.actions.effect_plan import undone_by
from kintsugi.actions.job_effect import JobStage, JobState, ending
from kintsugi.decisions.guards import Limits
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import Command
from kintsugi.model.history import RunRemedies
from kintsugi.model.records import IncidentState, Phase, RunRecord, Signal, SignalStatus, StepRecord, UndoRecord
from kintsugi.model.rules import RuleSource
from kintsugi.model.views import ServiceView
from kintsugi.runner import Journal, RunnerDeps
from kintsugi.runner.context import Diagnoses
from kintsugi.runner.driver import RunDriver
from kintsugi.runner.gate import RunGate
from kintsugi.runner.run_watchdog import RunWatchdog
from kintsugi.runner.seen_workload import seen_of
from kintsugi_restore.commands import BackupFetch, PgRestore
from kubeobjects import predicates
from kubeobjects.kept import Pod
from tests.harness.daemon import ROOT
from tests.unit.as_ledger import as_ledger
from tests.unit.executor.power import Power, PowerCutError
from tests.unit.executor.scripted_actor import ContainedCall, ScriptedActor, undo_of
from tests.unit.factories import (
    catalog,
    incident,
    moment,
    pause,
    pod,
    rule_text,
    run,
    runbook_text,
    service_text,
    signal,
    virtual_clock,
)
from tests.unit.runner.fakes import RunLedger, ScriptedProber, ShownState, runner_deps
from tests.unit.virtual import play

TIMEOUT = WatchdogTimings(
    verify=timedelta(minutes=2), alert_lag=timedelta(minutes=15), failing_for=timedelta(minutes=3)
)
SCALE = "kubectl scale deployment web --replicas=5 -n production"

LIMITS = Limits()


class Driver(Protocol):
    """Drives a run of any kind."""

    async def drive(self) -> RunRecord: ...
    def request_abort(self, reason: str) -> None: ...
    def request_rollback(self, who: str) -> None: ...


class RunBench:
    """
    A run with everything that it works with.

    The service web has one of three pods ready (`found`) and its signal fires, until a change is made whose text begins with
    `heals` (or `heal` is called): then all is well after `heals_after`. Looks are answered by `answers`, by the beginnings of
    their texts; `script` says what happens at the first calls of the actor, and each change `takes` so many seconds.
    """

    LEDGER: type[RunLedger] = RunLedger

    def __init__(
        self,
        steps: str,
        *,
        rollback: str = "",
        more: str = "",
        documents: tuple[str, ...] = (),
        service: str = "",
        heals: str | None = None,
        heals_after: timedelta = timedelta(seconds=5),
        answers: Mapping[str, Mapping[str, object] | Exception] | None = None,
        script: Mapping[str, ContainedCall] | None = None,
        takes: float = 0,
    ) -> None:
        mend = runbook_text(steps, rollback=rollback, more=more)
        self.begin(catalog(service_text(more=service), rule_text(), mend, *documents), run())
        self.ledger.signals = [signal()]
        self.prober = ScriptedProber(lambda: self.observed.views)
        self.actor = ScriptedActor()
        self.actor.on_change = self._changed
        self.actor.takes = timedelta(seconds=takes)
        self.heals, self.heals_after = heals, heals_after
        self.driver: Driver | None = None
        self.power = Power()
        self.was_cut = False
        self.to_come: list[tuple[float, Callable[[], object]]] = []
        self.parent = ""
        self.abort_reason = ""
        self.pace = timedelta(seconds=1)
        self.prometheus = ""
        self.began: Signal | None = None
        self.diagnoses: Diagnoses | None = None
        self.tried: tuple[RunRemedies, ...] = ()
        self.found: tuple[Pod, ...] = (pod("web-1"), pod("web-2", ready=False), pod("web-3", ready=False))
        for beginning, answer in (answers or {}).items():
            self.prober.will(beginning, partial(lambda given: given, answer))
        for stage, turn in (script or {}).items():
            self.actor.will(stage, turn)

    def begin(self, known: Catalog, record: RunRecord) -> None:
        """Be this run, of which nothing is done yet."""
        self.catalog, self.runbook = known, known.runbooks[record.runbook]
        record = replace(record, deadline=record.started + self.runbook.rollback.after)
        about = replace(incident(service=record.service), kind=record.kind, runbook=record.runbook)
        self.ledger = self.LEDGER(record, about)
        self.observed = ShownState(known)

    async def drive(self, power: Power | None = None, *, healed_at: float | None = None) -> RunRecord:
        """Start a process and let it drive the run to its end; all is well from a moment on, if one is given."""
        if healed_at is not None:
            self.at(healed_at, self.heal)
        self.schedule()
        if self.driver is None:
            self.show_found()
        self.power = self.actor.power = self.ledger.power = power or Power()
        journal = await Journal.read(self.ledger.record, as_ledger(self.ledger))
        self.driver = self.make_driver(self.deps(), journal)
        return await self.driver.drive()

    def show_found(self) -> None:
        """Show what the run finds when it begins."""
        self.observed.show(ready=sum(map(predicates.ready, self.found)), pods=self.found)

    def make_driver(self, deps: RunnerDeps, journal: Journal) -> Driver:
        """Make the driver of one process."""
        watchdog = RunWatchdog(deps=deps, journal=journal, runbook=self.runbook, timings=TIMEOUT)
        return RunDriver(**self.parts(deps, journal), watchdog=watchdog, gate=self.make_gate(deps, journal))

    def parts(self, deps: RunnerDeps, journal: Journal) -> dict[str, Any]:
        """Return the parts that drivers of every kind have."""
        return {
            "deps": deps,
            "ledger": as_ledger(self.ledger),
            "catalog": self.catalog,
            "runbook": self.runbook,
            "incident": self.ledger.incident,
            "journal": journal,
            "alert": self.began,
        }

    def make_gate(self, deps: RunnerDeps, journal: Journal) -> RunGate:
        """Make what that driver asks before each change."""
        return RunGate(
            deps=deps,
            ledger=as_ledger(self.ledger),
            journal=journal,
            incident=self.ledger.incident,
            limits=LIMITS,
            plan=self.runbook.digest,
            expiry=timedelta(minutes=30),
            parent=self.parent,
            abort_reason=self.abort_reason,
        )

    def abort(self) -> None:
        """Let Ada abort the run; a process that resumes the run reads it from the ledger."""
        self.abort_reason = "aborted by ada: a deploy"
        if self.driver is not None:
            self.driver.request_abort(self.abort_reason)

    def request_rollback(self, who: str = "ada") -> None:
        """Let a person ask for the rollback of the run."""
        assert self.driver is not None
        self.driver.request_rollback(who)

    def reopen(self) -> None:
        """Let Ada ask for the rollback of the run, which is over."""
        self.ledger.record = replace(
            self.ledger.record,
            state=IncidentState.ROLLING_BACK,
            reason="rollback asked for by ada",
            rollback_requested_by="ada",
            finished=None,
            workload_decided=seen_of(self.observed.views["web"]),
        )

    def pause(self, at: float, until: float | None = None, *, freeze: bool = False) -> None:
        """Let Ada pause everything at a moment, and lift the pause at another."""
        self.at(at, lambda: self.ledger.pauses.append(pause(since=moment(seconds=at), freeze=freeze)))
        if until is not None:
            self.at(until, self.ledger.lift)

    def blind(self, at: float, until: float | None = None) -> None:
        """Let the watch be silent from a moment on, until another."""
        self.at(at, lambda: setattr(self.observed, "stale_reason", "the watch is silent"))
        if until is not None:
            self.at(until, lambda: setattr(self.observed, "stale_reason", ""))

    def deps(self) -> RunnerDeps:
        """Return what runs work with."""
        return runner_deps(
            self.prober,
            self.observed,
            self.actor,
            power=self.power,
            pace=self.pace,
            prometheus=self.prometheus,
            diagnoses=self.diagnoses,
            tried=self.past_remedies,
        )

    async def past_remedies(self, view: ServiceView) -> tuple[RunRemedies, ...]:
        """Return what runs of the service have tried."""
        return self.tried if view.name == "web" else ()

    async def drive_until_cut(self, cut: int) -> bool:
        """Start a process and end it at a moment; False when the run was over before."""
        try:
            await self.drive(Power(cut))
        except PowerCutError:
            return True
        return False

    async def drive_until_killed(self, seconds: float) -> bool:
        """Start a process and end it at a moment, without a word; False when the run was over before."""
        process = asyncio.create_task(self.drive())
        await asyncio.wait([process], timeout=max(seconds - clock(), 0))
        if process.done():
            process.result()
            return False
        self.power.cut = 0
        process.cancel()
        await asyncio.wait([process])
        return True

    async def sleep_until(self, seconds: float) -> None:
        """Wait until that long after the event loop's start."""
        await asyncio.sleep(max(seconds - clock(), 0))

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something that long after the start of the event loop, which need not run yet."""
        self.to_come.append((seconds, action))
        with suppress(RuntimeError):
            self.schedule()

    def schedule(self) -> None:
        """Have the event loop do what is to come. Raises RuntimeError where none runs yet."""
        while self.to_come:
            asyncio.get_running_loop().call_at(*self.to_come.pop(0))

    def heal(self) -> None:
        """Let the service be well and its signal be resolved."""
        self.observed.show(ready=self.observed.views["web"].desired, pods=(pod("web-1"), pod("web-4"), pod("web-5")))
        self.resolve()

    def resolve(self) -> None:
        """Let what started the run end, whatever the service is like."""
        now = virtual_clock()
        self.ledger.signals = [
            replace(each, status=SignalStatus.RESOLVED, ended=each.ended or now) for each in self.ledger.signals
        ]

    def started_by(self, kind: RuleSource) -> None:
        """Let the run have been started by another kind of observation."""
        self.ledger.signals = [replace(each, kind=kind) for each in self.ledger.signals]

    def step(self, path: str, phase: Phase = Phase.FORWARD) -> StepRecord:
        """Return what is kept of a step."""
        found = self.ledger.known(path, phase)
        assert found is not None, f"{path} is not among {[key[1] for key in self.ledger.kept]}"
        return found

    def has(self, path: str, phase: Phase = Phase.FORWARD) -> bool:
        """Return whether anything is kept of a step."""
        return self.ledger.known(path, phase) is not None

    def note_times(self) -> dict[str, float]:
        """Note from now on when each change is made, in seconds since the event loop's start."""
        times: dict[str, float] = {}
        self.at_each_change(lambda text: times.setdefault(text, clock()))
        return times

    def at_each_change(self, act: Callable[[str], object]) -> None:
        """Do something at each change from now on, before what happens at it anyway."""
        follows = self.actor.on_change

        def on_change(text: str) -> None:
            act(text)
            follows(text)

        self.actor.on_change = on_change

    @property
    def states(self) -> list[IncidentState]:
        """List the states that the run went through."""
        return [state for state, _ in self.ledger.moves]

    @property
    def state(self) -> IncidentState:
        """Return the state that the run is in."""
        return self.ledger.record.state

    @property
    def reason(self) -> str:
        """Return why."""
        return self.ledger.record.reason

    @property
    def ended(self) -> tuple[IncidentState, list[str]]:
        """Return the state that the run is in, and the changes that were made."""
        return self.state, self.effects

    @property
    def stopped(self) -> str:
        """Return the reason of the run's first move, which is that of the end of its steps."""
        return self.ledger.moves[0][1]

    @property
    def effects(self) -> list[str]:
        """List the changes that were made, in their order."""
        return self.actor.texts

    @property
    def deleted(self) -> list[str]:
        """List the pods that were deleted, in their order."""
        return [text.split()[3] for text in self.effects if text.startswith("kubectl delete pod")]

    @property
    def deadline(self) -> datetime:
        """Return the run's deadline as it is now."""
        return self.ledger.record.deadline

    def _changed(self, text: str) -> None:
        if self.heals is not None and text.startswith(self.heals):
            asyncio.get_running_loop().call_later(self.heals_after.total_seconds(), self.heal)


async def driven(steps: str, *, healed_at: float | None = None, **settings: Any) -> RunBench:
    """Drive a run to its end; all is well from a moment on, if one is given."""
    bench = RunBench(steps, **settings)
    await bench.drive(healed_at=healed_at)
    return bench


def cut_everywhere(
    make: Callable[[], RunBench], check: Callable[[str, RunBench, RunRecord], None], *, down: float = 0
) -> int:
    """
    End the process at every moment of a run, start it again after `down` seconds, and check how the run ended.

    Gives the number of moments.
    """
    for cut in count(1):
        bench = make()
        ended = play(through(bench, cut, down))
        check(f"cut at {cut} ({bench.power.story})", bench, ended)
        if not bench.was_cut:
            return cut - 1
    raise AssertionError("unreachable")


def ended_as(state: IncidentState, *effects: str) -> Callable[[str, RunBench, RunRecord], None]:
    """Return a check that a run has ended in this state, and has made these changes once and in this order."""

    def check(where: str, bench: RunBench, ended: RunRecord) -> None:
        assert bench.ended == (state, [*effects]), f"{where}: {ended.reason}"

    return check


async def through(bench: RunBench, cut: int, down: float) -> RunRecord:
    """Carry a run with one interruption."""
    bench.was_cut = await bench.drive_until_cut(cut)
    if bench.was_cut:
        await asyncio.sleep(down)
        if not bench.ledger.record.state.is_final:
            await bench.drive()
    return bench.ledger.record


def clock() -> float:
    """Return the seconds since the event loop's start."""
    return asyncio.get_running_loop().time()


def diagnosed(remedy: str, *, kind: str = "Pod", name: str = "") -> dict[str, object]:
    """Return the answer of `kintsugi diagnose` that has found a remedy for an object and nothing else."""
    names = ("cause", "object", "field", "confidence", "text", "reason", "template", "container", "amount", "request")
    target = {"kind": kind, "name": name, "namespace": "production" if kind != "Node" else "", "uid": f"uid-{name}"}
    return {**dict.fromkeys(names, ""), "remedy": remedy, "target": target, "pods": []}


def generic(*pods: Pod, diagnosis: Callable[[], dict[str, object]]) -> RunBench:
    """Make a run of the shipped generic runbook on a service that has these pods."""
    text = (ROOT / "runbooks" / "workload-recovery.yaml").read_text()
    steps = dedent(text.partition("  steps:\n")[2].partition("  rollback:\n")[0])
    bench = RunBench(steps, documents=((ROOT / "runbooks" / "start-service.yaml").read_text(),))
    bench.found = pods
    bench.prober.will("kintsugi diagnose", diagnosis)
    return bench


def of_template(name: str, template: str, *, ready: bool) -> Pod:
    """Return a pod that a StatefulSet has made of a template."""
    made = pod(name, ready=ready)
    labels = {**made.metadata.labels, "controller-revision-hash": template}
    return structs.replace(made, metadata=structs.replace(made.metadata, labels=labels))


def worker_facts(command: Command) -> Mapping[str, object]:
    """Return where a worker's Job is."""
    match command:
        case BackupFetch():
            return {"job": "fetch", "namespace": "production"}
        case PgRestore():
            return {"job": "restore", "namespace": "production"}
        case _:
            return {}


def worker_undo(command: Command) -> UndoRecord:
    """Return the undo of a worker, which is its end."""
    job = worker_facts(command).get("job")
    return undone_by(ending(str(job), "production")) if job else undo_of(command)


def at_work(bytes_done: int = 0) -> JobState:
    """Return how a worker stands that has done so much."""
    names = {"done": {"phase": "reading", "bytes": bytes_done}, "notes": []}
    return JobState(stage=JobStage.RUNNING, names=names)
