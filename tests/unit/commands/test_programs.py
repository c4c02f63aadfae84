"""What a program or a question in a container may say, the SQL that only looks (P10), and what a drill may type."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.commands.queries import check_psql
from kintsugi.commands.sql import FUNCTIONS, checked_statement, names_of_owners
from kintsugi.errors import CommandError
from kintsugi.expressions import INT, STRING, Scope
from kintsugi.model.command import Exec, Psql
from kintsugi_restore.commands import PgRestore

SCOPE = Scope(names={"name": STRING, "number": INT})
UNDERSTOOD = [
    "kubectl exec -it database-0 -- psql -U postgres -c 'SELECT 1'",
    "kubectl exec -it statefulset/database -c postgres -- psql -U postgres -d app -c 'SELECT count(*) FROM orders'",
    "kubectl exec db-0 -- psql -XAt --username=postgres --command='SHOW server_version'",
]
NOT_IN_A_CONTAINER = [
    ("kubectl exec db-0 -- rm -rf /", "'rm' is not known to be read-only"),
    ("kubectl exec db-0 -- /usr/bin/psql -c 'SELECT 1'", "not known to be read-only"),
    ("kubectl exec db-0 psql -c 'SELECT 1'", "write -- before psql"),
    ("kubectl exec db-0 ls -l /", "-l is not known; write -- before the program"),
    ("kubectl exec pod db-0 -- pg_isready", "one pod or TYPE/NAME, then --"),
    ("kubectl exec db-0 --", "then --, then the program"),
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


QUESTIONS = """
SELECT 1
TABLE pg_stat_replication
SHOW work_mem
VALUES (1, 'a'), (2, 'b')
SELECT count(*) FILTER (WHERE x > 1) OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t
SELECT extract(epoch FROM now() - pg_last_xact_replay_timestamp())
SELECT a->>'x', b #>> '{a}', c @> d FROM t WHERE x ~ '^a' AND y IS NOT NULL OR z NOT IN (1, 2)
SELECT json '{"a": {"b": 1}}' AS inner
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 9) SELECT sum(n) FROM t
WITH a AS MATERIALIZED (SELECT 1), b AS (TABLE a) SELECT * FROM b
SELECT now() - interval '1 hour', x AT TIME ZONE 'UTC', '1 day'::interval, timestamptz '2026-05-04 12:00' FROM t
SELECT ARRAY[1, 2], ROW(1, 2), (ARRAY[1, 2])[1], cast(1 AS numeric(10, 2)), 'b'::varchar(3)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), string_agg(x, ',' ORDER BY y) FROM t
SELECT n FROM generate_series(3, 1, -1) AS g(n)
SELECT * FROM unnest(ARRAY[1, 2]) WITH ORDINALITY AS u(a, b)
SELECT t.*, (x).y FROM t NATURAL JOIN u LEFT JOIN v USING (id) CROSS JOIN w, LATERAL (SELECT 1) AS z
SELECT CASE WHEN a THEN 1 ELSE 2 END, coalesce(max(x), 0), round(avg(y), 2) FROM t GROUP BY GROUPING SETS ((a), (b))
SELECT position('a' in 'b'), substring('abc' from 1 for 2), trim(both 'x' from 'xax')
SELECT EXISTS (SELECT 1), x IS DISTINCT FROM y, a BETWEEN 1 AND 2, b ILIKE 'y', c SIMILAR TO 'z' FROM t
SELECT pg_size_pretty(pg_database_size(current_database())), current_user, "count"(*), pg_catalog.count(*) FROM t
SELECT DISTINCT ON (a) a FROM t ORDER BY a DESC NULLS LAST LIMIT 3 OFFSET 1
SELECT last_value >= (SELECT max(id) FROM orders) AS above FROM orders_id_seq
SELECT relname FROM pg_class WHERE oid = 'orders'::regclass AND (relkind, relname) IN (SELECT 'r', 'x')
SELECT 'it''s; -- no /* comment' AS "a name; -- too"
""".strip().splitlines()
REFUSED = [
    ("SELECT 1 INTO copied", "INTO, which makes a table"),
    ("SELECT * FROM t FOR UPDATE", "FOR UPDATE"),
    ("SELECT * FROM (SELECT * FROM t FOR SHARE) AS a", "FOR UPDATE (or another lock)"),
    ("WITH gone AS (DELETE FROM t RETURNING 1) SELECT * FROM gone", "DELETE, which writes"),
    ("WITH made AS (INSERT INTO t VALUES (1) RETURNING 1) TABLE made", "INSERT, which writes"),
    ("WITH new AS (UPDATE t SET a = 1 RETURNING 1) TABLE new", "UPDATE, which writes"),
    ("EXPLAIN ANALYZE DELETE FROM t", "is not a query"),
    ("COPY t TO PROGRAM 'reboot'", "is not a query"),
    ("SET transaction_read_only = off", "is not a query"),
    ("DO 'BEGIN END'", "is not a query"),
    ("CALL refill()", "is not a query"),
    ("SELECT 1) AS a, (SELECT 2", "is not understood"),
    ("SELECT U&\"pg!005fsleep\" UESCAPE '!' (1)", "without a prefix"),
    ("SELECT E'a'", "without a prefix"),
    ("SELECT $$a$$", "a dollar sign"),
    ("SELECT 'a", "is not closed"),
    ("SELECT 1 /* /* */", "is not closed"),
    ("SELECT 1 OPERATOR(pg_catalog.+) 2", "operator is not known to be read-only"),
    ("SELECT * FROM t TABLESAMPLE system(1)", "system is not known to be read-only"),
    ("SELECT public.count(*) FROM t", "public.count is not known to be read-only"),
    ('SELECT "pg_catalog.count"(*) FROM t', "pg_catalog.count is not known to be read-only"),
    ('SELECT "COUNT"(*) FROM t', "COUNT is not known to be read-only"),
    ('SELECT "coalesce"(1)', "coalesce is not known to be read-only"),
    ("WITH pg_sleep(a) AS (SELECT 1) SELECT pg_sleep(10)", "pg_sleep is not known to be read-only"),
    ("SELECT by(1)", "by is not on the list"),
    ("SELECT ä(1)", "is allowed only in quotes"),
    ("SELECT pg_sleep\u00a0(1)", "is allowed only in quotes"),
    ("SELECT " + "(" * 40 + "1" + ")" * 40, "more than 32 brackets"),
    ("SELECT " + "ARRAY[" * 10 + "1" + "]" * 10, "more than 6 brackets"),
    ("SELECT " + "NOT " * 1900 + "1", "is not understood"),
]
ACTING = (
    *("pg_terminate_backend", "pg_cancel_backend", "pg_promote", "pg_reload_conf", "pg_read_file", "pg_ls_dir"),
    *("lo_export", "lo_import", "dblink_exec", "dblink", "set_config", "pg_sleep", "pg_advisory_lock", "pg_notify"),
    *("nextval", "setval", "query_to_xml", "pg_stat_reset", "pg_switch_wal", "txid_current", "pg_logical_emit_message"),
)
BLANKS = st.sampled_from(
    ["", " ", "\t", "\n", "\f", "/**/", "/* a */", "/*/* b */*/", "-- c\n", "--\r\n", " /*'*/ ", '/*"*/', "--'\n"]
)


@pytest.mark.parametrize("statement", QUESTIONS)
def test_a_statement_that_only_asks_is_taken(statement: str) -> None:
    assert checked_statement(statement) == statement


@pytest.mark.parametrize(("statement", "words"), REFUSED, ids=[words + statement[:20] for statement, words in REFUSED])
def test_a_statement_that_does_more_or_could_be_read_in_two_ways_is_refused(statement: str, words: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the words are looked for
        checked_statement(statement)
    assert words in str(refused.value)


@pytest.mark.parametrize("statement", ["SELECT 1;", "SELECT 1 ; ", "SELECT 1; -- done", "SELECT /* one */ 1;"])
def test_a_semicolon_at_the_end_is_as_good_as_none(statement: str) -> None:
    assert sent(statement).split() == ["SELECT", "1"]


def sent(statement: str) -> str:
    """Return what is sent of a statement, or why it is refused."""
    try:
        return checked_statement(statement)
    except ValueError as refused:
        return str(refused)


@st.composite
def spelled(draw: st.DrawFn, name: str) -> str:
    """Spell a function's name as PostgreSQL takes it: in any case, in quotes, with its schema, with comments between."""
    cased = "".join(draw(st.sampled_from([each.lower(), each.upper()])) for each in name)
    written = draw(st.sampled_from([cased, f'"{name}"']))
    dot = f"{draw(BLANKS)}.{draw(BLANKS)}"
    schema = draw(st.sampled_from(["", f"pg_catalog{dot}", f'"pg_catalog"{dot}', f"public{dot}"]))
    return f"{schema}{written}{draw(BLANKS)}("


@st.composite
def calls(draw: st.DrawFn, name: str) -> str:
    """Call a function somewhere in a question, as far inside as comes."""
    call = f"{draw(spelled(name))}{draw(BLANKS)}{draw(st.sampled_from(['', '1', 'pid, 2', 'SELECT 1']))})"
    if "SELECT 1" in call:
        call = call.replace("SELECT 1", "(SELECT 1)")
    for form in draw(
        st.lists(
            st.sampled_from(
                ["({})", "coalesce({}, 1)", "({})::text", "CASE WHEN true THEN {} END", "(SELECT {})", "ARRAY[{}]"]
            ),
            max_size=3,
        )
    ):
        call = form.format(call)
    whole = draw(
        st.sampled_from(
            [
                "SELECT {}",
                "SELECT 1 AS a, {} FROM t",
                "SELECT * FROM t WHERE {} IS NULL",
                "WITH a AS (SELECT {}) TABLE a",
                "VALUES (1, {})",
                "SELECT 1 ORDER BY {}",
                "SELECT 'x' || {} || \"y\" FROM t GROUP BY {} HAVING count(*) > 1",
                "SELECT 1 UNION SELECT {}",
            ]
        )
    )
    return whole.replace("{}", call) + draw(st.sampled_from(["", ";", " -- '", " /* ; */"]))


@given(st.data())
def test_no_quoting_and_no_comment_lets_a_function_through_that_is_not_listed(data: st.DataObject) -> None:
    statement = data.draw(calls(data.draw(st.sampled_from(ACTING))))
    with pytest.raises(ValueError, match=r"is not known to be read-only|is not on the list"):
        checked_statement(statement)


@given(st.data())
def test_a_listed_function_may_be_called_however_it_is_spelled(data: st.DataObject) -> None:
    """Else the test above could hold because nothing at all is let through."""
    name = data.draw(st.sampled_from(["count", "max", "pg_database_size", "lower"]))
    call = data.draw(spelled(name))
    if "public" in call.lower():
        with pytest.raises(ValueError, match="is not known to be read-only"):
            checked_statement(f"SELECT {call}1)")
    else:
        checked_statement(f"SELECT {call}1)")


@given(st.text(alphabet="SELECTselect pg_sleep()'\"/*-;$\\E&U.,:[]1\n\u00a0", max_size=60))
def test_any_text_is_judged_and_a_call_of_what_sleeps_is_never_taken(text: str) -> None:
    try:
        sent = checked_statement(f"SELECT {text}")
    except ValueError:
        return
    assert "pg_sleep(" not in sent.replace(" ", "").replace("\n", "") or "'" in sent or '"' in sent


def test_a_function_that_a_service_vouches_for_may_be_called_by_its_exact_name() -> None:
    allowed_functions = frozenset({"shop.orders_are_whole", "bt_index_check"})
    checked_statement("SELECT shop.orders_are_whole(), bt_index_check('orders_pkey')", allowed_functions)
    for other in ("orders_are_whole()", "public.bt_index_check('x')", 'shop."Orders_are_whole"()', "pg_sleep(1)"):
        with pytest.raises(ValueError, match="is not known to be read-only"):
            checked_statement(f"SELECT {other}", allowed_functions)


def test_no_function_that_acts_is_listed() -> None:
    assert FUNCTIONS.isdisjoint(ACTING)


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("SELECT last_value >= (SELECT max(id) FROM shop.orders) FROM orders_id_seq", ["shop.orders"]),
        ("WITH a AS (TABLE shop.b) SELECT a.c FROM a", ["shop.b"]),
        ('SELECT x.y(1), \'1\'::shop.amount FROM "Shop"."a b" AS x', ["Shop.a b", "shop.amount", "x.y"]),
        ("SELECT * FROM shop.sold(1)", ["shop.sold"]),
        ("SELECT pg_catalog.now(), o.oid FROM pg_catalog.pg_class AS o, information_schema.tables", []),
        ("SHOW shop.setting", []),
    ],
)
def test_a_statement_names_what_belongs_to_others_by_its_schema(statement: str, names: Sequence[str]) -> None:
    assert list(names_of_owners(statement)) == names


DRILL_SCOPE = Scope(names={"where": STRING})


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


def test_the_servers_own_word_for_where_its_data_is_may_be_asked_of_df() -> None:
    """P10: a path of plain names is one argument."""
    asked = parse_template("kubectl exec statefulset/database -- df -P -k ${where}", DRILL_SCOPE)
    command = asked.bind({"where": "/var/lib/postgresql/data"}, namespace="production")
    assert render(command).endswith("-- df -P -k /var/lib/postgresql/data")


@pytest.mark.parametrize("value", ["/", "/a/../b", "-h", "/a b", "/a;b", "/-a", "/a/", "/a\n/b"])
def test_a_path_that_is_not_plain_is_refused(value: str) -> None:
    """P10: whoever said it."""
    asked = parse_template("kubectl exec statefulset/database -- df -P -k ${where}", DRILL_SCOPE)
    with pytest.raises(CommandError):
        asked.bind({"where": value}, namespace="production")
