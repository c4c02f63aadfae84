"""How services are, what is being done about them, what is known of them, and which others suffer from them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from kintsugi.decisions.activity import ActivityInput, Forecast, activity, inaction_reason
from kintsugi.decisions.guards import HandOver
from kintsugi.decisions.priorities import Hold, HoldCause
from kintsugi.ledger import Ledger
from kintsugi.model.api_types import (
    ActivityKind,
    ChildSummary,
    CurrentStep,
    DaemonStatus,
    HoldSummary,
    ServiceActivity,
    ServiceValue,
)
from kintsugi.model.catalog import Catalog
from kintsugi.model.good_state import RevisionStanding
from kintsugi.model.questions import QuestionKind
from kintsugi.model.records import (
    HoldingSignals,
    IncidentState,
    PauseScope,
    Reason,
    RunKind,
    StepState,
    Verdict,
    VerdictKind,
)
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK
from kintsugi.model.views import DerivedCheck, ServiceView
from kintsugi.pipeline.affected_services import AffectedServices
from kintsugi.pipeline.explainer import UNSEEN, service_explanation
from kintsugi.pipeline.service_tree import TreeInput, covered, summaries, tree
from kubeobjects.selectors import Selector
from tests.harness.ledger_rows import keep
from tests.unit import factories
from tests.unit.catalog.documents import added
from tests.unit.catalog.test_service_defaults import short
from tests.unit.factories import NOW, approval, incident, moment, pause, rule, run, services, view

KNOWN = services(("web", ("api",)), ("api", ()))
API = replace(KNOWN["api"], priority=1)
DAEMON = DaemonStatus(mode=Mode.AUTO, since=NOW, cluster="https://10.0.0.1")
VIEWS = (view(KNOWN["web"], ready=0, healthy=False), view(API, ready=1, healthy=False))


def test_the_most_important_comes_first_and_serving_is_not_healthy() -> None:
    api, web = summaries(VIEWS, TreeInput(now=NOW))
    assert (api.name, api.serving, api.healthy, api.ready, api.desired) == ("api", True, False, 1, 3)
    assert (web.name, web.serving, web.healthy, web.depends_on, web.since) == ("web", False, False, ("api",), NOW)
    assert (web.incident, web.hold, web.run) == ("", None, None)


def test_a_service_that_is_not_seen_is_neither_serving_nor_down() -> None:
    """P6."""
    (unseen,) = summaries([view(ready=3, healthy=None, is_current=False)], TreeInput(now=NOW))
    assert (unseen.serving, unseen.healthy) == (None, None)


def test_a_held_service_says_by_whom_why_and_until_when_as_far_as_that_is_known() -> None:
    """A hold that has lost its reason lasts until it is looked at again; a reason without a held incident is no hold."""
    held = incident(state=IncidentState.HELD)
    hold = Hold(upstream="api", why="api is being recovered", cause=HoldCause.RECOVERING, until=moment(minutes=15))
    whole = HoldSummary(upstream="api", why="api is being recovered", since=held.opened, until=moment(minutes=15))
    for opened, holds, expected in (
        (held, {"web": hold}, whole),
        (held, {}, HoldSummary(upstream="", why=held.reason, since=held.opened)),
        (incident(), {"web": hold}, None),
    ):
        _, web = summaries(VIEWS, TreeInput(now=NOW, incidents=[opened], holds=holds))
        assert (web.incident, web.hold) == (opened.id, expected)


def test_a_run_says_at_which_step_it_is_and_when_its_watchdog_looks() -> None:
    at = CurrentStep(path="restart", name="Restart it", state=StepState.PLANNED)
    _, web = summaries(VIEWS, TreeInput(now=NOW, incidents=[incident()], runs=[run()], steps={"run-1": at}))
    assert web.run is not None
    assert (web.run.runbook, web.run.watchdog, web.run.step) == ("mend", moment(minutes=30), at)


def test_a_drill_is_neither_the_incident_nor_the_run_of_a_service() -> None:
    drill = RunKind.DRILL
    opened = TreeInput(now=NOW, incidents=[replace(incident(), kind=drill)], runs=[replace(run(), kind=drill)])
    _, web = summaries(VIEWS, opened)
    assert (web.incident, web.run) == ("", None)


def test_an_incident_about_all_services_says_at_which_step_it_is() -> None:
    at = CurrentStep(path="data", name="Phase 2: data", state=StepState.PLANNED)
    about_all = replace(incident(), id="inc-9", service=STACK)
    its_run = replace(run(), id="run-9", service=STACK, runbook="full-stack-recovery")
    told = tree(
        VIEWS, TreeInput(now=NOW, incidents=[incident(), about_all], runs=[run(), its_run], steps={"run-9": at}), DAEMON
    )
    assert told.stack is not None
    assert told.stack.run is not None
    assert (told.stack.incident, told.stack.state) == ("inc-9", about_all.state)
    assert (told.stack.run.runbook, told.stack.run.step) == ("full-stack-recovery", at)
    assert [each.name for each in told.services] == ["api", "web"]
    assert tree(VIEWS, TreeInput(now=NOW, incidents=[incident()], runs=[run()]), DAEMON).stack is None


def test_a_run_about_all_services_covers_each_with_what_it_has_started_for_it() -> None:
    child = replace(run(), incident="inc-7", service="web", parent="run-9", parent_step="applications/web")
    api, web = covered(VIEWS, [child])
    assert (api.name, api.serving, api.healthy, api.children) == ("api", True, False, ())
    assert web.children == (
        ChildSummary(
            incident="inc-7", runbook="mend", step="applications/web", state=child.state, started=child.started
        ),
    )


def test_a_service_that_is_not_well_and_has_no_incident_says_why_nothing_is_done() -> None:
    why = {"web": "no rule watches this service", "api": "no rule watches this service"}
    api, web = summaries(VIEWS, TreeInput(now=NOW, incidents=[incident()], inaction=why))
    assert (api.inaction, web.inaction) == ("no rule watches this service", "")


def test_the_inaction_is_explained_by_what_the_rules_see() -> None:
    few, pods = rule(name="few"), rule(name="pods")
    assert inaction_reason([], {}) == "no rule watches this service"
    assert inaction_reason([pods, few], {}) == "no rule of this service matches now (few, pods)"
    unjudged, acts = HoldingSignals(since=NOW), forecast(VerdictKind.STARTED)
    assert inaction_reason([pods, few], {"pods": unjudged}, acts).startswith("seen by pods; the outcome is in ")
    refused = HoldingSignals(since=NOW, verdict=forecast(VerdictKind.REFUSED).verdict)
    judged = inaction_reason([pods, few], {"few": unjudged, "pods": refused})
    assert judged == "seen by few, pods; rule pods: 3 services are being recovered; the limit is 3"
    assert inaction_reason([few], {}, acts) == "rule few acts at 12:05:00 if the condition lasts until then"
    asks = inaction_reason([few], {}, forecast(VerdictKind.AWAITING_APPROVAL))
    assert asks == "rule few asks a person at 12:05:00 if the condition lasts until then"
    assert str(forecast(VerdictKind.OBSERVED)).startswith("rule few reports at 12:05:00")
    held_back = inaction_reason([few], {}, forecast(VerdictKind.REFUSED))
    assert held_back == "rule few does nothing at 12:05:00: 3 services are being recovered; the limit is 3"
    assert inaction_reason([few], {}, acts, ["few"]) == "each rule of this service is paused (few)"


def forecast(kind: VerdictKind) -> Forecast:
    """Return what the guards will decide in five minutes on rule few."""
    text = "3 services are being recovered; the limit is 3"
    return Forecast(due=moment(minutes=5), verdict=Verdict(kind=kind, reason=Reason.BUDGET, text=text, rule="few"))


FAILING = view(ready=0, healthy=False)
ACTS = "rule few acts at 12:05:00 if the condition lasts until then"
HELD = HoldSummary(upstream="api", why="api is being recovered", since=NOW, until=moment(minutes=15))
STEP = CurrentStep(path="restart", name="Restart it", state=StepState.PLANNED)
EVERYTHING = ActivityInput(
    name="web",
    view=replace(FAILING, warnings=("a port is wrong",)),
    stale="the watch of pods is interrupted",
    pauses=(pause(freeze=True, until=moment(hours=20)), pause()),
    handed_over=HandOver(incident="inc-0", since=NOW, until=moment(hours=1)),
    incident=incident(state=IncidentState.AWAITING_APPROVAL),
    question=approval(),
    hold=HELD,
    run=run(),
    step=STEP,
    inaction=ACTS,
)


def judged(**facts: object) -> ServiceActivity:
    """Return the activity of a failing service with these facts."""
    return activity(replace(ActivityInput(name="web", view=FAILING), **facts), now=NOW)  # type: ignore[arg-type]


def test_the_first_answer_that_is_true_counts() -> None:
    inputs, kinds = EVERYTHING, []
    for gone in (
        {"stale": ""},
        {"pauses": (pause(),)},
        {"pauses": (), "incident": None},
        {"handed_over": None, "incident": EVERYTHING.incident},
        {"incident": incident()},
        {"hold": None},
        {"run": None, "incident": None},
        {"inaction": ""},
        {"view": FAILING},
    ):
        kinds.append(activity(inputs, now=NOW).kind)
        inputs = replace(inputs, **gone)
    assert kinds == [each for each in ActivityKind if each is not ActivityKind.NONE]
    assert activity(inputs, now=NOW).text == ""


END_REST = "to end this rest: kintsugi resume inc-0 --why TEXT"
BEFORE = HandOver(incident="inc-0", since=NOW, until=moment(hours=1))
VERIFYING = replace(run(state=IncidentState.VERIFYING), steps_finished_at=NOW - timedelta(seconds=40))
HEALTHY = view(since=moment(minutes=-10))


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"stale": "the watch of pods is interrupted"}, "not observed: the watch of pods is interrupted"),
        ({"view": view(healthy=None, is_current=False)}, "not observed: objects of the service cannot be read"),
        ({"pauses": (pause(until=moment(minutes=30)),), "inaction": ACTS}, "paused by ada until 12:30:00: a release"),
        (
            {"pauses": (pause(freeze=True, until=moment(hours=20)),)},
            "frozen by ada until 2026-05-05 08:00:00: a release",
        ),
        ({"pauses": (pause(),), "run": run()}, "paused by ada until resumed: a release; run of mend: running"),
        ({"annotation": "paused by annotation"}, "paused by annotation"),
        (
            {"handed_over": BEFORE, "inaction": ACTS},
            f"handed over to a person until 13:00:00: kintsugi incident inc-0 ({END_REST})",
        ),
        ({"handed_over": replace(BEFORE, until=NOW), "inaction": ACTS}, ACTS),
        (
            {"incident": incident(state=IncidentState.AWAITING_APPROVAL), "question": approval()},
            "waits for a person's answer until 12:30:00: kintsugi approve inc-1",
        ),
        (
            {
                "incident": incident(state=IncidentState.AWAITING_APPROVAL),
                "question": replace(approval(), kind=QuestionKind.MANUAL),
            },
            "waits for a person's answer until 12:30:00: kintsugi answer inc-1 done",
        ),
        ({"hold": HELD}, "held by api until 12:15:00: api is being recovered"),
        ({"hold": replace(HELD, upstream="", until=None)}, "held: api is being recovered"),
        ({"run": run(), "step": STEP}, "running mend: Restart it (planned); deadline 12:30:00"),
        ({"view": None, "run": run(state=IncidentState.VERIFYING)}, "verifying mend; deadline 12:30:00"),
        (
            {"view": HEALTHY, "run": VERIFYING, "step": replace(STEP, state=StepState.DONE)},
            "verifying: 2m of health are required, 40s so far; deadline 12:30:00",
        ),
        ({"run": VERIFYING, "step": STEP}, "verifying: not healthy, 0 of 3 ready; deadline 12:30:00"),
        (
            {"view": HEALTHY, "run": replace(VERIFYING, steps_finished_at=moment(minutes=-5))},
            "verifying: healthy, the trigger must clear; deadline 12:30:00",
        ),
        ({"view": view(), "inaction": ACTS}, ""),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_activity_is_one_sentence_with_its_author_its_end_and_what_a_person_may_do(
    facts: dict[str, object], text: str
) -> None:
    """P6: what is not observed says why. A verification says what ends it, and not at which step it was."""
    assert judged(**facts).text == text


@pytest.mark.parametrize(
    ("scope", "name", "covers"),
    [
        (PauseScope.SERVICE, "web", True),
        (PauseScope.SERVICE, "api", False),
        (PauseScope.NAMESPACE, "production", True),
        (PauseScope.RULE, "web-pods", False),
    ],
)
def test_a_pause_of_something_else_leaves_a_service_as_it_is(scope: PauseScope, name: str, covers: bool) -> None:
    found = judged(pauses=(pause(scope, name),), inaction=ACTS)
    assert found.kind is (ActivityKind.PAUSED if covers else ActivityKind.INACTION)
    ends = moment(minutes=30)
    assert judged(pauses=(pause(until=ends),)).until == ends


def by_key(values: tuple[ServiceValue, ...]) -> dict[str, tuple[str, str]]:
    """Return each value and the file, line and column that say it."""
    return {each.key: (each.value, each.place.rpartition("/")[2]) for each in values}


def view_of(catalog: Catalog) -> ServiceView:
    """Return the view of cart."""
    return factories.view(catalog.services["cart"])


def test_a_value_of_a_service_comes_from_its_document_or_is_derived(tmp_path: Path) -> None:
    catalog = added(tmp_path, short(more="dependsOn: [till]"), short("till", "statefulset/till"))
    seen = replace(catalog.services["cart"], selector=Selector.parse("app=cart"))
    standing = RevisionStanding(number=1, good_at=moment(minutes=6))
    check = DerivedCheck(service="front", address="10.0.0.7", scheme="http", port=80, path="/health")
    view = replace(factories.view(seen), derived_check=check, warnings=("a port is wrong",))
    found = service_explanation(view, catalog.rules.values(), standing, mode=Mode.AUTO, now=moment())
    values = by_key(found.values)
    assert values["namespace"] == ("shop", "own.yaml:5:14")
    assert values["workload"] == ("deployment/cart", "own.yaml:6:13")
    assert values["dependsOn"] == ("till", "own.yaml:7:14")
    assert values["selector"] == ("app=cart", "")
    assert values["runbook"] == ("workload-recovery", "")
    assert values["priority"] == ("1000", "")
    assert values["revision"] == ("revision 1: good in 6m", "")
    assert values["warnings"] == ("a port is wrong", "")
    asked = "smoke: http://10.0.0.7/health through service/front"
    assert values["checks"] == (f"{asked}, which counts once it has answered", "")
    met = service_explanation(replace(view, counts={check.url: 1}), (), standing, mode=Mode.AUTO, now=moment())
    assert by_key(met.values)["checks"] == (asked, "")


def test_a_rule_of_a_service_is_told_with_what_it_starts_when_and_from_where(tmp_path: Path) -> None:
    catalog = added(tmp_path, short(more="rules: {pods-unhealthy: {for: 5m}}"), short("till", "statefulset/till"))
    rules = by_key(
        service_explanation(view_of(catalog), catalog.rules.values(), None, mode=Mode.AUTO, now=moment()).rules
    )
    value, place = rules["cart-pods-unhealthy"]
    assert value == "auto: workload-recovery on pod for 5m: object.unhealthy"
    assert place.startswith("any-service.yaml:")
    assert not any(name.startswith("till") for name in rules)


def test_a_rule_that_may_do_more_than_the_daemon_is_told_with_the_daemon_s_mode(tmp_path: Path) -> None:
    catalog = added(tmp_path, short())
    found = service_explanation(view_of(catalog), catalog.rules.values(), None, mode=Mode.OBSERVE, now=moment())
    rules = by_key(found.rules)
    assert rules["cart-pods-unhealthy"][0].startswith("auto (the daemon's mode: observe): workload-recovery on pod")
    assert rules["cart-warnings"][0].startswith("observe: workload-recovery on services")


def test_the_selector_of_a_workload_that_was_never_seen_is_said_to_be_unknown(tmp_path: Path) -> None:
    catalog = added(tmp_path, short())
    found = by_key(service_explanation(view_of(catalog), (), None, mode=Mode.AUTO, now=moment()).values)
    assert found["selector"] == found["revision"] == (UNSEEN, "")
    assert found["checks"] == ("none", "")
    assert "warnings" not in found


EDGES = (("web", ("frontend",)), ("frontend", ("cart",)), ("cart", ()), ("mail", ("cart",)), ("other", ()))
SERVICES = services(*EDGES)


def suffering(
    ledger: Ledger, *, ill: Iterable[str] = (), unmet: Iterable[str] = (), explaining: str = ""
) -> AffectedServices:
    """Return what names them, where these services are not well, or do not answer as their checks expect."""
    views = {name: view(service, healthy=name not in ill) for name, service in SERVICES.items()}
    observed = SimpleNamespace(
        views=views, unmet=lambda: frozenset(unmet), explaining=lambda service, began: explaining
    )
    active = SimpleNamespace(catalog=SimpleNamespace(services=SERVICES))
    return AffectedServices(incidents=ledger.incidents, active_catalog=active, observed=observed)  # type: ignore[arg-type]


async def test_a_service_that_is_held_not_well_or_not_answering_is_named_where_it_depends_on_the_cause(
    ledger: Ledger,
) -> None:
    cart, held = (
        incident(service="cart", state=IncidentState.NEEDS_OPERATOR),
        replace(incident(service="web", state=IncidentState.HELD), id="inc-2"),
    )
    closed = replace(cart, closed=NOW)
    await keep(ledger, closed, held)
    found = suffering(ledger, ill=("cart", "frontend", "other"), unmet=("mail", "other"))
    assert set(await found.now(closed)) == {"web", "frontend", "mail"}
    assert await suffering(ledger, ill=("cart",)).now(closed) == ("web",)


@pytest.mark.parametrize(
    ("state", "is_closed", "ill", "named"),
    [
        (IncidentState.RUNNING, False, (), ("web",)),
        (IncidentState.NEEDS_OPERATOR, True, ("cart",), ("web",)),
        (IncidentState.NEEDS_OPERATOR, True, (), ()),
        (IncidentState.RECOVERED, True, ("cart",), ()),
    ],
)
async def test_services_that_suffer_now_are_named_until_an_incident_is_over_and_its_service_well(
    ledger: Ledger, state: IncidentState, is_closed: bool, ill: tuple[str, ...], named: tuple[str, ...]
) -> None:
    cart = replace(incident(service="cart", state=state), closed=NOW if is_closed else None)
    await keep(ledger, cart)
    assert await suffering(ledger, ill=(*ill, "web", "other")).now(cart) == named


@pytest.mark.parametrize(
    ("state", "is_closed", "is_told"),
    [
        (IncidentState.RUNNING, False, True),
        (IncidentState.AWAITING_APPROVAL, False, True),
        (IncidentState.NEEDS_OPERATOR, True, True),
        (IncidentState.RECOVERED, True, False),
    ],
)
async def test_a_hold_is_told_by_itself_only_where_nobody_is_told_of_its_upstream(
    ledger: Ledger, state: IncidentState, is_closed: bool, is_told: bool
) -> None:
    held = replace(incident(service="frontend", state=IncidentState.HELD), id="inc-2")
    assert not await suffering(ledger, explaining="cart").is_notified_elsewhere(held)
    await keep(ledger, replace(incident(service="cart", state=state), closed=NOW if is_closed else None))
    assert await suffering(ledger, explaining="cart").is_notified_elsewhere(held) is is_told
    assert not await suffering(ledger).is_notified_elsewhere(held)
