"""
What would become of a signal now, and why: for each rule whether it matches, else which condition differed.

Nothing is done or kept. The words are those of the real decision: the same matcher, targets and guards are asked.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from kintsugi.errors import EvaluationError, KubeError
from kintsugi.expressions import Names
from kintsugi.guards import check
from kintsugi.matcher import difference
from kintsugi.model.answers import Explanation
from kintsugi.model.documents import Rule, RuleSource, Service
from kintsugi.model.history import History
from kintsugi.model.identity import new_id
from kintsugi.model.records import Reason, Signal, SignalSource, Target, Verdict, VerdictKind
from kintsugi.objects.kept import Object
from kintsugi.pipeline.facts import World
from kintsugi.pipeline.inforce import InForce
from kintsugi.pipeline.roster import Roster
from kintsugi.pipeline.targets import Targets
from kintsugi.planner import plan
from kintsugi.scope.values import rule_names
from kintsugi.services import Caches, Services


class Past(Protocol):
    """What explaining asks of the ledger."""

    async def history(self, service: str, namespace: str, now: datetime, runbook: str = "") -> History: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one rule says: a line for a person, and the verdict that would follow, if it matches."""

    line: str
    verdict: Verdict | None = None


class Explaining:
    """Answers `explain`."""

    def __init__(
        self, past: Past, in_force: InForce, world: World, targets: Targets, services: Services, roster: Roster
    ) -> None:
        self._past = past
        self._in_force = in_force
        self._world = world
        self._targets = targets
        self._services = services
        self._roster = roster

    async def explain(self, about: Signal | Target) -> Explanation:
        """Say what would become of an alert, or of a pod or claim as it is now."""
        if isinstance(about, Signal):
            findings = [await self._on_alert(rule, about) for rule in self._in_force.matcher.rules(RuleSource.ALERT)]
        else:
            findings = await self._on_object(about)
        verdicts = [finding.verdict for finding in findings if finding.verdict is not None]
        none = Verdict(kind=VerdictKind.NO_RULE, reason=Reason.NO_RULE, text="no rule matches")
        accepted = [verdict for verdict in verdicts if verdict.kind is not VerdictKind.REFUSED]
        return Explanation(
            verdict=(accepted or verdicts or [none])[0], lines=tuple(finding.line for finding in findings)
        )

    async def _on_alert(self, rule: Rule, signal: Signal) -> Finding:
        differs = difference(rule.match, signal.labels)
        if differs is not None:
            return Finding(line=f"{rule.name}: no: {differs.condition} wanted {differs.wanted}, had {differs.had}")
        answer = answer_of(rule, rule_names(RuleSource.ALERT, alert=signal, now=self._world.clock()))
        if answer:
            return Finding(line=f"{rule.name}: no: {answer}")
        service = self._in_force.catalog.services[rule.service]
        try:
            objection = await self._targets.objection(signal.labels, service, anywhere=rule.any_namespace)
        except KubeError as error:
            return Finding(line=f"{rule.name}: matches, but its object could not be looked up: {error}")
        if objection is not None:
            refused = Verdict(kind=VerdictKind.REFUSED, reason=objection.reason, text=objection.text, rule=rule.name)
            return Finding(line=f"{rule.name}: matches, refused: {objection.text}", verdict=refused)
        return await self._guarded(rule, service, signal)

    async def _on_object(self, target: Target) -> list[Finding]:
        source, found = self._find(target)
        if found is None:
            return [Finding(line=f"{target} does not exist, as far as the cache knows")]
        findings = []
        for rule in self._in_force.matcher.rules(source):
            service = self._in_force.catalog.services.get(rule.service)
            if service is None or not self._belongs(found, service):
                findings.append(Finding(line=f"{rule.name}: no: {target} does not belong to {rule.service}"))
                continue
            answer = answer_of(rule, rule_names(source, object=found, now=self._world.clock()))
            signal = self._as_signal(rule, target)
            findings.append(
                Finding(line=f"{rule.name}: no: {answer}") if answer else await self._guarded(rule, service, signal)
            )
        return findings

    async def _guarded(self, rule: Rule, service: Service, signal: Signal) -> Finding:
        """Ask the guards, as a claim would."""
        now = self._world.clock()
        bound = plan(rule, service, self._in_force.catalog, now=now)
        held = self._world.hold(service, self._in_force.catalog, self._roster.recovering, signal.received)
        facts = self._world.claim(rule, bound, held, approved=False)
        history = await self._past.history(service.name, service.namespace, now, bound.runbook.name)
        verdict = check(facts, history, self._world.limits, now=now)
        until = f" until {verdict.until:%H:%M:%S}" if verdict.until is not None else ""
        after = f" after {rule.hold}" if rule.hold and signal.source is SignalSource.WATCH else ""
        return Finding(
            line=f"{rule.name}: matches{after}: {verdict.kind} ({verdict.reason}){until}: {verdict.text}",
            verdict=replace(verdict, rule=rule.name),
        )

    def _find(self, target: Target) -> tuple[RuleSource, Object | None]:
        caches: Caches = self._world.caches
        if target.kind.lower() in ("persistentvolumeclaim", "pvc"):
            return RuleSource.PVC, caches.claims.store.get((target.namespace, target.name))
        return RuleSource.POD, caches.pods.store.get((target.namespace, target.name))

    def _belongs(self, found: Object, service: Service) -> bool:
        view = self._services.views.get(service.name)
        owned = (*view.pods, *view.claims) if view is not None else ()
        return any(each.metadata.uid == found.metadata.uid for each in owned)

    def _as_signal(self, rule: Rule, target: Target) -> Signal:
        now = self._world.clock()
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


def answer_of(rule: Rule, names: Names) -> str:
    """Say why a rule's `when` does not hold, or nothing when it does."""
    if rule.when is None:
        return ""
    try:
        held = rule.when.evaluate(names) is True
    except EvaluationError as error:
        return f"unanswerable: {error}"
    return "" if held else f"`{rule.when.source}` is false"
