"""
The values that a page leaves open, in all their forms: `<pod>`, `POD`, `{POD}`, a name that ends in Xs, `$POD`, `${POD}`.

They are looked for where a text is refused, and never in one that is valid at its place.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from kintsugi.commands.arg_types import Shape
from kintsugi.commands.command_problem import CommandProblem

IN_ANGLES = re.compile(r"<([A-Za-z][\w .:/-]{0,60})>")
SHELL_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|[0-9?@*#!])")
OF_A_SHELL = re.compile(r"(?!(?:each|params|steps)\b)([A-Za-z_]\w*)(:?[-=?+].*)?", re.DOTALL)
"""What stands between `${` and `}` in a shell, a name and perhaps a default; the names of expressions are none of a shell's."""

_CUT_OFF = re.compile(r"\b[A-Za-z0-9][A-Za-z0-9.]*(?:-[A-Za-z0-9.]+)*-X{3,}(?:-X{3,})*\b")
_ENDING = re.compile(r"-[Xx]{3,}(?:-[XxYy]{3,})*$")
_CAPITALS = re.compile(r"(?<![A-Za-z0-9])[A-Z][A-Z0-9]*(?:[_-][A-Z0-9]+)*(?![A-Za-z0-9])")
_FORMS = re.compile(
    rf"{IN_ANGLES.pattern}|\$\{{?([A-Za-z_]\w*)\}}?|\{{([A-Za-z_]\w*)\}}|({_CUT_OFF.pattern})|({_CAPITALS.pattern})"
)
_OF_LABELS = re.compile(r"^(?:alert\.)?(?:common)?labels\.(?=.)", re.IGNORECASE)
"""What stands before the label in `{{ $labels.pod }}`, as a template of Prometheus writes it."""
_TYPES: dict[Shape, str] = {
    "name": "name",
    "integer": "integer",
    "duration": "duration",
    "seconds": "duration",
    "url": "url",
    "text": "string",
}
_MOST_WORDS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOpen:
    """
    A value as it was written, with the name and the type of a parameter for it, "" for a type of objects, which no value gives.
    `place` is the flag or argument, "" while unknown.
    """

    written: str
    name: str
    type: str = "string"
    place: str = ""
    offset: int = 0


class LeftOpenProblem(CommandProblem):
    """A line that would be a command if what it leaves open were written as values."""

    def __init__(self, message: str, values: Sequence[LeftOpen]) -> None:
        super().__init__(message, offset=min(each.offset for each in values))
        self.values = tuple(values)


def parameter_name(text: str) -> str:
    """Return the name of a parameter for what a page calls a value, of at most four words."""
    plain = _OF_LABELS.sub("", _ENDING.sub("", text.strip()))
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()
    plain = "_".join(re.sub(r"[^a-z0-9]+", "_", words).strip("_").split("_")[:_MOST_WORDS])
    return plain if plain[:1].isalpha() else f"value_{plain}".rstrip("_")


def type_for(shape: Shape, *, alone: bool) -> str:
    """Return the type of a parameter that fits a place, `alone` or within a longer text."""
    return _TYPES[shape] if alone else "string"


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """Split a literal text into (text, "") and (what is left open, the name of its parameter)."""
    at = 0
    for found in _FORMS.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], ""
        yield found[0], parameter_name(next(group for group in found.groups() if group))
        at = found.end()
    if at < len(text):
        yield text[at:], ""


def phrase(found: Sequence[LeftOpen], declared: Collection[str] | None) -> str:
    """
    Return the sentence that says what is left open and where, and how it is written; `declared` are the names that the scope has, None where no parameter
    can be declared.
    """
    once = {each.written: each for each in sorted(found, key=lambda each: each.offset, reverse=True)}
    values = list(reversed(once.values()))
    named = _listed([f"{each.written} ({each.place})" if each.place else each.written for each in values])
    verb = "looks like a placeholder" if len(values) == 1 else "look like placeholders"
    if declared is None:
        return f"{named} {verb}: write {'the value itself' if len(values) == 1 else 'the values themselves'}"
    holes = dict.fromkeys(f"${{params.{each.name}}}" if each.type else "the type itself (as in pod)" for each in values)
    types = {each.name: each.type for each in values if each.type and f"params.{each.name}" not in declared}
    shown = ", ".join(f"`{name}: {{type: {word}}}`" for name, word in types.items())
    declare = f", with {shown} under the runbook's `parameters`" if types else ""
    of_a_shell = any(each.written.startswith("$") for each in values)
    step = "; no shell runs here, and what an earlier step found is ${steps.ID.NAME}" if of_a_shell else ""
    return f"{named} {verb}: write {_listed(list(holes))}{declare}{step}"


def _listed(texts: Sequence[str]) -> str:
    *before, last = texts
    return f"{', '.join(before)} and {last}" if before else last
