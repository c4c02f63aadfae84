"""What a drill may type: pg_restore into a server of its own, and df as POSIX has it."""

import pytest

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.errors import CommandError
from kintsugi.expressions import STRING, Scope
from kintsugi_restore.commands import PgRestore

SCOPE = Scope(names={"where": STRING})


def test_a_drill_restores_into_a_server_of_its_own() -> None:
    """In the namespace that the step stands in; written out it reads back."""
    words = (
        "pg_restore --exit-on-error --single-transaction -h localhost -U postgres -d kintsugi_drill_inc-1 /backups/a"
    )
    command = parse(words, namespace="production")
    assert isinstance(command, PgRestore)
    assert (command.host, command.on_own_server) == ("localhost.production", True)
    assert parse(render(command)) == command


@pytest.mark.parametrize(
    "words",
    [
        "pg_restore -e -1 -h localhost -U postgres -d app /backups/a",
        "pg_restore -e -1 -h localhost -p 5433 -U postgres -d kintsugi_drill_one /backups/a",
        "kintsugi backup fetch s3://bucket/ --database=app -h localhost -U postgres",
    ],
)
def test_the_server_of_a_drill_is_for_nothing_else(words: str) -> None:
    """It ends with the restore, and nobody else reaches it."""
    with pytest.raises(CommandProblem, match="the server of a drill's own Job"):
        parse(words, namespace="production")


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
def test_a_path_that_is_not_plain_is_refused(value: str) -> None:
    """P10: whoever said it."""
    asked = parse_template("kubectl exec statefulset/database -- df -P -k ${where}", SCOPE)
    with pytest.raises(CommandError):
        asked.bind({"where": value}, namespace="production")
