"""The scope of one place of a document: names with their types."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from kintsugi.expressions.expression import Expression, compile_expression
from kintsugi.expressions.template import TextTemplate, compile_template
from kintsugi.expressions.types import ANY, BOOL, Type
from kubeobjects.predicates import START_UP_ALLOWANCE


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """
    Names that the expressions of one place may use; they may leave out the prefix `container`.

    `start_up` is what a pod may take to become ready before it counts as unhealthy.
    """

    names: Mapping[str, Type]
    start_up: timedelta = START_UP_ALLOWANCE
    container: str = ""

    def expression(self, source: str, *, result: Type = BOOL) -> Expression:
        """Compile an expression of this place; raises ExpressionProblem."""
        return compile_expression(
            source, names=self.names, result=result, start_up=self.start_up, container=self.container
        )

    def template(self, source: str) -> TextTemplate:
        """Compile a text with holes; raises ExpressionProblem with an offset into `source`."""
        return compile_template(source, lambda placeholder: self.expression(placeholder, result=ANY))
