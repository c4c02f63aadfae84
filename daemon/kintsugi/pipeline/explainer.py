"""
Explains what would happen to a signal now: for each rule whether it matches, else which condition differs.

Nothing is changed or kept. The answer is that of the real decision: the same matcher, targets and guards are asked.
"""

from dataclasses import dataclass, replace

from kintsugi.decisions.guards import check
from kintsugi.decisions.matcher import difference
from kintsugi.decisions.planner import plan
from kintsugi.durations import format_duration
from kintsugi.errors import EvaluationError, KubeError
from kintsugi.expressions import Bindings
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import Explanation
from kintsugi.model.canary import is_canary
from kintsugi.model.identity import new_id
from kintsugi.model.records import Reason, Signal, SignalSource, Target, Verdict, VerdictKind
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import AllServices, Service
from kintsugi.objects.kept import Object
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import Targets
from kintsugi.scope.values import rule_names
from kintsugi.views import Caches, ServiceViews


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleExplanation:
    """The result of one rule: a line for a person, and the verdict that would follow, if it matches."""

    line: str
    verdict: Verdict | None = None


class Explainer:
    """Answers `explain`."""

    def __init__(
        self,
        ledger: Ledger,
        active_catalog: ActiveCatalog,
        observed: ObservedState,
        targets: Targets,
        services: ServiceViews,
        supervisor: RunSupervisor,
    ) -> None:
        self._ledger = ledger
        self._active_catalog = active_catalog
        self._observed = observed
        self._targets = targets
        self._services = services
        self._supervisor = supervisor

    async def explain(self, about: Signal | Target) -> Explanation:
        """Return what would happen to an alert, or to a pod or claim as it is now."""
        if isinstance(about, Signal):
            asked = () if is_canary(about.labels) else self._active_catalog.matcher.rules(RuleSource.ALERT)
            findings = [await self._on_alert(rule, about) for rule in asked]
        else:
            findings = await self._on_object(about)
        verdicts = [finding.verdict for finding in findings if finding.verdict is not None]
        none = Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")
        accepted = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.REFUSED]
        return Explanation(
            verdict=(accepted or verdicts or [none])[0], lines=tuple(finding.line for finding in findings)
        )

    async def _on_alert(self, rule: Rule, signal: Signal) -> RuleExplanation:
        differs = difference(rule.matchers, signal.labels)
        if differs is not None:
            return RuleExplanation(
                line=f"{rule.name}: no: {differs.condition} expected {differs.wanted}, found {differs.had}"
            )
        answer = unmet_condition(rule, rule_names(RuleSource.ALERT, alert=signal, now=self._observed.clock()))
        if answer:
            return RuleExplanation(line=f"{rule.name}: no: {answer}")
        service = self._active_catalog.catalog.subject_of(rule)
        if service is None or isinstance(service, AllServices):
            return RuleExplanation(line=f"{rule.name}: matches, and is about all services")
        try:
            objection = await self._targets.objection(signal.labels, service, anywhere=rule.any_namespace)
        except KubeError as error:
            return RuleExplanation(line=f"{rule.name}: matches, but its object could not be looked up: {error}")
        if objection is not None:
            refused = Verdict(kind=VerdictKind.REFUSED, reason=objection.reason, text=objection.text, rule=rule.name)
            return RuleExplanation(line=f"{rule.name}: matches, refused: {objection.text}", verdict=refused)
        return await self._guarded(rule, service, signal)

    async def _on_object(self, target: Target) -> list[RuleExplanation]:
        source, found = self._find(target)
        if found is None:
            return [RuleExplanation(line=f"{target} does not exist in the cache")]
        findings = []
        for rule in self._active_catalog.matcher.rules(source):
            service = self._active_catalog.catalog.services.get(rule.service)
            if service is None or not self._belongs(found, service):
                findings.append(RuleExplanation(line=f"{rule.name}: no: {target} does not belong to {rule.service}"))
                continue
            answer = unmet_condition(rule, rule_names(source, object=found, now=self._observed.clock()))
            signal = self._as_signal(rule, target)
            findings.append(
                RuleExplanation(line=f"{rule.name}: no: {answer}")
                if answer
                else await self._guarded(rule, service, signal)
            )
        return findings

    async def _guarded(self, rule: Rule, service: Service, signal: Signal) -> RuleExplanation:
        """Ask the guards, as a request would."""
        now = self._observed.clock()
        bound = plan(rule, service, self._active_catalog.catalog, now=now)
        held_by = self._observed.holds(service, self._active_catalog.catalog, signal.began)
        context = self._observed.guard_context(rule, bound, held_by, approved=False)
        upstreams = [each.upstream for each in held_by]
        starts = self._observed.starts(bound)
        history = await self._ledger.run_requests.history(
            service.name, service.namespace, now, bound.runbook.name, upstreams, starts
        )
        verdict = check(context, history, self._observed.limits, now=now)
        until = f" until {verdict.until:%H:%M:%S}" if verdict.until is not None else ""
        after = (
            f" after {format_duration(rule.for_duration)}"
            if rule.for_duration and signal.source is SignalSource.WATCH
            else ""
        )
        return RuleExplanation(
            line=f"{rule.name}: matches{after}: {verdict.kind} ({verdict.reason}){until}: {verdict.text}",
            verdict=replace(verdict, rule=rule.name),
        )

    def _find(self, target: Target) -> tuple[RuleSource, Object | None]:
        caches: Caches = self._observed.caches
        if target.kind.lower() in ("persistentvolumeclaim", "pvc"):
            return RuleSource.PVC, caches.pvcs.store.get((target.namespace, target.name))
        return RuleSource.POD, caches.pods.store.get((target.namespace, target.name))

    def _belongs(self, found: Object, service: Service) -> bool:
        view = self._services.views.get(service.name)
        owned = (*view.pods, *view.all_pvcs) if view is not None else ()
        return any(each.metadata.uid == found.metadata.uid for each in owned)

    def _as_signal(self, rule: Rule, target: Target) -> Signal:
        now = self._observed.clock()
        return Signal(
            id=new_id("sig", now),
            source=SignalSource.WATCH,
            kind=rule.on,
            key=f"{rule.name}/{target.name}",
            rule=rule.name,
            target=target,
            began=now,
            received=now,
        )


def unmet_condition(rule: Rule, names: Bindings) -> str:
    """Return why a rule's `when` does not hold, "" when it does."""
    if rule.when is None:
        return ""
    try:
        held = rule.when.evaluate(names) is True
    except EvaluationError as error:
        return f"unanswerable: {error}"
    return "" if held else f"`{rule.when.source}` is false"
