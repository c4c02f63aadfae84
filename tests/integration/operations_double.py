"""A daemon's operations that know one night: what the tests of the API and of the command line ask and tell it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from kintsugi.errors import LedgerUnavailable, NotRecorded, Refused, WrongState
from kintsugi.model.api_types import (
    AbortResult,
    ActivityKind,
    Answerer,
    AnswerRequest,
    CurrentStep,
    DaemonStatus,
    DeadLetterResendResult,
    DeadLetterSummary,
    DestinationTest,
    EvaluatedSignal,
    Explanation,
    HoldSummary,
    IncidentDetail,
    KeptText,
    PauseRequest,
    RecoverPreview,
    RollbackPreview,
    RouteTest,
    RunDetail,
    RunSummary,
    ServiceActivity,
    ServiceExplanation,
    ServiceSummary,
    ServiceTree,
    ServiceValue,
    SignalQuery,
    TakeResult,
)
from kintsugi.model.manual import RecoverRequest
from kintsugi.model.questions import Question
from kintsugi.model.records import (
    Incident,
    IncidentState,
    Pause,
    PauseScope,
    Reason,
    RunKind,
    RunRecord,
    Signal,
    SignalSource,
    StepRecord,
    StepState,
    Target,
    UndoRecord,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import Mode, RuleSource
from kubediagnosis.causes import Diagnosis
from tests.harness.answers import said
from tests.integration.told_diagnosis import DIAGNOSIS

NOW = datetime(2026, 11, 24, 2, 58, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a moment of the night."""
    return NOW + timedelta(seconds=seconds)


STATUS = DaemonStatus(mode=Mode.AUTO, since=NOW, cluster="https://10.0.0.1")

MENDED = Incident(
    id="inc-1",
    service="web-service",
    rule="web-pods-unhealthy",
    runbook="web-service-recovery",
    mode=Mode.AUTO,
    state=IncidentState.RECOVERED,
    reason="web-service is healthy and the trigger has cleared",
    opened=at(0),
    closed=at(252),
)

ASKING = Incident(
    id="inc-2",
    service="api-service",
    rule="api-alerts",
    runbook="workload-recovery",
    mode=Mode.APPROVE,
    state=IncidentState.AWAITING_APPROVAL,
    reason="workload-recovery waits for a person's approval\nand this line is detail",
    opened=at(300),
)

PODS_SEEN = {
    "items": [{"kind": "Pod", "metadata": {"name": "web-1"}}, {"kind": "Pod", "metadata": {"name": "web-2"}}],
}


def step(path: str, name: str, began: float | None = None, ended: float | None = None, **more: object) -> StepRecord:
    """Return a step of the run that is over."""
    record = StepRecord(run="run-1", path=path, name=name, state=StepState.DONE)
    times = {key: at(seconds) for key, seconds in (("started", began), ("finished", ended)) if seconds is not None}
    return replace(record, **times, **more)  # type: ignore[arg-type]


SCALED = "kubectl scale deployment/web --replicas={} -n production"
STEPS = (
    step("@found", "", 1, result={"ready": 2}),
    step(
        "check",
        "Check service health",
        1,
        1.2,
        text="kubectl get pods -l app=web-app",
        result=PODS_SEEN,
        met=False,
        error="not met: size(items) > 0",
    ),
    step("restart[]", "Restart unhealthy pods", facts={"items": []}),
    step("restart", "Restart unhealthy pods", 2, 40, text="kubectl delete pod ${each}", met=True),
    step(
        "restart[0]#0",
        "Restart unhealthy pods",
        3,
        5,
        changes=True,
        text="kubectl delete pod web-1 -n production",
        why="web-1 was unhealthy (rule web-pods-unhealthy)",
        undo=UndoRecord(note="its controller makes a successor"),
    ),
    step(
        "scale#0",
        "Scale the deployment if needed",
        41,
        42,
        changes=True,
        text=SCALED.format(5),
        undo=UndoRecord(texts=(SCALED.format(3),)),
    ),
    step("cleanup", "Clean up", 43, 43, state=StepState.SKIPPED, error="not needed"),
)

RUN = RunRecord(
    id="run-1",
    incident="inc-1",
    service="web-service",
    namespace="production",
    rule="web-pods-unhealthy",
    runbook="web-service-recovery",
    catalog="c1",
    epoch=1,
    state=IncidentState.RECOVERED,
    started=at(1),
    deadline=at(1800),
    finished=at(252),
    changed=True,
)

SIGNALS = (
    EvaluatedSignal(
        signal=Signal(
            id="sig-1",
            source=SignalSource.WATCH,
            kind=RuleSource.POD,
            key="web-pods-unhealthy/u1",
            rule="web-pods-unhealthy",
            labels={"namespace": "production", "pod": "web-1"},
            target=Target(kind="Pod", namespace="production", name="web-1", uid="u1"),
            began=at(-120),
            received=at(0),
        ),
        verdict=Verdict(
            kind=VerdictKind.STARTED,
            reason=Reason.MATCHED,
            text="rule web-pods-unhealthy starts web-service-recovery",
            rule="web-pods-unhealthy",
        ),
    ),
    EvaluatedSignal(
        signal=Signal(
            id="sig-2",
            source=SignalSource.ALERTMANAGER,
            kind=RuleSource.ALERT,
            key="f1",
            labels={"alertname": "KubePodCrashLooping", "pod": "web-1\x1b[2J", "namespace": "production"},
            began=at(60),
            received=at(61),
        ),
        verdict=Verdict(
            kind=VerdictKind.ATTACHED, reason=Reason.ACTIVE_RUN, text="web-service is already being recovered"
        ),
    ),
)

LETTERS = (
    DeadLetterSummary(
        id="dead-1",
        source=SignalSource.ALERTMANAGER,
        received=at(70),
        reason="alert: Object missing required field `labels`",
        excerpt='{"status":"firing","x":"\x1b[2J"}',
        resendable=True,
    ),
    DeadLetterSummary(
        id="dead-2",
        source=SignalSource.POLL,
        received=at(60),
        reason="alert: labels: 70000 characters, at most 65536 are read",
        excerpt="{" + "a" * 100,
        resendable=False,
    ),
)

DETAIL = IncidentDetail(
    incident=MENDED,
    signals=SIGNALS,
    runs=(
        RunDetail(
            run=RUN,
            steps=STEPS,
            evidence=(
                KeptText(path="restart[0]#0", kind="describe", text="Name: web-1\nStatus: CrashLoopBackOff"),
                KeptText(path="restart[0]#0", kind="logs web --previous", text="panic: \x1b]0;owned\x07no database"),
            ),
        ),
    ),
)

QUESTION = Question(
    incident="inc-2",
    path="",
    text="Run Workload recovery on api-service?\nRestart: kubectl rollout restart deployment/api",
    plan="9f31c0ffee",
    asked=at(301),
    expires=at(301 + 1800),
)

PLAN = RecoverPreview(
    begun=False,
    allowed=True,
    text="workload-recovery on api-service would be started",
    runbook="workload-recovery",
    service="api-service",
    namespace="production",
    parameters={"replicas": "3"},
    steps=("Restart: kubectl rollout restart deployment/api",),
    deadline=at(1800),
    digest="shown",
)

PAUSE = Pause(id="pau-1", scope=PauseScope.NAMESPACE, name="production", who="ana", why="release 4.2", since=at(10))


@dataclass
class FakeOperations:
    """
    Operations that know one night. `asked` lists every deed; `away`: the ledger is; `changing`: what a rollback would do.

    `lost` is how many starts by hand get no answer, `plan` what they are shown. `watched` are services from one look to
    the next, as `looks` are; `pages` are the pages of an incident's signals that were asked for.

    `looks` is what an incident looks like from one time to the next, the last for good; None: the ledger is away then.
    """

    asked: list[tuple[object, ...]] = field(default_factory=list)
    looks: list[IncidentDetail | None] = field(default_factory=list)
    questions: tuple[Question, ...] = (QUESTION,)
    away: bool = False
    empty: bool = False
    changing: bool = False
    lost: int = 0
    plan: RecoverPreview = PLAN
    pages: list[tuple[int, int]] = field(default_factory=list)
    watched: list[Sequence[ServiceSummary] | None] = field(default_factory=list)
    status: DaemonStatus = STATUS

    async def test(self, route: str) -> RouteTest:
        self.asked.append(("test", route))
        if route != "on-call":
            raise NotRecorded(f"there is no notice route {route}")
        tested = (DestinationTest(destination="mail"), DestinationTest(destination="pager", problem="it is closed"))
        return RouteTest(route=route, destinations=tested)

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        if self.away:
            raise LedgerUnavailable("the ledger cannot be reached")
        self.asked.append(("incidents", limit, service, open_only))
        return [] if self.empty else [ASKING, MENDED]

    async def incident(self, incident: str, *, signals: int = 100, skip: int = 0) -> IncidentDetail:
        self.pages.append((signals, skip))
        if self.looks:
            look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            if look is None:
                raise LedgerUnavailable("the ledger cannot be reached")
            return look
        known = {"inc-1": DETAIL, "inc-2": IncidentDetail(incident=ASKING, questions=self.questions)}
        if incident not in known:
            raise NotRecorded(f"there is no incident {incident}")
        return known[incident]

    async def signals(self, wish: SignalQuery) -> Sequence[EvaluatedSignal]:
        self.asked.append(("signals", wish))
        return [] if self.empty else SIGNALS

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        self.asked.append(("dead_letters", limit, before))
        return [] if self.empty else LETTERS

    async def resend(self, letter: str, *, who: str) -> DeadLetterResendResult:
        self.asked.append(("resend", letter, who))
        if letter not in {each.id for each in LETTERS}:
            raise NotRecorded(f"there is no dead letter {letter}")
        if letter == "dead-2":
            raise WrongState("dead letter dead-2 cannot be resent: it was not stored whole")
        return DeadLetterResendResult(id=letter, accepted=1, dead_letters=0)

    async def answer(self, incident: str, request: AnswerRequest, answerer: Answerer) -> Question:
        self.asked.append(("answer", incident, request, answerer.name))
        if request.plan != QUESTION.plan:
            raise WrongState(f"incident {incident}: the plan has changed since it was shown: review it again")
        given = said(request.answer, answerer.name, at(400), request.why)
        return replace(QUESTION, path=request.path, **given)

    async def abort(self, incident: str, *, who: str, why: str) -> AbortResult:
        self.asked.append(("abort", incident, who, why))
        text = "web-service-recovery on web-service takes no further step"
        return AbortResult(incident=incident, reason=f"aborted by {who}: {why}", text=text, changed=incident == "inc-1")

    async def take(self, incident: str, *, who: str, why: str) -> TakeResult:
        self.asked.append(("take", incident, who, why))
        return TakeResult(incident=incident, who=who, text="no run starts on web-service until it is given back")

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackPreview:
        self.asked.append(("roll_back", incident, who, confirmed))
        if incident == "inc-2":
            raise WrongState("incident inc-2 never had a run, so there is nothing to undo")
        digest = f"shown-{sum(deed[0] == 'roll_back' for deed in self.asked)}" if self.changing else "shown"
        if confirmed and confirmed != digest:
            raise WrongState(
                "incident inc-1: nothing is started: the rollback has changed since it was shown. Now …: lost: 3 days of orders"
            )
        return RollbackPreview(
            begun=bool(confirmed),
            digest=digest,
            text="web-service-recovery on web-service would be rolled back",
            commands=("kubectl scale deployment/web --replicas=3 -n production",),
            losses=("2 minutes of orders",),
            wrong="ImagePull (certain): deployment/web: container web cannot pull image shop:2.1",
            changes="deployment/web from revision 4 (image shop:2.1) to 3 (image shop:2.0)",
        )

    async def pauses(self) -> Sequence[Pause]:
        return [] if self.empty else [PAUSE]

    async def pause(self, wish: PauseRequest, *, who: str) -> Pause:
        self.asked.append(("pause", wish, who))
        if wish.name == "kube-system":
            raise Refused("nothing is ever changed in kube-system, so there is nothing to pause")
        until = at(0) + wish.lasts if wish.lasts is not None else None
        return Pause(
            id="pau-2",
            scope=wish.scope,
            name=wish.name,
            who=who,
            why=wish.why,
            freeze=wish.freeze,
            since=at(0),
            until=until,
        )

    async def resume(self, of: str, *, who: str, why: str) -> Pause:
        self.asked.append(("resume", of, who, why))
        if of != PAUSE.id:
            raise NotRecorded(f"there is neither a pause nor an incident {of}")
        return PAUSE

    async def services(self) -> ServiceTree:
        return ServiceTree(services=tuple(self._services()), daemon=self.status)

    def _services(self) -> Sequence[ServiceSummary]:
        if self.empty:
            return []
        if self.watched:
            look = self.watched.pop(0) if len(self.watched) > 1 else self.watched[0]
            if look is None:
                raise LedgerUnavailable("the ledger cannot be reached")
            return look
        return [
            ServiceSummary(
                name="database",
                namespace="data",
                priority=1,
                serving=True,
                healthy=False,
                ready=1,
                desired=2,
                incident="inc-5",
                run=RunSummary(
                    id="run-5",
                    runbook="database-recovery",
                    rule="database-pods-unhealthy",
                    state=IncidentState.RUNNING,
                    started=at(0),
                    watchdog=at(1800),
                    step=CurrentStep(path="check", name="Check the database pod", state=StepState.PLANNED),
                ),
                activity=ServiceActivity(
                    kind=ActivityKind.RUN,
                    text="running database-recovery: Check the database pod (planned); deadline 03:28:00",
                ),
            ),
            ServiceSummary(
                name="api-service",
                namespace="production",
                priority=3,
                serving=False,
                healthy=False,
                ready=0,
                desired=2,
                incident="inc-6",
                depends_on=("database",),
                hold=HoldSummary(upstream="database", why="database is being recovered", since=at(10), until=at(910)),
                activity=ServiceActivity(
                    kind=ActivityKind.HELD, text="held by database until 03:13:10: database is being recovered"
                ),
            ),
            ServiceSummary(
                name="web-service",
                namespace="production",
                priority=5,
                serving=None,
                healthy=None,
                ready=0,
                desired=3,
                incident="inc-1",
                depends_on=("api-service", "cache"),
            ),
        ]

    async def drill(self, service: str, *, who: str) -> Incident:
        if self.away:
            raise LedgerUnavailable("the ledger cannot be reached")
        self.asked.append(("drill", service, who))
        if service != "database":
            raise WrongState(f"no drill is started: {service} is not healthy; a drill would add load")
        return replace(MENDED, id="inc-3", service=service, runbook="database-drill", kind=RunKind.DRILL)

    async def recover(self, wish: RecoverRequest, *, who: str) -> RecoverPreview:
        self.asked.append(("recover", wish, who))
        if wish.digest and self.lost:
            self.lost -= 1
            raise LedgerUnavailable("the ledger cannot be reached")
        if wish.digest not in ("", "shown"):
            raise WrongState("nothing is started: the plan has changed since it was shown; review the plan again")
        return replace(self.plan, begun=bool(wish.digest), incident="inc-4" if wish.digest else "")

    async def diagnose(self, target: Target) -> Diagnosis:
        self.asked.append(("diagnose", target))
        if target.name != DIAGNOSIS.object.partition("/")[2]:
            raise NotRecorded(f"there is no {target.kind}/{target.name} in {target.namespace}")
        return DIAGNOSIS

    def missing_workloads(self) -> tuple[str, ...]:
        return ("store",)

    async def manifest(self, service: str) -> bytes:
        self.asked.append(("manifest", service))
        return b'{"kind":"Deployment","spec":{"password":"hunter2"}}'

    async def explain_service(self, service: str) -> ServiceExplanation:
        self.asked.append(("explain_service", service))
        if service != "web-service":
            raise NotRecorded(f"the rules in force declare no service {service}")
        return ServiceExplanation(
            service=service,
            values=(
                ServiceValue(key="namespace", value="production", place="rules/web-service.yaml:8:14"),
                ServiceValue(key="selector", value="app=web-app"),
            ),
            rules=(
                ServiceValue(
                    key="web-service-pods-unhealthy",
                    value="auto: web-service-recovery on pod for 2m: object.unhealthy",
                    place="rules/any-service.yaml:6:18",
                ),
            ),
        )

    async def explain(self, about: Signal | Target) -> Explanation:
        self.asked.append(("explain", about))
        verdict = Verdict(
            kind=VerdictKind.REFUSED,
            reason=Reason.COOLDOWN,
            text="cooling down until 03:10:00 after a run that ended recovered",
            until=at(720),
            rule="web-pods-unhealthy",
        )
        return Explanation(
            verdict=verdict, lines=('web-alerts: no: label severity expected ="critical", found "info"',)
        )


def running(detail: IncidentDetail, state: IncidentState, steps: Sequence[StepRecord]) -> IncidentDetail:
    """Return an incident as it stood while its run had come that far."""
    run = detail.runs[0]
    closed = detail.incident.closed if state.is_final else None
    return replace(
        detail,
        incident=replace(detail.incident, state=state, reason=f"it is {state}", closed=closed),
        runs=(replace(run, run=replace(run.run, state=state, finished=closed), steps=tuple(steps)),),
    )
