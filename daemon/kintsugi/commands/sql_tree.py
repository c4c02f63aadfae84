"""
Checks the shape of a statement, on sqlglot's syntax tree of PostgreSQL: a query with allowed parts only.

All other parts are refused, and so is a statement that sqlglot does not understand or takes as a bare command. The
called functions are checked on the tokens (`sql`); where the tree names a call, it is checked again.
"""

from collections.abc import Collection

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

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
