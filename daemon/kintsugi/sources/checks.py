"""
Runs the checks of services on an interval: a rule on a check holds while the named check is not met, and its `when` is true.

Our own probes detect problems that no watch shows: a database that runs and does not answer. A check that fails because the
cluster's API or our own DNS does not answer neither begins nor ends a condition (P6); a check whose service does not answer is
not met.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from math import inf

import structlog

from kintsugi.actions.probe import PodAnswer, ProbeContext, Prober
from kintsugi.commands.registry import definition_of
from kintsugi.commands.template import parse_argv
from kintsugi.decisions.matcher import Matcher, evaluate_condition
from kintsugi.decisions.priorities import upstreams_of
from kintsugi.errors import CommandError, EvaluationError, KubeError, ProbeFailed, Refused, ResolverFailed
from kintsugi.expressions import Bindings, Expression
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import Command
from kintsugi.model.good_state import GoodCount
from kintsugi.model.hosts import Backend, PodAddress
from kintsugi.model.records import Target
from kintsugi.model.rules import Rule, RuleSource
from kintsugi.model.runbooks import Await, InOrder, Parallel, Run, Step
from kintsugi.model.views import ServiceView
from kintsugi.scope.values import EvaluationContext, StepOutcome, rule_names, step_names
from kintsugi.sources.cluster import service_target
from kintsugi.telemetry import SECRETS, Containment, FailureScope
from kintsugi.views import ServiceViews
from kintsugi.views.service_memory import is_good
from kubediagnosis.facts import BackendAnswer, CheckFacts

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Checks that are asked at the same time; the others wait their turn."""

MOST_OF_BODY = 200
"""The most characters of a body in the reason for which a check is not met."""

LONGEST_ANSWER = 600
"""Characters of why a check is not met that are kept for a diagnosis."""

LAST_ANSWERS = 10
"""The answers of a check that are judged together."""

OFTEN = 3
"""So many of them that are not met, and not all in one row, are a problem that a good answer in between does not end."""

MOST_BACKENDS = 10
"""The most pods behind a Service that are asked by themselves, those of other workloads first."""

SEVERAL = 2
"""Unrelated services of which none is met make the path to them the likelier fault."""

RecordAnswer = Callable[[Rule, Target, bool], None]
_WELL = range(200, 400)
"""The statuses that a kubelet takes for an answer (kubernetes.io, Configure Liveness, Readiness and Startup Probes)."""

_NO_ANSWER = (KubeError, Refused, CommandError, EvaluationError)


@dataclass(kw_only=True)
class CheckContext:
    """
    One asking of one list of checks: what its steps have seen so far.

    `pod`: it is about that one alone, and `reached_pod` asked it; with `only_routed` by what goes through a Kubernetes Service, so
    that no program is run in it. `backends` are the answers of pods behind the Service.
    """

    view: ServiceView
    views: Mapping[str, ServiceView]
    now: datetime
    prometheus: str = ""
    earlier: dict[str, StepOutcome] = field(default_factory=dict)
    each: object = None
    why: str = ""
    pod: PodAddress | None = None
    reached_pod: bool = False
    only_routed: bool = False
    backends: tuple[BackendAnswer, ...] = ()

    def names(self, own: Mapping[str, object] | None = None) -> Bindings:
        """Return what an expression sees here."""
        around = EvaluationContext(
            now=self.now,
            parameters=self.view.service.parameters,
            service=self.view,
            services=self.views,
            prometheus=self.prometheus,
        )
        return step_names(around, earlier=self.earlier, own=own, each=self.each)

    def directed(self, command: Command) -> Command:
        """Return a command that asks the one pod that this is about, where there is one and the command can ask it. Raises Refused."""
        if self.pod is None:
            return command
        verb = definition_of(command)
        if self.only_routed and verb.runs_in_pods:
            raise Refused("it is asked by a program in a pod, and not through a Service")
        at_pod = verb.at_pod(command, self.pod)
        self.reached_pod = self.reached_pod or at_pod is not None
        return command if at_pod is None else at_pod

    def holds(self, expression: Expression | None, *, usual: bool) -> bool:
        """Evaluate a condition; `usual` without one."""
        return usual if expression is None else expression.evaluate(self.names()) is True


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckTerms:
    """
    The terms of checks: `within` is the limit of one command, `prometheus` the URL of a Prometheus ("" for none).

    A step's count is kept where its service has been healthy for `lasting`, while `has_open_run` is false for that service.
    """

    within: timedelta
    prometheus: str = ""
    lasting: timedelta = timedelta(0)
    has_open_run: Callable[[str], bool] = lambda _: False


class RecentAnswers:
    """The last answers of a check. They begin anew when other pods are behind the Service: what those answered is over."""

    def __init__(self) -> None:
        self._answers: deque[bool] = deque(maxlen=LAST_ANSWERS)
        self._pods: frozenset[str] = frozenset()
        self._why = ""

    def note(self, *, met: bool, why: str, pods: frozenset[str]) -> None:
        """Take an answer, with why it was not met."""
        if pods != self._pods:
            self._answers.clear()
        self._pods = pods
        self._answers.append(met)
        self._why = self._why if met else why

    @property
    def all_met(self) -> bool:
        """Return whether every one was met."""
        return all(self._answers)

    @property
    def fails_often(self) -> str:
        """Return that a share of them is not met, and why the last of these was not; "" where that is not so, or they came in one row."""
        unmet = self._answers.count(False)
        rows = sum(before and not after for before, after in pairwise((True, *self._answers)))
        if unmet < OFTEN or rows < SEVERAL:
            return ""
        return f"{unmet} of the last {len(self._answers)} answers were not met, the last of these: {self._why}"


class Checks:
    """
    Runs the checks of the rules, each on its own interval, and reports the answers.

    A service that is not deployed, or is scaled to 0, is not checked. A derived check that was never met is not asked as far as
    anybody else knows: what stands between us and its address may be there on purpose.
    """

    def __init__(
        self,
        services: ServiceViews,
        prober: Prober,
        record: RecordAnswer,
        *,
        clock: Callable[[], datetime],
        terms: CheckTerms,
        containment: Containment | None = None,
    ) -> None:
        self._containment = containment or Containment()
        self._services = services
        self._prober = prober
        self._record = record
        self._clock = clock
        self._terms = terms
        self._rules: tuple[Rule, ...] = ()
        self._rules_of: dict[str, list[Rule]] = {}
        self._next: dict[str, float] = {}
        self._results: dict[str, bool | None] = {}
        self._answers: dict[str, CheckFacts] = {}
        self._asked: dict[str, datetime] = {}
        self._recent: dict[str, RecentAnswers] = defaultdict(RecentAnswers)
        self._gate = asyncio.Semaphore(AT_ONCE)

    def reload(self, _catalog: Catalog, matcher: Matcher) -> None:
        """Take a new catalog into force."""
        self._rules = matcher.rules(RuleSource.CHECK)
        self._rules_of = defaultdict(list)
        for rule in self._rules:
            self._rules_of[rule.service].append(rule)

    def doubt(self) -> str:
        """
        Return why the path of the checks is in doubt itself: not one of several unrelated services is met, and all have ready
        pods. A kubelet that finds them ready beside us is believed; "" where anything is met, or one service explains it.
        """
        views = self._services.views
        answers = [
            (rule.service, result) for rule in self._rules if (result := self._results.get(rule.name)) is not None
        ]
        met = {name for name, result in answers if result}
        failing = {name for name, _ in answers if name not in met and name in views and views[name].serving}
        services = self._services.catalog.services
        roots = [
            name for name in sorted(failing) if name in services and not failing & set(upstreams_of(name, services))
        ]
        if met or len({views[name].reached_by for name in roots}) < SEVERAL:
            return ""
        return f"our own checks of {', '.join(roots)} all fail, although their kubelets find them ready"

    def answers(self, service: str) -> tuple[CheckFacts, ...]:
        """Return the last answers of a service's checks, without those that have no answer now."""
        found = {
            rule.check: self._answers[rule.name]
            for rule in self._rules_of.get(service, ())
            if rule.name in self._answers
        }
        return tuple(found.values())

    def unanswered(self, service: str) -> tuple[str, ...]:
        """Name the checks of a service that have no answer now."""
        return tuple(sorted(self._counted(service) - {each.name for each in self.answers(service)}))

    def unmet(self) -> frozenset[str]:
        """Return the services of which a check was not met when it was last run."""
        return frozenset(rule.service for rule in self._rules if self._results.get(rule.name) is False)

    def unasked(self, service: str, since: datetime) -> tuple[str, ...]:
        """Name the checks of a service that were not asked since a moment; one that then had no answer was asked."""
        own = self._rules_of.get(service, ())
        asked = {rule.check for rule in own if (moment := self._asked.get(rule.name)) is not None and moment >= since}
        return tuple(sorted(self._counted(service) - asked))

    def _counted(self, service: str) -> set[str]:
        """Name the checks of a service without the derived one where that was never met."""
        view, checks = self._services.views.get(service), {rule.check for rule in self._rules_of.get(service, ())}
        if view is None or self._is_met(view):
            return checks
        return checks & view.service.checks.keys()

    def _is_met(self, view: ServiceView) -> bool:
        """Return whether the derived check of a service was ever met."""
        check = view.derived_check
        return check is not None and check.url in self._services.counts.of(view.name)

    async def run(self, pause: timedelta) -> None:
        """Run the checks until cancelled; `pause` is the time between two searches for due checks."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = asyncio.get_running_loop().time()
                for rule in self._rules:
                    if self._next.get(rule.name, now) <= now:
                        self._next[rule.name] = inf
                        tasks.create_task(self._ask(rule), name=f"check {rule.name}")
                await asyncio.sleep(pause.total_seconds())

    async def _ask(self, rule: Rule) -> None:
        """Run a rule's check; an error affects only this rule, and neither begins nor ends its condition."""
        try:
            async with self._gate:
                with self._containment.around(FailureScope.RULE, rule.name):
                    await self.ask(rule)
        finally:
            self._next[rule.name] = asyncio.get_running_loop().time() + rule.every.total_seconds()

    async def ask(self, rule: Rule) -> bool | None:
        """Run a rule's check once, report the answer and return it; None without an answer."""
        view = self._services.views.get(rule.service)
        if view is None or not view.is_current or self._services.stale_reason:
            return None
        if not view.desired:
            self._report(rule, None, view)
            return None
        context = self._context(view)
        try:
            through = await self._answer(rule.check, context)
        except ResolverFailed:
            # it is the same for every check by a name, and the resolver has logged it once
            self._asked[rule.name] = context.now
            self._results[rule.name] = None
            self._answers.pop(rule.name, None)
            self._report(rule, None, view)
            return None
        counts = rule.check in self._counted(rule.service)
        met = await self._by_backends(rule, context) if through and counts else through
        self._asked[rule.name] = context.now
        self._log_change(rule, met, context.why)
        self._keep(rule, met, context)
        # an answer before was about another address where this one does not count yet
        known = met if counts else True
        if known is not None:
            self._services.note_check(rule.service, rule.check, met=known)
        self._report(rule, known, view)
        if through is False and counts:
            # after what is unmet is reported: pods that hang take as long again
            backends = self._noted(rule, context, met=False)
            context.backends = await self._ask_backends(rule.check, view, backends)
            self._keep(rule, met, context)
        return met

    async def ask_pod(self, service: str, pod: PodAddress) -> PodAnswer:
        """
        Run the checks of a service on one of its pods alone: those that are not met now, else all that rules ask. The derived
        check asks no pod.

        The answer is neither reported nor kept. Raises ResolverFailed where the cluster's names do not resolve here.
        """
        view = self._services.views.get(service)
        rules = self._rules_of.get(service, ())
        names = dict.fromkeys(rule.check for rule in rules if view is not None and rule.check in view.service.checks)
        unmet = [each.name for each in self.answers(service) if not each.met and each.name in names]
        if view is None or not names:
            return PodAnswer(met=None if view is None else True, text="" if view else "its service is not known")
        directed = False
        for name in unmet or names:
            context = self._context(view, pod)
            met = await self._all(view.service.checks[name], context)
            directed = directed or context.reached_pod
            if met is not True:
                return PodAnswer(met=met, text=context.why)
        if not directed:
            return PodAnswer(met=None, text=f"no check of {service} asks a pod by itself")
        return PodAnswer(met=True)

    async def _by_backends(self, rule: Rule, context: CheckContext) -> bool:
        """
        Return whether a check that a Service meets is met by all that answers it.

        A Service hides a pod that answers otherwise than the others: pods of several templates, and all where an answer of late was
        not met, are asked by themselves. Where all of those answer well, a share of unmet answers still counts.
        """
        backends, recent = self._noted(rule, context, met=True), self._recent[rule.name]
        if recent.all_met and len({(each.workload, each.template) for each in backends}) < SEVERAL:
            return True
        context.backends = await self._ask_backends(rule.check, context.view, backends)
        failing = next((each for each in context.backends if not each.met), None)
        if failing is None and not recent.fails_often:
            return True
        context.why = f"pod {failing.pod} by itself: {failing.answer}" if failing is not None else recent.fails_often
        return False

    def _noted(self, rule: Rule, context: CheckContext, *, met: bool) -> Sequence[Backend]:
        """Note what the Service has answered; return the pods behind it."""
        backends = self._services.backends(rule.service)
        self._recent[rule.name].note(met=met, why=context.why, pods=frozenset(each.address.name for each in backends))
        return backends

    async def _ask_backends(
        self, check: str, view: ServiceView, backends: Sequence[Backend]
    ) -> tuple[BackendAnswer, ...]:
        """Ask pods by themselves what a check asks their Service. Those of a StatefulSet are no equals, and are not asked."""
        if any(each.workload.startswith("statefulset/") for each in backends):
            return ()
        own = str(view.service.workload)
        first = sorted(backends, key=lambda each: (each.workload == own, each.template != view.template))

        async def ask(backend: Backend) -> BackendAnswer | None:
            context = self._context(view, backend.address, only_routed=True)
            try:
                met = await self._answer(check, context)
            except ResolverFailed:
                return None
            if met is None or not context.reached_pod:
                return None
            answer = "" if met else SECRETS.text(context.why[:LONGEST_ANSWER])
            return BackendAnswer(pod=backend.address.name, workload=backend.workload, met=met, answer=answer)

        answers = await asyncio.gather(*map(ask, first[:MOST_BACKENDS]))
        return tuple(each for each in answers if each is not None)

    async def _answer(self, check: str, context: CheckContext) -> bool | None:
        """Ask a check of the document, else the derived one. Raises ResolverFailed."""
        steps = context.view.service.checks.get(check)
        return await (self._derived(context) if steps is None else self._all(steps, context))

    def _context(self, view: ServiceView, pod: PodAddress | None = None, *, only_routed: bool = False) -> CheckContext:
        views, prometheus = self._services.views, self._terms.prometheus
        return CheckContext(
            view=view, views=views, now=self._clock(), prometheus=prometheus, pod=pod, only_routed=only_routed
        )

    def _report(self, rule: Rule, met: bool | None, asked: ServiceView) -> None:
        """Record whether a rule holds: its check is not met, and its `when` is true by now. Nothing where that has no answer."""
        view = self._services.views.get(rule.service, asked)
        condition = evaluate_condition(rule, rule_names(RuleSource.CHECK, service=view, now=self._clock())).holds
        holds = condition if met is False else None
        if met is True or condition is False:
            holds = False
        if holds is not None:
            self._record(rule, service_target(view), holds)

    def _log_change(self, rule: Rule, met: bool | None, why: str) -> None:
        """Log an answer that differs from the one before, or why there is none."""
        if self._results.get(rule.name, True) is not met and (why or met):
            log.info("check result changed", rule=rule.name, check=rule.check, met=met, why=why)
        self._results[rule.name] = met

    def _keep(self, rule: Rule, met: bool | None, context: CheckContext) -> None:
        """Keep an answer for a diagnosis, with when it came to be so; it is masked, for a probed service may answer anything."""
        if met is None:
            self._answers.pop(rule.name, None)
            return
        known = self._answers.get(rule.name)
        since = known.since if known is not None and known.met is met else context.now
        answer = "" if met else SECRETS.text(context.why[:LONGEST_ANSWER])
        derived, is_own = context.view.derived_check, rule.check in context.view.service.checks
        through = f"service/{derived.service}" if derived is not None and not is_own else ""
        self._answers[rule.name] = CheckFacts(
            name=rule.check, met=met, answer=answer, since=since, through=through, backends=context.backends
        )

    async def _derived(self, context: CheckContext) -> bool | None:
        """
        Ask what stands for the list `smoke`; None where there is nothing to ask, or where it was never met.

        That it was met is kept among the counts, under its URL: in a daemon that was restarted meanwhile it counts, too.
        """
        view, check = context.view, context.view.derived_check
        if check is None:
            return None
        url = check.url
        command = context.directed(parse_argv(("curl", "-k", url)))
        try:
            result = await self._prober.read(
                command, deadline=self._terms.within, probe_context=ProbeContext(namespace=view.service.namespace)
            )
        except ProbeFailed as error:
            context.why = str(error)  # it begins with the URL
        except _NO_ANSWER as error:
            context.why = f"{url}: {error}"
            return None
        else:
            context.why = f"{url}: {result.failed or f'not met{_answered(result.names)}'}"
            if not result.failed and result.names["status"] in _WELL:
                if context.pod is not None:
                    return True
                self._services.counts.note(GoodCount(service=view.name, name=url, value=1, moment=context.now))
                return True
        if self._is_met(view):
            return False
        context.why = f"not counted before it was met once: {context.why}"
        return None

    async def _all(self, steps: Sequence[Step], context: CheckContext) -> bool | None:
        """Ask steps one after another, up to the first that is not met or has no answer."""
        for step in steps:
            answer = await self._step(step, context)
            if answer is not True:
                return answer
        return True

    async def _step(self, step: Step, context: CheckContext) -> bool | None:
        """Ask one step, for each of its items. What the service itself does not answer is not met."""
        try:
            items = [None] if step.for_each is None else step.for_each.evaluate(context.names())
            for item in items if isinstance(items, list) else [items]:
                context.each = item
                if not context.holds(step.when, usual=True) or context.holds(step.unless, usual=False):
                    continue
                answer = await self._once(step, context)
                if answer is not True:
                    return answer
        except ResolverFailed:
            raise
        except ProbeFailed as error:
            context.why = f"{step.name}: {error}"
            return False
        except _NO_ANSWER as error:
            context.why = f"{step.name}: {error}"
            return None
        finally:
            context.each = None
        return True

    async def _once(self, step: Step, context: CheckContext) -> bool | None:
        own: Mapping[str, object] = {}
        match step.do:
            case Run():
                own = await self._probe(step, step.do, context)
            case InOrder(steps=steps) | Parallel(steps=steps):
                if (answer := await self._all(steps, context)) is not True:
                    return answer
            case Await():
                pass
            case _:
                context.why = f"{step.name}: it is more than a probe"
                return None
        met = step.expect is None or step.expect.evaluate(context.names(own)) is True
        context.earlier[step.id] = StepOutcome(ran=True, met=met, result=own)
        if met and step.count is not None and context.pod is None:
            self._remember(step.id, step.count.evaluate(context.names(own)), context)
        if not met and step.expect is not None:
            context.why = f"{step.name}: not met{_answered(own)}"
        return met

    def _remember(self, name: str, counted: object, context: CheckContext) -> None:
        """Keep the count, if the service is healthy now and was before the check."""
        view, now = self._services.views.get(context.view.name, context.view), self._clock()
        under_recovery = self._terms.has_open_run(view.name)
        if isinstance(counted, int) and is_good(
            view, lasting=self._terms.lasting, under_recovery=under_recovery, now=now
        ):
            self._services.counts.note(GoodCount(service=view.name, name=name, value=counted, moment=now))

    async def _probe(self, step: Step, run: Run, context: CheckContext) -> Mapping[str, object]:
        service = context.view.service
        probe_context = ProbeContext(
            namespace=service.namespace,
            env=service.env,
            patterns=step.scan.patterns if step.scan is not None else (),
            now=self._clock(),
        )
        command = context.directed(run.command.bind(context.names(), namespace=service.namespace))
        result = await self._prober.read(
            command, deadline=step.timeout or self._terms.within, probe_context=probe_context
        )
        if result.failed and step.expect is None:
            raise ProbeFailed(result.failed)
        return result.names


def _answered(own: Mapping[str, object]) -> str:
    """Return the status and the beginning of the body that an HTTP service answered, "" for any other answer."""
    status, body = own.get("status"), own.get("body")
    if not isinstance(status, int):
        return ""
    text = SECRETS.text(" ".join(body.split())[:MOST_OF_BODY]) if isinstance(body, str) else ""
    return f" (HTTP {status}: {text})" if text else f" (HTTP {status})"
