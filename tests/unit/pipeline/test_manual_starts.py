"""A wish is bound to one plan or answered with what would be right; a person is shown the plan, and starts that one, once."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.errors import KintsugiError, NotRecorded, UsageError, WrongState
from kintsugi.ledger import Ledger, RunRequest
from kintsugi.model.catalog import Catalog
from kintsugi.model.manual import MANUAL, Override, RecoverRequest
from kintsugi.model.records import IncidentState, Reason, RunKind
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK, AllServices, DrillTerms
from kintsugi.pipeline.manual_starts import BoundStart, ManualStarts, bind, parameter_text
from tests.harness.ledger_rows import keep
from tests.unit.factories import NOW, catalog, ended, incident, moment, rule_text, runbook_text, service_text
from tests.unit.pipeline.business import NotedRequests, PipelineBench

pytestmark = pytest.mark.looptime


WISH = RecoverRequest(runbook="mend", why="the pods are old")
TYPED = """\
parameters:
  count: {type: integer, default: 3}
  share: {type: number, default: 0.5}
  force: {type: boolean, default: false}
  wait: {type: duration, default: 90s}
  names: {type: '[name]', default: [a]}
  writers: {type: '[workload]', default: []}
  title: {type: string, default: none}
"""


def known(*documents: str) -> Catalog:
    """Load web and api, which both have the runbook `mend`, and further documents."""
    texts = (service_text(), service_text("api"), rule_text(more="cooldown: 25m"), runbook_text(more=TYPED))
    return catalog(*texts, *documents)


def bound(wish: RecoverRequest, *documents: str, durations: float = 1.0) -> BoundStart:
    """Bind a wish."""
    return bind(wish, known(*documents), durations=durations, now=NOW)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7),
        ("share", "2", 2.0),
        ("force", "true", True),
        ("wait", "2m", timedelta(minutes=2)),
        ("names", "a,b, c", ("a", "b", "c")),
        ("writers", "", ()),
        ("writers", "deployment/api", ("deployment/api",)),
        ("title", "a=b, 3", "a=b, 3"),
        ("title", "true", "true"),
    ],
)
def test_a_value_is_read_by_the_type_of_its_parameter(name: str, text: str, value: object) -> None:
    planned = bound(replace(WISH, service="web", parameters={name: text})).plan
    assert planned.parameters[name] == value
    assert planned.parameters["count"] == (7 if name == "count" else 3), "what is not given is as it was"


def test_a_duration_is_scaled_like_those_of_the_documents() -> None:
    wish = replace(WISH, service="web", parameters={"wait": "2m"})
    assert bound(wish, durations=0.5).plan.parameters["wait"] == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("wish", "error", "text"),
    [
        (replace(WISH, runbook="mind"), NotRecorded, "there is no runbook mind: did you mean 'mend'?"),
        (replace(WISH, service="wep"), NotRecorded, "there is no service wep: did you mean 'web'?"),
        (WISH, UsageError, "service: name the service for mend, because several services have this runbook: api, web"),
        (
            replace(WISH, runbook="look"),
            UsageError,
            "service: name the service for look, because no service has this runbook: api, web",
        ),
        (replace(WISH, runbook="own", service="api"), UsageError, "own is about web, not about api"),
        (
            replace(WISH, service="web", parameters={"many": "3"}),
            UsageError,
            "parameters: mend has no parameter 'many': its parameters are count, share, force, wait, names, writers, title",
        ),
        (
            replace(WISH, runbook="own", parameters={"many": "3"}),
            UsageError,
            "parameters: own has no parameter 'many': the runbook has no parameters",
        ),
        (
            replace(WISH, runbook="needs", service="web"),
            UsageError,
            (
                "parameters: needs has no value for url (web sets none under `parameters`), "
                "size (web sets none under `parameters`); a person starts it with: "
                "kintsugi recover needs --service web --set url=VALUE --set size=VALUE"
            ),
        ),
        (
            replace(WISH, runbook="calls", service="web"),
            UsageError,
            "the child runbook needs needs url, size: give web a value for it under `parameters`",
        ),
    ],
)
def test_a_start_by_hand_that_makes_no_sense_is_refused_in_one_sentence(
    wish: RecoverRequest, error: type[KintsugiError], text: str
) -> None:
    needs = "parameters:\n  url: {type: url}\n  size: {type: integer}\n"
    documents = (
        runbook_text(name="look"),
        runbook_text(name="own", more="service: web"),
        runbook_text(name="needs", more=needs),
        runbook_text("- {id: child, runbook: needs}", name="calls"),
    )
    with pytest.raises(error) as refused:
        bound(wish, *documents)
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("count", "many", "count: 'many' is not a whole number (count is of type integer)"),
        ("count", "3.5", "'3.5' is not a whole number"),
        ("share", "half", "'half' is not a number"),
        ("force", "yes", "'yes' is not true or false"),
        ("wait", "soon", "soon"),
        ("names", "a,B", "'B' is not a name"),
        ("writers", "api", "'api' is not TYPE/NAME"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, text: str, wrong: str) -> None:
    with pytest.raises(UsageError) as refused:
        bound(replace(WISH, service="web", parameters={name: text}))
    assert wrong in str(refused.value)


@pytest.mark.parametrize(
    ("runbook", "service"), [("own", "web"), ("web-only", "web"), ("by-rule", "api")], ids=["own", "service", "rule"]
)
def test_without_a_service_it_is_the_runbooks_own_or_the_only_one_that_names_it(runbook: str, service: str) -> None:
    documents = (
        runbook_text(name="own", more="service: web"),
        runbook_text(name="web-only"),
        runbook_text(name="by-rule"),
        rule_text("api-pods", service="api", more="runbook: by-rule"),
    )
    web = service_text(runbook="web-only")
    there = catalog(web, service_text("api"), rule_text(), runbook_text(), *documents)
    found = bind(replace(WISH, runbook=runbook), there, durations=1, now=NOW)
    assert found.plan.service.name == service


STACKED = """\
- {id: first, service: api, runbook: look}
- {id: then, service: web, runbook: look}
"""
ABOUT_ALL = rule_text("several-down", on="services", more="when: 'false'\nrunbook: everything\ncooldown: 40m").replace(
    "  service: web\n", ""
)


@pytest.mark.parametrize("named", ["", STACK])
def test_a_runbook_of_a_rule_about_all_services_is_about_all_of_them(named: str) -> None:
    """Its rule is as patient, and its plan names the runbooks that it runs."""
    documents = (runbook_text(name="look"), runbook_text(STACKED, name="everything"), ABOUT_ALL)
    found = bound(replace(WISH, runbook="everything", service=named), *documents)
    assert isinstance(found.plan.service, AllServices)
    assert (found.rule.service, found.rule.cooldown) == ("", timedelta(minutes=40))
    assert (found.plan.locks, found.plan.lines) == (("service stack",), ("first: runbook look", "then: runbook look"))


def test_all_services_are_offered_where_the_runbook_can_be_about_them_and_only_there() -> None:
    documents = (runbook_text(name="look"), runbook_text(STACKED, name="everything"))
    with pytest.raises(UsageError, match="because no service has this runbook: api, web, stack"):
        bound(replace(WISH, runbook="everything"), *documents)
    with pytest.raises(UsageError, match="look cannot be about all services: step 'look' needs one"):
        bound(replace(WISH, runbook="look", service=STACK), *documents)


def test_a_drill_is_begun_by_its_own_command() -> None:
    steps = """\
    - {id: newest, run: kubectl get pods, expect: size(items) > 0}
    """
    documents = (runbook_text(steps, name="rehearse"),)
    there = known(*documents)

    drilled = replace(there.services["web"], drill=DrillTerms(runbook="rehearse"))
    there = replace(there, services={**there.services, "web": drilled})
    with pytest.raises(UsageError, match="rehearse is a drill: kintsugi restore drill web starts it"):
        bind(replace(WISH, runbook="rehearse", service="web"), there, durations=1, now=NOW)


def test_a_start_by_hand_is_as_careful_as_the_daemon_and_as_patient_as_the_rules_of_its_runbook() -> None:
    web, api = (bound(replace(WISH, service=name)).rule for name in ("web", "api"))
    assert (web.name, web.mode, web.runbook) == (MANUAL, Mode.AUTO, "mend")
    assert (web.cooldown, api.cooldown) == (timedelta(minutes=25), timedelta(minutes=10))


def test_the_digest_names_the_runbook_the_service_the_values_and_the_overrides() -> None:
    """E28: who confirms one confirms no other."""
    wishes = [
        replace(WISH, service="web"),
        replace(WISH, service="api"),
        replace(WISH, service="web", parameters={"count": "7"}),
        replace(WISH, service="web", overrides=frozenset({Override.COOLDOWN})),
        replace(WISH, service="web", overrides=frozenset({Override.FAILURES})),
    ]
    digests = [bound(wish).digest for wish in wishes]
    assert len(set(digests)) == len(digests)
    assert bound(replace(wishes[0], why="another reason", key="k")).digest == digests[0]
    another = runbook_text("- {id: look, run: kubectl get nodes}", more=TYPED)
    there = catalog(service_text(), service_text("api"), rule_text(more="cooldown: 25m"), another)
    assert bind(wishes[0], there, durations=1, now=NOW).digest != digests[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (True, "true"), (timedelta(seconds=90), "1m30s"), (("a", "b"), "a,b"), ("a b", "a b")],
)
def test_values_are_shown_as_they_are_typed(value: int | str | timedelta | tuple[object, ...], text: str) -> None:
    assert parameter_text(value) == text


WEB_WISH = RecoverRequest(runbook="mend", service="web", why="the pods are old", key="wish-1")


@pytest.fixture
def requests(ledger: Ledger) -> list[RunRequest]:
    """Return the requests that the ledger is asked to decide."""
    ledger.incidents = noted = NotedRequests(ledger._store)
    return noted.asked


def starts(business: PipelineBench, ledger: Ledger) -> ManualStarts:
    """Make what starts runbooks for people."""
    supervisor: Any = business.supervisor
    return ManualStarts(
        ledger, business.active_catalog, business.observed, supervisor, approval_expiry=timedelta(minutes=30)
    )


async def test_a_start_that_is_only_shown_is_neither_claimed_nor_started(
    ledger: Ledger, requests: list[RunRequest]
) -> None:
    business = PipelineBench()
    shown = await starts(business, ledger).recover(WEB_WISH, "ana")
    assert (shown.begun, shown.allowed, shown.incident) == (False, True, "")
    assert (shown.service, shown.namespace, shown.steps) == ("web", "production", ("look: kubectl get pods",))
    assert (requests, business.supervisor.started) == ([], [])


async def test_the_claim_says_who_why_and_what_is_overruled(ledger: Ledger, requests: list[RunRequest]) -> None:
    business = PipelineBench(mode=Mode.APPROVE)
    await keep(ledger, *ended(finished=moment(minutes=-1)))
    wish = replace(WEB_WISH, overrides=frozenset({Override.COOLDOWN, Override.FAILURES}))
    manual = starts(business, ledger)
    shown = await manual.recover(wish, "ana")
    assert [(each.reason, each.overruled) for each in shown.answers] == [(Reason.COOLDOWN, True)]
    begun = await manual.recover(replace(wish, digest=shown.digest), "ana")
    opened, _ = await ledger.incidents.newest()
    assert (begun.begun, begun.incident) == (True, opened.id)
    (request,) = requests
    assert (request.rule, request.runbook, request.service, request.mode) == (MANUAL, "mend", "web", Mode.APPROVE)
    assert request.manual is not None
    assert request.manual.reason == "started by ana, overruling cooldown and failures: the pods are old"
    assert request.manual.plan == shown.digest
    assert request.manual.expires == NOW + timedelta(minutes=30)
    assert len(business.supervisor.started) == 1


@pytest.mark.parametrize("ready", [1, 2], ids=["healthy", "not healthy"])
async def test_a_rehearsal_is_started_on_a_healthy_service_only(
    ready: int, ledger: Ledger, requests: list[RunRequest]
) -> None:
    steps = "- {id: more, run: kubectl scale deployment/web --replicas=5}"
    more = runbook_text(steps, name="more", more="rehearsal: true")
    business = PipelineBench(known=catalog(service_text(healthy=f"ready > {ready}"), runbook_text(), more))
    manual, wish = starts(business, ledger), replace(WEB_WISH, runbook="more")
    shown = await manual.recover(wish, "ana")
    assert (shown.allowed, [each.text for each in shown.answers]) == (
        (True, []) if ready == 1 else (False, ["web is not healthy"])
    )
    with nullcontext() if shown.allowed else pytest.raises(WrongState, match="nothing is started: web is not healthy"):
        await manual.recover(replace(wish, digest=shown.digest), "ana")
    assert ([each.kind for each in requests], len(business.supervisor.started)) == ([RunKind.REHEARSAL], 2 - ready)


async def test_another_plan_than_was_shown_is_not_started(ledger: Ledger, requests: list[RunRequest]) -> None:
    """E28."""
    business = PipelineBench()
    with pytest.raises(WrongState, match="the plan has changed since it was shown"):
        await starts(business, ledger).recover(replace(WEB_WISH, digest="another"), "ana")
    assert requests == []


async def test_an_obstacle_that_came_between_showing_and_starting_is_said(ledger: Ledger) -> None:
    business = PipelineBench()
    manual = starts(business, ledger)
    shown = await manual.recover(WEB_WISH, "ana")
    await keep(ledger, replace(incident(), id="inc-7"))
    with pytest.raises(WrongState, match="nothing is started: web has incident inc-7 open"):
        await manual.recover(replace(WEB_WISH, digest=shown.digest), "ana")
    assert business.supervisor.started == []


@pytest.mark.parametrize("over", [False, True])
async def test_a_wish_that_was_started_is_answered_with_that_start_whatever_has_changed(
    over: bool, ledger: Ledger, requests: list[RunRequest]
) -> None:
    """D2: also when the plan is another by now, and taken up here where nobody carries it."""
    first = starts(PipelineBench(), ledger)
    await first.recover(replace(WEB_WISH, digest=(await first.recover(WEB_WISH, "ana")).digest), "ana")
    (begun,) = await ledger.incidents.open_runs()
    if over:
        await ledger.incidents.move_run(begun.id, IncidentState.RECOVERED, "all is well", NOW)
    business = PipelineBench()
    answer = await starts(business, ledger).recover(replace(WEB_WISH, digest="of an older plan"), "ana")
    assert (answer.begun, answer.incident, answer.deadline) == (True, begun.incident, begun.deadline)
    assert (len(requests), business.supervisor.started) == (1, [] if over else [begun])


async def test_a_wish_without_a_key_gets_one_of_its_own(ledger: Ledger, requests: list[RunRequest]) -> None:
    """So that a commit whose answer is lost is known again."""
    manual, wish = starts(PipelineBench(), ledger), replace(WEB_WISH, key="", overrides=frozenset({Override.COOLDOWN}))
    digest = (await manual.recover(wish, "ana")).digest
    for _ in range(2):
        await manual.recover(replace(wish, digest=digest), "ana")
        (begun,) = await ledger.incidents.open_runs()
        await ledger.incidents.move_run(begun.id, IncidentState.CANCELLED, "it is over", NOW)
    keys = {request.manual.key for request in requests if request.manual is not None}
    assert (len(keys), "" in keys) == (2, False)


async def test_in_mode_observe_it_is_only_shown(ledger: Ledger) -> None:
    """P6."""
    business = PipelineBench(mode=Mode.OBSERVE)
    manual = starts(business, ledger)
    shown = await manual.recover(WEB_WISH, "ana")
    assert (shown.allowed, "mode is observe" in shown.text) == (False, True)
    with pytest.raises(WrongState, match="mode is observe"):
        await manual.recover(replace(WEB_WISH, digest=shown.digest), "ana")


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("rule", "retired"), [(MANUAL, ""), ("gone", "rule gone is no longer in the catalog")])
async def test_a_run_by_hand_or_of_a_rule_that_was_taken_out_keeps_to_the_daemons_own_mode(
    rule: str, retired: str, mode: Mode
) -> None:
    """The removal is no *observe*: what it has begun is taken back or finished, and only further changes wait."""
    observed = PipelineBench(mode=mode).observed
    assert (observed.mode_of(rule, "mend", {"web"}), observed.retired(rule)) == (mode, retired)
