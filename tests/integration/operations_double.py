"""Operations that remember what was asked of them and answer with records, for the tests of the API."""

from collections.abc import Sequence
from datetime import UTC, datetime

from kintsugi.errors import NotRecorded, Refused, WrongState
from kintsugi.model.api_types import DaemonStatus, ServiceExplanation, ServiceValue
from kintsugi.model.causes import Diagnosis
from kintsugi.model.records import (
    Approval,
    Incident,
    IncidentState,
    Pause,
    Reason,
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
from kintsugi.server.operations import (
    AbortResult,
    DeadLetterResendResult,
    DeadLetterSummary,
    EvaluatedSignal,
    Explanation,
    IncidentDetail,
    KeptText,
    PauseRequest,
    RecoverPreview,
    RecoverRequest,
    RejectRequest,
    RollbackPreview,
    RunDetail,
    ServiceSummary,
    ServiceTree,
    SignalQuery,
)
from tests.integration.told_diagnosis import DIAGNOSIS

NOW = datetime(2026, 11, 24, 14, 0, tzinfo=UTC)

INCIDENT = Incident(
    id="inc-1",
    service="shop",
    rule="shop-down",
    runbook="web-service-recovery",
    mode=Mode.AUTO,
    state=IncidentState.RUNNING,
    reason="rule shop-down starts web-service-recovery",
    opened=NOW,
)

RUN = RunRecord(
    id="run-1",
    incident="inc-1",
    service="shop",
    namespace="shop",
    rule="shop-down",
    runbook="web-service-recovery",
    catalog="c1",
    epoch=1,
    state=IncidentState.RUNNING,
    started=NOW,
    deadline=NOW,
)

STEP = StepRecord(
    run="run-1",
    path="restart",
    state=StepState.DONE,
    changes=True,
    text="kubectl rollout restart deployment/web",
    undo=UndoRecord(texts=("kubectl rollout undo deployment/web",)),
)


SIGNAL = Signal(
    id="sig-1",
    source=SignalSource.ALERTMANAGER,
    kind=RuleSource.ALERT,
    key="f1",
    labels={"alertname": "x"},
    began=NOW,
    received=NOW,
)
UNKNOWN = Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")
LETTER = DeadLetterSummary(
    id="dead-1", source=SignalSource.ALERTMANAGER, received=NOW, reason="no alert", excerpt="{", resendable=True
)


class RememberingOperations:
    """Knows one incident, `inc-1`; `asked` lists every deed with its arguments."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        self.asked.append(("incidents", limit, service, open_only))
        return [INCIDENT]

    async def incident(self, incident: str, *, signals: int = 100, skip: int = 0) -> IncidentDetail:
        self._known(incident)
        self.asked.append(("incident", incident, signals, skip))
        run = RunDetail(run=RUN, steps=(STEP,), evidence=(KeptText(path="restart", kind="describe", text="Name: web"),))
        return IncidentDetail(incident=INCIDENT, runs=(run,))

    async def signals(self, wish: SignalQuery) -> Sequence[EvaluatedSignal]:
        self.asked.append(("signals", wish))
        return [EvaluatedSignal(signal=SIGNAL, verdict=UNKNOWN)]

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        self.asked.append(("dead_letters", limit, before))
        return [LETTER]

    async def resend(self, letter: str, *, who: str) -> DeadLetterResendResult:
        self.asked.append(("resend", letter, who))
        if letter != LETTER.id:
            raise NotRecorded(f"there is no dead letter {letter}")
        return DeadLetterResendResult(id=letter, accepted=1, dead_letters=0)

    async def approve(self, incident: str, *, path: str, plan: str, who: str) -> Approval:
        self._known(incident)
        self.asked.append(("approve", incident, path, plan, who))
        return Approval(
            incident=incident, path=path, question="?", plan=plan, asked=NOW, expires=NOW, who=who, answered=NOW
        )

    async def reject(self, incident: str, request: RejectRequest, *, who: str) -> Approval:
        self._known(incident)
        self.asked.append(("reject", incident, request, who))
        return Approval(
            incident=incident,
            path=request.path,
            question="?",
            plan=request.plan,
            asked=NOW,
            expires=NOW,
            who=who,
            rejected=NOW,
            why=request.why,
        )

    async def abort(self, incident: str, *, who: str, why: str) -> AbortResult:
        self._known(incident)
        self.asked.append(("abort", incident, who, why))
        return AbortResult(
            incident=incident, reason=f"aborted by {who}: {why}", text="it takes no further step", changed=True
        )

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackPreview:
        self._known(incident)
        self.asked.append(("roll_back", incident, who, confirmed))
        return RollbackPreview(
            begun=bool(confirmed),
            text="one step would be undone",
            commands=STEP.undo.texts if STEP.undo else (),
            digest="shown-1",
        )

    async def pauses(self) -> Sequence[Pause]:
        return []

    async def pause(self, wish: PauseRequest, *, who: str) -> Pause:
        self.asked.append(("pause", wish, who))
        if wish.name == "kube-system":
            raise Refused("nothing is ever changed in kube-system, so there is nothing to pause")
        return Pause(id="pause-1", scope=wish.scope, name=wish.name, who=who, why=wish.why, since=NOW)

    async def resume(self, of: str, *, who: str, why: str) -> Pause:
        self.asked.append(("resume", of, who, why))
        raise NotRecorded(f"there is neither a pause nor an incident {of}")

    async def services(self) -> ServiceTree:
        unknown = ServiceSummary(
            name="shop", namespace="shop", priority=1, serving=None, healthy=None, ready=0, desired=3
        )
        daemon = DaemonStatus(mode=Mode.AUTO, since=NOW, cluster="https://10.0.0.1")
        return ServiceTree(services=(unknown,), daemon=daemon)

    async def drill(self, service: str, *, who: str) -> Incident:
        self.asked.append(("drill", service, who))
        if service != INCIDENT.service:
            raise WrongState(f"no drill is started: {service} is not healthy; a drill would add load")
        return INCIDENT

    async def recover(self, wish: RecoverRequest, *, who: str) -> RecoverPreview:
        self.asked.append(("recover", wish, who))
        if wish.runbook != RUN.runbook:
            raise NotRecorded(f"there is no runbook {wish.runbook}")
        return RecoverPreview(
            begun=bool(wish.digest),
            allowed=True,
            text="web-service-recovery on shop",
            runbook=wish.runbook,
            service="shop",
            namespace="shop",
            parameters={},
            steps=("Restart it",),
            deadline=NOW,
            digest="shown-1",
            incident=INCIDENT.id if wish.digest else "",
        )

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
        return Explanation(verdict=Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches"))

    def _known(self, incident: str) -> None:
        if incident != INCIDENT.id:
            raise NotRecorded(f"there is no incident {incident}")
