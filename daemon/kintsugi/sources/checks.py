"""
Asks services on an interval: a rule on a check holds while the service's named check is not met.

A probe of our own sees what no watch shows: a database that runs and does not answer. A question that gets no answer
from the cluster's API, and one whose name is not known for the daemon's own DNS is away, neither begins nor ends a condition
(P6); a service that does not answer is the answer.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Protocol

import structlog

from kintsugi.actions.asker import Asker
from kintsugi.actions.result import Result
from kintsugi.errors import CommandError, EvaluationError, KubeError, ProbeFailed, Refused, ResolverFailed
from kintsugi.expressions import Expression, Names
from kintsugi.matcher import Matcher
from kintsugi.model.command import Command
from kintsugi.model.documents import Await, Catalog, InOrder, Rule, RuleSource, Run, Step, Together
from kintsugi.model.records import Target
from kintsugi.model.views import ServiceView
from kintsugi.scope.values import StepOutcome, Surroundings, step_names
from kintsugi.services import Services
from kintsugi.sources.cluster import service_target
from kintsugi.telemetry import Border, Containment

log = structlog.get_logger(__name__)

AT_ONCE = 8
"""Checks that are asked at the same time; the others wait their turn."""

Tell = Callable[[Rule, Target, bool], None]
_NO_ANSWER = (KubeError, Refused, CommandError, EvaluationError)


class Looker(Protocol):
    """What performs commands that only look: `actions.Actions`."""

    async def look(self, command: Command, *, deadline: timedelta, asker: Asker) -> Result:
        """Do one command."""
        ...


@dataclass(kw_only=True)
class Asking:
    """One asking of one list of checks: what its steps have seen so far."""

    view: ServiceView
    views: Mapping[str, ServiceView]
    now: datetime
    earlier: dict[str, StepOutcome] = field(default_factory=dict)
    each: object = None
    why: str = ""

    def names(self, own: Mapping[str, object] | None = None) -> Names:
        """Give what an expression sees here."""
        around = Surroundings(
            now=self.now, parameters=self.view.service.parameters, service=self.view, services=self.views
        )
        return step_names(around, earlier=self.earlier, own=own, each=self.each)

    def says(self, expression: Expression | None, *, usual: bool) -> bool:
        """Evaluate a condition; `usual` where there is none."""
        return usual if expression is None else expression.evaluate(self.names()) is True


class Checks:
    """
    Keeps asking what the rules on checks want to know, each on its own interval, and tells the answers.

    `within` is what one command may take. A service that nobody has deployed, or that is scaled to none, is not asked.
    """

    def __init__(
        self,
        services: Services,
        looker: Looker,
        tell: Tell,
        *,
        clock: Callable[[], datetime],
        within: timedelta,
        containment: Containment | None = None,
    ) -> None:
        self._containment = containment or Containment()
        self._services = services
        self._looker = looker
        self._tell = tell
        self._clock = clock
        self._within = within
        self._rules: tuple[Rule, ...] = ()
        self._next: dict[str, float] = {}
        self._said: dict[str, bool | None] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    def use(self, _catalog: Catalog, matcher: Matcher) -> None:
        """Take a new catalog into force."""
        self._rules = matcher.rules(RuleSource.CHECK)

    async def run(self, pause: timedelta) -> None:
        """Ask until cancelled; `pause` is how often one looks who is due, `timeout` what one command may take."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                now = asyncio.get_running_loop().time()
                for rule in self._rules:
                    if self._next.get(rule.name, now) <= now:
                        self._next[rule.name] = inf
                        tasks.create_task(self._ask(rule), name=f"check {rule.name}")
                await asyncio.sleep(pause.total_seconds())

    async def _ask(self, rule: Rule) -> None:
        """Ask a rule's check; what cannot be asked or judged is the affair of this rule, and neither begins nor ends it."""
        try:
            async with self._gate:
                with self._containment.around(Border.RULE, rule.name):
                    await self.ask(rule)
        finally:
            self._next[rule.name] = asyncio.get_running_loop().time() + rule.every.total_seconds()

    async def ask(self, rule: Rule) -> bool | None:
        """Ask a rule's check once, tell the answer, and give it; None when it has none."""
        view = self._services.views.get(rule.service)
        if view is None or not view.fresh or not view.desired or self._services.blind:
            return None
        asking = Asking(view=view, views=self._services.views, now=self._clock())
        try:
            met = await self._all(view.service.checks.get(rule.check, ()), asking)
        except ResolverFailed:
            # it is the same for every check that goes by a name, and whoever found it out has said so, once
            self._said[rule.name] = None
            return None
        self._say(rule, met, asking.why)
        if met is not None:
            self._tell(rule, service_target(view), not met)
        return met

    def _say(self, rule: Rule, met: bool | None, why: str) -> None:
        """Log an answer that differs from the one before."""
        if self._said.get(rule.name, True) is not met:
            words = {True: "a check is met again", False: "a check is not met", None: "a check has no answer"}
            log.info(words[met], rule=rule.name, check=rule.check, why=why)
        self._said[rule.name] = met

    async def _all(self, steps: Sequence[Step], asking: Asking) -> bool | None:
        """Ask steps one after another, up to the first that is not met or has no answer."""
        for step in steps:
            answer = await self._step(step, asking)
            if answer is not True:
                return answer
        return True

    async def _step(self, step: Step, asking: Asking) -> bool | None:
        """Ask one step, for each of its items. What the service itself does not answer is not met."""
        try:
            items = [None] if step.for_each is None else step.for_each.evaluate(asking.names())
            for item in items if isinstance(items, list) else [items]:
                asking.each = item
                if not asking.says(step.when, usual=True) or asking.says(step.unless, usual=False):
                    continue
                answer = await self._once(step, asking)
                if answer is not True:
                    return answer
        except ResolverFailed:
            raise
        except ProbeFailed as error:
            asking.why = f"{step.name}: {error}"
            return False
        except _NO_ANSWER as error:
            asking.why = f"{step.name}: {error}"
            return None
        finally:
            asking.each = None
        return True

    async def _once(self, step: Step, asking: Asking) -> bool | None:
        own: Mapping[str, object] = {}
        match step.do:
            case Run():
                own = await self._look(step, step.do, asking)
            case InOrder(steps=steps) | Together(steps=steps):
                if (answer := await self._all(steps, asking)) is not True:
                    return answer
            case Await():
                pass
            case _:
                asking.why = f"{step.name}: it is more than a look"
                return None
        met = step.expect is None or step.expect.evaluate(asking.names(own)) is True
        asking.earlier[step.id] = StepOutcome(ran=True, met=met, result=own)
        if not met and step.expect is not None:
            asking.why = f"{step.name}: not met: {step.expect.source}"
        return met

    async def _look(self, step: Step, run: Run, asking: Asking) -> Mapping[str, object]:
        service = asking.view.service
        asker = Asker(
            namespace=service.namespace,
            env=service.env,
            patterns=step.scan.patterns if step.scan is not None else (),
        )
        command = run.command.bind(asking.names(), namespace=service.namespace)
        result = await self._looker.look(command, deadline=step.timeout or self._within, asker=asker)
        if result.failed and step.expect is None:
            raise ProbeFailed(result.failed)
        return result.names
