"""What a drill may type: dropdb of a scratch database, and df as POSIX has it."""

import pytest

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.errors import CommandError
from kintsugi.expressions import STRING, Scope
from kintsugi.model.command import Dropdb

SCOPE = Scope(names={"where": STRING})


def test_a_scratch_database_is_dropped_on_the_host_that_is_named() -> None:
    """The namespace that the step stands in is written out, so that everybody sees the same host."""
    command = parse("dropdb --if-exists -h database -U postgres kintsugi_drill_inc-1", namespace="production")
    assert command == Dropdb(host="database.production", user="postgres", database="kintsugi_drill_inc-1")
    assert render(command) == "dropdb --if-exists -h database.production -U postgres kintsugi_drill_inc-1"


@pytest.mark.parametrize("name", ["app", "postgres", "kintsugi", "my_kintsugi_drill_one"])
def test_no_other_database_is_ever_dropped(name: str) -> None:
    """P10."""
    with pytest.raises(CommandProblem, match="is not the scratch database of a drill"):
        parse(f"dropdb -h database -U postgres {name}", namespace="production")


@pytest.mark.parametrize("words", ["df", "df /data", "df -h /data", "df -P -k /a /b", "df -P -k --sync"])
def test_df_is_taken_in_one_form(words: str) -> None:
    """Its answer is read: other forms differ from image to image."""
    with pytest.raises(CommandProblem, match="df -P -k PATH"):
        parse(f"kubectl exec statefulset/database -- {words}", namespace="production")


def test_the_servers_own_word_for_where_its_data_is_may_be_asked_of_df() -> None:
    """P10: a path of plain names is one argument."""
    asked = parse_template("kubectl exec statefulset/database -- df -P -k ${where}", SCOPE)
    command = asked.bind({"where": "/var/lib/postgresql/data"}, namespace="production")
    assert render(command).endswith("-- df -P -k /var/lib/postgresql/data")


@pytest.mark.parametrize("value", ["/", "/a/../b", "-h", "/a b", "/a;b", "/-a", "/a/", "/a\n/b"])
def test_what_is_no_plain_path_is_refused(value: str) -> None:
    """P10: whoever said it."""
    asked = parse_template("kubectl exec statefulset/database -- df -P -k ${where}", SCOPE)
    with pytest.raises(CommandError):
        asked.bind({"where": value}, namespace="production")
