"""
The statements that a database may be asked: one that only reads, and calls only functions that are known to read.

Judged by lists of what is allowed, twice: which functions are called, on PostgreSQL's own tokens; the parts of the
statement, on sqlglot's syntax tree. The checked text is the text that is sent. The server also runs it in a read-only
transaction, which alone would not keep it from ending sessions, reading files or promoting a standby.

A text that could be read in two ways is refused, so that the checks and the server read the same: a backslash, a `$`, a
prefix of a quotation mark (`E'…'`, `U&"…"`), a character outside of ASCII that is not quoted.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from kintsugi.commands.command_problem import BY_A_PERSON

_STATE = """
    clock_timestamp timeofday random pg_is_in_recovery pg_is_wal_replay_paused pg_get_wal_replay_pause_state
    pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_current_wal_lsn
    pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_blocking_pids pg_safe_snapshot_blocking_pids
    pg_database_size pg_relation_size pg_table_size pg_indexes_size pg_total_relation_size pg_tablespace_size
    pg_sequence_last_value
"""
VOLATILE = frozenset(_STATE.split())
"""Functions that are volatile only because they read the server's state."""

_AGGREGATES = """
    array_agg avg bit_and bit_or bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank every first_value
    json_agg json_object_agg jsonb_agg jsonb_object_agg lag last_value lead max min mode nth_value ntile percent_rank
    percentile_cont percentile_disc rank regr_count regr_intercept regr_slope row_number stddev stddev_pop stddev_samp
    string_agg sum var_pop var_samp variance
"""
_NUMBERS = """
    abs acos asin atan atan2 cbrt ceil ceiling cos degrees div exp factorial floor gcd lcm ln log log10 mod pi power
    radians round sign sin sqrt tan trunc width_bucket
"""
_TEXTS = """
    ascii bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode encode format
    initcap left length lower lpad ltrim md5 octet_length overlay position quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 split_part
    starts_with string_to_array string_to_table strpos substr substring to_char to_hex to_number translate upper
"""
_TIMES = """
    age date_bin date_part date_trunc extract isfinite justify_days justify_hours justify_interval make_date
    make_interval make_time make_timestamp make_timestamptz now statement_timestamp timezone to_date to_timestamp
    transaction_timestamp
"""
_STRUCTURES = """
    array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions array_prepend
    array_remove array_replace array_to_json array_to_string array_upper cardinality generate_series generate_subscripts
    json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_strip_nulls json_typeof
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object jsonb_object_keys jsonb_path_exists
    jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_strip_nulls jsonb_typeof
    num_nonnulls num_nulls row_to_json to_json to_jsonb unnest
    isempty lower_inc lower_inf upper_inc upper_inf broadcast family host masklen netmask network
"""
_SERVER = """
    col_description current_database current_schema current_schemas current_setting format_type has_any_column_privilege
    has_column_privilege has_database_privilege has_function_privilege has_schema_privilege has_sequence_privilege
    has_table_privilege inet_client_addr inet_client_port inet_server_addr inet_server_port mxid_age obj_description
    pg_backend_pid pg_column_size pg_conf_load_time pg_current_snapshot pg_encoding_to_char pg_function_is_visible
    pg_get_constraintdef pg_get_expr pg_get_functiondef pg_get_indexdef pg_get_partkeydef pg_get_serial_sequence
    pg_get_userbyid pg_get_viewdef pg_has_role pg_index_column_has_property pg_postmaster_start_time
    pg_relation_filenode pg_size_bytes pg_size_pretty pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin
    pg_stat_get_numscans pg_table_is_visible pg_type_is_visible pg_typeof pg_wal_lsn_diff pg_walfile_name
    shobj_description to_regclass to_regnamespace to_regproc to_regrole to_regtype txid_current_snapshot version
"""

FUNCTIONS = VOLATILE.union(*(each.split() for each in (_AGGREGATES, _NUMBERS, _TEXTS, _TIMES, _STRUCTURES, _SERVER)))

DEEPEST = 32
"""The deepest nesting of brackets: no query needs more, and a parser recurses for each."""
DEEPEST_LISTS = 6
"""So many of them may be square: sqlglot needs three times as long for each more of these (0.3 s at 12)."""

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n\f\v]+)
    | (?P<note>--[^\r\n]*)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")+")
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?P<mark>::|[-()\[\],.;:+*/<>=~!@\#%^&|?])""",
    re.VERBOSE,
)
_BLOCK = re.compile(r"/\*|\*/")

_QUESTIONS = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)
_PARTS = (
    *_QUESTIONS,
    *(exp.With, exp.CTE, exp.From, exp.Join, exp.Lateral, exp.Unnest, exp.Table, exp.TableAlias, exp.Where, exp.Group),
    *(exp.GroupingSets, exp.Rollup, exp.Cube, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Fetch),
    *(exp.LimitOptions, exp.Distinct, exp.Window, exp.WindowSpec, exp.Filter, exp.WithinGroup, exp.IgnoreNulls),
    *(exp.Column, exp.Identifier, exp.Literal, exp.Star, exp.Alias, exp.Aliases, exp.Paren, exp.Tuple, exp.Bracket),
    *(exp.Slice, exp.Boolean, exp.Null, exp.Var, exp.DataType, exp.DataTypeParam, exp.Interval, exp.AtTimeZone),
    *(exp.Binary, exp.Unary, exp.Between, exp.In, exp.Any, exp.All, exp.Exists, exp.JSONPath, exp.JSONPathPart),
    *(exp.IntervalSpan, exp.Func),
)
_NEVER = (exp.Operator, exp.Command)
_CONSTRUCTORS = frozenset({"row"})

LONGEST = 8000

_BEGINNINGS = frozenset({"select", "show", "with", "table", "values"})
_SHOW = re.compile(r"SHOW\s+([A-Za-z_][A-Za-z0-9_.]*)", re.IGNORECASE)
_GRAMMAR = """
    all and any array as between by case cast coalesce cube current_time current_timestamp distinct else except exists
    filter first from greatest group
    grouping having ilike in intersect is join lateral least like limit localtime localtimestamp materialized next not
    nullif offset on or over rollup row select sets similar some then to trim union using values when where within
"""
_BEFORE_BRACKETS = frozenset(_GRAMMAR.split())
"""Words of the grammar that brackets follow without a call; trim, cast and their like are grammar, and no functions."""
_NAMING = frozenset({"as", "with", "recursive"})
"""Words before a name with its columns, or a type, in brackets: `AS t (a, b)`, `AS numeric(10, 2)`."""
_OWN_SCHEMA = "pg_catalog"
_SERVER_SCHEMAS = frozenset({_OWN_SCHEMA, "information_schema"})
"""Schemas whose contents only a superuser can change."""

Name = tuple[str, ...]
"""A function's name with its schema, if that is written: a dot inside of quotes parts nothing."""

_LISTED: frozenset[Name] = frozenset({(name,) for name in FUNCTIONS} | {(_OWN_SCHEMA, name) for name in FUNCTIONS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """
    One token. `kind` is the name of its group above.

    `word` is what it means: a name in lower case unless it is quoted, as the server takes it; else its text.
    """

    kind: str
    text: str
    word: str

    def is_mark(self, text: str) -> bool:
        """Return whether the token is this mark."""
        return self.kind == "mark" and self.text == text

    def is_word(self, word: str) -> bool:
        """Return whether the token is this key word, which is never quoted."""
        return self.kind == "name" and self.word == word

    @property
    def is_name(self) -> bool:
        """Return whether the token names something."""
        return self.kind in ("name", "quoted")


def tokens_of(statement: str) -> tuple[Token, ...]:
    """Read the tokens of a statement; comments are blanks. Raises ValueError for what could be read in two ways."""
    found: list[Token] = []
    position = 0
    while position < len(statement):
        if statement.startswith("/*", position):
            position = _end_of_block(statement, position)
            found.append(Token(kind="blank", text=" ", word=" "))
            continue
        match = _TOKEN.match(statement, position)
        if match is None:
            raise ValueError(
                f"{statement[position : position + 20]!r} is not understood in SQL{_advice(statement[position])}"
            )
        found.append(_token(match))
        _check_beside(found)
        position = match.end()
    _check_depth(found)
    return tuple(found)


def _token(match: re.Match[str]) -> Token:
    kind, text = match.lastgroup or "", match.group()
    match kind:
        case "note":
            return Token(kind="blank", text=" ", word=" ")
        case "name":
            return Token(kind=kind, text=text, word=text.lower())
        case "quoted":
            return Token(kind=kind, text=text, word=text[1:-1].replace('""', '"'))
        case _:
            return Token(kind=kind, text=text, word=text)


def _check_beside(found: list[Token]) -> None:
    """Refuse a name that touches a quotation mark or a number: servers of different age read it in different ways."""
    if len(found) < 2:
        return
    before, token = found[-2], found[-1]
    prefix = token.kind in ("text", "quoted") and (before.kind in ("name", "number") or _is_unicode(found))
    if prefix or (token.kind == "name" and before.kind == "number"):
        raise ValueError(
            f"{before.text + token.text!r} is not understood in SQL: write a blank between, without a prefix"
        )


def _is_unicode(found: list[Token]) -> bool:
    """Return whether a quotation mark follows `U&`, after which every character can be written in another way."""
    return len(found) > 2 and found[-2].is_mark("&") and found[-3].is_word("u")


def _check_depth(found: list[Token]) -> None:
    for opening, closing, most in (("(", ")", DEEPEST), ("[", "]", DEEPEST_LISTS)):
        depth = 0
        for token in found:
            depth += token.is_mark(opening) - token.is_mark(closing)
            if depth > most:
                raise ValueError(f"more than {most} brackets {opening}{closing} are nested")


def _end_of_block(statement: str, start: int) -> int:
    """Find the end of a comment; in PostgreSQL comments are nested."""
    depth = 0
    for found in _BLOCK.finditer(statement, start):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    raise ValueError("a comment (/*) is not closed in SQL")


def _advice(character: str) -> str:
    match character:
        case "\\":
            return ": a backslash (psql's own commands, and escapes) is not executed"
        case "$":
            return ": a dollar sign is allowed only in single quotes"
        case "'" | '"':
            return ": a quotation mark is not closed, or names nothing"
        case _:
            return ": it is allowed only in quotes"


def check_tree(statement: str, functions: Collection[str]) -> None:
    """Look at each part of a statement. Raises ValueError for one that is no part of a question."""
    try:
        trees = sqlglot.parse(statement, read="postgres")
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"{statement[:60]!r} is not understood: {_first_line(error)}") from error
    if len(trees) != 1 or not isinstance(tree := trees[0], _QUESTIONS):
        raise ValueError(f"{statement[:60]!r} is not exactly one query")
    for node in tree.walk():
        if strange := _strange(node, functions):
            raise ValueError(strange)


def names_elsewhere(statement: str, own: Collection[str]) -> tuple[str, ...]:
    """
    Return the tables, views, types and functions that a statement names in other schemas than these, as `schema.name`.

    A statement that is not understood names none: `check_tree` refuses it.
    """
    try:
        tree = sqlglot.parse_one(statement, read="postgres")
    except (SqlglotError, RecursionError):
        return ()
    named = {found for node in tree.walk() if (found := _qualified(node))}
    return tuple(sorted(f"{schema}.{name}" for schema, name in named if schema.lower() not in own))


def _qualified(node: exp.Expr) -> tuple[str, str] | None:
    """Return the schema and the name of what a part of a statement names with its schema, None of any other part."""
    match node:
        case exp.Table() if node.db:
            return node.db, node.this.name
        case exp.Dot(this=exp.Identifier() as schema, expression=named):
            return schema.name, named.name or named.key
        case _:
            return None


def _strange(node: exp.Expr, functions: Collection[str]) -> str:
    """Return what is wrong with one part of a statement, "" when nothing is."""
    if not isinstance(node, _PARTS) or isinstance(node, _NEVER):
        return f"{_in_words(node)} is not allowed in a query"
    if isinstance(node, exp.Anonymous) and node.name.lower() not in _CONSTRUCTORS.union(functions):
        return f"{node.name} is not on the list of read-only functions"
    return ""


def _in_words(node: exp.Expr) -> str:
    match node:
        case exp.Lock():
            return "FOR UPDATE (or another lock)"
        case exp.Into():
            return "INTO, which makes a table,"
        case exp.Insert() | exp.Update() | exp.Delete() | exp.Merge():
            return f"{node.key.upper()}, which writes,"
        case _:
            return node.key.upper()


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0].split(". Line", 1)[0]


def plain_statement(text: str) -> str:
    """
    Return a statement without comments, and without one `;` at its end.

    Raises ValueError when it is not exactly one that begins as a question does, with what would be right.
    """
    return "".join(token.text for token in _tokens(text)).strip()


def checked_statement(text: str, allowed_functions: frozenset[str] = frozenset()) -> str:
    """
    Return a statement as `plain_statement` does, if it only looks.

    `allowed_functions` are further functions that may be called, as the service's document names them. Raises ValueError.
    """
    statement = plain_statement(text)
    _check_statement(statement, allowed_functions)
    return statement


def names_of_owners(statement: str) -> tuple[str, ...]:
    """
    Return the names in a statement, with their schemas, that are not the server's own: their owners define what they
    run.
    """
    return () if shown_setting(statement) else names_elsewhere(statement, _SERVER_SCHEMAS)


def shown_setting(statement: str) -> str:
    """Return the setting that a SHOW asks for, "" of another statement."""
    found = _SHOW.fullmatch(statement.strip())
    return found[1] if found else ""


def _tokens(text: str) -> tuple[Token, ...]:
    statement = text.strip()
    if not statement or len(statement) > LONGEST:
        raise ValueError(f"a statement has 1 to {LONGEST} characters, and this one {len(statement)}")
    found = tokens_of(statement)
    rest = [token for token in found if token.kind != "blank"]
    if rest and rest[-1].is_mark(";"):
        last = rest.pop()
        found = tuple(token for token in found if token is not last)
    if any(token.is_mark(";") for token in rest):
        raise ValueError("a semicolon (;) is understood at the end of SQL only: a step sends exactly one query")
    if not rest or not any(rest[0].is_word(word) for word in _BEGINNINGS):
        raise ValueError(
            f"{statement[:40]!r} is not a query: write SELECT, SHOW, WITH, TABLE or VALUES, or {BY_A_PERSON}"
        )
    return found


@lru_cache(maxsize=1024)
def _check_statement(statement: str, allowed_functions: frozenset[str]) -> None:
    tokens = [token for token in tokens_of(statement) if token.kind != "blank"]
    if tokens[0].is_word("show"):
        if not _SHOW.fullmatch(statement):
            raise ValueError(f"{statement[:40]!r} is not understood: SHOW takes the name of one setting")
        return
    functions = _LISTED | {tuple(name.split(".")) for name in allowed_functions}
    for position, token in enumerate(tokens):
        if token.is_mark("(") and (called := _called(tokens[:position])) and called not in functions:
            raise ValueError(
                f"{'.'.join(called)} is not known to be read-only, so it is not called: a service's `sqlFunctions` lists "
                f"the functions that it vouches for; an alias with columns is written AS {called[-1]} (a, b)"
            )
    check_tree(statement, {name[-1] for name in functions})


def _called(before: Sequence[Token]) -> Name:
    """Return the name of the function whose bracket opens behind these tokens; empty when none is called."""
    if not before or not before[-1].is_name:
        return ()
    first = len(before) - 1
    while first >= 2 and before[first - 1].is_mark(".") and before[first - 2].is_name:
        first -= 2
    leading = before[first - 1] if first else None
    if leading is not None and (leading.is_mark("::") or any(leading.is_word(word) for word in _NAMING)):
        return ()
    name = tuple(token.word for token in before[first:] if token.is_name)
    is_grammar = len(name) == 1 and before[-1].kind == "name" and name[0] in _BEFORE_BRACKETS
    return () if is_grammar else name
