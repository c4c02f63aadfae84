"""
Explains what would happen to a signal now, for each rule whether it matches, else which condition differs; and what a
service is: its values and rules, each with the place where it was written, or marked as derived.

Nothing is changed or kept. The explanation of a signal is the trace of the evaluation itself (`signal_evaluator`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from kintsugi.decisions.activity import Forecast
from kintsugi.decisions.matcher import difference
from kintsugi.decisions.revision_checks import standing_text
from kintsugi.durations import format_duration
from kintsugi.model.api_types import Explanation, ServiceExplanation, ServiceValue
from kintsugi.model.good_state import RevisionStanding
from kintsugi.model.identity import new_id
from kintsugi.model.records import PendingMatch, Signal, SignalSource, Target, Verdict, VerdictKind
from kintsugi.model.rules import Mode, Rule, RuleSource, is_canary
from kintsugi.model.services import DERIVED, Service
from kintsugi.model.views import ServiceView
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.signal_evaluator import NO_RULE, RuleTrace, SignalEvaluator, conclusion, evaluate_rule
from kintsugi.scope.values import rule_names
from kubeobjects.kept import Object

UNSEEN = "unknown, because the workload was not seen yet"


class Explainer:
    """Answers `explain`."""

    def __init__(self, active_catalog: ActiveCatalog, observed: ObservedState, evaluator: SignalEvaluator) -> None:
        self._active_catalog = active_catalog
        self._observed = observed
        self._evaluator = evaluator

    async def explain(self, about: Signal | Target) -> Explanation:
        """Return what would happen to an alert, or to a pod or claim as it is now. Raises LedgerUnavailable."""
        return await (self._alert(about) if isinstance(about, Signal) else self._object(about))

    async def _alert(self, signal: Signal) -> Explanation:
        """Explain an alert: of several rules the first counts that is satisfied."""
        traces = await self._evaluator.trace(signal, whole=True)
        result = conclusion(traces)
        verdict = result if isinstance(result, Verdict) else await self._verdict(signal, result)
        lines = [_line(each, verdict, is_first=each is result, waits=False) for each in traces]
        return Explanation(verdict=verdict, lines=(*lines, *self._differences(signal)))

    def _differences(self, signal: Signal) -> list[str]:
        """Return a line for each rule whose matchers the alert does not satisfy."""
        rules = () if is_canary(signal.labels) else self._active_catalog.matcher.rules(RuleSource.ALERT)
        compared = [(rule, difference(rule.matchers, signal.labels)) for rule in rules]
        return [
            f"{rule.name}: no: {differs.condition} expected {differs.wanted}, found {differs.had}"
            for rule, differs in compared
            if differs is not None
        ]

    async def _object(self, target: Target) -> Explanation:
        """Explain an object: each rule that is satisfied makes a signal of its own."""
        source, found = self._find(target)
        if found is None:
            return Explanation(verdict=NO_RULE, lines=(f"{target} does not exist in the cache",))
        lines, verdicts = [], []
        for rule in self._active_catalog.matcher.rules(source):
            service = self._active_catalog.catalog.services.get(rule.service)
            if service is None or not self._belongs(found, service):
                lines.append(f"{rule.name}: no: {target} does not belong to {rule.service}")
                continue
            names = rule_names(source, object=found, now=self._observed.clock())
            trace = evaluate_rule(rule, service, names)
            verdict = trace.refused
            if trace.is_satisfied:
                verdict = await self._verdict(self._signal_of(rule, target), trace)
            lines.append(_line(trace, verdict or NO_RULE, is_first=True, waits=True))
            verdicts += [verdict] if verdict is not None else []
        accepted = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.REFUSED]
        return Explanation(verdict=(accepted or verdicts or [NO_RULE])[0], lines=tuple(lines))

    async def forecast(self, condition: PendingMatch) -> Forecast | None:
        """Return what the guards will decide once a condition has held for its rule's `for`; None for a rule that is gone."""
        rule = self._active_catalog.catalog.rules.get(condition.rule)
        subject = self._active_catalog.catalog.subject_of(rule) if rule is not None else None
        if rule is None or subject is None:
            return None
        due = max(condition.since + rule.for_duration, self._observed.clock())
        signal = replace(self._signal_of(rule, condition.target), began=condition.since)
        trace = RuleTrace(rule=rule, service=subject)
        return Forecast(due=due, verdict=await self._evaluator.verdict_at(signal, trace, due))

    async def _verdict(self, signal: Signal, satisfied: RuleTrace) -> Verdict:
        return await self._evaluator.verdict_at(signal, satisfied, self._observed.clock())

    def _find(self, target: Target) -> tuple[RuleSource, Object | None]:
        caches = self._observed.caches
        if target.kind.lower() in ("persistentvolumeclaim", "pvc"):
            return RuleSource.PVC, caches.pvcs.store.get((target.namespace, target.name))
        return RuleSource.POD, caches.pods.store.get((target.namespace, target.name))

    def _belongs(self, found: Object, service: Service) -> bool:
        view = self._observed.views.get(service.name)
        owned = (*view.pods, *view.all_pvcs) if view is not None else ()
        return any(each.metadata.uid == found.metadata.uid for each in owned)

    def _signal_of(self, rule: Rule, target: Target) -> Signal:
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


def _line(trace: RuleTrace, verdict: Verdict, *, is_first: bool, waits: bool) -> str:
    """Write what was found of one rule; `verdict` is that of the first that is satisfied; `waits`: for the rule's `for`."""
    name = trace.rule.name
    if trace.unmet:
        return f"{name}: no: {trace.unmet}"
    if trace.refused is not None:
        return f"{name}: {trace.refused.kind} ({trace.refused.reason}): {trace.refused.text}"
    if not is_first:
        return f"{name}: matches, but {verdict.rule} comes first"
    until = f" until {verdict.until:%H:%M:%S}" if verdict.until is not None else ""
    after = f" after {format_duration(trace.rule.for_duration)}" if waits and trace.rule.for_duration else ""
    return f"{name}: matches{after}: {verdict.kind} ({verdict.reason}){until}: {verdict.text}"


def service_explanation(
    view: ServiceView, rules: Iterable[Rule], standing: RevisionStanding | None, *, mode: Mode, now: datetime
) -> ServiceExplanation:
    """
    Explain a service as the views have it, with the selector of its workload; of `rules` those about it are taken.

    `standing` says whether its revision is good, None until it was first looked at. `mode` is the daemon's, which no rule exceeds.
    """
    service = view.service
    seen = standing_text(standing, now) if standing is not None else UNSEEN
    warnings = [("warnings", "; ".join(view.warnings))] if view.warnings else []
    own = sorted((rule for rule in rules if rule.service == service.name), key=lambda rule: rule.name)
    return ServiceExplanation(
        service=service.name,
        values=tuple(
            ServiceValue(key=key, value=value, place=str(service.positions[key]) if key in service.positions else "")
            for key, value in (*_values(service), ("checks", _checks(view)), ("revision", seen), *warnings)
        ),
        rules=tuple(ServiceValue(key=rule.name, value=_terms(rule, mode), place=str(rule.place)) for rule in own),
    )


def _values(service: Service) -> Iterator[tuple[str, str]]:
    yield "namespace", service.namespace
    yield "workload", str(service.workload)
    yield "selector", service.selector.text or UNSEEN
    yield "healthy", service.healthy.source
    yield "runbook", service.runbook
    yield "priority", str(service.priority)
    yield "dependsOn", ", ".join(service.depends_on) or "none"


def _checks(view: ServiceView) -> str:
    """Return the lists of checks, the derived one with what it asks and whether it counts."""
    derived = view.derived_check
    own = [*view.service.checks]
    if derived is not None:
        counts = "" if derived.url in view.counts else ", which counts once it has answered"
        own.append(f"{DERIVED}: {derived.url} through service/{derived.service}{counts}")
    return ", ".join(own) or "none"


def _terms(rule: Rule, mode: Mode) -> str:
    """Return when a rule starts what, in one line."""
    when = rule.when.source if rule.when is not None else ""
    asks = f"check {rule.check} not met" if rule.check else ", ".join(map(str, rule.matchers))
    lasting = f" for {format_duration(rule.for_duration)}" if rule.for_duration else ""
    condition = " and ".join(part for part in (asks, when) if part)
    limited = "" if mode in (rule.mode, Mode.AUTO) or rule.mode is Mode.OBSERVE else f" (the daemon's mode: {mode})"
    return f"{rule.mode}{limited}: {rule.runbook} on {rule.on}{lasting}: {' '.join(condition.split())}"
