"""
The names of an expression: with their types when a document is loaded, with their values when it is evaluated.

`seen(step_names(...)).expression(source)` compiles; the namesakes in `kintsugi.scope.values` give the values.
"""

from datetime import timedelta

from kintsugi.expressions import Scope
from kintsugi.scope.types import Names
from kubeobjects.predicates import START_UP_ALLOWANCE


def seen(names: Names, *, start_up: timedelta = START_UP_ALLOWANCE) -> Scope:
    """Return a scope of these names; `start_up` is what a pod may take to become ready."""
    return Scope(names=names, start_up=start_up)
