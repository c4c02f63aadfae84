"""
Makes signals of the watch: a rule's condition that has held for its `for:` becomes a signal.

Changes are matched here, before the inbox: 40,000 a second cannot be committed, the matching ones can. A pod's changes are
coalesced, so that a burst on one pod costs one evaluation. Evaluations give way to the watch, so that there are fewer of them
during a flood of changes, and none uses a stale object.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from kintsugi.decisions.matcher import Matcher, evaluate_condition
from kintsugi.errors import LedgerUnavailable
from kintsugi.expressions import Bindings
from kintsugi.kube.object_cache import Change
from kintsugi.ledger import Ledger
from kintsugi.model.catalog import Catalog
from kintsugi.model.identity import new_id
from kintsugi.model.records import PendingMatch, Signal, SignalSource, SignalStatus, Target
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.views import ServiceView
from kintsugi.scope.values import rule_names
from kintsugi.telemetry import Containment, FailureScope, Listeners
from kintsugi.views import IDLE, Caches, ServiceViews
from kubeobjects import predicates
from kubeobjects.kept import Object, Pod

log = structlog.get_logger(__name__)

Key = tuple[str, str]


class ClusterWatch:
    """
    Follows the conditions of all rules but those on alerts.

    A condition is one rule on one object (by uid). It ends when it no longer holds, or its object is gone or no longer
    among those of the rule; an unanswerable one neither begins nor ends (P6). `for` counts from the first match, across
    restarts; but a match of an earlier process becomes a signal only once this process has seen it, too. `on_signals` hears
    of every commit of signals: how many there were.
    """

    def __init__(
        self,
        caches: Caches,
        services: ServiceViews,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        containment: Containment | None = None,
    ) -> None:
        self._containment = containment or Containment()
        self._caches = caches
        self._services = services
        self._ledger = ledger
        self._clock = clock
        self._rules: dict[str, Rule] = {}
        self._matcher: Matcher | None = None
        self._known: dict[Key, PendingMatch] = {}
        self._began: dict[Key, PendingMatch] = {}
        self._ended: set[Key] = set()
        self._unseen: set[Key] = set()
        self._changed: dict[str, Pod] = {}
        self._rechecked: dict[str, Pod] = {}
        self._on_views: dict[str, list[Rule]] = {}
        self._news = asyncio.Event()
        self.on_signals: Listeners[[int]] = Listeners(self._containment)
        caches.pods.subscribe(self._note_pod)
        services.on_view(self._check_view)
        services.on_new_selector(self._note_all)

    def reload(self, catalog: Catalog, matcher: Matcher) -> None:
        """Take a new catalog into force; conditions of rules that are gone end."""
        self._rules = dict(catalog.rules)
        self._matcher = matcher
        self._on_views = defaultdict(list)
        for rule in catalog.rules.values():
            if rule.on not in (RuleSource.POD, RuleSource.ALERT):
                self._on_views[rule.service].append(rule)
        self._end_what_has_no_rule()
        self._note_all()

    def _note_all(self) -> None:
        self._changed, self._rechecked = {}, {}
        for pod in self._caches.pods.store.values():
            self._note(pod)

    async def run(self, every: timedelta) -> None:
        """
        Follow conditions until cancelled, at most `every` so often; while the ledger is unavailable they are delayed.

        Where nothing has changed and nothing waits for its time, it waits for news, at most `IDLE`.
        """
        await self.recall()
        while True:
            await asyncio.sleep(every.total_seconds())
            if not self._is_busy:
                with suppress(TimeoutError):
                    async with asyncio.timeout(IDLE.total_seconds()):
                        await self._news.wait()
            self._news.clear()
            try:
                await self.step()
            except LedgerUnavailable as error:
                log.warning("conditions wait for the ledger", error=str(error))

    @property
    def _is_busy(self) -> bool:
        waits = any(not each.signalled for each in self._known.values())
        return bool(waits or self._changed or self._rechecked or self._began or self._ended or self._unseen)

    async def recall(self) -> None:
        """
        Recall the conditions of an earlier process.

        A signal that it committed counts as sent even if it died before noting that: otherwise it would fire for ever.
        """
        # What was noticed while the ledger was read stays; what the ledger knows is older, and counts.
        self._known.update({(each.rule, each.target.uid): each for each in await self._ledger.signals.conditions()})
        for signal in await self._ledger.signals.firing(SignalSource.WATCH):
            if signal.target is not None:
                condition = PendingMatch(rule=signal.rule, target=signal.target, since=signal.began, signalled=True)
                self._known[signal.rule, signal.target.uid] = condition
        self._began = {key: each for key, each in self._began.items() if self._known[key] is each}
        self._unseen = self._known.keys() - self._began.keys()
        self._end_what_has_no_rule()
        # what was answered before there was anything to end is answered again
        for view in self._services.views.values():
            self._check_view(view)

    def reevaluate_all(self, _set_by: timedelta) -> None:
        """Count conditions that hold without a signal from now on, once they are seen again: the clock was in doubt."""
        now = self._clock()
        for key, condition in self._known.items():
            if not condition.signalled:
                self._known[key] = self._began[key] = replace(condition, since=now)
                self._unseen.add(key)
        for pod in self._caches.pods.store.values():
            self._note(pod)

    async def step(self) -> None:
        """
        Evaluate the changed objects and those whose condition depends on time, keep the difference, send due signals.
        """
        if self._services.stale_reason:
            return
        await self._check_pods()
        self._end_without_object()
        await self._save()
        await self._signal_due()

    def _end_what_has_no_rule(self) -> None:
        self._ended.update(key for key, condition in self._known.items() if condition.rule not in self._rules)

    def _note_pod(self, change: Change[Pod]) -> None:
        self._news.set()
        if change.new is not None:
            self._note(change.new)
            return
        for pods in (self._changed, self._rechecked):
            pods.pop(change.subject.metadata.uid, None)

    def _note(self, pod: Pod) -> None:
        if self._matcher is not None and self._rules_of(pod):
            self._changed[pod.metadata.uid] = pod

    def _rules_of(self, pod: Object) -> Sequence[Rule]:
        assert self._matcher is not None
        return self._matcher.rules_on_pods(self._services.services_of(pod))

    async def _check_pods(self) -> None:
        """Look at pods that changed, and at those for which time may change the answer, each as it is when its turn comes."""
        for uid in {**self._rechecked, **self._changed}:
            known = self._rechecked.pop(uid, None)
            pod = self._changed.pop(uid, None) or known
            if pod is not None and self._caches.pods.store.get((pod.metadata.namespace, pod.metadata.name)) is pod:
                with self._containment.around(FailureScope.OBJECT, f"pod {pod.metadata.namespace}/{pod.metadata.name}"):
                    self._check_pod(pod)
                await asyncio.sleep(0)  # a look takes as long as five events, and the watch brings forty in one piece

    def _check_pod(self, pod: Pod) -> None:
        now = self._clock()
        if not predicates.ready(pod) or predicates.crash_looping(pod, now):
            self._rechecked[pod.metadata.uid] = pod
        names, target = rule_names(RuleSource.POD, object=pod, now=now), target_of("Pod", pod)
        for rule in self._rules_of(pod):
            with self._containment.around(FailureScope.RULE, rule.name):
                self._answer(rule, target, names)

    def _check_view(self, view: ServiceView) -> None:
        self._news.set()
        if not view.is_current:
            return
        for rule in (*self._on_views.get(view.name, ()), *self._on_views.get("", ())):
            with self._containment.around(FailureScope.RULE, rule.name):
                self._check_rule(rule, view)

    def _check_rule(self, rule: Rule, view: ServiceView) -> None:
        now = self._clock()
        if rule.on is RuleSource.SERVICES:
            own = view if rule.service else None
            all_views = self._services.views if _reads_all(rule) else {}
            names = rule_names(rule.on, service=own, services=all_views, now=now)
            self._answer(rule, service_target(own), names)
        for item in self._objects_of(rule, view):
            self._answer(rule, target_of(_KINDS[rule.on], item), rule_names(rule.on, object=item, now=now))

    def _objects_of(self, rule: Rule, view: ServiceView) -> Iterable[Object]:
        """Return the objects of a service that a rule is asked about: those of rules on pods come from the watch."""
        match rule.on:
            case RuleSource.PVC:
                return view.all_pvcs
            case RuleSource.NODE:
                return self._nodes_of(view)
            case RuleSource.EVENT:
                return self._events_of(view)
            case _:
                return ()

    def _nodes_of(self, view: ServiceView) -> Iterable[Object]:
        names = {pod.spec.node_name for pod in view.pods}
        found = (self._caches.nodes.store.get(("", name)) for name in names)
        return (node for node in found if node is not None)

    def _events_of(self, view: ServiceView) -> Iterable[Object]:
        uids = {pod.metadata.uid for pod in view.pods} | {claim.metadata.uid for claim in view.all_pvcs}
        return (event for event in self._caches.events.store.values() if event.involved_object.uid in uids)

    def _answer(self, rule: Rule, target: Target, names: Bindings) -> None:
        self.record(rule, target, evaluate_condition(rule, names).holds)

    def record(self, rule: Rule, target: Target, holds: bool | None) -> None:
        """
        Record whether a rule's condition holds of an object; None is no answer. Other sources than the watch call it,
        too.
        """
        key = (rule.name, target.uid)
        if holds is not None:
            self._unseen.discard(key)
        if holds is True and key not in self._known:
            self._known[key] = self._began[key] = PendingMatch(rule=rule.name, target=target, since=self._clock())
            self._news.set()
        elif holds is False and key in self._known:
            self._ended.add(key)
            self._news.set()

    def _end_without_object(self) -> None:
        """End the conditions whose object is gone, or no longer among those of the rule: nobody would answer them again."""
        stores: Mapping[str, Mapping[Key, Object]] = {
            "Pod": self._caches.pods.store,
            "PersistentVolumeClaim": self._caches.pvcs.store,
            "Node": self._caches.nodes.store,
            "Event": self._caches.events.store,
        }
        members: dict[str, frozenset[str] | None] = {}
        for key, condition in self._known.items():
            target, rule = condition.target, self._rules.get(condition.rule)
            store = stores.get(target.kind)
            if store is None or rule is None or key in self._ended:
                continue
            item = store.get((target.namespace, target.name))
            if item is None or item.metadata.uid != target.uid:
                self._ended.add(key)
            elif self._has_left(rule, item, members):
                log.info(
                    "condition ended, its object is no longer the service's",
                    rule=rule.name,
                    service=rule.service,
                    kind=target.kind,
                    namespace=target.namespace,
                    name=target.name,
                )
                self._ended.add(key)

    def _has_left(self, rule: Rule, item: Object, members: dict[str, frozenset[str] | None]) -> bool:
        """Return whether an object is no longer among those of a rule, by `members`: their uids, as far as they are known."""
        if rule.on is RuleSource.POD:
            return not any(each.name == rule.name for each in self._rules_of(item))
        if rule.name not in members:
            views = [each for each in self._services.views.values() if rule.service in ("", each.name)]
            uids = (item.metadata.uid for view in views for item in self._objects_of(rule, view))
            members[rule.name] = frozenset(uids) if views and all(each.is_current for each in views) else None
        known = members[rule.name]
        return known is not None and item.metadata.uid not in known

    async def _save(self) -> None:
        if not self._began and not self._ended:
            return
        # taken out first: what is noticed while the ledger is busy belongs to the next time
        began, ended = self._began, {key: self._known.pop(key) for key in self._ended}
        self._began, self._ended = {}, set()
        try:
            await self._keep(began, ended)
        except LedgerUnavailable:
            self._put_back(began, ended)
            raise

    async def _keep(self, began: Mapping[Key, PendingMatch], ended: Mapping[Key, PendingMatch]) -> None:
        resolved = [self._signal(each, SignalStatus.RESOLVED) for each in ended.values() if each.signalled]
        if resolved:
            await self._emit(resolved, self._clock())
        kept = [condition for key, condition in began.items() if key not in ended]
        await self._ledger.signals.save_conditions(kept, tuple(ended))

    def _put_back(self, began: Mapping[Key, PendingMatch], ended: Mapping[Key, PendingMatch]) -> None:
        """Go back to before an attempt to keep; a condition that has begun anew meanwhile counts as never ended."""
        again = ended.keys() & self._known.keys()
        self._began = {key: each for key, each in {**began, **self._began}.items() if key not in again}
        self._ended |= ended.keys() - again
        self._known.update(ended)

    async def _signal_due(self) -> None:
        now = self._clock()
        due = [
            each
            for key, each in self._known.items()
            if not each.signalled and key not in self._unseen and self._is_over(each, now)
        ]
        if not due:
            return
        await self._emit([self._signal(each, SignalStatus.FIRING) for each in due], now)
        reported = [replace(each, signalled=True) for each in due]
        await self._ledger.signals.save_conditions(reported, ())
        self._known.update({(each.rule, each.target.uid): each for each in reported})

    def _is_over(self, condition: PendingMatch, now: datetime) -> bool:
        rule = self._rules.get(condition.rule)
        return rule is not None and now - condition.since >= rule.for_duration

    async def _emit(self, signals: Sequence[Signal], now: datetime) -> None:
        await self._ledger.signals.accept(signals, now)
        self.on_signals.notify("signals of the watch", len(signals))

    def _signal(self, condition: PendingMatch, status: SignalStatus) -> Signal:
        now, rule = self._clock(), self._rules.get(condition.rule)
        return Signal(
            id=new_id("sig", now),
            source=SignalSource.WATCH,
            kind=rule.on if rule else RuleSource.POD,
            key=f"{condition.rule}/{condition.target.uid}",
            status=status,
            rule=condition.rule,
            labels={"namespace": condition.target.namespace, condition.target.kind.lower(): condition.target.name},
            target=condition.target,
            began=condition.since,
            ended=now if status is SignalStatus.RESOLVED else None,
            received=now,
        )


_KINDS = {RuleSource.PVC: "PersistentVolumeClaim", RuleSource.NODE: "Node", RuleSource.EVENT: "Event"}


def _reads_all(rule: Rule) -> bool:
    """Return whether a rule asks about other services than its own, which are then all made ready to be read."""
    return rule.when is not None and any(path.partition(".")[0] == "services" for path in rule.when.reads)


def service_target(view: ServiceView | None) -> Target:
    """Name a service of the catalog, or all of them together, as the object of a condition."""
    if view is None:
        return Target(kind="Services", namespace="", name="all", uid="all")
    return Target(kind="Service", namespace=view.service.namespace, name=view.name, uid=view.name)


def target_of(kind: str, item: Object) -> Target:
    """Name an object by uid."""
    meta = item.metadata
    return Target(kind=kind, namespace=meta.namespace, name=meta.name, uid=meta.uid)
