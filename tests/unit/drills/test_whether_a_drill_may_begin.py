"""A drill never burdens a service that is not well, and a recovery comes first."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.catalog.library import catalog_paths
from kintsugi.catalog.load import load
from kintsugi.decisions.drills import DrillGuardInput, may_drill, objection
from kintsugi.decisions.guards import Limits
from kintsugi.model.history import History
from kintsugi.model.records import PauseScope, Reason, VerdictKind
from kintsugi.model.rules import Mode
from tests.unit.factories import NOW, past, pause, view

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
    busy = History(disruptions=(NOW,) * 50, active=tuple(past() for _ in range(5)), locks={"service database": "run-9"})
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
