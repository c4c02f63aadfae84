"""
Functions that expressions may call: the check of a call, and the CEL that replaces it when it runs.

No Python runs inside CEL: cel-expr-python 0.1.3 never frees the arguments of a Python function (12 KB a call with a
pod). So a call is replaced by plain CEL, which may read facts: fields that are computed from an object and added to it
before the expression is evaluated.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kintsugi.expressions.types import Type

COMPUTED_PREFIX = "fact_"
"""The prefix of the fields that hold facts; these fields are removed from every answer."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ComputedField:
    """
    A field computed from each kept object of the class `of`.

    `compute` gets the object, then the values of the names in `uses`, which the scope must have.
    """

    name: str
    of: type
    compute: Callable[..., object]
    uses: tuple[str, ...] = ()

    @property
    def field(self) -> str:
        """Return the field that it is put into."""
        return f"{COMPUTED_PREFIX}{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Function:
    """
    A function of the expression language.

    `accepts` lists the argument types of each form that it takes. `runs` is the CEL that replaces a call, with {0},
    {1}, … for the arguments; `computed_fields` are those that it reads. `meaning` is a phrase for people.
    """

    name: str
    accepts: tuple[tuple[Type, ...], ...]
    result: Type
    runs: str
    computed_fields: tuple[ComputedField, ...] = ()
    meaning: str = ""

    def __str__(self) -> str:
        if len(self.accepts) <= 2:
            return " or ".join(f"{self.name}({', '.join(map(str, form))})" for form in self.accepts)
        at_place = (set(kinds) for kinds in zip(*self.accepts, strict=True))
        arguments = (str(*kinds) if len(kinds) == 1 else "object" for kinds in at_place)
        return f"{self.name}({', '.join(arguments)})"
