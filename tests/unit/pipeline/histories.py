"""
Histories of one service and its upstream: faults that begin, end and follow each other, people who act, and a daemon that restarts.

A history keeps its own account of what is so. By it, a test judges whether an outage was silent (P11). The daemon's heart is the
product's own, over scripted caches and the in-memory ledger, in virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from typing_extensions import override

from kintsugi.decisions.activity import Forecast
from kintsugi.decisions.matcher import Matcher
from kintsugi.decisions.outage_notices import SAME_TIME, OutageTimings
from kintsugi.decisions.watchdog import WatchdogTimings
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.records import IncidentState, Notice, Pause, PauseScope, Signal, Target, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.notices.notice_texts import NoticeTexts
from kintsugi.pipeline.diagnoses import IncidentDiagnoses
from kintsugi.pipeline.explainer import Explainer
from kintsugi.pipeline.outage_watch import OutageWatch
from kintsugi.sources.cluster import ClusterWatch
from kintsugi.telemetry import Containment
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis
from tests.harness.daemon import ROOT
from tests.harness.incident_reader import LedgerIncidents
from tests.unit.executor.scripted_actor import ScriptedActor
from tests.unit.factories import catalog, moment, service_text, virtual_clock
from tests.unit.pipeline.business import LIMITS, PipelineBench
from tests.unit.runner.fakes import ScriptedProber, runner_deps
from tests.unit.views.cluster import FakeCaches

STEP = timedelta(minutes=1)
"""The time between two looks of the daemon, and of the test."""

PROMISED = timedelta(minutes=7) + STEP
REPAIR = timedelta(minutes=10) + STEP

KINDS = (CauseKind.VOLUME, CauseKind.IMAGE_PULL, CauseKind.CONTAINER_EXIT, CauseKind.MISSING_CONFIGURATION)
REMEDIES = ("roll-back", "restart", "hand-over")

UPSTREAM = "db"
WITHOUT_RULES = """
rules:
  pods-unhealthy: {enabled: false}
  not-healthy: {enabled: false}
  rollout-stuck: {enabled: false}
  without-endpoints: {enabled: false}
  scaled-to-zero: {enabled: false}
  alerts: {enabled: false}
"""


@dataclass(frozen=True, kw_only=True)
class ServiceFault:
    """A fault of a service: its cause, what the runbook tries against it, and whether that helps."""

    kind: CauseKind
    remedy: str
    is_cured: bool
    began: datetime
    template: int

    @property
    def text(self) -> str:
        """Return the sentence by which a person knows it."""
        return f"{self.kind} of template {self.template}"


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something that happens so long after the begin, as a person would tell it."""

    after: timedelta
    what: str
    happens: Callable[["World"], Awaitable[None]]


@dataclass
class World:
    """
    What is so: the pods of web, its fault, and the changes that were made.

    While web's upstream has a fault, web is down, too. `upstream_ended` is when the last one, `upstream_mended`, ended.
    """

    ledger: Ledger
    fault: ServiceFault | None = None
    upstream_fault: ServiceFault | None = None
    upstream_mended: ServiceFault | None = None
    upstream_ended: datetime | None = None
    last_fault: ServiceFault | None = None
    budget: int = 20
    template: int = 1
    pod: int = 3
    changed: datetime | None = None
    mode: Mode = Mode.AUTO
    is_as_left: bool = True
    story: list[str] = field(default_factory=list)

    def begin(self, random: Random, *, with_template: bool) -> None:
        """Let another fault begin, with another template or not."""
        self.template += with_template
        self.is_as_left = self.is_as_left and not with_template
        kind = random.choice([each for each in KINDS if self.fault is None or each is not self.fault.kind])
        remedy = random.choice(REMEDIES)
        cured = remedy != "hand-over" and random.random() < 0.6
        self.fault = ServiceFault(
            kind=kind, remedy=remedy, is_cured=cured, began=virtual_clock(), template=self.template
        )
        self.story.append(f"{self.now()} begins: {self.fault.text}, {remedy}, cured {cured}")

    def begin_again(self) -> None:
        """Let the last fault return, if the service is well."""
        if self.fault is None and self.last_fault is not None:
            self.fault = replace(self.last_fault, began=virtual_clock(), template=self.template)
            self.story.append(f"{self.now()} returns: {self.fault.text}")

    def end(self, why: str) -> None:
        """Let the service be well."""
        self.last_fault, self.fault = self.fault or self.last_fault, None
        self.story.append(f"{self.now()} well: {why}")

    def begin_upstream(self) -> None:
        """Let the upstream fail, which nothing but a person can mend; one that was well at no look goes on to fail."""
        kind, now = CauseKind.UNSCHEDULABLE, virtual_clock()
        fault = ServiceFault(kind=kind, remedy="hand-over", is_cured=False, began=now, template=1)
        self.upstream_fault = self.upstream_mended if self.upstream_ended == now else fault
        self.story.append(f"{self.now()} the upstream fails")

    def end_upstream(self) -> None:
        """Let the upstream be well."""
        self.upstream_mended, self.upstream_fault = self.upstream_fault, None
        self.upstream_ended = virtual_clock()
        self.story.append(f"{self.now()} the upstream is well")

    @property
    def is_well(self) -> bool:
        """Return whether web is well."""
        return self.fault is None and self.upstream_fault is None

    def now(self) -> str:
        """Return the minutes and seconds since the begin."""
        seconds = int((virtual_clock() - moment()).total_seconds())
        return f"{seconds // 60:3}:{seconds % 60:02}"

    def on_change(self, text: str) -> None:
        """Let a change of the daemon have its effect: a new pod, a new template, and the end of what it cures."""
        self.changed = virtual_clock()
        self.story.append(f"{self.now()} change: {text}")
        if "rollout" in text:
            self.template += 1
            self.is_as_left = True
        self.pod += 1
        if self.fault is not None and self.fault.is_cured:
            asyncio.get_running_loop().call_later(15, self.end, "by the daemon")

    def show(self, cluster: FakeCaches) -> None:
        """Put what is so into caches."""
        cluster.deploy(replicas=1, name=UPSTREAM)
        cluster.run(UPSTREAM, app=UPSTREAM, ready=self.upstream_fault is None)
        cluster.deploy(self.template, rolled_out=self.is_well)
        kept = {f"web-{number}" for number in (1, 2, self.pod)}
        for name in [each.metadata.name for each in cluster.caches.pods.store.values()]:
            if name not in (UPSTREAM, *kept):
                cluster.gone(name)
        for name in sorted(kept):
            ready = self.is_well or not name.endswith(f"-{self.pod}")
            cluster.run(name, ready=ready, uid=f"uid-{name}", template=f"hash-{self.template}")

    async def diagnose(self, target: Target) -> Diagnosis:
        """Find the cause of a service's fault; a dependent has its upstream's only while it has none of its own."""
        about, causes = str(target), list[Cause]()
        found = self.upstream_fault if target.name == UPSTREAM else self.fault
        if found is not None:
            causes.append(Cause(kind=found.kind, object=about, confidence=Confidence.LIKELY, text=found.text))
        elif self.upstream_fault is not None:
            text = f"{UPSTREAM} is down"
            causes.append(Cause(kind=CauseKind.UPSTREAM, object=about, confidence=Confidence.LIKELY, text=text))
        summary = causes[0].text if causes else "no problem was found"
        return Diagnosis(
            object=about, namespace="production", at=virtual_clock(), summary=summary, causes=tuple(causes)
        )

    def remedy(self) -> dict[str, object]:
        """Return what a step `kintsugi diagnose` finds."""
        fault = self.fault
        names = dict.fromkeys(("cause", "object", "field", "confidence", "text", "reason", "name", "kept"), "")
        remedy = fault.remedy if fault is not None else "restart"
        return {**names, "remedy": remedy, "template": f"hash-{self.template}", "revision": self.template, "good": 1}


@cache
def shop() -> Catalog:
    """Load the service web with the rules and the runbook that every service gets, and its upstream, which has no rules."""
    texts = [(ROOT / "rules" / "any-service.yaml").read_text()]
    texts += [(ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service")]
    upstream = service_text(UPSTREAM, priority=1, runbook="workload-recovery", more=WITHOUT_RULES)
    return catalog(service_text(runbook="workload-recovery", depends_on=(UPSTREAM,)), upstream, *texts)


class Daemon(PipelineBench):
    """One process: everything that it knows but the ledger is new."""

    def __init__(self, world: World) -> None:
        self.world, cluster = world, FakeCaches(shop())
        world.show(cluster)
        limits = replace(LIMITS, budget=world.budget)
        super().__init__(known=shop(), mode=world.mode, ledger=world.ledger, cluster=cluster, limits=limits)
        self.pipeline.requester.on_waiting(self.diagnoses.ask)
        self.watch = ClusterWatch(cluster.caches, cluster.services, self.ledger, clock=virtual_clock)
        self.outages = OutageWatch(
            ledger=self.ledger,
            observed=self.observed,
            diagnose=self.diagnoses.diagnose,
            containment=Containment(),
            timings=OutageTimings(),
            notifies=True,
            on_fault=self.pipeline.evaluate_refused,
        )
        self.observed.outage = self.outages.outages.get
        self.explainer = Explainer(self.active_catalog, self.observed, self.pipeline.evaluator)
        self.headlines = NoticeTexts(incidents=LedgerIncidents(self.ledger), clock=virtual_clock, delay=timedelta(0))

    @override
    def _supervisor(self) -> Any:
        world = self.world
        self.diagnoses = IncidentDiagnoses(
            world.diagnose,
            self.ledger.incidents,
            clock=virtual_clock,
            within=timedelta(seconds=5),
            containment=Containment(),
        )
        actor, prober = ScriptedActor(), ScriptedProber(lambda: self.cluster.services.views)
        actor.on_change = world.on_change
        prober.will("kintsugi diagnose", world.remedy)
        prober.will("kubectl rollout status", lambda: {"complete": world.fault is None, "message": ""})
        prober.as_left = lambda: world.is_as_left
        prober.will("kubectl rollout history", lambda: {"revisions": []})
        deps = runner_deps(prober, self.observed, actor, pace=STEP, diagnoses=self.diagnoses)
        return self._real_supervisor(deps, WatchdogTimings(), STEP)

    async def start(self) -> None:
        """Take up what an earlier process has left."""
        await self.active_catalog.activate(shop())
        self.watch.reload(shop(), Matcher(shop()))
        self.cluster.services.refresh(everything=True)
        await self.watch.recall()
        await self.pipeline.evaluate_observed()
        await self.runs.resume()
        self.diagnosing = asyncio.create_task(self.diagnoses.run())

    async def stop(self) -> None:
        """End, as a process does that is asked to."""
        await self.runs.stop()
        self.diagnosing.cancel()
        await asyncio.gather(self.diagnosing, return_exceptions=True)

    async def look(self) -> None:
        """Do once what the daemon does every few seconds."""
        self.world.show(self.cluster)
        self.cluster.services.refresh(everything=True)
        await self.watch.step()
        await self.ledger.signals.rearm(virtual_clock())
        await self.pipeline.step()
        await self.runs.reconcile()
        await self.pending_incidents.reconcile()
        await self.outages.step()


@dataclass
class Forecasts:
    """
    What `kintsugi services` has said that the guards will decide, held against what they then decided.

    A forecast counts as long as nothing else happens: no fault, no person, no other state of a run. `wrong` says which did not come
    true, "" for none; `compared` counts them.
    """

    world: World
    known: dict[tuple[str, str, datetime], Forecast] = field(default_factory=dict)
    compared: int = 0
    wrong: str = ""
    _facts: object = None

    async def forget_outdated(self, daemon: Daemon) -> None:
        """Forget the forecasts if anything has happened since they were made."""
        runs = await self.world.ledger.incidents.open_runs()
        states = tuple((each.id, each.state, each.service) for each in runs)
        happened = [each for each in self.world.story if " notice: " not in each]
        facts = (states, len(happened), daemon.observed.fault("web"), id(daemon))
        if facts != self._facts:
            self.known.clear()
        self._facts = facts

    async def keep(self, daemon: Daemon) -> None:
        """Keep the first forecast of each condition that is no signal yet, since the last time that anything happened."""
        await self.forget_outdated(daemon)
        for each in await self.world.ledger.signals.conditions():
            found = await daemon.explainer.forecast(each) if not each.signalled else None
            if found is not None:
                self.known.setdefault((each.rule, each.target.uid, each.since), found)

    def compare(self, signal: Signal, verdict: Verdict) -> None:
        """Compare the first verdict on a signal with the forecast of its condition, while that has not ended."""
        uid = signal.target.uid if signal.target is not None else ""
        forecast = self.known.pop((signal.rule, uid, signal.began), None)
        if forecast is None:
            return
        expected = forecast.verdict
        if VerdictKind.ATTACHED in (expected.kind, verdict.kind):  # a run that has begun or ended since the look
            return
        if expected.until is not None and expected.until <= virtual_clock():
            return
        self.compared += 1
        if (expected.kind, expected.reason) != (verdict.kind, verdict.reason):
            self.wrong = f"{self.world.now()} forecast: {forecast}; but: {verdict.kind}, {verdict.text}"


class History:
    """One history, played to its end. `silent` says what P11 was broken by, "" for nothing."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(ledger, budget=self.random.choice((3, 20)))
        self.ledger = ledger
        self.daemon = Daemon(self.world)
        self.forecasts = Forecasts(self.world)
        self.notices: dict[str, Notice] = {}
        self.down_since: dict[str, datetime] = {}
        self.silent = ""

    async def play(self) -> None:
        """Let everything happen as drawn, and check at each look."""
        plan = sorted(self.drawn(), key=lambda each: each.after)
        end = plan[-1].after + timedelta(minutes=15)
        await self.daemon.start()
        self.daemon.pipeline.on_verdict(self.forecasts.compare)
        while not self.silent and virtual_clock() - moment() < end:
            while plan and moment() + plan[0].after <= virtual_clock():
                happening = plan.pop(0)
                self.world.story.append(f"{self.world.now()} {happening.what}")
                await happening.happens(self.world)
            await self.forecasts.forget_outdated(self.daemon)
            await self.daemon.look()
            await self.forecasts.keep(self.daemon)
            await self.check()
            await asyncio.sleep((await self.pause(plan)).total_seconds())
        await self.daemon.stop()

    async def pause(self, plan: Sequence[Happening]) -> timedelta:
        """Return the time until the next look: while nothing is open and nobody must be notified, the next happening."""
        faults = {"web": self.world.fault, UPSTREAM: self.world.upstream_fault}
        failing = {name: each for name, each in faults.items() if each is not None}
        if await self.ledger.incidents.newest(limit=1, open_only=True):
            return STEP
        if not all([await self.is_notified(name, each) for name, each in failing.items()]):
            return STEP
        following = moment() + plan[0].after - virtual_clock() if plan else timedelta(hours=3)
        return max(STEP, min(following, 4 * STEP) if failing else following)

    def drawn(self) -> list[Happening]:
        """Draw two to five faults, and what happens around them."""
        random, at = self.random, timedelta(minutes=random_minutes(self.random, 0.5, 12))
        plan: list[Happening] = []
        for _ in range(random.randint(2, 5)):
            plan.append(Happening(after=at, what="a fault", happens=self.begins))
            for what, happens, chance in (
                ("a person mends it", self.ends, 0.4),
                ("it mends itself", self.ends, 0.15),
                ("it returns", self.returns, 0.3),
                ("a pause", self.pauses, 0.15),
                ("a restart", self.restarts, 0.25),
                ("another mode", self.changes_mode, 0.15),
                ("the upstream fails", self.upstream_fails, 0.2),
                ("the upstream is mended", self.upstream_is_mended, 0.2),
            ):
                if random.random() < chance:
                    after = at + timedelta(minutes=random_minutes(random, 0.5, 14))
                    plan.append(Happening(after=after, what=what, happens=happens))
            at += timedelta(minutes=random_minutes(random, 0.5, 14))
        return plan

    async def begins(self, world: World) -> None:
        """Let another fault begin."""
        world.begin(self.random, with_template=self.random.random() < 0.5)

    async def ends(self, world: World) -> None:
        """Let the fault end."""
        world.end("by somebody else")

    async def returns(self, world: World) -> None:
        """Let the last fault return."""
        world.begin_again()

    async def pauses(self, world: World) -> None:
        """Pause everything for a while."""
        now, lasts = virtual_clock(), timedelta(minutes=random_minutes(self.random, 2, 15))
        freeze = self.random.random() < 0.5
        pause = Pause(
            id=f"pau-{world.now().strip()}",
            scope=PauseScope.GLOBAL,
            who="ada",
            why="a look",
            freeze=freeze,
            since=now,
            until=now + lasts,
        )
        await world.ledger.people.pause(pause)

    async def restarts(self, world: World) -> None:
        """Let the process end and another one begin."""
        await self.daemon.stop()
        self.daemon = Daemon(world)
        await self.daemon.start()
        self.daemon.pipeline.on_verdict(self.forecasts.compare)

    async def changes_mode(self, world: World) -> None:
        """Restart with another mode."""
        world.mode = self.random.choice([each for each in Mode if each is not world.mode])
        await self.restarts(world)

    async def upstream_fails(self, world: World) -> None:
        """Let the upstream fail, if it is well."""
        if world.upstream_fault is None:
            world.begin_upstream()

    async def upstream_is_mended(self, world: World) -> None:
        """Let a person mend the upstream, if it fails."""
        if world.upstream_fault is not None:
            world.end_upstream()

    async def check(self) -> None:
        """Note what is silent: a service that is down, not repaired, and nobody was notified of its fault in time."""
        world, now = self.world, virtual_clock()
        down = {"web": not world.is_well, UPSTREAM: world.upstream_fault is not None}
        self.down_since = {name: self.down_since.get(name, now) for name, is_down in down.items() if is_down}
        await self.check_upstream()
        await self.check_service()

    async def check_upstream(self) -> None:
        """Note a silent upstream; its notice must name its dependent."""
        fault, now = self.world.upstream_fault, virtual_clock()
        if fault is None or now - fault.began <= PROMISED or await self.is_notified(UPSTREAM, fault, names=("web",)):
            return
        self.silent = f"{self.world.now()} silent since {fault.began:%H:%M:%S}: the upstream, {fault.text}"

    async def check_service(self) -> None:
        """Note a silent service; while its upstream fails that began before its own fault, the upstream's notice is enough."""
        world, now = self.world, virtual_clock()
        going = (IncidentState.RUNNING, IncidentState.ROLLING_BACK)
        if any(run.changed and run.state in going for run in await self.ledger.incidents.open_runs()):
            world.changed = now  # it waits for its own change
        view = self.daemon.observed.views["web"]
        if not view.is_current or view.healthy is not False or world.fault is None:
            return
        if world.upstream_fault is not None and world.upstream_fault.began <= world.fault.began + SAME_TIME:
            return
        since = max(filter(None, (world.fault.began, world.upstream_ended)))
        if now - since <= PROMISED or await self.is_notified("web", world.fault) or await self.is_repaired(now):
            return
        self.silent = f"{world.now()} silent since {world.fault.began:%H:%M:%S}: {world.fault.text}"

    async def is_notified(self, service: str, fault: ServiceFault, names: Sequence[str] = ()) -> bool:
        """Return whether a notice since the service was last well names the cause of a fault, and these services."""
        for each in await self.ledger.outbox.due_notices(moment(hours=99), 1000):
            if each.id not in self.notices:
                (completed,) = await self.daemon.headlines.complete([each])
                self.notices[each.id] = completed
                self.world.story.append(f"{self.world.now()} notice: {' / '.join(completed.text.splitlines()[:3])}")
        wanted = (fault.text, *names)
        since = [each for each in self.notices.values() if each.created >= self.down_since[service]]
        return any(all(word in each.text for word in wanted) for each in since)

    async def is_repaired(self, now: datetime) -> bool:
        """Return whether a run has made a change, or has waited for its own, within ten minutes."""
        return self.world.changed is not None and now - self.world.changed <= REPAIR


def random_minutes(random: Random, least: float, most: float) -> float:
    """Return a number of minutes, short ones as often as long ones."""
    return float(least * (most / least) ** random.random())
