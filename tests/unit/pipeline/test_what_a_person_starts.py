"""A wish is bound to one plan, or answered in one sentence with what would be right."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.errors import KintsugiError, NotRecorded, UsageError
from kintsugi.model.catalog import Catalog
from kintsugi.model.manual import MANUAL, Override, RecoverRequest
from kintsugi.model.rules import Mode
from kintsugi.model.services import STACK, AllServices, DrillTerms
from kintsugi.pipeline.manual_binding import BoundStart, bind
from kintsugi.pipeline.manual_starts import parameter_text
from tests.unit.factories import NOW, catalog, rule_text, runbook_text, service_text

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
        (replace(WISH, runbook="needs", service="web"), UsageError, "parameters: needs needs a value for url, size"),
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
