"""A rule on a check holds while the check is not met and its `when` is true; a derived check counts once it was met."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from kintsugi.actions.probe import ANONYMOUS_PROBE, PodAnswer, ProbeContext, Result
from kintsugi.commands import render
from kintsugi.decisions.matcher import Matcher
from kintsugi.errors import (
    Forbidden,
    KintsugiError,
    OutcomeUnknown,
    ProbeFailed,
    Refused,
    ResolverFailed,
    ServerUnavailable,
)
from kintsugi.model.catalog import Catalog
from kintsugi.model.command import Command
from kintsugi.model.good_state import GoodCount
from kintsugi.model.hosts import Backend, PodAddress
from kintsugi.model.records import Target
from kintsugi.model.rules import Rule
from kintsugi.model.views import DerivedCheck, ServiceView
from kintsugi.sources.checks import Checks, CheckTerms
from kintsugi.views.service_memory import CountMemory
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
      forEach: service.pods
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


class ScriptedProber:
    """Answers looks by the beginning of their text; `wrong` takes the place of an answer."""

    def __init__(self, wrong: Mapping[str, object] | None = None, takes: float = 0) -> None:
        self.wrong = wrong or {}
        self.takes = takes
        self.asked: list[str] = []
        self.at: list[float] = []

    async def read(
        self, command: Command, *, deadline: timedelta, probe_context: ProbeContext = ANONYMOUS_PROBE
    ) -> Result:
        text = render(command)
        self.asked.append(text)
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        answers = {**WELL, **self.wrong}
        answer = answers[max((each for each in answers if text.startswith(each)), key=len)]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Mapping)
        return Result(names=answer, summary=text)


class RecordedAnswers:
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


def nothing_noted(_service: str, _check: str, *, met: bool) -> None:
    """Take an answer that the views would keep."""


TERMS = CheckTerms(within=SOON)


def checks(
    looks: ScriptedProber,
    told: Callable[[Rule, Target, bool], None],
    *views: ServiceView,
    catalog: Catalog = CATALOG,
    terms: CheckTerms = TERMS,
    **seen: object,
) -> Checks:
    """Make what is tested, over the service that is well or over these."""
    seen = {"views": {view.name: view for view in views or (service(),)}, "counts": CountMemory(), **seen}
    usual = {"stale_reason": "", "catalog": catalog, "note_check": nothing_noted, "backends": lambda _: ()}
    services = SimpleNamespace(**{**usual, **seen})
    made = Checks(services, looks, told, clock=factories.virtual_clock, terms=terms)  # type: ignore[arg-type]
    made.reload(catalog, Matcher(catalog))
    return made


async def asked(looks: ScriptedProber, told: RecordedAnswers, *views: ServiceView, **seen: object) -> bool | None:
    """Ask the rule's check once."""
    return await checks(looks, told, *views, **seen).ask(CATALOG.rules["web-answers"])  # type: ignore[arg-type]


async def test_a_check_that_is_met_tells_that_its_rule_does_not_hold() -> None:
    looks, told = ScriptedProber(), RecordedAnswers()
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
async def test_a_check_that_the_service_does_not_answer_well_is_not_met(wrong: Mapping[str, object]) -> None:
    told = RecordedAnswers()
    assert await asked(ScriptedProber(wrong), told) is False
    assert told.holds == [True]


@pytest.mark.parametrize(
    "error",
    [
        Forbidden("pods is forbidden"),
        ServerUnavailable("no answer"),
        OutcomeUnknown("database-0 was replaced meanwhile"),
        Refused("there is no curl in this container"),
        ResolverFailed("no names resolve here"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_check_that_kubernetes_does_not_answer_neither_begins_nor_ends_a_signal(error: KintsugiError) -> None:
    """P6, E35: nor does a name that is not resolved by a fault of our own."""
    told = RecordedAnswers()
    assert await asked(ScriptedProber({"curl": error}), told) is None
    assert await asked(ScriptedProber({"curl": {}}), told) is None
    assert told.holds == []


@pytest.mark.parametrize(
    ("seen", "wrong", "holds"),
    [
        ({}, {"curl": {"status": 503}}, [True]),
        ({}, {"curl": {"status": 200}}, [False]),
        ({}, {"curl": ServerUnavailable("no answer")}, []),
        ({"ready": 0}, {"curl": {"status": 503}}, [False]),
        ({"ready": 0}, {"curl": ServerUnavailable("no answer")}, [False]),
        ({"ready": 0}, {"curl": ResolverFailed("no name is known here")}, [False]),
        ({"ready": 0, "desired": 0}, {}, [False]),
        ({"ready": 0, "is_current": False}, {"curl": {"status": 503}}, []),
    ],
)
async def test_a_rule_with_a_when_holds_only_while_that_is_true_too(
    seen: Mapping[str, object], wrong: Mapping[str, object], holds: Sequence[bool]
) -> None:
    """What begins and is not ready yet does not answer either, and no rule on its answers touches it (P6)."""
    narrowed = ON_CHECK.replace("check: smoke", "check: smoke\n  when: service.serving")
    catalog = factories.catalog(factories.service_text(more=CHECKS), narrowed, factories.runbook_text())
    told = RecordedAnswers()
    view = replace(service(), **seen)  # type: ignore[arg-type]
    await checks(ScriptedProber(wrong), told, view, catalog=catalog).ask(catalog.rules["web-answers"])
    assert told.holds == holds


@pytest.mark.parametrize(
    ("change", "stale_reason"),
    [
        (lambda view: replace(view, is_current=False), ""),
        (lambda view: replace(view, desired=0), ""),
        (lambda view: view, "the watch of pods has been silent"),
    ],
)
async def test_a_service_that_cannot_be_seen_or_is_not_wanted_is_not_asked(
    change: Callable[[ServiceView], ServiceView], stale_reason: str
) -> None:
    looks, told = ScriptedProber(), RecordedAnswers()
    assert await asked(looks, told, change(service()), stale_reason=stale_reason) is None
    assert (looks.asked, told.holds) == ([], [])


def test_a_look_that_fails_in_an_unknown_way_ends_no_other_check() -> None:
    """B16."""

    async def story() -> int:
        looks = ScriptedProber({"curl": RuntimeError("a defect")})
        running = asyncio.create_task(checks(looks, RecordedAnswers()).run(timedelta(seconds=1)))
        await asyncio.sleep(100)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return sum(text.startswith("curl") for text in looks.asked)

    with capture_logs() as said:
        assert play(story()) == 4
    assert {line["name"] for line in said if line["event"] == "failure contained"} == {"web-answers"}


def test_each_rule_is_asked_on_its_own_interval_and_never_beside_itself() -> None:
    """A check that takes longer than its interval is not begun a second time meanwhile."""

    async def story(looks: ScriptedProber) -> list[float]:
        running = asyncio.create_task(checks(looks, RecordedAnswers()).run(timedelta(seconds=1)))
        await asyncio.sleep(200)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return [at for text, at in zip(looks.asked, looks.at, strict=True) if text.startswith("kubectl get service")]

    quick = play(story(ScriptedProber()))
    assert len(quick) == 7
    assert all(30 <= later - earlier <= 31.5 for earlier, later in pairwise(quick))
    slow = play(story(ScriptedProber(takes=20)))
    assert all(later - earlier >= 50 for earlier, later in pairwise(slow))


@pytest.mark.parametrize(
    ("failing", "ready", "depends_on", "host", "doubted"),
    [
        (("web", "mail"), 3, (), "", True),
        (("web",), 3, (), "", False),
        (("web", "mail"), 0, (), "", False),
        (("web", "mail"), 3, ("web",), "", False),
        (("web", "mail"), 3, (), "front.production.svc", False),
    ],
    ids=["both fail", "one is met", "their kubelets say so too", "one explains the other", "both are behind one"],
)
async def test_a_path_on_which_every_check_fails_is_doubted_before_the_services(
    failing: tuple[str, ...], ready: int, depends_on: tuple[str, ...], host: str, doubted: bool
) -> None:
    """E32: at any number from two on."""
    names = ("web", "mail")
    more = "checks:\n  smoke:\n    - {id: answers, run: curl http://it/health, expect: status == 200}\n"
    texts = [
        factories.service_text("web", more=more),
        factories.service_text("mail", depends_on=depends_on, more=more),
        *(factories.rule_text(f"{name}-answers", service=name, on="check", more="check: smoke\n") for name in names),
    ]
    catalog = factories.catalog(*texts, factories.runbook_text())
    views = {name: replace(factories.view(catalog.services[name], ready=ready), host=host) for name in names}
    looks = ScriptedProber()
    made = checks(looks, lambda *_: None, *views.values(), catalog=catalog)
    for name in names:
        looks.wrong = {"curl": {"status": 500 if name in failing else 200}}
        await made.ask(catalog.rules[f"{name}-answers"])
    said = "our own checks of mail, web all fail, although their kubelets find them ready"
    assert made.doubt() == (said if doubted else "")


COUNTING = factories.catalog(
    factories.service_text(
        more="checks: {smoke: [{id: rows, run: 'kubectl get pods', expect: size(items) > 0, count: size(items)}]}"
    ),
    ON_CHECK,
    factories.runbook_text(),
)


@pytest.mark.parametrize(
    ("well_for", "is_open", "items", "remembered"),
    [
        (300, False, [{}, {}], {"rows": 2}),
        (60, False, [{}, {}], {}),
        (None, False, [{}, {}], {}),
        (300, True, [{}, {}], {}),
        (300, False, [], {}),
    ],
    ids=["well", "well only just", "not well", "under recovery", "not met"],
)
async def test_a_count_of_a_check_is_remembered_while_its_service_is_well_and_no_run_is_under_way(
    well_for: float | None, is_open: bool, items: list[object], remembered: Mapping[str, int]
) -> None:
    """P6: what has just come back may have lost what it is counted by."""
    since = None if well_for is None else factories.virtual_clock() - timedelta(seconds=well_for)
    view = replace(factories.view(COUNTING.services["web"]), healthy_since=since)
    terms = CheckTerms(within=SOON, lasting=timedelta(minutes=2), has_open_run=lambda _: is_open)
    looks, counts = ScriptedProber({"kubectl get pods": {"items": items}}), CountMemory()
    made = checks(looks, RecordedAnswers(), view, catalog=COUNTING, terms=terms, counts=counts)
    await made.ask(COUNTING.rules["web-answers"])
    assert counts.of("web") == remembered
    assert [each.value for each in counts.unsaved()] == list(remembered.values())


async def test_the_last_answer_of_a_check_is_kept_for_a_diagnosis_with_its_status_and_masked() -> None:
    looks = ScriptedProber({"curl": {"status": 502, "body": "upstream db:\n  password=hunter2secret"}})
    made, rule = checks(looks, RecordedAnswers()), CATALOG.rules["web-answers"]
    await made.ask(rule)
    (found,) = made.answers("web")
    assert (found.name, found.met, found.since is None) == ("smoke", False, False)
    assert "HTTP 502: upstream db:" in found.answer
    assert "hunter2secret" not in found.answer
    looks.wrong = {}
    await made.ask(rule)
    (found,) = made.answers("web")
    assert (found.met, found.answer) == (True, "")
    looks.wrong = {"curl": ResolverFailed("no name server")}
    await made.ask(rule)
    assert (made.answers("web"), made.answers("other")) == ((), ())


ASKED_BY_NAME = """\
checks:
  smoke:
    - {id: address, run: kubectl get svc web, expect: item.spec.clusterIP != ""}
    - {id: answers, run: "curl http://web.production/health", expect: status == 200}
"""
WEB_1 = PodAddress(name="web-1", namespace="production", ip="10.1.0.7", ports={("web", 80): 8080})


def asking_pods(looks: ScriptedProber, checks_of_web: str) -> tuple[Checks, RecordedAnswers]:
    """Make checks of the web service, and what is told of them."""
    catalog = factories.catalog(factories.service_text(more=checks_of_web), ON_CHECK, factories.runbook_text())
    told = RecordedAnswers()
    return checks(looks, told, factories.view(catalog.services["web"], pods=(factories.pod(),)), catalog=catalog), told


@pytest.mark.parametrize(("status", "text"), [(200, ""), (503, "answers: not met (HTTP 503)")])
async def test_a_single_pod_is_asked_what_the_check_asks_its_service_and_nothing_is_told_of_that(
    status: int, text: str
) -> None:
    looks = ScriptedProber({"curl": {"status": status}})
    made, told = asking_pods(looks, ASKED_BY_NAME)
    assert await made.ask_pod("web", WEB_1) == PodAnswer(met=status == 200, text=text)
    assert looks.asked[1] == "curl -H 'Host: web.production' http://10.1.0.7:8080/health"
    assert told.holds == []
    assert made.answers("web") == ()


async def test_a_check_that_asks_no_pod_by_itself_says_nothing_of_one() -> None:
    looks = ScriptedProber()
    made, _ = asking_pods(looks, ASKED_BY_NAME.replace("http://web.production", "https://web.production"))
    answer = await made.ask_pod("web", WEB_1)
    assert (answer.met, answer.text) == (None, "no check of web asks a pod by itself")


@pytest.mark.parametrize(
    "answer", [{"status": 200}, {"status": 502}, ResolverFailed("no name server"), Forbidden("no")]
)
async def test_a_check_was_asked_whatever_it_was_answered(answer: object) -> None:
    looks, rule = ScriptedProber({"curl": answer}), CATALOG.rules["web-answers"]
    made, before = checks(looks, RecordedAnswers()), factories.virtual_clock()
    assert made.unasked("web", before) == ("smoke",)
    await made.ask(rule)
    assert made.unasked("web", before) == ()
    assert made.unasked("web", before + timedelta(days=1)) == ("smoke",)
    assert made.unasked("other", before) == ()


DERIVED = factories.catalog(factories.service_text(), ON_CHECK, factories.runbook_text())
RULE = DERIVED.rules["web-answers"]
HEALTH = DerivedCheck(service="front", address="10.0.0.7", scheme="http", port=80, path="/health")
REFUSED = ProbeFailed("http://10.0.0.7/health: connection refused")


class Stage:
    """One service whose pods are ready, and what is asked and told of it."""

    def __init__(self, check: DerivedCheck | None = HEALTH, backends: Sequence[Backend] = ()) -> None:
        self.backends = list(backends)
        self.prober, self.told, self.counts = ScriptedProber(), RecordedAnswers(), CountMemory()
        self.noted: list[bool] = []
        self.views = {"web": replace(factories.view(DERIVED.services["web"]), derived_check=check)}
        self.daemon()

    def daemon(self) -> None:
        """Begin with a new daemon, which knows what the ledger has."""
        seen = {
            "counts": self.counts,
            "note_check": lambda _service, _check, *, met: self.noted.append(met),
            "backends": lambda _: tuple(self.backends),
        }
        self.checks = checks(self.prober, self.told, catalog=DERIVED, views=self.views, **seen)  # type: ignore[arg-type]

    async def ask(self, answer: object) -> bool | None:
        """Ask the check, which is answered so."""
        self.prober.wrong = {"curl": answer}
        return await self.checks.ask(RULE)


SERVED, FAILING = {"status": 200}, {"status": 503}


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
    await stage.ask(SERVED)
    assert await stage.ask(ServerUnavailable("no answer")) is None
    assert stage.told.holds == [False]


async def test_an_answer_of_another_address_says_nothing_of_a_new_one() -> None:
    stage = Stage()
    await stage.ask(SERVED)
    await stage.ask(FAILING)
    stage.views["web"] = replace(stage.views["web"], derived_check=replace(HEALTH, path="/ready"))
    assert await stage.ask(FAILING) is None
    assert (stage.told.holds, stage.noted) == ([False, True, False], [True, False, True])


def backend(name: str, workload: str = "deployment/web", template: str = "a") -> Backend:
    """Return a pod behind the Service `front`, at an address by its name."""
    address = PodAddress(name=name, namespace="production", ip=name, ports={("10.0.0.7", 80): 8080})
    return Backend(address=address, workload=workload, template=template)


ALIKE = (backend("web-1"), backend("web-2"))


async def answered(backends: Sequence[Backend], *through: object, **pods: object) -> tuple[bool | None, Stage]:
    """Let the Service answer so, one after the other, and the pods so, by their addresses; return the last answer."""
    stage = Stage(backends=backends)
    last = None
    for answer in (SERVED, *through):
        alone = {
            f"curl -H 'Host: 10.0.0.7' -k http://{ip}:": pods.get(ip.replace("-", "_"), SERVED) for ip in ADDRESSES
        }
        stage.prober.wrong = {**alone, "curl": answer}
        last = await stage.checks.ask(RULE)
    return last, stage


ADDRESSES = ("web-1", "web-2", "next-1")


async def test_pods_of_one_template_are_not_asked_by_themselves_while_every_answer_is_good() -> None:
    met, stage = await answered(ALIKE, SERVED, SERVED, web_1=FAILING)
    assert (met, len(stage.prober.asked)) == (True, 3)


@pytest.mark.parametrize(
    "other", [backend("next-1", "deployment/next"), backend("next-1", template="b")], ids=["workload", "template"]
)
async def test_a_pod_of_another_template_behind_the_service_that_does_not_answer_fails_the_check(
    other: Backend,
) -> None:
    met, stage = await answered((*ALIKE, other), SERVED, next_1=FAILING)
    (found,) = stage.checks.answers("web")
    assert (met, found.answer) == (False, "pod next-1 by itself: http://10.0.0.7/health: not met (HTTP 503)")
    assert {each.pod: each.met for each in found.backends} == {"next-1": False, "web-1": True, "web-2": True}
    assert (stage.told.holds[-1], stage.noted[-1]) == (True, False)


async def test_a_good_answer_after_a_bad_one_does_not_hide_the_pod_that_fails() -> None:
    met, _ = await answered(ALIKE, FAILING, SERVED, web_2=FAILING)
    assert met is False


@pytest.mark.parametrize(
    ("through", "met"),
    [
        ((FAILING, SERVED, SERVED, FAILING, SERVED, FAILING, SERVED), False),
        ((FAILING, FAILING, FAILING, SERVED), True),
        ((FAILING, SERVED, FAILING, SERVED), True),
    ],
    ids=["a third", "one outage that is over", "two of five"],
)
async def test_a_share_of_unmet_answers_counts_where_each_pod_answers_by_itself(
    through: Sequence[object], met: bool
) -> None:
    assert (await answered(ALIKE, *through))[0] is met


async def test_answers_of_pods_that_are_gone_count_no_more() -> None:
    _, stage = await answered(ALIKE, FAILING, SERVED, FAILING, SERVED, FAILING)
    stage.backends[:] = [backend("web-3")]
    assert await stage.ask(SERVED) is True


async def test_pods_of_a_stateful_set_are_not_asked_by_themselves() -> None:
    """A replica of a database answers otherwise than its primary."""
    met, stage = await answered(
        [replace(each, workload="statefulset/web") for each in ALIKE], FAILING, SERVED, web_1=FAILING
    )
    assert (met, len(stage.prober.asked)) == (True, 3)


async def test_a_program_is_run_in_no_pod_that_is_asked_by_itself() -> None:
    steps = "checks:\n  smoke:\n    - {id: ping, run: kubectl exec deployment/web -- redis-cli PING, expect: 'lines == [\"PONG\"]'}\n"
    looks = ScriptedProber({"kubectl exec": {"lines": []}})
    catalog = factories.catalog(factories.service_text(more=steps), ON_CHECK, factories.runbook_text())
    view = factories.view(catalog.services["web"], pods=(factories.pod(),))
    made = checks(looks, RecordedAnswers(), view, catalog=catalog, backends=lambda _: ALIKE)
    assert await made.ask(catalog.rules["web-answers"]) is False
    assert len(looks.asked) == 1


async def test_a_service_without_a_probe_to_ask_is_not_asked_and_nothing_is_logged() -> None:
    stage = Stage(None)
    with capture_logs() as said:
        assert await stage.ask(SERVED) is None
    assert (stage.prober.asked, said) == ([], [])


async def test_a_pod_alone_is_not_asked_by_a_derived_check() -> None:
    stage = Stage()
    await stage.ask(SERVED)
    assert await stage.checks.ask_pod("web", WEB_1) == PodAnswer(met=True, text="")
    assert len(stage.prober.asked) == 1


def test_counts_of_checks_that_were_met_are_the_newest_last() -> None:
    counts, now = CountMemory(), factories.NOW
    for name in ("http://a/", "rows", "http://b/", "http://a/"):
        counts.note(GoodCount(service="web", name=name, value=1, moment=now))
    assert counts.urls("web") == ("http://b/", "http://a/")
