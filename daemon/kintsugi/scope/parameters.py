"""The values of a runbook's parameters: converted by their declared type, from YAML to the values of an expression."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from kintsugi.durations import parse_duration
from kintsugi.mask import MASK
from kintsugi.model.runbooks import Value
from kintsugi.scope.types import PARAMETERS
from kubeobjects.resources import find

Kind = TypeVar("Kind")

LONGEST_ALERT_TEXT = 253
"""As long as the longest name of an object."""

FROM_ALERT = ("integer", "number", "boolean", "string", "name", "url")
"""
The types of a value that an alert may give: one text.

No `workload` and no `s3`: they say what a section may stop, and what a database is restored from.
"""

_NAME = re.compile(r"[a-z0-9_]([-a-z0-9_.]{0,61}[a-z0-9_])?")


def known_type(word: str) -> bool:
    """Return whether a word means a type: one of `PARAMETERS`, or such a word in brackets for a list."""
    return word in PARAMETERS or (word.startswith("[") and word.endswith("]") and word[1:-1] in PARAMETERS)


def read_value(word: str, value: object, durations: float) -> Value:
    """Read a value of a type; `durations` scales those. Raises ValueError with what would be right."""
    if word.startswith("["):
        if not isinstance(value, list):
            raise ValueError(f"{value!r} is not a list")
        return tuple(_read_one(word[1:-1], item, durations) for item in value)
    return _read_one(word, value, durations)


def read_text(word: str, text: str, durations: float) -> Value:
    """Read a value as it is typed on a command line, a list with commas. Raises ValueError with what would be right."""
    if word.startswith("["):
        items = [each.strip() for each in text.split(",")] if text.strip() else []
        return tuple(read_text(word[1:-1], each, durations) for each in items)
    return _read_one(word, _TYPED.get(word, str)(text), durations)


def read_alert_text(word: str, text: str) -> Value:
    """Read a value from an alert, whose texts anybody may write. Raises ValueError with what would be right."""
    if MASK in text:
        raise ValueError("it was masked, and is not known")
    if len(text) > LONGEST_ALERT_TEXT:
        raise ValueError(f"it has {len(text)} characters: at most {LONGEST_ALERT_TEXT} are taken")
    if not text.isprintable():
        raise ValueError(f"{text!r} is not one line of printable text")
    return read_text(word, text, durations=1.0)


def _typed_number(kind: Callable[[str], object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return kind(text)
        except ValueError:
            return text  # which its reader refuses in its own words

    return read


_TYPED: Mapping[str, Callable[[str], object]] = {
    "integer": _typed_number(int),
    "number": _typed_number(float),
    "boolean": lambda text: {"true": True, "false": False}.get(text, text),
}


def _read_one(word: str, value: object, durations: float) -> Value:
    if word == "duration":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not a duration: write it as in 90s, 5m or 26h")
        return parse_duration(value) * durations
    return _READERS[word](value)


def _of(kind: type[Kind] | tuple[type[Kind], ...], what: str) -> Callable[[object], Kind]:
    """Make a reader that takes values of a kind as they are; true and false are no numbers."""

    def read(value: object) -> Kind:
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        raise ValueError(f"{value!r} is not {what}")

    return read


_string = _of(str, "text: put it in quotes")
_number = _of((int, float), "a number")


def _name(value: object) -> Value:
    if _NAME.fullmatch(text := _string(value)):
        return text
    raise ValueError(f"{text!r} is not a name: lower-case letters, digits, and -_. between them")


def _url(*schemes: str) -> Callable[[object], Value]:
    def read(value: object) -> Value:
        parts = urlsplit(text := _string(value))
        if parts.scheme in schemes and parts.hostname and parts.username is None:
            return text
        raise ValueError(f"{text!r} is not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")

    return read


def _workload(value: object) -> Value:
    kind, _, name = (text := _string(value)).partition("/")
    if find(kind) is not None and _NAME.fullmatch(name):
        return text
    raise ValueError(f"{text!r} is not TYPE/NAME, as in deployment/web")


_READERS: Mapping[str, Callable[[object], Value]] = {
    "integer": _of(int, "a whole number"),
    "number": lambda value: float(_number(value)),
    "boolean": _of(bool, "true or false"),
    "string": _string,
    "name": _name,
    "url": _url("http", "https"),
    "s3": _url("s3"),
    "workload": _workload,
}
