"""A derived check counts once it was met: what never answered us may be kept from us on purpose."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from kintsugi.actions.probe_context import PodAnswer
from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import ProbeFailed, ServerUnavailable
from kintsugi.model.known import GoodCount
from kintsugi.model.views import DerivedCheck
from kintsugi.sources.checks import Checks, CheckTerms
from kintsugi.views.service_memory import CountMemory
from tests.unit import factories
from tests.unit.sources.test_checks_on_an_interval import ON_CHECK, WEB_1, RecordedAnswers, ScriptedProber

CATALOG = factories.catalog(factories.service_text(), ON_CHECK, factories.runbook_text())
RULE = CATALOG.rules["web-answers"]
HEALTH = DerivedCheck(service="front", address="10.0.0.7", scheme="http", port=80, path="/health")
REFUSED = ProbeFailed("http://10.0.0.7/health: connection refused")


class Stage:
    """One service whose pods are ready, and what is asked and told of it."""

    def __init__(self, check: DerivedCheck | None = HEALTH) -> None:
        self.prober, self.told, self.counts = ScriptedProber(), RecordedAnswers(), CountMemory()
        self.noted: list[bool] = []
        self.views = {"web": replace(factories.view(CATALOG.services["web"]), derived_check=check)}
        self.daemon()

    def daemon(self) -> None:
        """Begin with a new daemon, which knows what the ledger has."""
        services = SimpleNamespace(
            views=self.views,
            stale_reason="",
            catalog=CATALOG,
            counts=self.counts,
            note_check=lambda _service, _check, *, met: self.noted.append(met),
        )
        clock, terms = factories.virtual_clock, CheckTerms(within=timedelta(seconds=10))
        self.checks = Checks(services, self.prober, self.told, clock=clock, terms=terms)  # type: ignore[arg-type]
        self.checks.reload(CATALOG, Matcher(CATALOG))

    async def ask(self, answer: object) -> bool | None:
        """Ask the check, which is answered so."""
        self.prober.wrong = {"curl": answer}
        return await self.checks.ask(RULE)


WELL, FAILING = {"status": 200}, {"status": 503}


@pytest.mark.parametrize("answer", [FAILING, REFUSED, {"status": 404}])
async def test_an_address_that_was_never_met_does_not_count_and_is_logged_once(answer: object) -> None:
    stage = Stage()
    with capture_logs() as said:
        assert [await stage.ask(answer) for _ in range(3)] == [None] * 3
    (logged,) = [each for each in said if each["event"] == "check result changed"]
    assert logged["why"].startswith("not counted before it was met once: http://10.0.0.7/health")
    assert True not in stage.told.holds
    assert False not in stage.noted
    assert stage.checks.unmet() == frozenset()
    assert stage.checks.unanswered("web") == stage.checks.unasked("web", factories.virtual_clock()) == ()


@pytest.mark.parametrize("answer", [FAILING, REFUSED])
async def test_a_check_that_was_met_counts_also_after_a_restart(answer: object) -> None:
    stage = Stage()
    assert stage.checks.unasked("web", factories.virtual_clock()) == ()
    assert await stage.ask({"status": 302}) is True
    (saved,) = stage.counts.unsaved()
    assert saved.name == "http://10.0.0.7/health"
    stage.counts = CountMemory()
    stage.counts.recall([saved])
    stage.daemon()
    assert stage.checks.unasked("web", factories.virtual_clock()) == ("smoke",)
    assert await stage.ask(answer) is False
    assert (stage.told.holds[-1], stage.noted[-1]) == (True, False)
    (found,) = stage.checks.answers("web")
    assert found.through == "service/front"
    assert found.answer.startswith("http://10.0.0.7/health: ")


async def test_kubernetes_that_does_not_answer_says_nothing_of_a_check_that_was_met() -> None:
    """P6."""
    stage = Stage()
    await stage.ask(WELL)
    assert await stage.ask(ServerUnavailable("no answer")) is None
    assert stage.told.holds == [False]


async def test_an_answer_of_another_address_says_nothing_of_a_new_one() -> None:
    stage = Stage()
    await stage.ask(WELL)
    await stage.ask(FAILING)
    stage.views["web"] = replace(stage.views["web"], derived_check=replace(HEALTH, path="/ready"))
    assert await stage.ask(FAILING) is None
    assert (stage.told.holds, stage.noted) == ([False, True, False], [True, False, True])


async def test_a_service_without_a_probe_to_ask_is_not_asked_and_nothing_is_logged() -> None:
    stage = Stage(None)
    with capture_logs() as said:
        assert await stage.ask(WELL) is None
    assert (stage.prober.asked, said) == ([], [])


async def test_a_pod_alone_is_not_asked_by_a_derived_check() -> None:
    stage = Stage()
    await stage.ask(WELL)
    assert await stage.checks.ask_pod("web", WEB_1) == PodAnswer(met=True, text="")
    assert len(stage.prober.asked) == 1


def test_counts_of_checks_that_were_met_are_the_newest_last() -> None:
    counts, now = CountMemory(), factories.NOW
    for name in ("http://a/", "rows", "http://b/", "http://a/"):
        counts.note(GoodCount(service="web", name=name, value=1, moment=now))
    assert counts.urls("web") == ("http://b/", "http://a/")
