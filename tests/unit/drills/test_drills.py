"""When a drill is due, whether it may begin, and that its questions go to the scratch database alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from textwrap import dedent

import pytest

from kintsugi.catalog.library import catalog_paths
from kintsugi.catalog.load import load
from kintsugi.commands import render
from kintsugi.decisions.drills import INTEGRITY, DrillGuardInput, due, may_drill, objection, read_schedule, retargeted
from kintsugi.decisions.guards import Limits
from kintsugi.model.history import History
from kintsugi.model.records import PauseScope, Reason, VerdictKind
from kintsugi.model.rules import Mode
from kintsugi.model.runbooks import InOrder, Run, Step
from tests.unit.factories import NOW, catalog, past, pause, runbook_text, service_text, view
from tests.unit.guards.cases import HOLDER

SUNDAYS = "0 4 * * 0"
SUNDAY = datetime(2026, 5, 3, 4, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_a_drill_is_due_at_its_moment_and_not_before() -> None:
    """0 is Sunday, as cron has it."""
    assert due(SUNDAYS, SUNDAY, SUNDAY + WEEK - timedelta(seconds=1)) is None
    assert due(SUNDAYS, SUNDAY, SUNDAY + WEEK) == SUNDAY + WEEK


def test_a_drill_that_was_dealt_with_is_not_due_again() -> None:
    """P2: not twice."""
    assert due(SUNDAYS, SUNDAY, SUNDAY) is None


def test_several_missed_moments_are_one() -> None:
    """C1: not lost, and not done over and over."""
    assert due(SUNDAYS, SUNDAY, SUNDAY + 3 * WEEK + timedelta(days=1)) == SUNDAY + 3 * WEEK


def test_a_schedule_is_read_with_its_blanks_made_one() -> None:
    """So that the same schedule is the same text."""
    assert read_schedule("  0 4\t*  * 0 ") == SUNDAYS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "write minute, hour"),
        ("4am", "write minute, hour"),
        ("@daily", "write minute, hour"),
        ("0 0 4 * * 0", "write minute, hour"),
        ("61 4 * * 0", "bad minute"),
        ("0 25 * * 0", "bad hour"),
        ("0 4 * * 8", "bad day-of-week"),
        ("0 4 30 2 *", "no such day|bad"),
    ],
)
def test_a_text_that_is_no_schedule_is_told_with_what_would_be_one(text: str, says: str) -> None:
    """Found when the file is loaded, not on the Sunday."""
    with pytest.raises(ValueError, match=rf"(?s)is (not a schedule|a schedule without).*({says})"):
        read_schedule(text)


CATALOG = load(catalog_paths(None))
DATABASE = CATALOG.services["database"]
WELL = view(DATABASE, ready=3, desired=3, healthy=True)
QUESTION = DrillGuardInput(service=DATABASE, view=WELL, mode=Mode.AUTO, scheduled=False)
LIMITS = Limits()


def asked(question: DrillGuardInput = QUESTION, history: History | None = None) -> tuple[VerdictKind, Reason, bool]:
    """Decide; whether it is asked again is the third."""
    verdict = may_drill(question, history or History(), LIMITS, now=NOW)
    return verdict.kind, verdict.reason, verdict.until is not None


def test_a_drill_begins_on_a_service_that_is_well_whatever_others_recover() -> None:
    """P7: it counts against no budget, and none counts against it."""
    busy = History(disruptions=(NOW,) * 50, active=tuple(past() for _ in range(5)), locks={"service database": HOLDER})
    assert asked(history=busy) == (VerdictKind.STARTED, Reason.MATCHED, False)


@pytest.mark.parametrize(
    ("question", "history", "reason", "again"),
    [
        (replace(QUESTION, service=replace(DATABASE, drill=None)), History(), Reason.NO_TARGET, False),
        (replace(QUESTION, service=replace(DATABASE, namespace="kube-system")), History(), Reason.PROTECTED, False),
        (replace(QUESTION, holds_ledger="our own ledger is there"), History(), Reason.PROTECTED, False),
        (replace(QUESTION, mode=Mode.OBSERVE, scheduled=True), History(), Reason.MODE, True),
        (replace(QUESTION, paused_by_annotation="paused by annotation"), History(), Reason.PAUSED, True),
        (QUESTION, History(pauses=(pause(),)), Reason.PAUSED, True),
        (replace(QUESTION, stale_reason="the watch of pods is old"), History(), Reason.STALE, True),
        (replace(QUESTION, view=None), History(), Reason.STALE, True),
        (replace(QUESTION, view=replace(WELL, healthy=None)), History(), Reason.STALE, True),
        (replace(QUESTION, view=replace(WELL, healthy=False)), History(), Reason.LOCKED, True),
        (QUESTION, History(incident="inc-7"), Reason.ACTIVE_RUN, True),
    ],
)
def test_each_refusal_has_its_reason(question: DrillGuardInput, history: History, reason: Reason, again: bool) -> None:
    """P6, P9: what will end is asked again."""
    assert asked(question, history) == (VerdictKind.REFUSED, reason, again)


def test_a_person_may_begin_one_in_every_mode() -> None:
    """Observe limits what is begun by itself."""
    assert asked(replace(QUESTION, mode=Mode.OBSERVE))[0] is VerdictKind.STARTED


def test_a_pause_of_drills_alone_is_one_of_the_rule_drill() -> None:
    """Others go on."""
    drills = History(pauses=(replace(pause(), scope=PauseScope.RULE, name="drill"),))
    others = History(pauses=(replace(pause(), scope=PauseScope.RULE, name="database-pods-unhealthy"),))
    assert (asked(history=drills)[1], asked(history=others)[1]) == (Reason.PAUSED, Reason.MATCHED)


def test_a_refusal_is_looked_at_again_as_any_other() -> None:
    """Soon, and not at once."""
    verdict = may_drill(QUESTION, History(incident="inc-7"), LIMITS, now=NOW)
    assert verdict.until == NOW + timedelta(seconds=30)
    assert "inc-7" in verdict.text


def test_the_reasons_that_end_a_drill_keep_it_from_beginning() -> None:
    """The same words for both."""
    assert objection("database", WELL, "") is None
    assert objection("database", replace(WELL, healthy=False), "") is not None


SCRATCH = "kintsugi_drill_inc-1"


def checks(text: str) -> tuple[Step, ...]:
    """Load checks."""
    body = "".join(f"    {line}\n" for line in dedent(text).strip().splitlines())
    return (
        catalog(service_text(more=f"checks:\n  {INTEGRITY}:\n{body}"), runbook_text()).services["web"].checks[INTEGRITY]
    )


def asked_of(step: Step) -> str:
    """Bind a check's command."""
    assert isinstance(step.do, Run)
    return render(step.do.command.bind({}, namespace="production"))


def test_a_question_in_a_container_and_a_direct_one_go_to_the_scratch_database() -> None:
    """With `-d` before or after, as a word or a connection string."""
    steps = checks("""\
        - {id: one, run: "kubectl exec -it statefulset/database -- psql -U postgres -d app -c 'SELECT 1'", expect: value == 1}
        - {id: two, run: "kubectl exec statefulset/database -- psql --dbname=app -c 'SELECT 1'", expect: value == 1}
        - {id: three, run: "psql -h database.production -U postgres -d 'dbname=app sslmode=require' -c 'SELECT 1'", expect: value == 1}
    """)
    found, left_out = retargeted(steps, "app", SCRATCH)
    assert left_out == ()
    assert [asked_of(step) for step in found] == [
        f"kubectl exec statefulset/database -n production -- psql -U postgres -d {SCRATCH} -c 'SELECT 1'",
        f"kubectl exec statefulset/database -n production -- psql -d {SCRATCH} -c 'SELECT 1'",
        f"psql -h database.production -U postgres -d 'dbname={SCRATCH} sslmode=require' -c 'SELECT 1'",
    ]


def test_a_check_that_asks_another_database_or_none_is_left_out_and_named() -> None:
    """It would say nothing of the backup, and a green check that says nothing is worse than none."""
    steps = checks("""\
        - {id: other, name: Another, run: "kubectl exec statefulset/database -- psql -d crm -c 'SELECT 1'", expect: value == 1}
        - {id: usual, run: "kubectl exec statefulset/database -- psql -U postgres -c 'SELECT 1'", expect: value == 1}
        - {id: pods, run: kubectl get pods, expect: size(items) > 0}
        - {id: waits, expect: service.ready > 0}
    """)
    assert retargeted(steps, "app", SCRATCH) == ((), ("Another", "usual", "pods", "waits"))


def test_steps_inside_others_are_turned_too() -> None:
    """A group stays one, without what is left out."""
    steps = checks("""\
        - id: group
          steps:
            - {id: one, run: "kubectl exec statefulset/database -- psql -d app -c 'SELECT 1'", expect: value == 1}
            - {id: two, run: kubectl get pods}
    """)
    ((group,), left_out) = retargeted(steps, "app", SCRATCH)
    assert isinstance(group.do, InOrder)
    assert [asked_of(step) for step in group.do.steps] == [
        f"kubectl exec statefulset/database -n production -- psql -d {SCRATCH} -c 'SELECT 1'"
    ]
    assert left_out == ("two",)
