"""Diagnoses of incidents, of verdicts and of services that are well; and what a diagnosis is told."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from kintsugi.actions.workload_reads import ServiceFacts
from kintsugi.decisions.breaker import ObserverHealth
from kintsugi.errors import KubeError, NotRecorded
from kintsugi.ledger import Ledger
from kintsugi.model.records import IncidentState, KeptDiagnosis, Occasion, Reason, Signal, Target, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.pipeline.diagnoses import (
    AT_ONCE,
    DeclaredWorkloads,
    IncidentDiagnoses,
    VerdictDiagnoses,
    WarningWatch,
)
from kintsugi.telemetry import Containment
from kubediagnosis.causes import Cause, CauseKind, Confidence, Diagnosis, EvidenceItem, EvidenceSource
from kubediagnosis.facts import CheckFacts, ObserverFacts
from tests.contract.ledger.build import begin
from tests.harness.ledgers import Outage, in_memory, newest_signals
from tests.unit import factories
from tests.unit.factories import NOW, moment, signal, virtual_clock, web
from tests.unit.pipeline.business import PipelineBench
from tests.unit.views.cluster import FakeCaches, well_cluster

pytestmark = pytest.mark.looptime
WITHIN = timedelta(seconds=5)
Answer = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """Take no time."""


async def never() -> None:
    """Take for ever."""
    await asyncio.Event().wait()


async def refused() -> None:
    """Be told no by the API."""
    raise KubeError("deployments is forbidden")


async def broken() -> None:
    """Have a mistake of our own."""
    raise ValueError("no such field")


@dataclass
class ScriptedDiagnoser:
    """Finds what a test says, after `answer`, and counts how often it was asked, and by how many at one time."""

    answer: Answer = at_once
    found: tuple[Cause, ...] = ()
    asked: list[Target] = field(default_factory=list)
    under_way: int = 0
    most: int = 0

    async def diagnose(self, target: Target) -> Diagnosis:
        self.asked.append(target)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.answer()
        finally:
            self.under_way -= 1
        reference = f"{target.kind}/{target.name}"
        return Diagnosis(
            object=reference, namespace=target.namespace, at=NOW, summary=f"{reference}: fine", causes=self.found
        )


def diagnoses(ledger: Ledger, diagnoser: ScriptedDiagnoser) -> IncidentDiagnoses:
    """Return what makes diagnoses with this diagnoser."""
    return IncidentDiagnoses(
        diagnoser.diagnose, ledger.incidents, clock=virtual_clock, within=WITHIN, containment=Containment()
    )


async def test_the_first_diagnosis_of_an_incident_is_made_once_and_a_hand_over_s_anew(ledger: Ledger) -> None:
    run, diagnoser = await begin(ledger), ScriptedDiagnoser()
    made = diagnoses(ledger, diagnoser)
    for occasion in (Occasion.OPENED, Occasion.OPENED, Occasion.HAND_OVER, Occasion.OPENED):
        await made.make(run.incident, web(), occasion)
    found = await ledger.incidents.diagnoses_of(run.incident)
    assert [each.occasion for each in found] == [Occasion.OPENED, Occasion.HAND_OVER]
    assert diagnoser.asked == [Target(kind="deployment", namespace="production", name="web")] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (never, "the workload was not read within 5s"),
        (refused, "deployments is forbidden"),
        (broken, "ValueError: no such field"),
    ],
)
async def test_a_diagnosis_that_goes_wrong_is_kept_as_not_known(ledger: Ledger, answer: Answer, why: str) -> None:
    """A run waits no longer than its diagnosis may take, and goes on."""
    run, began = await begin(ledger), asyncio.get_running_loop().time()
    await diagnoses(ledger, ScriptedDiagnoser(answer)).make(run.incident, web(), Occasion.OPENED)
    assert asyncio.get_running_loop().time() - began <= WITHIN.total_seconds()
    (found,) = await ledger.incidents.diagnoses_of(run.incident)
    assert found.diagnosis.causes == ()
    assert found.diagnosis.summary == "deployment/web: no cause is known"
    assert found.diagnosis.unknown == (f"deployment/web: {why}",)


async def test_a_diagnosis_behind_others_that_hang_takes_no_longer_either(ledger: Ledger) -> None:
    """Few are made at one time, so that a storm does not ask the API for everything at once."""
    runs = [await begin(ledger, f"s-{number}") for number in range(3 * AT_ONCE)]
    diagnoser, began = ScriptedDiagnoser(never), asyncio.get_running_loop().time()
    made = diagnoses(ledger, diagnoser)
    await asyncio.gather(*(made.make(run.incident, web(), Occasion.OPENED) for run in runs))
    assert asyncio.get_running_loop().time() - began <= 1.5 * WITHIN.total_seconds()
    assert diagnoser.most == AT_ONCE


async def test_a_diagnosis_that_nobody_waits_for_is_made_once_and_told_to_listeners(ledger: Ledger) -> None:
    run, diagnoser, heard = await begin(ledger), ScriptedDiagnoser(), asyncio.Queue[KeptDiagnosis]()
    made = diagnoses(ledger, diagnoser)
    made.on_kept(lambda _, found: heard.put_nowait(found))
    working = asyncio.create_task(made.run())
    for _ in range(3):
        made.ask(run.incident, web())
    assert (await heard.get()).incident == run.incident
    made.ask(run.incident, web())
    await asyncio.sleep(60)
    working.cancel()
    assert len(diagnoser.asked) == 1


async def test_a_diagnosis_that_could_not_be_kept_is_made_again() -> None:
    outage = Outage()
    async with in_memory(NOW, outage) as ledger:
        run, made = await begin(ledger), diagnoses(ledger, ScriptedDiagnoser())
        working = asyncio.create_task(made.run())
        for outage.away in (True, False):
            assert await ledger.incidents.diagnoses_of(run.incident) == ()
            made.ask(run.incident, web())
            await asyncio.sleep(60)
        working.cancel()
        assert len(await ledger.incidents.diagnoses_of(run.incident)) == 1


WRONG = "; problem: deployment/web: fine"


class ObservingBench:
    """A pipeline in mode observe with what diagnoses its verdicts."""

    def __init__(self, ledger: Ledger, *, notifies: bool = True) -> None:
        self.ledger = ledger
        self.business = PipelineBench(mode=Mode.OBSERVE, ledger=ledger)
        self.diagnoser = ScriptedDiagnoser()
        self.notified: list[str] = []
        self.verdicts = VerdictDiagnoses(
            diagnoses(ledger, self.diagnoser),
            ledger,
            self.business.active_catalog,
            clock=virtual_clock,
            containment=Containment(),
            on_notice=self.notified.append if notifies else None,
        )
        self.business.pipeline.on_verdict(self.verdicts.note)

    async def judge(self, *signals: Signal) -> None:
        """Have signals judged, and their verdicts diagnosed."""
        await self.ledger.signals.accept(signals, NOW)
        await self.business.pipeline.step()
        running = asyncio.create_task(self.verdicts.run())
        await asyncio.sleep(10)
        running.cancel()

    async def texts(self) -> list[str]:
        """List the texts of all verdicts, oldest first."""
        return [verdict.text for _, verdict in reversed(await newest_signals(self.ledger)) if verdict is not None]

    async def told(self) -> list[str]:
        """List what people are told."""
        notices = await self.ledger.outbox.due_notices(moment(hours=1), 100)
        assert {each.kind for each in notices} <= {IncidentState.OPEN}
        return [each.text for each in notices]


async def test_a_verdict_of_mode_observe_says_what_is_wrong_and_is_told_once_an_episode(ledger: Ledger) -> None:
    bench = ObservingBench(ledger)
    first, second = signal(id="sig-1"), signal(id="sig-2", key="web-pods/uid-web-2")
    await bench.judge(first)
    await bench.judge(second)
    observed = "mode is observe: mend would have been started"
    assert await bench.texts() == [observed + WRONG, observed]
    (text,) = await bench.told()
    assert text.splitlines() == [
        "problem: deployment/web: fine",
        f"observed: web: rule web-pods: {observed}",
        "next: kintsugi diagnose deployment/web -n production",
    ]
    assert (len(bench.diagnoser.asked), bench.notified) == (1, ["web"])


async def test_the_next_episode_is_diagnosed_anew(ledger: Ledger) -> None:
    bench = ObservingBench(ledger)
    await bench.judge(signal(id="sig-1"))
    await ledger.signals.accept([signal(id="end", ended=moment(seconds=20))], moment(seconds=20))
    await bench.judge(signal(id="sig-2", key="web-pods/uid-web-2"))
    assert [text.endswith(WRONG) for text in await bench.texts()] == [True, True]
    assert len(bench.diagnoser.asked) == 2


async def test_a_verdict_is_told_to_nobody_where_the_setting_says_so(ledger: Ledger) -> None:
    bench = ObservingBench(ledger, notifies=False)
    await bench.judge(signal(id="sig-1"))
    assert (await bench.texts())[0].endswith(WRONG)
    assert await bench.told() == []


@pytest.mark.parametrize(
    ("kind", "reason", "diagnosed"),
    [
        (VerdictKind.REFUSED, Reason.COOLDOWN, True),
        (VerdictKind.REFUSED, Reason.OWNED, True),
        (VerdictKind.REFUSED, Reason.FOREIGN_TARGET, False),
        (VerdictKind.OBSERVED, Reason.RESOLVED, False),
        (VerdictKind.STARTED, Reason.MATCHED, False),
    ],
)
async def test_a_refusal_about_the_service_is_diagnosed_and_told_to_nobody(
    ledger: Ledger, kind: VerdictKind, reason: Reason, diagnosed: bool
) -> None:
    bench = ObservingBench(ledger)
    judged = Verdict(kind=kind, reason=reason, text="so it is", rule="web-pods")
    await ledger.signals.accept([signal(id="sig-1")], NOW)
    await ledger.signals.settle({"sig-1": judged}, NOW)
    bench.verdicts.note(signal(id="sig-1"), judged)
    await bench.judge()
    assert await bench.texts() == [f"so it is{WRONG if diagnosed else ''}"]
    assert await bench.told() == []


async def test_a_refusal_that_is_judged_again_says_it_again(ledger: Ledger) -> None:
    bench = ObservingBench(ledger)
    again = moment(minutes=1)
    judged = Verdict(kind=VerdictKind.REFUSED, reason=Reason.COOLDOWN, text="cooling", rule="web-pods", until=again)
    await ledger.signals.accept([signal(id="sig-1")], NOW)
    for _ in range(2):
        await ledger.signals.settle({"sig-1": judged}, NOW)
        bench.verdicts.note(signal(id="sig-1"), judged)
        await bench.judge()
        assert await bench.texts() == [f"cooling{WRONG}"]
    assert len(bench.diagnoser.asked) == 1


CATALOG = factories.catalog(
    factories.service_text("db", namespace="data"),
    factories.service_text("web", depends_on=("db",)),
    factories.runbook_text(),
)
START_UP = timedelta(seconds=12)
UNMET = CheckFacts(name="smoke", met=False, answer="HTTP 502")


def declared(observer: ObserverHealth | None = None) -> DeclaredWorkloads:
    """Return what is tested, with one check of `web` that is not met."""
    return DeclaredWorkloads(
        catalog=lambda: CATALOG,
        answers=lambda name: (UNMET,) if name == "web" else (),
        observer=lambda: observer or ObserverHealth(),
        share=0.5,
        view=lambda name: replace(factories.view(ready=0 if name == "web" else 3), host=f"{name}-front.data.svc"),
        start_up=START_UP,
    )


@pytest.mark.parametrize("kind", ["Deployment", "deploy", "deployment"])
def test_a_workload_is_known_by_its_service_with_what_that_depends_on(kind: str) -> None:
    service, upstream = CATALOG.services["web"], CATALOG.services["db"]
    found = declared()(Target(kind=kind, namespace=service.namespace, name=service.workload.name))
    assert (found.service, found.checks, found.serving, found.start_up) == ("web", (UNMET,), False, START_UP)
    assert found.upstreams == (
        Target(kind=upstream.workload.resource.kind, namespace="data", name=upstream.workload.name),
    )


def test_a_workload_is_told_which_services_are_behind_the_names_that_its_variables_may_have() -> None:
    service, db = CATALOG.services["web"], CATALOG.services["db"]
    found = declared()(Target(kind="Deployment", namespace=service.namespace, name=service.workload.name))
    kind = db.workload.resource.kind
    assert found.exposed == {"db-front.data": Target(kind=kind, namespace="data", name=db.workload.name)}


@pytest.mark.parametrize(
    ("namespace", "kind"), [("elsewhere", "Deployment"), ("production", "StatefulSet")], ids=["namespace", "type"]
)
def test_a_workload_that_no_service_has_is_not_declared(namespace: str, kind: str) -> None:
    name = CATALOG.services["web"].workload.name
    assert declared()(Target(kind=kind, namespace=namespace, name=name)) == ServiceFacts(start_up=START_UP)


@pytest.mark.parametrize(
    ("observer", "sight"),
    [
        (ObserverHealth(stale_reason="pods are stale"), ObserverFacts(stale="pods are stale")),
        (
            ObserverHealth(names="no answer"),
            ObserverFacts(
                doubt="the observer is suspected first: Kintsugi's own name server does not answer (no answer)",
            ),
        ),
    ],
)
def test_our_own_sight_is_told_of_any_workload(observer: ObserverHealth, sight: ObserverFacts) -> None:
    found = declared(observer)(Target(kind="Deployment", namespace="elsewhere", name="x"))
    assert found.observer == sight


def cause(text: str, kind: CauseKind = CauseKind.NAME_RESOLUTION, *, is_warning: bool = True) -> Cause:
    """Return a cause."""
    seen = EvidenceItem(source=EvidenceSource.FIELD, object="deployment/web", field="x", text="y")
    return Cause(
        kind=kind,
        object="deployment/web",
        confidence=Confidence.LIKELY,
        text=text,
        evidence=(seen,),
        is_warning=is_warning,
    )


WARNED = (cause("no such port"),)


def watch(cluster: FakeCaches, diagnoser: ScriptedDiagnoser) -> WarningWatch:
    """Return what is tested."""
    within = timedelta(seconds=10)
    return WarningWatch(
        services=cluster.services, diagnose_alone=diagnoser.diagnose, containment=Containment(), within=within
    )


async def test_warnings_of_a_diagnosis_are_in_the_view_and_no_other_cause_is() -> None:
    cluster = well_cluster()
    others = cause("a limit", CauseKind.AUTOSCALER, is_warning=False), cause("stale", CauseKind.STALE_CONFIGURATION)
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(found=(*WARNED, *others)))
    await watching.diagnose("web")
    assert cluster.seen().warnings == ("no such port", "stale")
    diagnoser.found = ()
    await watching.diagnose("web")
    assert cluster.seen().warnings == ()


async def lost() -> None:
    """Find the service gone."""
    raise NotRecorded("it is gone")


@pytest.mark.parametrize("answer", [refused, lost, never])
async def test_a_diagnosis_that_cannot_be_made_leaves_what_was_known(answer: Answer) -> None:
    """P6."""
    cluster = well_cluster()
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(found=WARNED))
    await watching.diagnose("web")
    diagnoser.answer = answer
    await watching.diagnose("web")
    assert (cluster.seen().warnings, len(diagnoser.asked)) == (("no such port",), 2)


@pytest.mark.parametrize(("is_seen", "warnings"), [(True, ()), (False, ("no such port",))])
async def test_a_service_that_is_not_well_has_no_warnings_and_one_that_is_not_seen_those_it_had(
    is_seen: bool, warnings: tuple[str, ...]
) -> None:
    """P6: neither is diagnosed."""
    cluster = well_cluster()
    watching = watch(cluster, diagnoser := ScriptedDiagnoser(found=WARNED))
    await watching.diagnose("web")
    if is_seen:
        cluster.run("web-1", ready=False)
    else:
        cluster.caches.pods.silent_for = 10_000
    cluster.services.refresh()
    await watching.diagnose("web")
    assert (cluster.seen().warnings, len(diagnoser.asked)) == (warnings, 1)


async def test_each_service_is_diagnosed_once_an_interval() -> None:
    running = asyncio.create_task(watch(well_cluster(), diagnoser := ScriptedDiagnoser()).run())
    await asyncio.sleep(301)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [each.name for each in diagnoser.asked].count("web") == 5
