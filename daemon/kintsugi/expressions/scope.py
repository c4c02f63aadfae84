"""The scope of one place of a document: names with their types, and functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from kintsugi.expressions.expression import Expression, compile_expression
from kintsugi.expressions.function import Function
from kintsugi.expressions.template import TextTemplate, compile_template
from kintsugi.expressions.types import ANY, BOOL, Type


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Names and functions that the expressions of one place may use. Names may leave out the prefix `container`."""

    names: Mapping[str, Type]
    functions: tuple[Function, ...] = ()
    container: str = ""

    def expression(self, source: str, *, result: Type = BOOL) -> Expression:
        """Compile an expression of this place; raises ExpressionProblem."""
        return compile_expression(
            source, names=self.names, result=result, functions=self.functions, container=self.container
        )

    def template(self, source: str) -> TextTemplate:
        """Compile a text with holes; raises ExpressionProblem with an offset into `source`."""
        return compile_template(source, lambda placeholder: self.expression(placeholder, result=ANY))
