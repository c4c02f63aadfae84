"""Incidents that wait for an upstream or a person, and what a question to a person shows (E28)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.ledger import Ledger
from kintsugi.ledger.signals.signals import Signals
from kintsugi.model.catalog import Catalog
from kintsugi.model.good_state import GoodRevision
from kintsugi.model.questions import Answer, Question
from kintsugi.model.records import Incident, IncidentState, Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.notices.notice_texts import NoticeTexts
from kintsugi.pipeline.previews import RunPreviewer
from kintsugi.telemetry import Containment, FailureScope
from kubeobjects.resources import DEPLOYMENTS, NODES, PODS, REPLICASETS
from tests.harness.answers import said
from tests.harness.daemon import ROOT
from tests.harness.incident_reader import LedgerIncidents
from tests.harness.ledger_rows import change, keep
from tests.unit.actions.samples import deployment, node, owner, replica_set
from tests.unit.actions.samples import pod as sample_pod
from tests.unit.factories import (
    NOW,
    catalog,
    incident,
    moment,
    pause,
    rule_text,
    run,
    runbook_text,
    service_text,
    signal,
    virtual_clock,
)
from tests.unit.pipeline.business import ALERT_RULE, NotedRequests, PipelineBench, SlowCluster
from tests.unit.runner.fakes import runner_deps

pytestmark = pytest.mark.looptime
FINAL = Verdict(kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text="it has an incident", incident="inc-1")
HELD = Verdict(
    kind=VerdictKind.HELD, reason=Reason.UPSTREAM, text="it waits", incident="inc-1", until=moment(minutes=1)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A ledger with an incident that waits, and the pipeline over it."""

    ledger: Ledger
    business: PipelineBench
    requests: NotedRequests

    async def tend(self) -> None:
        """Look after the incidents that wait."""
        await self.business.pending_incidents.reconcile()

    async def clear(self) -> None:
        """Let what the incident is about have ended a minute ago."""
        await self.ledger.signals.accept([signal(ended=moment(minutes=-1))], NOW)

    async def answer(self, **changes: object) -> None:
        """Let each question be so."""
        await change(self.ledger, Question, **changes)

    async def asked(self) -> tuple[Question, ...]:
        """List the questions."""
        (opened,) = await self.ledger.incidents.newest()
        return await self.ledger.people.questions_of(opened.id)

    async def closed(self) -> list[tuple[IncidentState, str]]:
        """List how the incidents that are closed have ended."""
        return [(each.state, each.reason) for each in await self.ledger.incidents.newest() if each.closed is not None]

    async def told(self, kind: IncidentState) -> list[str]:
        """List what a person is told of a state."""
        return [each.text for each in await self.ledger.outbox.due_notices(moment(hours=24), 100) if each.kind is kind]


async def waiting(ledger: Ledger, state: IncidentState, judged: Verdict = HELD) -> Waiting:
    """Return an incident that waits; where for a person, with the question asked."""
    ledger.incidents = requests = NotedRequests(ledger._store)
    asks = state is IncidentState.AWAITING_APPROVAL
    business = PipelineBench(mode=Mode.APPROVE if asks else Mode.AUTO, ledger=ledger)
    await ledger.signals.accept([signal()], NOW)
    if asks:
        await business.pipeline.step()
        requests.asked.clear()
    else:
        await keep(ledger, incident(state=state))
        await ledger.signals.settle({"sig-1": judged}, NOW)
    return Waiting(ledger=ledger, business=business, requests=requests)


@pytest.mark.parametrize(
    ("state", "ended", "why"),
    [
        (
            IncidentState.HELD,
            IncidentState.RECOVERED,
            "upstream: the service recovered while it was held (pod web-1 is unhealthy)",
        ),
        (IncidentState.AWAITING_APPROVAL, IncidentState.NO_ACTION, "the trigger cleared before an approval"),
    ],
)
async def test_an_incident_that_cleared_while_it_waited_is_closed(
    ledger: Ledger, state: IncidentState, ended: IncidentState, why: str
) -> None:
    scene = await waiting(ledger, state)
    await scene.tend()
    assert (await scene.closed(), scene.requests.asked) == ([], []), "it still goes on"
    await scene.clear()
    await scene.tend()
    assert await scene.closed() == [(ended, why)]


OTHER = runbook_text("- {id: scale, run: kubectl scale deployment/web --replicas=0}")


@pytest.mark.parametrize("twice", [False, True])
async def test_an_approved_run_starts_once_after_the_guards_were_asked_again(ledger: Ledger, twice: bool) -> None:
    """D2: also where the answer to the request comes late."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(**said(Answer.YES, "ada", NOW))
    scene.requests.twice = twice
    await scene.tend()
    assert len(scene.requests.asked) == len(scene.business.supervisor.started) == 1
    assert scene.business.supervisor.started == list(await ledger.incidents.open_runs())


@pytest.mark.parametrize(
    ("documents", "closed"),
    [
        (None, []),
        (
            (rule_text(), ALERT_RULE, OTHER),
            [(IncidentState.CANCELLED, "the plan has changed since it was approved")],
        ),
        (
            (rule_text("other"), runbook_text()),
            [(IncidentState.CANCELLED, "rule web-pods or its service is gone")],
        ),
    ],
    ids=["a blind daemon", "another plan", "no rule"],
)
async def test_an_approved_run_is_not_started_by_a_blind_daemon_or_after_its_plan_has_changed(
    ledger: Ledger, documents: Sequence[str] | None, closed: list[tuple[IncidentState, str]]
) -> None:
    """P6, E28: the catalog was reloaded between the question and the answer."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(**said(Answer.YES, "ada", NOW))
    if documents is None:
        scene.business.cluster.caches.pods.silent_for = 99.0
    else:
        await scene.business.active_catalog.activate(catalog(service_text(), *documents))
    await scene.tend()
    assert not scene.business.supervisor.started
    assert await scene.closed() == closed


async def test_a_plan_that_was_rejected_is_asked_about_again_after_the_cooldown_or_when_it_is_another(
    ledger: Ledger,
) -> None:
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(**said(Answer.NO, "ada", NOW, "a deploy"))
    await scene.tend()
    assert await scene.closed() == [(IncidentState.CANCELLED, "rejected by ada: a deploy")]
    assert await scene.told(IncidentState.CANCELLED) == ["rejected by ada: a deploy"], "others were asked, too"
    await ledger.signals.rearm(NOW)
    await scene.business.pipeline.step()
    verdict = (await scene.business.verdicts())["sig-1"]
    assert (verdict.kind, verdict.reason) == (VerdictKind.REFUSED, Reason.REJECTED)

    await scene.business.active_catalog.activate(catalog(service_text(), rule_text(), ALERT_RULE, OTHER))
    await asyncio.sleep(31)
    await scene.business.pipeline.step()
    assert [each.state for each in await ledger.incidents.newest()] == [
        IncidentState.AWAITING_APPROVAL,
        IncidentState.CANCELLED,
    ]


async def test_an_approval_that_expired_cancels_and_a_person_is_told(ledger: Ledger) -> None:
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(expires=NOW)
    await scene.tend()
    assert await scene.closed() == [(IncidentState.CANCELLED, "no approval by 12:00:00")]
    assert await scene.told(IncidentState.CANCELLED) == ["no approval by 12:00:00"]


async def test_an_answer_that_has_expired_starts_nothing_and_is_asked_anew(ledger: Ledger) -> None:
    """E28: a pause, a budget or a lock stood in the way for longer than the answer was good."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    earlier = moment(minutes=-40)
    await scene.answer(**said(Answer.YES, "ada", earlier), asked=earlier, expires=moment(minutes=-10))
    await scene.tend()
    assert not scene.requests.asked
    assert not await scene.closed()
    assert [(each.answered, each.expires) for each in (await scene.asked())[1:]] == [(None, moment(minutes=30))]
    text = "the approval of ada expired at 11:50:00 before the run could start; approval is requested again"
    assert text in await scene.told(IncidentState.AWAITING_APPROVAL)
    await scene.tend()
    assert len(await scene.asked()) == 2, "the new question is open"


async def test_an_answer_that_expires_while_its_claim_waits_for_its_turn_starts_nothing_and_is_asked_anew(
    ledger: Ledger,
) -> None:
    """E28: the ledger is busy; a pause that stood in the way may be lifted before the request is decided."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(**said(Answer.YES, "ada", NOW), expires=moment(seconds=1))
    scene.requests.turn = 2.0
    await scene.tend()
    assert not scene.business.supervisor.started
    assert not await scene.closed()
    await scene.tend()
    assert [each.who for each in await scene.asked()] == ["ada", ""]


async def test_a_question_whose_commit_was_lost_is_asked(ledger: Ledger) -> None:
    """D2."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(path="of a step")
    for _ in range(2):
        await scene.tend()
    assert [each.path for each in await scene.asked()] == ["of a step", ""]


async def test_a_signal_that_is_judged_again_leaves_a_good_answer_alone(ledger: Ledger) -> None:
    """E28: while a pause holds, the pipeline judges the signal again and again; the yes still counts."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    await scene.answer(**said(Answer.YES, "ada", NOW))
    await ledger.people.pause(pause(until=moment(minutes=5)))
    await scene.tend()
    for _ in range(3):
        due = await ledger.signals.due_at()
        assert due is not None, "a refusal that ends is judged again"
        await asyncio.sleep((due - virtual_clock()).total_seconds() + 1)
        await scene.business.pipeline.step()
        await scene.tend()
    assert [each.who for each in await scene.asked()] == ["ada"]
    await scene.answer(expires=virtual_clock())
    for _ in range(2):
        await scene.tend()
        await scene.business.pipeline.step()
    assert [each.who for each in await scene.asked()] == ["ada", ""], "whoever is first asks anew: the tick, or this"


async def test_a_hold_that_is_over_is_told_once(ledger: Ledger) -> None:
    """A hold ends after 15 minutes by default, and a person is told."""
    scene = await waiting(ledger, IncidentState.HELD)
    await scene.tend()
    assert not await scene.told(IncidentState.HELD)
    await change(ledger, Incident, opened=moment(minutes=-15))
    for _ in range(3):
        await scene.tend()
    told = await scene.told(IncidentState.HELD)
    assert len(told) == 1
    assert told[0].startswith(
        "The service is held since 11:45:00 because of an upstream. After 15m, Kintsugi evaluates the service on its own"
    )


async def test_a_held_incident_without_a_signal_is_judged_by_the_tick(ledger: Ledger) -> None:
    """The signal that was held has ended; another one that joined the incident goes on."""
    scene = await waiting(ledger, IncidentState.HELD)
    await ledger.signals.accept([signal(id="sig-2", key="other"), signal(ended=NOW)], NOW)
    await ledger.signals.settle({"sig-2": FINAL}, NOW)
    await scene.tend()
    assert [each.signal.id for each in scene.requests.asked if each.signal is not None] == ["sig-2"]
    assert len(scene.business.supervisor.started) == 1


async def test_a_held_incident_ends_when_the_daemon_only_observes_now(ledger: Ledger) -> None:
    observed = Verdict(kind=VerdictKind.OBSERVED, reason=Reason.MODE, text="mode is observe", incident="inc-1")
    scene = await waiting(ledger, IncidentState.HELD, observed)
    scene.business.observed.mode = Mode.OBSERVE
    await scene.tend()
    assert await scene.closed() == [(IncidentState.CANCELLED, "mode is observe: mend would have been started")]


@pytest.mark.parametrize("state", [IncidentState.RUNNING, IncidentState.VERIFYING, IncidentState.ROLLING_BACK])
async def test_an_incident_that_no_run_carries_is_handed_over(state: IncidentState, ledger: Ledger) -> None:
    scene = await waiting(ledger, state, FINAL)
    await scene.tend()
    ((ended, reason),) = await scene.closed()
    assert ended is IncidentState.NEEDS_OPERATOR
    assert reason == f"the incident was {state} without a run; check whether web is healthy"


class UnreadableSignals(Signals):
    """Signals of which those of some incidents cannot be read."""

    async def of_incident(
        self, incident: str, *, limit: int = 500, skip: int = 0
    ) -> tuple[tuple[Signal, Verdict | None], ...]:
        """Return an incident's signals."""
        if incident.startswith("broken"):
            raise ValueError(f"the signals of {incident} cannot be read")
        return await super().of_incident(incident, limit=limit, skip=skip)


async def test_an_incident_that_cannot_be_tended_keeps_no_other_from_it(ledger: Ledger) -> None:
    """C8, B16: contained to the one incident, and counted."""
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    for name, minutes in (("api", -1), ("mail", 1)):
        broken = replace(incident(state=IncidentState.HELD, service=name), id=f"broken-{name}")
        await keep(ledger, replace(broken, opened=NOW + timedelta(minutes=minutes)))
    await scene.clear()
    ledger.signals = UnreadableSignals(ledger._store)
    counted: list[FailureScope] = []
    scene.business.supervisor.containment.on_contained(counted.append)
    raised = await asyncio.gather(scene.tend(), return_exceptions=True)
    assert list(raised) == [None]
    assert await scene.closed() == [(IncidentState.NO_ACTION, "the trigger cleared before an approval")]
    assert counted == [FailureScope.INCIDENT, FailureScope.INCIDENT]


async def test_a_run_whose_claim_was_answered_late_is_started_by_the_next_signal(ledger: Ledger) -> None:
    """D2, P2: the signal joins an incident whose run nobody carries here."""
    left = run()
    await keep(ledger, incident(), left)
    business = PipelineBench(ledger=ledger)
    await ledger.signals.accept([signal()], NOW)
    await business.pipeline.step()
    assert business.supervisor.started == [left]


async def test_an_incident_that_has_its_run_is_the_runs_business(ledger: Ledger) -> None:
    scene = await waiting(ledger, IncidentState.AWAITING_APPROVAL)
    (opened,) = await ledger.incidents.newest()
    await keep(ledger, replace(run(), incident=opened.id))
    await scene.answer(**said(Answer.YES, "ada", NOW))
    await scene.tend()
    assert not scene.requests.asked


BACK = (
    "  $ kubectl rollout undo deployment/web --to-revision=1 --current-revision=2 -n production"
    "  # undo: revision 2 was never seen good: there is no rollback to it"
)
UNDO_OF_DELETE = "nothing to undo: its controller makes a successor, and the successor counts"
CAUSE = (
    "container web cannot pull image web:2: the registry does not have it: "
    'Back-off pulling image "web:2": ErrImagePull: not found'
)


def shipped() -> Catalog:
    """Load the service web with the shipped generic runbook."""
    texts = [(ROOT / "runbooks" / f"{name}.yaml").read_text() for name in ("workload-recovery", "start-service")]
    return catalog(service_text(runbook="workload-recovery"), rule_text(), *texts)


def without_image(name: str) -> dict[str, Any]:
    """Make a pod of revision 2, whose image the registry does not have."""
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "web:2": ErrImagePull: not found'}
    status = {"name": "web", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
    made = sample_pod(name, phase="Pending", containerStatuses=[status])
    made["metadata"]["labels"] |= {"pod-template-hash": "hash-2"}
    made["metadata"]["ownerReferences"] = [owner("ReplicaSet", "web-2", "uid-web-2")]
    made["spec"]["containers"] = [{"name": "web", "image": "web:2"}]
    return made


class Questions:
    """A daemon in mode approve over a Deployment whose second revision has an image that does not exist."""

    def __init__(self, ledger: Ledger, *, good: bool) -> None:
        self.ledger = ledger
        revisions = [(REPLICASETS, replica_set(number, f"web:{number}")) for number in (1, 2)]
        self.kube = SlowCluster((DEPLOYMENTS, deployment()), *revisions, (PODS, without_image("web-3")))
        self.bench = PipelineBench(mode=Mode.APPROVE, known=shipped(), ledger=ledger)
        if good:
            self.good(1)
        prober = Actions(self.kube, Clients.restricted_to(AddressRule()))
        previewer = RunPreviewer(
            deps=runner_deps(prober, self.bench.observed),
            ledger=ledger,
            active_catalog=self.bench.active_catalog,
            containment=Containment(),
            within=timedelta(seconds=3),
        )
        self.bench.pipeline.requester.preview = previewer.preview

    def good(self, number: int) -> None:
        """Let a revision have been seen good."""
        revision = GoodRevision(
            workload="uid-web", template=f"hash-{number}", number=number, first_good=NOW, last_good=NOW
        )
        self.bench.observed.remember((revision,))

    def crash(self) -> None:
        """Let revision 2 be good, and its pod be in a crash loop."""
        self.good(2)
        crashing = sample_pod("web-3")
        crashing["metadata"]["ownerReferences"] = [owner("ReplicaSet", "web-2", "uid-web-2")]
        self.kube.put(NODES, node())
        self.kube.put(PODS, crashing)

    async def signalled(self, id_: str = "sig-1") -> None:
        """Let a signal say that a pod is unhealthy."""
        await self.ledger.signals.accept([signal(id=id_, key=f"web-pods/{id_}")], NOW)
        await self.bench.pipeline.step()

    async def ask(self) -> Question:
        """Let a pod be unhealthy, and return the question."""
        await self.signalled()
        (asked,) = await self.questions()
        return asked

    async def questions(self) -> tuple[Question, ...]:
        """Return the questions so far, oldest first."""
        (incident,) = await self.ledger.incidents.newest()
        return await self.ledger.people.questions_of(incident.id)

    async def approve(self) -> None:
        """Let a person approve each question, and the daemon look after its incidents."""
        await change(self.ledger, Question, **said(Answer.YES, "ada", NOW))
        await self.bench.pending_incidents.reconcile()

    async def notices(self) -> list[str]:
        """Return the notices as they are sent."""
        headlines = NoticeTexts(incidents=LedgerIncidents(self.ledger), clock=virtual_clock, delay=timedelta(0))
        due = await self.ledger.outbox.due_notices(moment(hours=1), 100)
        return [each.text for each in await headlines.complete(due)]


async def test_a_question_and_its_notice_show_the_rollback_that_the_diagnosis_leads_to(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    asked = await scene.ask()
    first, *lines = asked.text.splitlines()
    assert first == "Run Workload recovery on web?"
    assert lines[:3] == ["The run would execute now:", BACK, f"Reason: {CAUSE}"]
    assert (
        lines[-1] == "If web is not healthy 30m after the start: the changes are rolled back, or a person is notified."
    )
    assert len(lines) <= 10
    (notice,) = await scene.notices()
    assert notice.splitlines()[2:5] == lines[:3]
    assert scene.kube.writes == [], "a preview only reads"


async def test_nobody_is_asked_about_a_run_that_would_change_nothing_but_a_person_is_told_at_once_and_once(
    ledger: Ledger,
) -> None:
    scene = Questions(ledger, good=False)
    await scene.signalled()
    await scene.signalled("another")
    (incident,) = await ledger.incidents.newest()
    said = f"no step here helps: a restart does not help: {CAUSE}"
    assert (incident.state, incident.reason) == (IncidentState.NEEDS_OPERATOR, said)
    assert await scene.questions() == ()
    (notice,) = await scene.notices()
    assert said in notice


async def test_a_step_that_depends_on_an_earlier_change_is_shown_as_possible(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    scene.crash()
    asked = await scene.ask()
    lines = asked.text.splitlines()[1:6]
    assert lines[1] == f"  $ kubectl delete pod web-3 -n production  # undo: {UNDO_OF_DELETE}"
    assert lines[2].startswith("Reason: one pod is restarted first")
    assert lines[3:] == [
        "Later steps may execute:",
        "  Restart the others: kubectl delete pod ${each} (its values are read when the step begins)",
    ]


async def test_an_approved_run_that_would_make_the_changes_that_were_shown_starts(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    await scene.ask()
    await scene.approve()
    assert len(scene.bench.supervisor.started) == 1
    assert len(await scene.questions()) == 1


async def test_an_approved_run_that_would_make_other_changes_by_now_does_not_start_and_is_asked_about_again(
    ledger: Ledger,
) -> None:
    """E28."""
    scene = Questions(ledger, good=True)
    await scene.ask()
    scene.crash()
    await scene.approve()
    assert scene.bench.supervisor.started == []
    _, again = await scene.questions()
    assert again.text.splitlines()[2].startswith("  $ kubectl delete pod web-3")
    assert again.answered is None
    assert any(
        "the plan has changed since ada approved it; approval is requested again" in each
        for each in await scene.notices()
    )


async def test_a_preview_that_takes_too_long_keeps_no_question_away(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    scene.kube.slow = 5.0
    asked = await scene.ask()
    said = "The commands that the run would execute now are not known: they were not determined within 3s"
    assert asked.text.splitlines()[1] == said
    await scene.approve()
    assert len(scene.bench.supervisor.started) == 1, "the plan as a whole was approved"


async def test_a_rejected_plan_is_not_asked_about_again_when_it_would_make_other_changes(ledger: Ledger) -> None:
    scene = Questions(ledger, good=True)
    await scene.ask()
    await change(ledger, Question, **said(Answer.NO, "ada", NOW, "a deploy"))
    await scene.bench.pending_incidents.reconcile()
    scene.bench.observed.forget_good("uid-web", "hash-1")
    await ledger.signals.rearm(NOW)
    await scene.bench.pipeline.step()
    assert (await scene.bench.verdicts())["sig-1"].reason is Reason.REJECTED
