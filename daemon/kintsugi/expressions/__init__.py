"""
The language CEL, used only here: the texts of `when`, `expect` and `${…}` become checked, frozen expressions.

`Scope` has the names that a place sees; `Scope.expression` and `Scope.template` compile, when a document is loaded.
`Bindings` holds the values of a moment; `Expression.evaluate` and `TextTemplate.evaluate` evaluate on them, and raise
EvaluationError where there is no result.
"""

from kintsugi.expressions.bindings import NOTHING_LOST, Bindings, Lost
from kintsugi.expressions.computed_fields import ComputedField, computed_fields
from kintsugi.expressions.expression import Expression, compile_expression
from kintsugi.expressions.problems import ExpressionProblem
from kintsugi.expressions.structs import struct_type
from kintsugi.expressions.template import Scope, TextTemplate, format_value, placeholders_in
from kintsugi.expressions.types import (
    ANY,
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    INT,
    STRING,
    TIMESTAMP,
    ListOf,
    MapOf,
    Struct,
    Type,
)
from kintsugi.expressions.values import from_json, plain, to_json

__all__ = [
    "ANY",
    "BOOL",
    "BYTES",
    "DOUBLE",
    "DURATION",
    "INT",
    "NOTHING_LOST",
    "STRING",
    "TIMESTAMP",
    "Bindings",
    "ComputedField",
    "Expression",
    "ExpressionProblem",
    "ListOf",
    "Lost",
    "MapOf",
    "Scope",
    "Struct",
    "TextTemplate",
    "Type",
    "compile_expression",
    "computed_fields",
    "format_value",
    "from_json",
    "placeholders_in",
    "plain",
    "struct_type",
    "to_json",
]
