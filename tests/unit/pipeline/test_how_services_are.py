"""The live tree: each service with its state, what holds it, and the run under way for it."""

from dataclasses import replace
from datetime import timedelta

from kintsugi.decisions.activity import inaction_reason
from kintsugi.decisions.priorities import OngoingHold
from kintsugi.model.api_types import ChildSummary, CurrentStep, DaemonStatus, HoldSummary
from kintsugi.model.records import IncidentState, RunKind, StepState
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK
from kintsugi.pipeline.service_tree import OpenRecords, Terms, covered, summaries, tree
from tests.unit.factories import NOW, incident, moment, rule, run, services, view

KNOWN = services(("web", ("api",)), ("api", ()))
API = replace(KNOWN["api"], priority=1)
TERMS = Terms(now=NOW)
DAEMON = DaemonStatus(mode=Mode.AUTO, since=NOW, cluster="https://10.0.0.1")
VIEWS = (view(KNOWN["web"], ready=0, healthy=False), view(API, ready=1, healthy=False))


def test_the_most_important_comes_first_and_serving_is_not_healthy() -> None:
    api, web = summaries(VIEWS, OpenRecords(), TERMS)
    assert (api.name, api.serving, api.healthy, api.ready, api.desired) == ("api", True, False, 1, 3)
    assert (web.name, web.serving, web.healthy, web.depends_on, web.since) == ("web", False, False, ("api",), NOW)
    assert (web.incident, web.hold, web.run) == ("", None, None)


def test_a_service_that_is_not_seen_is_neither_serving_nor_down() -> None:
    """P6."""
    (unseen,) = summaries([view(ready=3, healthy=None, is_current=False)], OpenRecords(), TERMS)
    assert (unseen.serving, unseen.healthy) == (None, None)


def test_a_held_service_says_by_whom_why_and_until_when() -> None:
    held = incident(state=IncidentState.HELD)
    hold = OngoingHold(upstream="api", why="api is being recovered", until=moment(minutes=15))
    _, web = summaries(VIEWS, OpenRecords(incidents=[held], holds={"web": hold}), TERMS)
    assert web.hold == HoldSummary(
        upstream="api", why="api is being recovered", since=held.opened, until=moment(minutes=15)
    )
    assert web.incident == held.id


def test_a_service_whose_hold_has_lost_its_reason_is_held_until_it_is_looked_at_again() -> None:
    held = incident(state=IncidentState.HELD)
    _, web = summaries(VIEWS, OpenRecords(incidents=[held]), TERMS)
    assert web.hold == HoldSummary(upstream="", why=held.reason, since=held.opened)


def test_a_reason_to_hold_a_service_without_a_held_incident_is_no_hold() -> None:
    hold = OngoingHold(upstream="api", why="api is being recovered", until=moment(minutes=15))
    _, web = summaries(VIEWS, OpenRecords(incidents=[incident()], holds={"web": hold}), TERMS)
    assert web.hold is None


def test_a_run_says_at_which_step_it_is_and_when_its_watchdog_looks() -> None:
    at = CurrentStep(path="restart", name="Restart it", state=StepState.PLANNED)
    _, web = summaries(VIEWS, OpenRecords(incidents=[incident()], runs=[run()], steps={"run-1": at}), TERMS)
    assert web.run is not None
    assert (web.run.runbook, web.run.watchdog, web.run.step) == ("mend", moment(minutes=30), at)


def test_a_drill_is_neither_the_incident_nor_the_run_of_a_service() -> None:
    drill = RunKind.DRILL
    opened = OpenRecords(incidents=[replace(incident(), kind=drill)], runs=[replace(run(), kind=drill)])
    _, web = summaries(VIEWS, opened, TERMS)
    assert (web.incident, web.run) == ("", None)


def test_an_incident_about_all_services_says_at_which_step_it_is() -> None:
    at = CurrentStep(path="data", name="Phase 2: data", state=StepState.PLANNED)
    about_all = replace(incident(), id="inc-9", service=STACK)
    its_run = replace(run(), id="run-9", service=STACK, runbook="full-stack-recovery")
    told = tree(
        VIEWS, OpenRecords(incidents=[incident(), about_all], runs=[run(), its_run], steps={"run-9": at}), TERMS, DAEMON
    )
    assert told.stack is not None
    assert told.stack.run is not None
    assert (told.stack.incident, told.stack.state) == ("inc-9", about_all.state)
    assert (told.stack.run.runbook, told.stack.run.step) == ("full-stack-recovery", at)
    assert [each.name for each in told.services] == ["api", "web"]
    assert tree(VIEWS, OpenRecords(incidents=[incident()], runs=[run()]), TERMS, DAEMON).stack is None


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
    api, web = summaries(VIEWS, OpenRecords(incidents=[incident()], inaction=why), TERMS)
    assert (api.inaction, web.inaction) == ("no rule watches this service", "")


def test_the_inaction_is_explained_by_what_the_rules_see() -> None:
    few, pods = replace(rule(name="few"), for_duration=timedelta(minutes=5)), rule(name="pods")
    assert inaction_reason([], {}, {}) == "no rule watches this service"
    assert inaction_reason([pods, few], {}, {}) == "no rule of this service matches now (few, pods)"
    assert inaction_reason([few], {"few": NOW}, {}) == "rule few acts at 12:05:00 if the condition lasts until then"
    assert inaction_reason([pods, few], {"few": NOW}, {"pods": ""}).startswith("seen by pods; the outcome is in ")
    judged = inaction_reason([pods, few], {}, {"few": "", "pods": "3 services are being recovered; the limit is 3"})
    assert judged == "seen by few, pods; rule pods: 3 services are being recovered; the limit is 3"
    asks = inaction_reason([few], {"few": NOW}, {}, mode=Mode.APPROVE)
    assert asks == "rule few asks a person at 12:05:00 if the condition lasts until then"
    assert inaction_reason([few], {"few": NOW}, {}, mode=Mode.OBSERVE).startswith("rule few reports at 12:05:00")
    assert inaction_reason([few], {"few": NOW}, {}, ["few"]) == "each rule of this service is paused (few)"
