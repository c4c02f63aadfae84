"""What a runbook sees of a real Prometheus: one sample, none, several, a number that is none, and a question it refuses."""

import json
import shlex
from datetime import timedelta

import pytest

from kintsugi.actions.probe import Result
from kintsugi.commands import parse, parse_template
from kintsugi.errors import EvaluationError, ProbeFailed
from kintsugi.expressions import Bindings, ListOf, Scope
from tests.harness.prometheus import OWN_JOB, Prometheus
from tests.harness.results import named
from tests.unit.actions.cluster_of_dicts import actions_on

SOON = timedelta(seconds=30)
EVERYTHING = '{__name__=~".+"}'
MANY = " or ".join(f"label_replace({EVERYTHING}, 'copy', '{number}', '', '')" for number in range(8))
"""More than a thousand samples: a Prometheus has some two hundred about itself."""


async def ask(prometheus: Prometheus, query: str) -> Result:
    """Ask with the command of a runbook."""
    command = parse(f"promtool query instant {prometheus.url} {shlex.quote(query)}")
    return await actions_on().read(command, deadline=SOON)


def met(result: Result, source: str) -> bool:
    """Judge an `expect` as the runner does: what has no answer is not met."""
    names = parse_template("promtool query instant http://a up", Scope(names={})).columns()
    try:
        return Scope(names=names).expression(source).evaluate(Bindings(result.names)) is True
    except EvaluationError:
        return False


async def test_a_single_sample_is_the_value(prometheus: Prometheus) -> None:
    result = await ask(prometheus, f'up{{job="{OWN_JOB}"}}')
    assert result.names["value"] == 1.0
    (sample,) = named(result)["samples"]
    assert sample["labels"]["job"] == OWN_JOB
    assert met(result, "value == 1.0 && value > 0.5")


async def test_a_scalar_is_a_value_too(prometheus: Prometheus) -> None:
    assert (await ask(prometheus, "1 + 0.5")).names["value"] == 1.5


@pytest.mark.parametrize("expectation", ["value < 0.01", "value >= 0.01", "!(value < 0.01)"])
@pytest.mark.parametrize(
    "query",
    [
        # nobody measures it
        '(sum(rate(http_requests_total{code=~"5.."}[2m])) or vector(0)) / sum(rate(http_requests_total[2m]))',
        "vector(0) / 0",  # NaN: no request was made at all
        "vector(0) or label_replace(vector(0), 'a', 'b', '', '')",  # two samples: which is the one?
        "vector(1) / 0",
    ],
    ids=["none", "NaN", "two", "infinite"],
)
async def test_an_answer_that_is_not_one_number_meets_no_expectation(
    prometheus: Prometheus, query: str, expectation: str
) -> None:
    """P6."""
    result = await ask(prometheus, query)
    assert "value" not in result.names
    assert not met(result, expectation)


async def test_a_share_of_failures_is_zero_where_nothing_has_failed_yet(prometheus: Prometheus) -> None:
    """
    Prometheus has no series of what has never happened: the shipped stack runbook says what that counts as.

    It is a code that Prometheus has no use for: while it starts, it answers 503.
    """
    failed, asked = 'prometheus_http_requests_total{code="507"}', "prometheus_http_requests_total"
    await ask(prometheus, asked)
    assert "value" not in (await ask(prometheus, f"sum({failed}) / sum({asked})")).names
    assert (await ask(prometheus, f"(sum({failed}) or vector(0)) / sum({asked})")).names["value"] == 0


async def test_several_samples_have_their_labels_and_values(prometheus: Prometheus) -> None:
    result = await ask(
        prometheus, "label_replace(vector(3), 'pod', 'a', '', '') or label_replace(vector(4), 'pod', 'b', '', '')"
    )
    assert result.names["samples"] == [
        {"labels": {"pod": "a"}, "text": "3", "value": 3.0},
        {"labels": {"pod": "b"}, "text": "4", "value": 4.0},
    ]
    assert met(result, "samples.all(s, s.value < 5.0) && samples.exists(s, s.labels['pod'] == 'b')")


async def test_a_sample_that_is_not_a_number_answers_no_question_about_all(prometheus: Prometheus) -> None:
    result = await ask(prometheus, "label_replace(vector(0) / 0, 'pod', 'a', '', '') or vector(1)")
    assert not met(result, "samples.all(s, s.value < 5.0)")
    assert met(result, "samples.exists(s, s.text == 'NaN')")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("sum(", "bad_data.*unclosed left parenthesis"),
        ("up[5m]", "no range, no text"),
        ("'text'", "no range, no text"),
        (MANY, "let Prometheus aggregate|longer than 1 MiB"),
    ],
    ids=["mistake", "range", "text", "too many"],
)
async def test_a_query_that_has_no_number_for_each_series_is_refused(
    prometheus: Prometheus, query: str, why: str
) -> None:
    with pytest.raises(ProbeFailed, match=f"{prometheus.url}: .*({why})"):
        await ask(prometheus, query)


@pytest.mark.parametrize("value", ["a+b", "é/&", 'q"#%'], ids=["plus", "letters", "marks"])
async def test_an_expression_arrives_as_it_was_written(prometheus: Prometheus, value: str) -> None:
    result = await ask(prometheus, f"label_replace(vector(1), 'said', {json.dumps(value)}, '', '')")
    assert [sample["labels"] for sample in named(result)["samples"]] == [{"said": value}]


def test_the_names_of_an_answer_are_those_of_the_grammar() -> None:
    columns = parse_template("promtool query instant http://a up", Scope(names={})).columns()
    assert sorted(columns) == ["samples", "value", "warnings"]
    assert isinstance(columns["samples"], ListOf)
