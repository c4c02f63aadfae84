"""The first line that a person reads of an incident: the cause with object, field and confidence, or what is not known."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kintsugi.app.notice_headlines import headline_lines
from kintsugi.model.records import IncidentState
from kubediagnosis.causes import Diagnosis
from kubediagnosis.diagnose import diagnose
from kubediagnosis.headline import LONGEST, diagnosis_at, headline, latest, what_changed
from tests.integration.told_diagnosis import DIAGNOSIS
from tests.unit.diagnosis.test_rows_of_the_faults_page import BROKEN
from tests.unit.diagnosis.workload import Workload

NOW = datetime(2026, 11, 24, 3, 2, tzinfo=UTC)


def without_cause(*unknown: str, at: datetime = NOW) -> Diagnosis:
    """Make a diagnosis that has found nothing."""
    summary = "deployment/web: no cause is known: 0 of 2 pods are ready"
    return Diagnosis(object="deployment/web", namespace="production", at=at, summary=summary, unknown=unknown)


def test_the_headline_names_the_likeliest_cause_with_its_object_and_field_and_how_sure_it_is() -> None:
    assert headline(DIAGNOSIS) == (
        "ImagePull (certain): deployment/web containers[web].image: deployment/web: container web cannot pull image "
        'shop:2.1: the registry does not have it: failed to pull and unpack image "shop:2.1": not found'
    )


def test_without_a_cause_it_says_so_and_what_was_not_read() -> None:
    assert headline(without_cause()) == "deployment/web: no cause is known: 0 of 2 pods are ready"
    assert headline(without_cause("Events: no right to list them")) == (
        "deployment/web: no cause is known: 0 of 2 pods are ready; not known: Events: no right to list them"
    )
    many = headline(without_cause(*"abcdef"))
    assert many.endswith("not known: a; b; c; and 3 more")


def test_the_headline_is_one_line_and_bounded() -> None:
    line = headline(without_cause("two\nlines " + "x" * 10 * LONGEST))
    assert "\n" not in line
    assert len(line) == LONGEST


def test_a_notice_tells_the_last_diagnosis_that_was_made_before_it() -> None:
    """A receiver that was away for an hour gets each notice with what was known then."""
    first, second = without_cause(at=NOW), without_cause(at=NOW + timedelta(hours=1))
    assert diagnosis_at([first, second], NOW + timedelta(minutes=1)) == first
    assert diagnosis_at([first, second], NOW + timedelta(hours=2)) == second


def test_a_notice_that_was_there_before_any_diagnosis_tells_the_first() -> None:
    first, second = without_cause(at=NOW), without_cause(at=NOW + timedelta(hours=1))
    assert diagnosis_at([first, second], NOW - timedelta(seconds=1)) == first
    assert diagnosis_at([], NOW) is None


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        ((), "deployment/web: no cause is known: 0 of 2 pods are ready"),
        (
            ("deployment/web: it was not read within 5s",),
            "deployment/web: no cause is known: 0 of 2 pods are ready; not known: deployment/web: it was not read within 5s",
        ),
    ],
)
def test_an_earlier_diagnosis_is_told_with_its_time_where_the_last_one_has_no_cause(
    unknown: tuple[str, ...], said: str
) -> None:
    last = without_cause(*unknown, at=NOW + timedelta(minutes=30))
    told = diagnosis_at([replace(DIAGNOSIS, at=NOW), last], NOW + timedelta(hours=1))
    assert told is not None
    assert headline(told).startswith(
        "ImagePull (certain): deployment/web containers[web].image: "
        f"as found at 2026-11-24 03:02:00; at 03:32:00 {said}: deployment/web: container web cannot pull image"
    )
    assert what_changed(told) == what_changed(DIAGNOSIS)


def test_an_earlier_diagnosis_is_not_told_where_the_last_one_has_a_cause() -> None:
    assert latest([without_cause(), DIAGNOSIS]) == DIAGNOSIS
    assert latest([without_cause()]) == without_cause()


def test_the_headline_of_a_trouble_that_is_over_says_was_wrong() -> None:
    for state, word in ((IncidentState.NEEDS_OPERATOR, "problem"), (IncidentState.RECOVERED, "past problem")):
        assert headline_lines(state, without_cause()) == [
            f"{word}: deployment/web: no cause is known: 0 of 2 pods are ready"
        ]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (BROKEN["configmap-deleted"], "the pods need ConfigMap settings, which does not exist"),
        (BROKEN["secret-deleted"], "the pods need Secret token, which does not exist"),
        (BROKEN["bad-version"], "container app"),
        (BROKEN["readiness-wrong-path"], "HTTP probe failed with statuscode: 503"),
        (BROKEN["readiness-gate-unset"], "the condition shop.test/checked, which the pod waits for, is not set"),
        (BROKEN["memory-need-grew"], "killed at its memory limit of 64Mi (OOMKilled"),
    ],
    ids=["ConfigMap", "Secret", "crash", "probe", "readiness gate", "memory"],
)
def test_the_first_line_of_a_notice_names_what_the_evidence_names(broken: Callable[[], Workload], named: str) -> None:
    found = diagnose(broken().facts())
    first = headline_lines(IncidentState.NEEDS_OPERATOR, found)[0]
    assert named in first
