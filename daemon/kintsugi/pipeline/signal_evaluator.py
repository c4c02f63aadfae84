"""
Evaluates one signal: from the rules that it matches to its verdict or its run.

Only this module knows the order of the stages. The first stage that ends a signal gives the verdict with its reason.
The trace has what was found of each rule: `explain` prints the trace of a signal that is only asked about.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kintsugi.catalog.call_graph import reachable
from kintsugi.decisions.matcher import evaluate_condition
from kintsugi.decisions.planner import texts_of_alert
from kintsugi.errors import KubeError
from kintsugi.expressions import Bindings
from kintsugi.model.records import Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import AllServices, Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.page_runs import PageRuns
from kintsugi.pipeline.run_requester import RunRequester
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import Targets
from kintsugi.scope.values import rule_names

NO_RULE = Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleTrace:
    """
    What evaluation found of one rule: that it is satisfied, and which service it concerns, or why not.

    `unmet` is the condition that does not hold. `refused` is the verdict if the rule has no answer, or if the signal's
    object is not one of the service. `is_unknown`: the object could not be looked up, so no later rule may be taken.
    """

    rule: Rule
    service: Service | AllServices
    unmet: str = ""
    refused: Verdict | None = None
    is_unknown: bool = False

    @property
    def is_satisfied(self) -> bool:
        """Return whether the rule's runbook is to be requested for the service."""
        return not self.unmet and self.refused is None

    @property
    def is_final(self) -> bool:
        """Return whether no later rule is asked."""
        return self.is_satisfied or self.is_unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class Disposition:
    """A signal's verdict; `kept` when the request has committed it already."""

    verdict: Verdict
    kept: bool = False


@dataclass(eq=False)
class SignalEvaluator:
    """Evaluates one signal, and starts its run if one is granted."""

    active_catalog: ActiveCatalog
    observed: ObservedState
    targets: Targets
    supervisor: RunSupervisor
    requester: RunRequester
    pages: PageRuns

    async def evaluate(self, signal: Signal) -> Disposition:
        """Take one signal from match to run request; every exit is a verdict with its reason."""
        result = conclusion(await self.trace(signal))
        if isinstance(result, Verdict):
            verdict, kept = await self.pages.verdict(signal, result)
            return Disposition(verdict=verdict, kept=kept)
        joined = self._join(result)
        if joined is not None:
            return Disposition(verdict=joined)
        requested = await self.requester.request(signal, result.rule, result.service)
        if requested.run is not None and requested.run.finished is None:
            self.supervisor.start(requested.run)  # once: also one whose request's answer was lost
        return Disposition(verdict=requested.verdict, kept=True)

    async def verdict_at(self, signal: Signal, satisfied: RuleTrace, now: datetime) -> Verdict:
        """Return the verdict that a satisfied rule would get at a moment, without a request. Raises LedgerUnavailable."""
        joined = self._join(satisfied)
        return joined or await self.requester.verdict_at(signal, satisfied.rule, satisfied.service, now)

    async def trace(self, signal: Signal, *, whole: bool = False) -> Sequence[RuleTrace]:
        """Return what is found of each rule that the signal's labels match, up to the one that decides; `whole`: of all."""
        traces: list[RuleTrace] = []
        for rule in self._rules(signal):
            subject = self.active_catalog.catalog.subject_of(rule)
            if subject is not None:
                traces.append(await self._traced(signal, rule, subject))
            if traces and traces[-1].is_final and not whole:
                break
        return traces

    def _rules(self, signal: Signal) -> Sequence[Rule]:
        if signal.kind is RuleSource.ALERT:
            return self.active_catalog.matcher.rules_for_alert(signal.labels)
        rules = self.active_catalog.catalog.rules
        return [rules[signal.rule]] if signal.rule in rules else []

    async def _traced(self, signal: Signal, rule: Rule, subject: Service | AllServices) -> RuleTrace:
        if signal.kind is not RuleSource.ALERT:  # its source has evaluated the condition of this object
            return RuleTrace(rule=rule, service=subject)
        names = rule_names(RuleSource.ALERT, alert=signal, now=self.observed.clock())
        trace = evaluate_rule(rule, subject, names)
        return await self._resolved(signal, trace) if trace.is_satisfied else trace

    async def _resolved(self, signal: Signal, trace: RuleTrace) -> RuleTrace:
        """Find out whether the signal's object belongs to the service. What is not known for sure is asked again later."""
        rule, service = trace.rule, trace.service
        if isinstance(service, AllServices):  # it names no object that would have to be looked up
            return trace
        try:
            objection = await self.targets.objection(signal.labels, service, anywhere=rule.any_namespace)
            if objection is None:
                names = self._bound_labels(signal, rule, service)
                objection = await self.targets.bound_objection(
                    signal.labels, names, service, anywhere=rule.any_namespace
                )
        except KubeError as error:
            later = self.later(rule.name, Reason.STALE, f"the alert's object could not be looked up: {error}")
            return replace(trace, refused=later, is_unknown=True)
        if objection is None:
            return trace
        refuse = self.later if objection.provisional else _refused
        return replace(trace, refused=refuse(rule.name, objection.reason, objection.text))

    def _bound_labels(self, signal: Signal, rule: Rule, service: Service) -> Iterator[str]:
        """Yield the labels that a run of the rule would take as values: its runbook, and those that this one runs on the service."""
        catalog = self.active_catalog.catalog
        started = replace(rule, service=service.name, runbook=rule.runbook or service.runbook)
        for subject, name in sorted(reachable({}, [started], catalog.runbooks)):
            if subject == service.name:
                bound = texts_of_alert(catalog.runbooks[name], service, signal)
                yield from (
                    each.source.name for each in bound if each.source is not None and each.source.field == "labels"
                )

    def _join(self, matched: RuleTrace) -> Verdict | None:
        """Join the service's run under way, without a transaction of its own, so that alert storms are cheap."""
        run = self.supervisor.run_of(matched.service.name)
        if run is None:
            return None
        text = f"{matched.service.name} is already being recovered"
        kind, reason = VerdictKind.ATTACHED, Reason.ACTIVE_RUN
        return Verdict(kind=kind, reason=reason, text=text, rule=matched.rule.name, incident=run.incident)

    def later(self, rule: str, reason: Reason, text: str) -> Verdict:
        """Return the verdict on a signal that cannot be evaluated now, and is evaluated again."""
        until = self.observed.clock() + self.observed.limits.recheck_after
        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=rule)


def evaluate_rule(rule: Rule, subject: Service | AllServices, names: Bindings) -> RuleTrace:
    """Return whether the condition of a rule holds, and why not."""
    condition = evaluate_condition(rule, names)
    if condition.holds is None:
        text = f"`when` has no answer: {condition.problem}"
        return RuleTrace(rule=rule, service=subject, refused=_refused(rule.name, Reason.UNANSWERABLE, text))
    unmet = "" if condition.holds or rule.when is None else f"`{rule.when.source}` is false"
    return RuleTrace(rule=rule, service=subject, unmet=unmet)


def conclusion(traces: Iterable[RuleTrace]) -> RuleTrace | Verdict:
    """
    Return the satisfied rule that comes first, or the verdict if there is none.

    Of several refusals the one counts that is evaluated again, then one that has an answer (P6: a rule without an answer
    is never a reason to act).
    """
    refusals: list[Verdict] = []
    for each in traces:
        if each.is_satisfied:
            return each
        refusals += [each.refused] if each.refused is not None else []
        if each.is_unknown:
            return refusals[-1]
    return min(
        refusals, key=lambda verdict: (verdict.until is None, verdict.reason is Reason.UNANSWERABLE), default=NO_RULE
    )


def _refused(rule: str, reason: Reason, text: str) -> Verdict:
    return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, rule=rule)
