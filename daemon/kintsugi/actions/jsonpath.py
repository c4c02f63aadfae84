"""
kubectl's JSONPath, as far as `--sort-by` and `wait --for=jsonpath` use it: fields, indexes, `[*]` and filters.

`{.a.b}`, `.a.b`, `a.b`, `.items[0]`, `.a['b.c']`, `.a.b\\.c`, `.status.conditions[?(@.type=="Ready")].status`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kintsugi.errors import CommandError

_FIELD = re.compile(r"\.?((?:[A-Za-z0-9_/-]|\\.)+)")
_QUOTED = re.compile(r"\['([^']*)'\]|\[\"([^\"]*)\"\]")
_INDEX = re.compile(r"\[(-?\d+)\]")
_EVERY = re.compile(r"\[\*\]|\.\*")
_FILTER = re.compile(r"\[\?\(\s*@((?:\.[A-Za-z0-9_-]+)+)\s*(==|!=)\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s)]+))\s*\)\]")

_Step = Callable[[object], Iterator[object]]


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path that finds values in an object. `text` is without its braces."""

    text: str
    steps: tuple[_Step, ...]

    @classmethod
    def parse(cls, text: str) -> "JsonPath":
        """Read a path, with or without braces and leading dot. Raises CommandError for what is not understood."""
        inner = text.strip()
        if inner.startswith("{") and inner.endswith("}"):
            inner = inner[1:-1].strip()
        inner = inner.removeprefix("$")
        steps: list[_Step] = []
        position = 0
        while position < len(inner):
            step, position = _step(inner, position, text)
            steps.append(step)
        if not steps:
            raise CommandError(f"the path {text!r} is empty: write {{.status.phase}}")
        return cls(inner, tuple(steps))

    def find(self, obj: object) -> list[object]:
        """List the values at this path; none where a key is missing."""
        found = [obj]
        for step in self.steps:
            found = [value for each in found for value in step(each)]
        return found


def _step(text: str, position: int, whole: str) -> tuple[_Step, int]:
    """Read the step at a position; give it with the position after it."""
    if match := _EVERY.match(text, position):
        return _every, match.end()
    if match := _QUOTED.match(text, position):
        return _field(match[1] if match[1] is not None else match[2]), match.end()
    if match := _INDEX.match(text, position):
        return _index(int(match[1])), match.end()
    if match := _FILTER.match(text, position):
        value = next(group for group in match.groups()[2:] if group is not None)
        return _where(match[1][1:].split("."), value, equal=match[2] == "=="), match.end()
    if match := _FIELD.match(text, position):
        return _field(re.sub(r"\\(.)", r"\1", match[1])), match.end()
    raise CommandError(f"the path {whole!r} is not understood at {text[position:]!r}: write it as in {{.status.phase}}")


def _field(name: str) -> _Step:
    def step(value: object) -> Iterator[object]:
        if isinstance(value, Mapping) and name in value:
            yield value[name]

    return step


def _index(number: int) -> _Step:
    def step(value: object) -> Iterator[object]:
        if isinstance(value, list) and -len(value) <= number < len(value):
            yield value[number]

    return step


def _every(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _where(path: list[str], wanted: str, *, equal: bool) -> _Step:
    def step(value: object) -> Iterator[object]:
        for each in value if isinstance(value, list) else ():
            at: object = each
            for name in path:
                at = at.get(name) if isinstance(at, Mapping) else None
            if (as_text(at) == wanted) is equal:
                yield each

    return step


def as_text(value: object) -> str:
    """Write a value as kubectl does: `true`, `3`, the text itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
