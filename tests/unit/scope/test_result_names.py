"""Expressions read the fields of results in camelCase, also of those that a ledger has kept in snake_case."""

from dataclasses import fields

from kintsugi.commands.results import OUTPUT, USAGE, USE
from kintsugi.expressions import BOOL, Scope
from kintsugi.model.restores import Backup
from kintsugi.scope.types import StepPlace
from kintsugi.scope.types import step_names as step_types
from kintsugi.scope.values import EvaluationContext, StepOutcome, shown_result, step_names
from kintsugi_restore.grammar import BACKUP
from tests.unit.factories import NOW

USED = {
    "name": "one",
    "namespace": "",
    "cpu_millicores": 5,
    "memory_bytes": 7,
    "cpu_percent": 50,
    "memory_percent": 60,
}


def test_the_names_of_results_are_those_that_expressions_are_checked_against() -> None:
    assert shown_result({"lines": [], "text": "", "exit_code": 0}).keys() == OUTPUT.keys()
    assert shown_result({"items": [USED]})["items"] == [
        {"name": "one", "namespace": "", "cpuMillicores": 5, "memoryBytes": 7, "cpuPercent": 50, "memoryPercent": 60}
    ]
    items = shown_result({"items": [USED]})["items"]
    assert isinstance(items, list)
    assert set(USED) != set(USE.fields) == set(items[0])
    kept = shown_result({"backup": dict.fromkeys((each.name for each in fields(Backup)), 1)})["backup"]
    assert isinstance(kept, dict)
    assert set(kept) == set(BACKUP.fields)


def test_result_names_that_are_right_already_or_not_ours_stay() -> None:
    plain = {
        "exitCode": 1,
        "rows": [{"exit_code": 1, "cpu_percent": 2}],
        "json": {"backup": {"age_seconds": 1}},
        "items": [],
    }
    assert shown_result(plain) == plain


def test_a_result_that_the_ledger_has_kept_is_read_by_the_names_of_today() -> None:
    outcome = StepOutcome(ran=True, met=False, result={"items": [USED], "exit_code": 3})
    types = step_types(StepPlace().after({"ask": {**USAGE, **OUTPUT}}))
    source = "steps.ask.exitCode == 3 && steps.ask.items[0].cpuPercent == 50 && !steps.ask.passed"
    expression = Scope(names=types).expression(source, result=BOOL)
    assert expression.evaluate(step_names(EvaluationContext(now=NOW), earlier={"ask": outcome})) is True
