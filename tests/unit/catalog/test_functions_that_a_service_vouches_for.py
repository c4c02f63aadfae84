"""P10: a Service document may vouch for functions of its database, for questions about itself and for no others."""

import pytest

from tests.unit.catalog.documents import RUNBOOK, SERVICE, runbook, said

VOUCHING = f"{SERVICE}  sqlFunctions: [bt_index_check, shop.are_whole]\n"
ASK = """run: psql -h db -U monitor -c "SELECT bt_index_check('orders_pkey')" """.strip()
CHECKS = f"  checks:\n    integrity:\n      - id: ask\n        {ASK}\n        expect: size(rows) > 0\n"
REFUSED = "bt_index_check is not known to be read-only"


@pytest.mark.parametrize(
    ("more", "step", "taken"),
    [
        ("service: web", "", True),
        ("", "", False),
        ("", "service: web", True),
        ("service: web", "service: ${params.which}", False),
    ],
)
def test_a_question_may_call_what_the_service_that_it_is_about_vouches_for(more: str, step: str, taken: bool) -> None:
    """What is inside a step is about the service that the step names; which one a value names, nobody knows yet."""
    steps = (
        f"- id: inside\n  {step or 'name: Inside'}\n  steps:\n    - id: ask\n      {ASK}\n      expect: size(rows) > 0"
    )
    problems = said(VOUCHING, runbook(steps, more=f"{more}\nparameters: {{which: {{type: name, default: web}}}}"))
    assert [REFUSED in problem for problem in problems] == ([] if taken else [True]), problems


def test_a_service_s_own_checks_may_call_what_it_vouches_for() -> None:
    assert said(VOUCHING + CHECKS, RUNBOOK) == []
    (problem,) = said(SERVICE + CHECKS, RUNBOOK)
    assert REFUSED in problem


def test_a_function_that_is_vouched_for_is_named_in_plain_letters() -> None:
    (problem,) = said(f"{SERVICE}  sqlFunctions: ['Pg Sleep()']\n", RUNBOOK)
    assert "sqlFunctions" in problem
