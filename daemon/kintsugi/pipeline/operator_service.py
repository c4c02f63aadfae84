"""The operations behind the API: what people may read and do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson
import structlog

from kintsugi.actions.workload_reads import Diagnoser
from kintsugi.decisions.activity import Forecast, inaction_reason
from kintsugi.decisions.breaker import doubt
from kintsugi.decisions.drills import RULE
from kintsugi.decisions.guards import HandOver, hand_over, newest_first
from kintsugi.decisions.page_probes import RULE as PAGE_RULE
from kintsugi.decisions.priorities import Hold, HoldRecord, ongoing_hold
from kintsugi.errors import NotRecorded, UsageError, WrongState
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import (
    SIGNALS,
    AbortResult,
    Answerer,
    AnswerRequest,
    DaemonStatus,
    DeadLetterResendResult,
    DeadLetterSummary,
    EvaluatedSignal,
    Explanation,
    IncidentDetail,
    KeptText,
    PauseRequest,
    RecoverPreview,
    RollbackPreview,
    RunDetail,
    ServiceExplanation,
    ServiceTree,
    SignalQuery,
    TakeResult,
)
from kintsugi.model.history import HANDED_OVER_OUTCOMES, Abort
from kintsugi.model.identity import new_id
from kintsugi.model.manual import MANUAL, RecoverRequest
from kintsugi.model.questions import GivenAnswer, Groups, Question
from kintsugi.model.records import (
    DeadLetter,
    Delivery,
    Incident,
    IncidentState,
    Pause,
    PauseScope,
    PendingMatch,
    RunKind,
    RunRecord,
    Signal,
    Target,
)
from kintsugi.model.rules import Rule
from kintsugi.model.services import STACK
from kintsugi.model.views import ServiceView
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.affected_services import AffectedServices
from kintsugi.pipeline.diagnoses import IncidentDiagnoses
from kintsugi.pipeline.drill_scheduler import DrillScheduler
from kintsugi.pipeline.explainer import Explainer, service_explanation
from kintsugi.pipeline.manual_starts import ManualStarts
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.outage_watch import OutageWatch
from kintsugi.pipeline.pending_incidents import MOST_INCIDENTS
from kintsugi.pipeline.pipeline import Pipeline
from kintsugi.pipeline.previews import RollbackPreviewer
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.service_tree import TreeInput, covered, tree
from kintsugi.runner.ends import requested
from kubediagnosis.causes import Diagnosis

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class OperatorService:
    """Implements `server.Operations` on the ledger and the live daemon, which runs `since` a time on a `cluster` (its URL, and its name)."""

    cluster: str
    cluster_name: str
    since: datetime
    ledger: Ledger
    active_catalog: ActiveCatalog
    observed: ObservedState
    supervisor: RunSupervisor
    pipeline: Pipeline
    explainer: Explainer
    drill_scheduler: DrillScheduler
    manual_starts: ManualStarts
    reread: Callable[[DeadLetter, datetime], Delivery]
    diagnoser: Diagnoser
    diagnoses: IncidentDiagnoses
    rollbacks: RollbackPreviewer
    outages: OutageWatch
    groups: Groups

    async def incidents(self, *, limit: int, service: str, open_only: bool) -> Sequence[Incident]:
        """List incidents, newest first."""
        return await self.ledger.incidents.newest(limit=limit, service=service, open_only=open_only)

    async def incident(self, incident: str, *, signals: int = SIGNALS, skip: int = 0) -> IncidentDetail:
        """Return an incident as far as it can be read, with a page of its signals after the first `skip`."""
        found = await self.ledger.incidents.get(incident, strict=False)
        page = await self.ledger.signals.of_incident(incident, limit=signals, skip=skip)
        runs = [await self._detail(run) for run in await self.ledger.incidents.runs_of(incident)]
        affected = AffectedServices(self.ledger.incidents, self.active_catalog, self.observed)
        children = [child for each in runs for child in await self.ledger.incidents.children_of(each.run.id)]
        return IncidentDetail(
            incident=found,
            signals=tuple(EvaluatedSignal(signal=signal, verdict=verdict) for signal, verdict in page),
            runs=tuple(runs),
            questions=await self.ledger.people.questions_of(incident),
            signals_total=await self.ledger.signals.count_of(incident),
            firing=(await self.ledger.signals.trigger_of(incident)).firing,
            diagnoses=await self.ledger.incidents.diagnoses_of(incident),
            covers=covered(self.observed.views.values(), children) if found.service == STACK else (),
            affected=await affected.now(found),
            abort=await self.ledger.people.abort_of(incident),
            resumed=await self.ledger.people.ended_rest(incident),
            taken=await self.ledger.people.taken(incident),
            cluster_name=self.cluster_name,
        )

    async def signals(self, request: SignalQuery) -> Sequence[EvaluatedSignal]:
        """List signals with their verdicts, newest first."""
        return await self.ledger.signals.list_signals(request)

    async def dead_letters(self, *, limit: int, before: str) -> Sequence[DeadLetterSummary]:
        """Return the dead letters, newest first."""
        return await self.ledger.signals.dead_letters(limit=limit, before=before)

    async def resend(self, letter: str, *, who: str) -> DeadLetterResendResult:
        """
        Accept what a dead letter says that still counts: alerts that had ended, and, where it is new, those that fire.

        Its signals are committed before it goes, so that one that is sent in twice is taken once. Raises NotRecorded for no
        such letter, WrongState while nothing of it can be understood, or nothing of it counts any more.
        """
        kept = await self.ledger.signals.dead_letter(letter)
        now = self.observed.clock()
        read = self.reread(kept, now)
        if not read.signals:
            why = read.unreadable or next((each.reason for each in read.dead_letters), "the letter contains no alert")
            if read.stale:
                why = (
                    f"it is of {kept.received:%Y-%m-%d %H:%M:%S}, and whether its alerts still fire is not known:"
                    " Alertmanager sends again what does"
                )
            raise WrongState(f"dead letter {letter} cannot be resent: {why}")
        await self.ledger.signals.accept(read.signals, now)
        await self.ledger.signals.keep_dead_letters(read.dead_letters)
        await self.ledger.signals.forget_dead_letter(letter)
        log.info("dead letter resent", letter=letter, who=who, signals=len(read.signals), stale=read.stale)
        self.pipeline.wake()
        left = len(read.dead_letters)
        return DeadLetterResendResult(id=letter, accepted=len(read.signals), dead_letters=left, stale=read.stale)

    async def answer(self, incident: str, request: AnswerRequest, answerer: Answerer) -> Question:
        """Answer a question; the waiting run or incident goes on within moments, or ends at a no."""
        given = GivenAnswer(
            answer=request.answer,
            who=answerer.name,
            source=answerer.source,
            claimed=answerer.claimed,
            given=self.observed.clock(),
            why=request.why,
        )
        answered = await self.ledger.people.answer(incident, request, given, self.groups)
        log.info("question answered", incident=incident, path=request.path, answer=given.answer, who=given.who)
        return answered

    async def abort(self, incident: str, *, who: str, why: str) -> AbortResult:
        """
        End an incident without a further step: its run at the next step boundary, one without a run within moments.

        What was changed stays, for a person. Raises WrongState while a rollback is under way, or when nothing is.
        """
        asked = Abort(incident=incident, who=who, why=why, requested=self.observed.clock())
        kept = await self.ledger.people.abort(asked)
        log.info("incident abort requested", incident=incident, who=kept.who, why=kept.why)
        self.supervisor.abort(incident, kept.reason)
        runs = await self.ledger.incidents.runs_of(incident)
        open_runs = [run for run in runs if run.finished is None]
        text = (
            f"{open_runs[0].runbook} on {open_runs[0].service} takes no further step" if open_runs else "it is closed"
        )
        changed = any(run.changed and run.kind is RunKind.RECOVERY for run in runs)
        return AbortResult(incident=incident, reason=kept.reason, text=text, changed=changed)

    async def take(self, incident: str, *, who: str, why: str) -> TakeResult:
        """
        Have a person take an incident: it ends without a further step, and no run starts on its service until it is given back.

        What was changed stays. A rollback under way goes on to its end. Raises WrongState where another person has it, or for
        doubt about the observed state, which is about no service.
        """
        found, now = await self.ledger.incidents.get(incident, strict=False), self.observed.clock()
        if found.kind is RunKind.OBSERVER:
            raise WrongState(f"incident {incident} is about no service: nobody can take it")
        reason = f"{who} has taken incident {incident}{f': {why}' if why else ''}"
        everything = found.service == STACK
        pause = Pause(
            id=incident,
            scope=PauseScope.GLOBAL if everything else PauseScope.SERVICE,
            name="" if everything else found.service,
            who=who,
            why=reason,
            since=now,
        )
        abort = Abort(incident=incident, who=who, why=f"taken{f': {why}' if why else ''}", requested=now)
        ended = await self.ledger.people.take(abort, pause)
        log.info("incident taken", incident=incident, who=who, why=why)
        if ended is not None:
            self.supervisor.abort(incident, ended.reason)
        on = "any service" if everything else found.service
        back = f"to give it back: kintsugi resume {incident} --why TEXT"
        rest = "" if ended is not None or found.closed is not None else "; the rollback under way goes on to its end"
        return TakeResult(
            incident=incident, who=who, text=f"no run starts on {on} until it is given back{rest}; {back}"
        )

    async def roll_back(self, incident: str, *, who: str, confirmed: str = "") -> RollbackPreview:
        """
        Roll a run back now; unless the digest of the shown plan is `confirmed`, only show what would be done.

        A run under way rolls back at its next step boundary; one that is over is reopened for it. Raises WrongState when
        there is nothing to undo, or the plan or its losses have changed since it was shown.
        """
        runs = await self.ledger.incidents.runs_of(incident)
        if not runs:
            raise WrongState(f"incident {incident} never had a run, so there is nothing to undo")
        run = runs[-1]
        undoes_itself = run.kind in (RunKind.REHEARSAL, RunKind.DRILL)
        if undoes_itself and run.state.is_final and run.state is not IncidentState.NEEDS_OPERATOR:
            raise WrongState(f"run {run.id} was a {run.kind}, which has undone all its changes")
        if not undoes_itself and run.service != STACK and not run.changed:
            raise WrongState(f"incident {incident}: nothing to undo: the run changed nothing")
        shown = await self.rollbacks.preview(run)
        if not confirmed:
            return shown
        if confirmed != shown.digest:
            what = "; ".join([*shown.commands, *(f"lost: {loss}" for loss in shown.losses)])
            raise WrongState(
                f"incident {incident}: nothing is started: the rollback has changed since it was shown. Now {shown.text}: {what}"
            )
        workload = self.rollbacks.workload(run)
        if not self.supervisor.roll_back(incident, who, workload):
            now = self.observed.clock()
            reopened = await self.ledger.incidents.reopen_run(run.id, requested(who), now, who=who, shown=workload)
            self.supervisor.start(reopened)
        return replace(shown, begun=True, text=f"{run.runbook} on {run.service} is being rolled back")

    async def pauses(self) -> Sequence[Pause]:
        """Return the pauses in force."""
        return await self.ledger.people.pauses(self.observed.clock())

    async def pause(self, request: PauseRequest, *, who: str) -> Pause:
        """
        Begin a pause.

        Raises UsageError for a rule, service or namespace that is not named, NotRecorded for a rule or service that is not
        there, WrongState for one with an end while the clock is in doubt: once that is set, the end might be past.
        """
        if request.scope is not PauseScope.GLOBAL and not request.name:
            raise UsageError(f"a pause of one {request.scope} needs its name")
        if request.scope is PauseScope.RULE and request.name not in (
            *self.active_catalog.catalog.rules,
            RULE,
            PAGE_RULE,
            MANUAL,
        ):
            raise NotRecorded(f"there is no rule {request.name}")
        if request.scope is PauseScope.SERVICE and request.name not in self.active_catalog.catalog.services:
            raise NotRecorded(f"there is no service {request.name}")
        if request.lasts is not None and self.observed.services.clock_problem:
            why = f"the end of the pause is unknown: {self.observed.services.clock_problem}"
            raise WrongState(f"{why}. Pause without an end, and resume later")
        now = self.observed.clock()
        pause = Pause(
            id=new_id("pau", now),
            scope=request.scope,
            name=request.name,
            who=who,
            why=request.why,
            freeze=request.freeze,
            since=now,
            until=now + request.lasts if request.lasts is not None else None,
        )
        await self.ledger.people.pause(pause)
        return pause

    async def resume(self, of: str, *, who: str, why: str) -> Pause:
        """
        Lift a pause, give back a taken incident, or end the rest after an incident's hand-over.

        The signals that were held back are evaluated again.

        Raises NotRecorded for neither, WrongState for an incident that has not ended so, or whose rest is over.
        """
        try:
            incident = await self.ledger.incidents.get(of, strict=False)
        except NotRecorded:
            resumed = await self._lift(of, who=who, why=why)
        else:
            resumed = await self.ledger.people.taken(of) or await self._rest_of(incident, who=who, why=why)
            await self._end_rest(resumed, incident.service, who=who, why=why)
        self.pipeline.wake()
        return resumed

    async def _lift(self, pause: str, *, who: str, why: str) -> Pause:
        try:
            return await self.ledger.people.resume(pause, who, why, self.observed.clock())
        except NotRecorded as error:
            raise NotRecorded(f"there is neither a pause nor an incident {pause}") from error

    async def _rest_of(self, incident: Incident, *, who: str, why: str) -> Pause:
        """Return the rest of a service after a hand-over, as a pause that begins now. Raises WrongState."""
        name, now = incident.service, self.observed.clock()
        if incident.state not in HANDED_OVER_OUTCOMES:
            raise WrongState(f"incident {incident.id} is {incident.state}: it has not ended in a hand-over")
        rest = (await self._hand_overs(now)).get(name)
        if rest is None or rest.incident != incident.id:
            raise WrongState(f"incident {incident.id}: {name} does not rest after this hand-over, or no longer")
        return Pause(id=incident.id, scope=PauseScope.SERVICE, name=name, who=who, why=why, since=now, until=rest.until)

    async def _end_rest(self, rest: Pause, service: str, *, who: str, why: str) -> None:
        rules = self.active_catalog.catalog.rules_of(service)
        await self.ledger.people.end_rest(rest, rules, who, why, self.observed.clock())
        log.info("incident resumed", incident=rest.id, service=service, who=who, why=why)

    async def _hand_overs(self, now: datetime) -> Mapping[str, HandOver]:
        """Return the hand-overs after which services rest, by service."""
        observed, limits = self.observed, self.observed.limits
        ended = await self.ledger.incidents.ended_since(now - limits.failures_pause)
        found = {
            name: hand_over(newest_first(past), observed.fault(name), observed.well(name), limits, now=now)
            for name, past in ended.items()
        }
        return {name: each for name, each in found.items() if each is not None}

    async def services(self) -> ServiceTree:
        """Return how each service is, what holds it and which run is under way, and the run about all of them."""
        found = await self.ledger.incidents.newest(limit=MOST_INCIDENTS, open_only=True)
        runs, now = await self.ledger.incidents.open_runs(), self.observed.clock()
        held = [each for each in found if each.state is IncidentState.HELD]
        asking = [each.id for each in found if each.state is IncidentState.AWAITING_APPROVAL]
        views = self.observed.views.values()
        status = self._status(await self.ledger.people.pauses(now))
        inputs = TreeInput(
            now=now,
            incidents=found,
            runs=runs,
            steps=await self.ledger.incidents.current_steps([each.id for each in runs]),
            holds={each.service: hold for each in held if (hold := await self._hold(each)) is not None},
            inaction=await self._inaction(status),
            standings=self.observed.standings,
            handed_over=await self._hand_overs(now),
            questions=await self.ledger.people.questions_of(*asking),
            pauses=status.pauses,
            stale=self.observed.stale_reason,
            annotations={each.service.namespace: self._annotation(each) for each in views},
            timings=self.supervisor.timings,
        )
        return tree(views, inputs, status)

    async def activities(self) -> Mapping[str, str]:
        """Return what happens with each service now."""
        return {each.name: each.activity.text for each in (await self.services()).services}

    def _status(self, pauses: tuple[Pause, ...]) -> DaemonStatus:
        observed = self.observed
        annotations = sorted({self._annotation(each) for each in observed.views.values()} - {""})
        return DaemonStatus(
            mode=observed.mode,
            since=self.since,
            cluster=self.cluster,
            stale=observed.stale_reason != "",
            seen=observed.seen,
            doubt=doubt(observed.observer(), observed.limits.breaker_share),
            pauses=pauses,
            annotations=tuple(annotations),
            unnotified=sum(time > timedelta() for time in self.outages.unnotified.values()),
            notifies=self.outages.notifies,
            unresolved=observed.unresolved(),
        )

    def _annotation(self, view: ServiceView) -> str:
        return self.observed.annotation_pause(view.service.namespace)

    async def drill(self, service: str, *, who: str) -> Incident:
        """Begin a drill. Raises NotRecorded for no such service, WrongState with the reason when it may not be now."""
        return await self.drill_scheduler.begin(service, who)

    async def recover(self, request: RecoverRequest, *, who: str) -> RecoverPreview:
        """Start a runbook by hand, or only show its plan. Raises NotRecorded, UsageError, and WrongState with the reason."""
        return await self.manual_starts.recover(request, who)

    async def explain(self, about: Signal | Target) -> Explanation:
        """Explain what would happen to an alert or an object, without changing or keeping anything."""
        found = await self.explainer.explain(about)
        catalog = self.active_catalog.catalog
        rule = catalog.rules.get(found.verdict.rule)
        service = catalog.services.get(rule.service) if rule is not None else None
        return found if service is None else replace(found, diagnosis=await self.diagnoses.diagnose(service))

    async def explain_service(self, service: str) -> ServiceExplanation:
        """Explain what a service is and which rules it has. Raises NotRecorded for no such service."""
        view = self._view(service)
        standing, rules = self.observed.standings.get(service), self.active_catalog.catalog.rules.values()
        return service_explanation(view, rules, standing, mode=self.observed.mode, now=self.observed.clock())

    def _view(self, service: str) -> ServiceView:
        view = self.observed.views.get(service)
        if view is None:
            raise NotRecorded(f"the rules in force declare no service {service}")
        return view

    def missing_workloads(self) -> tuple[str, ...]:
        """Return the services whose workload does not exist."""
        return tuple(name for name, view in sorted(self.observed.views.items()) if view.workload_missing)

    async def manifest(self, service: str) -> bytes:
        """
        Return the workload of a service as it was last good, in JSON.

        Raises NotRecorded where none is kept, WrongState where values of it are not known, LedgerUnavailable.
        """
        view = self._view(service)
        workload, namespace = view.service.workload, view.service.namespace
        kept = await self.diagnoser.templates.manifest(workload.resource.singular, namespace, workload.name)
        if kept is None:
            raise NotRecorded(f"no manifest of {workload} in {namespace} is kept: none was seen good yet")
        if kept.missing:
            raise WrongState(
                f"the manifest of {workload} in {namespace} lacks the values of {', '.join(kept.missing)}: with"
                " ledger.encryptionKeyFile they are kept"
            )
        return orjson.dumps(kept.document, option=orjson.OPT_INDENT_2)

    async def diagnose(self, target: Target) -> Diagnosis:
        """Return a diagnosis of a workload by its current state. Raises NotRecorded, KubeError."""
        return await self.diagnoser.diagnose(target)

    async def _inaction(self, status: DaemonStatus) -> Mapping[str, str]:
        """Return why nothing is done for services that are not well, with or without an incident."""
        rules = {name: list[Rule]() for name, view in self.observed.views.items() if view.is_failing}
        if status.doubt:
            return dict.fromkeys(rules, f"nothing is started: {status.doubt}")
        if not rules:
            return {}
        for rule in self.active_catalog.catalog.rules.values():
            if rule.service in rules:
                rules[rule.service].append(rule)
        holding = await self.ledger.signals.holding({rule.name for own in rules.values() for rule in own})
        paused = [each.name for each in status.pauses if each.scope is PauseScope.RULE]
        conditions = await self.ledger.signals.conditions()
        pending = [each for each in conditions if each.rule not in holding and each.rule not in paused]
        return {
            name: inaction_reason(own, holding, await self._forecast(own, pending), paused)
            for name, own in rules.items()
        }

    async def _forecast(self, rules: Sequence[Rule], pending: Sequence[PendingMatch]) -> Forecast | None:
        """Return the forecast of the condition that is due first, of those without a signal."""
        lasting = {rule.name: rule.for_duration for rule in rules}
        own = [each for each in pending if each.rule in lasting]
        first = min(own, key=lambda each: (each.since + lasting[each.rule], each.rule), default=None)
        return await self.explainer.forecast(first) if first is not None else None

    async def _hold(self, incident: Incident) -> Hold | None:
        """Return the upstream for which a held incident waits now."""
        catalog, now = self.active_catalog.catalog, self.observed.clock()
        service = catalog.services.get(incident.service)
        if service is None:
            return None
        found = self.observed.holds(service, catalog, incident.opened)
        upstreams = [each.upstream for each in found]
        history = await self.ledger.incidents.history(service.name, service.namespace, now, upstreams=upstreams)
        held = HoldRecord(since=incident.opened, ended=history.upstreams)
        return ongoing_hold(found, held, self.observed.limits.holds, now=now)

    async def _detail(self, run: RunRecord) -> RunDetail:
        kept = await self.ledger.incidents.evidence_of(run.id)
        return RunDetail(
            run=run,
            steps=await self.ledger.incidents.steps(run.id, strict=False),
            evidence=tuple(KeptText(path=each.path, kind=each.kind, text=each.text) for each in kept),
        )
