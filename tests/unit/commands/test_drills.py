"""What a drill may type: dropdb of a scratch database, and df as POSIX has it."""

import pytest

from kintsugi.commands import CommandProblem, parse, render
from kintsugi.model.command import Dropdb


def test_a_scratch_database_is_dropped_on_the_host_that_is_named() -> None:
    """The namespace that the step stands in is written out, so that everybody sees the same host."""
    command = parse("dropdb --if-exists -h database -U postgres kintsugi_drill_inc-1", namespace="production")
    assert command == Dropdb(host="database.production", user="postgres", database="kintsugi_drill_inc-1")
    assert render(command) == "dropdb --if-exists -h database.production -U postgres kintsugi_drill_inc-1"


@pytest.mark.parametrize("name", ["app", "postgres", "kintsugi", "my_kintsugi_drill_one"])
def test_no_other_database_is_ever_dropped(name: str) -> None:
    """P10."""
    with pytest.raises(CommandProblem, match="only the scratch database of a drill"):
        parse(f"dropdb -h database -U postgres {name}", namespace="production")


@pytest.mark.parametrize("words", ["df", "df /data", "df -h /data", "df -P -k /a /b", "df -P -k --sync"])
def test_df_is_taken_in_one_form(words: str) -> None:
    """Its answer is read: other forms differ from image to image."""
    with pytest.raises(CommandProblem, match="df -P -k PATH"):
        parse(f"kubectl exec statefulset/database -- {words}", namespace="production")
