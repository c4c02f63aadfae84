"""P7, P8, E25: a request that sends something is a change, and its author says how it is taken back."""

import pytest

from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded, runbook, said

UNDO = "only its author knows how to undo it"
SENDING = [
    "-X POST",
    "-X PUT",
    "-X DELETE",
    "-X PATCH",
    "-X OPTIONS",
    "-d a=b",
    "--data a=b",
    "--data-raw a=b",
    "-X GET -d a=b",
]


@pytest.mark.parametrize("flags", SENDING)
def test_a_service_s_checks_send_nothing(flags: str) -> None:
    checks = f"  checks:\n    smoke:\n      - {{id: a, run: curl {flags} http://web.production/orders, expect: status == 200}}\n"
    problems = said(SERVICE + checks, RUNBOOK)
    assert ["curl changes something, but checks are probes" in problem for problem in problems] == [True]


@pytest.mark.parametrize("flags", SENDING)
def test_a_runbook_says_how_a_request_is_taken_back(flags: str) -> None:
    step = f"- id: a\n  run: curl {flags} http://web.production/orders\n"
    problems = said(SERVICE, runbook(step))
    assert [UNDO in problem for problem in problems] == [True]
    for undo in ("none", "keep", "[{id: b, run: 'curl -X DELETE http://web.production/orders'}]"):
        assert said(SERVICE, runbook(f"{step}  undo: {undo}\n")) == []


def test_a_request_that_takes_back_is_not_taken_back_itself() -> None:
    back = "rollback: {steps: [{id: b, run: 'curl -X DELETE http://web.production/orders'}]}"
    step = "- id: a\n  run: curl -X POST http://web.production/orders\n  undo: keep\n"
    assert said(SERVICE, runbook(step, more=back)) == []


@pytest.mark.parametrize("flags", ["", "-I", "-X GET", "-X HEAD", "-L -f"])
def test_a_request_that_only_asks_is_a_look(flags: str) -> None:
    catalog = loaded(
        SERVICE, runbook(f"- {{id: a, run: curl {flags} http://web.production/health, expect: status == 200}}")
    )
    assert not catalog.runbooks["mend"].steps[0].do.command.changes  # type: ignore[union-attr]


def test_a_request_is_sent_once() -> None:
    step = "- {id: a, run: curl -X POST http://web.production/orders, undo: none, retries: 2}"
    problems = said(SERVICE, runbook(step))
    assert ["a request is sent once" in problem for problem in problems] == [True]


def test_no_value_decides_whether_a_request_changes_something() -> None:
    step = "- {id: a, run: 'curl -X ${params.how} http://web.production/orders', expect: status == 200}"
    (problem,) = said(SERVICE, runbook(step, more="parameters: {how: {type: string, default: GET}}"))
    assert "write the method out" in problem
