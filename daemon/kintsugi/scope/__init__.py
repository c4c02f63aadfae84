"""
What an expression sees: names with their types when a document is loaded, with their values when it is asked.

`seen(step_names(...)).expression(source)` compiles; the namesakes in `kintsugi.scope.values` give the values.
"""

from kintsugi.expressions import Scope
from kintsugi.scope.functions import FUNCTIONS
from kintsugi.scope.types import Names


def seen(names: Names) -> Scope:
    """Give a scope of these names, with all functions."""
    return Scope(names=names, functions=FUNCTIONS)
