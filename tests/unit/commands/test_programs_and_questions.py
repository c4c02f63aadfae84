"""P10: in a container only what looks is run, and a database is asked exactly one question that reads."""

import pytest

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.commands.queries import check_psql
from kintsugi.expressions import INT, STRING, Scope
from kintsugi.model.command import Exec, Psql

SCOPE = Scope(names={"name": STRING, "number": INT})

UNDERSTOOD = [
    "kubectl exec -it database-0 -- psql -U postgres -c 'SELECT 1'",
    "kubectl exec -it statefulset/database -c postgres -- psql -U postgres -d app -c 'SELECT count(*) FROM orders'",
    "kubectl -n production exec pod/cache-0 -- redis-cli -p 6380 INFO replication",
    "kubectl exec deploy/db -- pg_isready -h 127.0.0.1 -t 3",
    "kubectl exec db-0 -- psql -XAt --username=postgres --command='SHOW server_version'",
]
NOT_IN_A_CONTAINER = [
    ("kubectl exec db-0 -- rm -rf /", "'rm' is not known to be read-only"),
    ("kubectl exec db-0 -- sh -c 'psql'", "'sh' is not known to be read-only"),
    ("kubectl exec db-0 -- /usr/bin/psql -c 'SELECT 1'", "not known to be read-only"),
    ("kubectl exec db-0 -- cat /etc/passwd", "'cat' is not known to be read-only"),
    ("kubectl exec db-0 psql -c 'SELECT 1'", "then --, then the program"),
    ("kubectl exec pod db-0 -- pg_isready", "one pod or TYPE/NAME, then --"),
    ("kubectl exec db-0 --", "then --, then the program"),
    ("kubectl exec cache-0 -- redis-cli FLUSHALL", "FLUSHALL is not known to be read-only"),
    ("kubectl exec cache-0 -- redis-cli", "a prompt is not known to be read-only"),
    ("kubectl exec cache-0 -- redis-cli -a secret PING", "option -a not recognized"),
    ("kubectl exec db-0 -- pg_isready now", "'now' is not understood"),
    ("kubectl exec db-0 -- psql -f dump.sql", "option -f not recognized"),
    ("kubectl exec db-0 -- psql app -c 'SELECT 1'", "'app' is not expected here"),
    ("kubectl exec db-0 -- psql -c 'SELECT 1' -c 'SELECT 2'", "a flag is given twice"),
    ("kubectl exec db-0 -- psql", "a statement has 1 to 8000 characters"),
]
NO_QUESTION = [
    ("DELETE FROM orders", "is not a query"),
    ("DROP TABLE orders", "is not a query"),
    ("SELECT 1; DELETE FROM orders", "a semicolon"),
    ("SELECT 1;;", "at the end of SQL only"),
    (r"\! rm -rf /", "a backslash"),
    (r"SELECT 1 \gexec", "a backslash"),
    ("", "a statement has 1 to 8000 characters"),
    ("-- a note", "is not a query"),
    ("selection", "is not a query"),
    ("SELECT pg_terminate_backend(42)", "pg_terminate_backend is not known to be read-only"),
    ("SELECT PG_PROMOTE ()", "pg_promote is not known to be read-only"),
    ("SELECT set_config('x', 'y', false)", "set_config is not known to be read-only"),
    ("SHOW ALL, x", "SHOW takes the name of one setting"),
]
NO_CONNECTION = [
    ("-d 'dbname=app password=secret'", "not password"),
    ("-d postgresql://ada:secret@db/app", "is not the name of a database"),
    ("-d 'dbname=app sslmode=verify-ca'", "it is one of disable, prefer, require, verify-full"),
    ("-d 'dbname=app host=other'", "the host is given twice"),
    ("-d 'dbname=app passfile=passwords'", "by its whole path"),
    ("-W", "it cannot be typed in"),
    ("-f dump.sql", "no files are read"),
]


@pytest.mark.parametrize("line", UNDERSTOOD)
def test_a_program_that_only_looks_is_understood_and_can_be_pasted(line: str) -> None:
    command = parse(line, namespace="production")
    assert isinstance(command, Exec)
    assert parse(render(command)) == command


@pytest.mark.parametrize(("line", "words"), NOT_IN_A_CONTAINER)
def test_a_program_that_may_do_more_in_a_container_is_refused_with_the_reason(line: str, words: str) -> None:
    with pytest.raises(CommandProblem, match=words):
        parse(line, namespace="production")


@pytest.mark.parametrize(("statement", "words"), NO_QUESTION)
def test_a_statement_that_is_not_one_question_is_refused_over_both_ways(statement: str, words: str) -> None:
    with pytest.raises(CommandProblem, match=words):
        check_psql(["psql", "-c", statement], frozenset())
    with pytest.raises(CommandProblem, match=words):
        parse(f'psql -h db.production -U postgres -c "{statement}"')


@pytest.mark.parametrize(("words", "message"), NO_CONNECTION)
def test_a_connection_carries_no_credentials_and_reads_no_files_but_its_own(words: str, message: str) -> None:
    with pytest.raises(CommandProblem, match=message):
        parse(f"psql -h db.production -U ada -c 'SELECT 1' {words}")


def test_how_a_connection_is_made_stands_where_psql_takes_it() -> None:
    line = "psql -h db -p 5433 -U ada -d 'dbname=app sslmode=verify-full sslrootcert=/ca.pem' -c 'SELECT 1'"
    assert parse(line) == Psql(
        statement="SELECT 1",
        host="db",
        port=5433,
        user="ada",
        database="app",
        sslmode="verify-full",
        rootcert="/ca.pem",
    )


@pytest.mark.parametrize(
    "line",
    [
        "psql -h db -U ada -c 'SELECT ${number}'",
        "psql -h db -U ada -c ${name}",
        "kubectl exec db-0 -- psql -c 'SELECT ${number}'",
        "kubectl exec db-0 -- psql -c '${name} FROM orders'",
    ],
)
def test_no_value_is_put_into_sql(line: str) -> None:
    with pytest.raises(CommandProblem):
        parse_template(line, SCOPE)


@pytest.mark.parametrize("value", ["-f", "a b", "$(reboot)", "app;x", ""])
def test_a_value_among_a_program_s_words_is_a_name_and_never_a_flag(value: str) -> None:
    template = parse_template("kubectl exec db-0 -- psql -d ${name} -c 'SELECT 1'", SCOPE)
    with pytest.raises(CommandProblem, match="is not a name"):
        template.bind({"name": value}, namespace="production")


def test_flags_behind_the_dashes_are_the_program_s_own() -> None:
    """`-c` and `-n` before them are kubectl's, and nothing behind them is rewritten."""
    command = parse("kubectl exec cache-0 -n production -c redis -- redis-cli -n 3 PING")
    assert isinstance(command, Exec)
    assert (command.namespace, command.container) == ("production", "redis")
    assert command.argv == ("redis-cli", "-n", "3", "PING")
