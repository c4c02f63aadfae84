"""What is rendered can be pasted and parsed: the text of a command and the command are the same thing."""

import json

from hypothesis import Phase, given, settings

from kintsugi.commands import decode, encode, parse, parse_argv, render, rows, verb_of
from kintsugi.commands.render import argv
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

    @settings(max_examples=1500, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(commands())
    def reach(command: Command) -> None:
        reached.add(verb_of(command))

    reach()
    assert reached == {row.verb for row in rows()}
