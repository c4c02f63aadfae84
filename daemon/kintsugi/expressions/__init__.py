"""
The only speaker of CEL: what people write in `when`, `expect` and `${…}` becomes a checked, frozen expression.

`Scope` says what a place sees; `Scope.expression` and `Scope.template` compile, when a document is loaded. `Names`
holds the values of a moment; `Expression.evaluate` and `Template.evaluate` answer on them, and raise EvaluationError
where there is no answer.
"""

from kintsugi.expressions.expression import Expression, compile_expression
from kintsugi.expressions.function import Fact, Function
from kintsugi.expressions.names import Names
from kintsugi.expressions.problem import ExpressionProblem
from kintsugi.expressions.scope import Scope
from kintsugi.expressions.storage import from_json, to_json
from kintsugi.expressions.structs import struct_type
from kintsugi.expressions.template import Template, compile_template, holes_in, text_of
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
from kintsugi.expressions.values import plain

__all__ = [
    "ANY",
    "BOOL",
    "BYTES",
    "DOUBLE",
    "DURATION",
    "INT",
    "STRING",
    "TIMESTAMP",
    "Expression",
    "ExpressionProblem",
    "Fact",
    "Function",
    "ListOf",
    "MapOf",
    "Names",
    "Scope",
    "Struct",
    "Template",
    "Type",
    "compile_expression",
    "compile_template",
    "from_json",
    "holes_in",
    "plain",
    "struct_type",
    "text_of",
    "to_json",
]
