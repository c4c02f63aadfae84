"""A notice takes the routes whose conditions hold; a wrong route is one clear error with its place."""

from datetime import UTC, datetime

import pytest

from kintsugi.decisions.notice_routes import routes_of
from kintsugi.model.notices import NoticeRoute, NoticeSubject
from kintsugi.model.records import IncidentState
from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded, said

ABOUT = NoticeSubject(service="web", labels=({"team": "search"}, {"team": "shop", "region": "eu"}))


def route_text(conditions: str, name: str = "on-call", to: str = "[{slack: {channel: C0123456789}}]") -> str:
    return f"apiVersion: kintsugi.dev/v1alpha1\nkind: NoticeRoute\nmetadata: {{name: {name}}}\nspec:\n  to: {to}\n  {conditions}\n"


def route(conditions: str) -> NoticeRoute:
    return loaded(SERVICE, RUNBOOK, route_text(conditions)).notice_routes["on-call"]


def takes(conditions: str, kind: IncidentState = IncidentState.FAILED, at: str = "2026-12-01T12:00") -> bool:
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)  # a Tuesday
    return bool(routes_of(kind, ABOUT, [route(conditions)], now))


def test_a_route_without_conditions_takes_every_notice_also_one_without_an_incident() -> None:
    anything = route("services: []")
    assert routes_of(IncidentState.RECOVERED, NoticeSubject(), [anything], datetime(2026, 12, 1, tzinfo=UTC)) == (
        anything,
    )


@pytest.mark.parametrize(
    ("conditions", "kind", "expected"),
    [
        ("services: [web]", IncidentState.FAILED, True),
        ("severities: [critical]", IncidentState.NEEDS_OPERATOR, True),
        ("severities: [critical]", IncidentState.AWAITING_APPROVAL, False),
        ("severities: [warning, critical]", IncidentState.AWAITING_APPROVAL, True),
        ("severities: [warning, critical]", IncidentState.RECOVERED, False),
        ("matchers: [team=shop, region=eu]", IncidentState.FAILED, True),
        ("matchers: [team=search, region=eu]", IncidentState.FAILED, False),
        ("matchers: [team!=shop]", IncidentState.FAILED, True),
    ],
)
def test_a_route_takes_a_notice_of_its_service_severity_and_labels_of_one_signal(
    conditions: str, kind: IncidentState, expected: bool
) -> None:
    assert takes(conditions, kind) is expected


@pytest.mark.parametrize(
    ("hours", "at", "expected"),
    [
        ('{from: "09:00", to: "17:00"}', "2026-12-01T09:00", True),
        ('{from: "09:00", to: "17:00"}', "2026-12-01T17:00", False),
        ('{from: "09:00", to: "17:00", timeZone: Asia/Tokyo}', "2026-12-01T00:00", True),
        ('{from: "09:00", to: "17:00", timeZone: Asia/Tokyo}', "2026-12-01T09:00", False),
        ('{from: "22:00", to: "06:00", days: [monday]}', "2026-12-01T05:59", True),
        ('{from: "22:00", to: "06:00", days: [monday]}', "2026-12-01T22:00", False),
        ('{from: "22:00", to: "06:00", days: [tuesday]}', "2026-12-01T23:00", True),
        ("{days: [saturday, sunday]}", "2026-12-01T12:00", False),
        ("{days: [tuesday]}", "2026-12-01T12:00", True),
    ],
)
def test_a_route_takes_notices_in_its_hours_and_those_over_midnight_belong_to_the_day_they_begin(
    hours: str, at: str, expected: bool
) -> None:
    assert takes(f"hours: {hours}", at=at) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (route_text("services: [wbe]"), "spec.services[0]: there is no service 'wbe'; did you mean 'web'?"),
        (route_text("matchers: [team]"), "spec.matchers[0]: 'team' is not a matcher"),
        (route_text("severities: [high]"), "spec.severities[0]: 'high' is not one of"),
        (route_text("hours: {from: 9}"), "spec.hours.from: it is not a time of day"),
        (route_text('hours: {to: "25:00"}'), "spec.hours.to: '25:00' is not a time of day"),
        (route_text("hours: {timeZone: Berlin}"), "spec.hours.timeZone: 'Berlin' is not a time zone"),
        (route_text("template: to ${titel}"), "spec.template: there is no placeholder 'titel'; did you mean 'title'?"),
        (route_text("template: 5 $ more"), "spec.template: a `$` begins no placeholder: write $$ for a dollar sign"),
        (route_text("services: []", to="[{slack: {channel: on-call}}]"), "spec.to[0].slack.channel: 'on-call' is not"),
        (route_text("services: []", to="[{teams: {}}]"), "spec.to[0].teams: the key 'teams' is not known here"),
        (route_text("services: []", to="[]"), "spec.to: "),
        (route_text("services: []", name="webhook"), "metadata.name: 'webhook' is the receiver at notifications.url"),
    ],
)
def test_a_wrong_route_is_one_clear_error_at_its_place(text: str, expected: str) -> None:
    problems = said(SERVICE, RUNBOOK, text)
    assert any(expected in each for each in problems), problems
