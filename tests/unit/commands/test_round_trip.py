"""Parsing what is rendered, journalled or written as a duration gives the same again."""

import json
from datetime import timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kintsugi.commands import decode, encode, parse, parse_argv, render, rows, verb_of
from kintsugi.commands.render import argv
from kintsugi.durations import format_duration, parse_duration
from kintsugi.errors import CommandError
from kintsugi.model.command import Command, Verb
from kintsugi.verbs.set_env import SetEnv
from tests.unit.commands.strategies import commands


@settings(max_examples=200, deadline=None)
@given(commands().filter(lambda command: not isinstance(command, SetEnv)))
def test_parsing_what_is_rendered_gives_the_same_command(command: Command) -> None:
    """What a variable holds stands in no text."""
    assert parse(render(command)) == command


@settings(max_examples=100, deadline=None)
@given(commands())
def test_the_words_of_a_command_give_it_back(command: Command) -> None:
    assert parse_argv(argv(command)) == command


@settings(max_examples=100, deadline=None)
@given(commands(uid=True))
def test_the_journal_gives_a_command_back_with_its_uids(command: Command) -> None:
    """P8: an intent names exactly what will be done, and a restarted daemon reads exactly that."""
    assert decode(json.loads(json.dumps(encode(command)))) == command


def test_every_verb_has_one_row_whose_usage_begins_with_it() -> None:
    verbs = [row.verb for row in rows()]
    assert len(verbs) == len(set(verbs))
    assert set(Verb) <= set(verbs)
    for row in rows():
        assert row.usage.startswith(row.verb.replace("nc -z", "nc"))


def test_the_properties_reach_every_row() -> None:
    """Otherwise the properties above would be true of nothing."""
    reached = set()

    @settings(max_examples=1000, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(commands())
    def reach(command: Command) -> None:
        reached.add(verb_of(command))

    reach()
    assert reached == {row.verb for row in rows()}


def test_a_person_can_read_what_is_journalled() -> None:
    assert encode(parse("kubectl delete pod web-1", namespace="production")) == {
        "command": "Delete",
        "objects": [{"resource": "pods", "name": "web-1"}],
        "namespace": "production",
    }


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"command": "Exec", "namespace": "x"},
        {"command": "Delete", "namespace": "x"},
        {"command": "Delete", "namespace": "x", "objects": [{"resource": "podz", "name": "a"}]},
        {"command": "Scale", "namespace": "x", "objects": [{"resource": "pods", "name": "a"}], "replicas": "many"},
    ],
)
def test_a_document_that_was_not_written_by_us_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(CommandError):
        decode(document)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("2m", 120), ("1h30m", 5400), ("26h", 93_600), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "2d", "-1m", "m", "1h 30m", "five minutes", "9999999h", "1m\n"])
def test_a_text_that_is_not_a_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"1h30m|longer than a year"):
        parse_duration(text)


@given(st.integers(0, 30_000_000_000))
def test_a_duration_that_is_written_is_read_again(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration
