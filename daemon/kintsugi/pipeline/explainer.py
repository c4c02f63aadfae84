"""
Explains what would happen to a signal now: for each rule whether it matches, else which condition differs.

Nothing is changed or kept. The explanation is the trace of the evaluation itself (`signal_evaluator`).
"""

from kintsugi.decisions.matcher import difference
from kintsugi.durations import format_duration
from kintsugi.model.api_types import Explanation
from kintsugi.model.canary import is_canary
from kintsugi.model.identity import new_id
from kintsugi.model.records import Signal, SignalSource, Target, Verdict, VerdictKind
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.signal_evaluator import NO_RULE, RuleTrace, SignalEvaluator, conclusion, evaluate_rule
from kintsugi.scope.values import rule_names
from kubeobjects.kept import Object


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
        verdict = result if isinstance(result, Verdict) else await self._evaluator.verdict_now(signal, result)
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
                verdict = await self._evaluator.verdict_now(self._signal_of(rule, target), trace)
            lines.append(_line(trace, verdict or NO_RULE, is_first=True, waits=True))
            verdicts += [verdict] if verdict is not None else []
        accepted = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.REFUSED]
        return Explanation(verdict=(accepted or verdicts or [NO_RULE])[0], lines=tuple(lines))

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
