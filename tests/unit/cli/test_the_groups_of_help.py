"""`kintsugi --help` lists each command once, in a group with an example, and cuts no summary."""

import shlex
from collections import Counter

import typer
from typer.testing import CliRunner

from kintsugi.cli import app
from kintsugi.cli.help_groups import GROUPS

WIDTH = 80


def test_each_command_is_in_one_group_whose_example_is_a_command() -> None:
    known = typer.main.get_group(app).commands
    assert Counter(name for group in GROUPS for name in group.summaries) == Counter(list(known))
    for group in GROUPS:
        words = shlex.split(group.example)
        flags = {option for each in known[words[1]].params for option in each.opts}
        assert words[0] == "kintsugi"
        assert words[1] in group.summaries
        assert {word for word in words if word.startswith("-")} <= flags


def test_no_line_of_the_help_is_cut() -> None:
    shown = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(app, ["--help"]).output
    assert "..." not in shown.replace("[ARGS]...", "")
    assert max(map(len, shown.splitlines())) <= WIDTH
    for group in GROUPS:
        assert f"{group.title}:" in shown
        assert f"  $ {group.example}" in shown
