"""
Evaluates one signal: from the rules that it matches to its verdict or its run.

Only this module knows the order of the stages. The first stage that ends a signal gives the verdict with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kintsugi.decisions.matcher import condition_holds
from kintsugi.errors import KubeError
from kintsugi.model.records import Reason, Signal, Verdict, VerdictKind
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.services import AllServices, Service
from kintsugi.pipeline.active_catalog import ActiveCatalog
from kintsugi.pipeline.observed_state import ObservedState
from kintsugi.pipeline.run_requester import RunRequester
from kintsugi.pipeline.run_supervisor import RunSupervisor
from kintsugi.pipeline.targets import Objection, Targets
from kintsugi.scope.values import rule_names


@dataclass(frozen=True, kw_only=True, slots=True)
class Matched:
    """A rule that a signal satisfies, and the service that it concerns."""

    rule: Rule
    service: Service | AllServices


@dataclass(frozen=True, kw_only=True, slots=True)
class Disposition:
    """A signal's verdict; `kept` when the request has committed it already."""

    verdict: Verdict
    kept: bool = False


class SignalEvaluator:
    """Evaluates one signal, and starts its run if one is granted."""

    def __init__(
        self,
        active_catalog: ActiveCatalog,
        observed: ObservedState,
        targets: Targets,
        supervisor: RunSupervisor,
        requester: RunRequester,
    ) -> None:
        self._active_catalog = active_catalog
        self._observed = observed
        self._targets = targets
        self._supervisor = supervisor
        self._requester = requester

    async def evaluate(self, signal: Signal) -> Disposition:
        """Take one signal from match to run request; every exit is a verdict with its reason."""
        matches = self._match(signal)
        if isinstance(matches, Verdict):
            return Disposition(verdict=matches)
        matched = await self._resolve(signal, matches)
        if isinstance(matched, Verdict):
            return Disposition(verdict=matched)
        joined = self._join(matched)
        if joined is not None:
            return Disposition(verdict=joined)
        result = await self._requester.request(signal, matched.rule, matched.service)
        if result.run is not None and result.run.finished is None:
            self._supervisor.start(result.run)  # once: also one whose request's answer was lost
        return Disposition(verdict=result.verdict, kept=True)

    def _match(self, signal: Signal) -> Sequence[Matched] | Verdict:
        """Return the rules that a signal satisfies, or a verdict when no rule matches or none could be evaluated."""
        rules, unanswerable = self._rules(signal)
        subjects = [(rule, self._active_catalog.catalog.subject_of(rule)) for rule in rules]
        matched = [Matched(rule=rule, service=subject) for rule, subject in subjects if subject is not None]
        if matched:
            return matched
        if unanswerable:
            text = f"`when` of {unanswerable[0].name} has no answer for this alert"
            kind, reason = VerdictKind.REFUSED, Reason.UNANSWERABLE
            return Verdict(kind=kind, reason=reason, text=text, rule=unanswerable[0].name)
        return Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")

    def _rules(self, signal: Signal) -> tuple[Sequence[Rule], Sequence[Rule]]:
        """Return the rules that match, and those that cannot be evaluated."""
        catalog, matcher = self._active_catalog.catalog, self._active_catalog.matcher
        if signal.kind is not RuleSource.ALERT:
            return [catalog.rules[signal.rule]] if signal.rule in catalog.rules else [], []
        names = rule_names(RuleSource.ALERT, alert=signal, now=self._observed.clock())
        answers = [(rule, condition_holds(rule, names)) for rule in matcher.rules_for_alert(signal.labels)]
        return [rule for rule, holds in answers if holds], [rule for rule, holds in answers if holds is None]

    async def _resolve(self, signal: Signal, matches: Sequence[Matched]) -> Matched | Verdict:
        """Return the match whose service the signal's object belongs to. What is not known for sure is asked again later."""
        if signal.kind is not RuleSource.ALERT:
            return matches[0]
        objections: list[tuple[Rule, Objection]] = []
        for matched in matches:
            if isinstance(matched.service, AllServices):
                return matched  # it names no object that would have to be looked up
            try:
                objection = await self._targets.objection(
                    signal.labels, matched.service, anywhere=matched.rule.any_namespace
                )
            except KubeError as error:
                return self.later(
                    matched.rule.name, Reason.STALE, f"the alert's object could not be looked up: {error}"
                )
            if objection is None:
                return matched
            objections.append((matched.rule, objection))
        rule, first = next((each for each in objections if each[1].provisional), objections[0])
        if first.provisional:
            return self.later(rule.name, first.reason, first.text)
        return Verdict(kind=VerdictKind.REFUSED, reason=first.reason, text=first.text, rule=rule.name)

    def _join(self, matched: Matched) -> Verdict | None:
        """Join the service's run under way, without a transaction of its own, so that alert storms are cheap."""
        run = self._supervisor.run_of(matched.service.name)
        if run is None:
            return None
        text = f"{matched.service.name} is already being recovered"
        kind, reason = VerdictKind.ATTACHED, Reason.ACTIVE_RUN
        return Verdict(kind=kind, reason=reason, text=text, rule=matched.rule.name, incident=run.incident)

    def later(self, rule: str, reason: Reason, text: str) -> Verdict:
        """Return the verdict on a signal that cannot be evaluated now, and is evaluated again."""
        until = self._observed.clock() + self._observed.limits.recheck_after
        return Verdict(kind=VerdictKind.REFUSED, reason=reason, text=text, until=until, rule=rule)
