"""A function that expressions may call: its types for the check, its Python for the run."""

from collections.abc import Callable
from dataclasses import dataclass

from kintsugi.expressions.types import Type


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Function:
    """
    A function of the expression language.

    `accepts` lists the argument types of each form that it takes. `implementation` gets the arguments as plain Python
    values (objects as dicts), then the values of the names in `uses`, which the calling scope must have; what it raises
    makes the expression unanswerable. `meaning` is one sentence for people.
    """

    name: str
    accepts: tuple[tuple[Type, ...], ...]
    result: Type
    implementation: Callable[..., object]
    uses: tuple[str, ...] = ()
    meaning: str = ""

    def __str__(self) -> str:
        forms = (f"{self.name}({', '.join(map(str, form))})" for form in self.accepts)
        return " or ".join(forms)
