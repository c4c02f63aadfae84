"""A rule on a check holds while the service's check is not met; what Kubernetes does not answer is no answer (P6)."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from kintsugi.actions.asker import Asker
from kintsugi.actions.result import Result
from kintsugi.commands import render
from kintsugi.errors import (
    Forbidden,
    KintsugiError,
    OutcomeUnknown,
    ProbeFailed,
    Refused,
    ResolverFailed,
    ServerUnavailable,
)
from kintsugi.matcher import Matcher
from kintsugi.model.command import Command
from kintsugi.model.documents import Rule
from kintsugi.model.records import Target
from kintsugi.model.views import ServiceView
from kintsugi.sources.checks import Checks
from tests.unit import factories
from tests.unit.virtual import play

SOON = timedelta(seconds=10)
CHECKS = """\
checks:
  smoke:
    - id: address
      run: kubectl get svc web
      expect: item.spec.clusterIP != ""
    - id: answers
      run: curl http://${steps.address.item.spec.clusterIP}/health
      expect: status == 200
    - id: balanced
      when: service.ready > 1
      run: kubectl get pods -l app=web
      expect: size(items) > 1
    - id: every
      for_each: service.pods
      run: kubectl logs ${each} --tail=1
      expect: size(lines) == 1
    - id: enough
      expect: service.ready >= service.desired
"""
ON_CHECK = factories.rule_text("web-answers", on="check", more="check: smoke\nevery: 30s\nfor: 1m\n")
CATALOG = factories.catalog(factories.service_text(more=CHECKS), ON_CHECK, factories.runbook_text())
WELL: Mapping[str, Mapping[str, object]] = {
    "kubectl get service": {"item": {"spec": {"clusterIP": "10.0.0.7"}}},
    "curl": {"status": 200},
    "kubectl get pods": {"items": [{}, {}]},
    "kubectl logs": {"lines": ["x"]},
}


class Looks:
    """Answers looks by the beginning of their text; `wrong` takes the place of an answer."""

    def __init__(self, wrong: Mapping[str, object] | None = None, takes: float = 0) -> None:
        self.wrong = wrong or {}
        self.takes = takes
        self.asked: list[str] = []
        self.at: list[float] = []

    async def look(self, command: Command, *, deadline: timedelta, asker: Asker) -> Result:
        text = render(command)
        self.asked.append(text)
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        answers = {**WELL, **self.wrong}
        answer = next(answer for beginning, answer in answers.items() if text.startswith(beginning))
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Mapping)
        return Result(names=answer, summary=text)


class Told:
    """What was told of a rule."""

    def __init__(self) -> None:
        self.holds: list[bool] = []
        self.targets: list[Target] = []

    def __call__(self, rule: Rule, target: Target, holds: bool) -> None:
        assert rule.name == "web-answers"
        self.holds.append(holds)
        self.targets.append(target)


def service() -> ServiceView:
    """The service, well."""
    return factories.view(CATALOG.services["web"], pods=(factories.pod(),))


def checks(looks: Looks, told: Told, view: ServiceView | None = None, blind: str = "") -> Checks:
    """Make what is tested, over one service."""
    view = view or service()
    services = SimpleNamespace(views={view.name: view}, blind=blind)
    made = Checks(services, looks, told, clock=factories.virtual_clock, within=SOON)  # type: ignore[arg-type]
    made.use(CATALOG, Matcher(CATALOG))
    return made


async def asked(looks: Looks, told: Told, view: ServiceView | None = None, blind: str = "") -> bool | None:
    """Ask the rule's check once."""
    return await checks(looks, told, view, blind).ask(CATALOG.rules["web-answers"])


async def test_a_check_that_is_met_tells_that_its_rule_does_not_hold() -> None:
    looks, told = Looks(), Told()
    assert await asked(looks, told) is True
    assert told.holds == [False]
    assert told.targets == [Target(kind="Service", namespace="production", name="web", uid="web")]
    assert looks.asked[:2] == ["kubectl get service web -n production", "curl http://10.0.0.7/health"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"curl": {"status": 503}},
        {"curl": ProbeFailed("10.0.0.7: connection refused")},
        {"kubectl logs": {"lines": []}},
        {"kubectl get pods": {"items": [{}]}},
    ],
)
async def test_what_the_service_does_not_answer_well_is_the_answer(wrong: Mapping[str, object]) -> None:
    told = Told()
    assert await asked(Looks(wrong), told) is False
    assert told.holds == [True]


@pytest.mark.parametrize(
    "error",
    [
        Forbidden("pods is forbidden"),
        ServerUnavailable("no answer"),
        OutcomeUnknown("database-0 was replaced meanwhile"),
        Refused("there is no curl in this container"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_kubernetes_does_not_answer_neither_begins_nor_ends_anything(error: KintsugiError) -> None:
    """P6."""
    told = Told()
    assert await asked(Looks({"curl": error}), told) is None
    assert await asked(Looks({"curl": {}}), told) is None
    assert told.holds == []


@pytest.mark.parametrize(
    ("change", "blind"),
    [
        (lambda view: replace(view, fresh=False), ""),
        (lambda view: replace(view, desired=0), ""),
        (lambda view: view, "the watch of pods has been silent"),
    ],
)
async def test_a_service_that_cannot_be_seen_or_is_not_wanted_is_not_asked(
    change: Callable[[ServiceView], ServiceView], blind: str
) -> None:
    looks, told = Looks(), Told()
    assert await asked(looks, told, change(service()), blind) is None
    assert (looks.asked, told.holds) == ([], [])


def test_a_look_that_fails_in_an_unknown_way_ends_no_other_check() -> None:
    """B16."""

    async def story() -> int:
        looks = Looks({"curl": RuntimeError("a defect")})
        running = asyncio.create_task(checks(looks, Told()).run(timedelta(seconds=1)))
        await asyncio.sleep(100)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return sum(text.startswith("curl") for text in looks.asked)

    with capture_logs() as said:
        assert play(story()) == 4
    assert {line["name"] for line in said if line["event"] == "contained"} == {"web-answers"}


def test_each_rule_is_asked_on_its_own_interval_and_never_beside_itself() -> None:
    """A check that takes longer than its interval is not begun a second time meanwhile."""

    async def story(looks: Looks) -> list[float]:
        running = asyncio.create_task(checks(looks, Told()).run(timedelta(seconds=1)))
        await asyncio.sleep(200)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return [at for text, at in zip(looks.asked, looks.at, strict=True) if text.startswith("kubectl get service")]

    quick = play(story(Looks()))
    assert len(quick) == 7
    assert all(30 <= later - earlier <= 31.5 for earlier, later in pairwise(quick))
    slow = play(story(Looks(takes=20)))
    assert all(later - earlier >= 50 for earlier, later in pairwise(slow))


async def test_a_name_that_is_not_resolved_by_a_fault_of_our_own_is_no_answer() -> None:
    """E35: neither failing nor met; what the rule held of it stays so."""
    told = Told()
    assert await asked(Looks({"curl": ResolverFailed("no names resolve here")}), told) is None
    assert told.holds == []
