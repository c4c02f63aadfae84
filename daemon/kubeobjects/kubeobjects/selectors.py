"""
Selectors in kubectl's words, `-l` (labels) and `--field-selector` (fields), and in the API's; parsed once and matched in memory.

An empty selector selects everything, which is never intended for a change: it is refused.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from kubeobjects.metadata import LabelRequirement, LabelSelector


class SelectorError(ValueError):
    """A selector that cannot be read, or that would select everything; the text says what would be right."""


class Operator(StrEnum):
    """The operator of a requirement."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "!"
    GREATER = ">"
    LESS = "<"


_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.ABSENT,
}
"""As `matchExpressions` of the API spells them."""

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARED = re.compile(r"(?P<key>[^\s=!<>]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<value>[^\s=!<>]*)")
_BETWEEN_REQUIREMENTS = re.compile(r",(?![^()]*\))")
_FIELD = re.compile(r"(?P<path>[A-Za-z][\w.]*)\s*(?P<operator>==|=|!=)(?P<value>[^=]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One condition on one label. As in Kubernetes, NOT_IN holds for an object that lacks the label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet the condition."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.ABSENT:
                return value is None
            case Operator.GREATER | Operator.LESS:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        (bound,) = self.values
        if value is None or not re.fullmatch(r"[+-]?\d+", value):
            return False
        return int(value) > int(bound) if self.operator is Operator.GREATER else int(value) < int(bound)

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case Operator.EXISTS:
                return self.key
            case Operator.ABSENT:
                return f"!{self.key}"
            case Operator.GREATER | Operator.LESS:
                return f"{self.key}{self.operator}{values}"
            case Operator.IN if len(self.values) == 1:
                return f"{self.key}={values}"
            case _:
                return f"{self.key} {self.operator} ({values})"


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector; an object matches when it meets every requirement. `text` is fit for `labelSelector=`."""

    text: str
    requirements: tuple[Requirement, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse kubectl's `-l` language. Raises SelectorError for an empty selector or one that cannot be read."""
        if not text.strip():
            raise SelectorError(
                "an empty label selector would select everything: name at least one label, as in app=web"
            )
        parts = [part.strip() for part in _BETWEEN_REQUIREMENTS.split(text)]
        return cls(text, tuple(_requirement(part, text) for part in parts))

    @classmethod
    def of(cls, requirements: Iterable[Requirement]) -> Self:
        """Return the selector of objects that meet all requirements. Raises SelectorError without a requirement."""
        kept = tuple(requirements)
        if not kept:
            raise SelectorError("an empty label selector would select everything")
        return cls(",".join(map(str, kept)), kept)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __str__(self) -> str:
        return self.text


NOTHING = Selector("", (Requirement(key="", operator=Operator.IN),))
"""The selector that no object meets, as `labels.Nothing()` of Kubernetes; it has no text, and none can be asked for by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldRequirement:
    """One field, by its dotted JSON path, that must (or must not) have a value; an absent field reads as ""."""

    path: str
    value: str
    equal: bool

    def matches(self, document: Mapping[str, object]) -> bool:
        """Return whether the object, as read from JSON, meets the condition."""
        at: object = document
        for step in self.path.split("."):
            at = at.get(step) if isinstance(at, Mapping) else None
        text = str(at).lower() if isinstance(at, bool) else "" if at is None else str(at)
        return (text == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A field selector: `status.phase!=Running,spec.nodeName=n1`. `text` is fit for `fieldSelector=`."""

    text: str
    requirements: tuple[FieldRequirement, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse kubectl's `--field-selector`. Raises SelectorError for an empty selector or one that cannot be read."""
        if not text.strip():
            raise SelectorError(
                "an empty field selector would select everything: write PATH=VALUE, as in status.phase=Failed"
            )
        return cls(text, tuple(_field_requirement(part.strip(), text) for part in text.split(",")))

    def matches(self, document: Mapping[str, object]) -> bool:
        """Return whether an object, as read from JSON, is selected."""
        return all(requirement.matches(document) for requirement in self.requirements)

    def __str__(self) -> str:
        return self.text


def selector_of(selector: LabelSelector) -> Selector:
    """Read a workload's `spec.selector`. Raises SelectorError when it is empty or has an unknown operator."""
    equalities = [
        Requirement(key=key, operator=Operator.IN, values=frozenset({value}))
        for key, value in selector.match_labels.items()
    ]
    return Selector.of([*equalities, *map(_expression, selector.match_expressions)])


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether a selector of the API is met; an empty one is met by everything. Raises SelectorError as `selector_of`."""
    empty = not selector.match_labels and not selector.match_expressions
    return empty or selector_of(selector).matches(labels)


def _expression(expression: LabelRequirement) -> Requirement:
    operator = _OPERATORS.get(expression.operator)
    if operator is None:
        raise SelectorError(
            f"unknown operator {expression.operator!r} on label {expression.key}: one of {[*_OPERATORS]}"
        )
    return Requirement(key=expression.key, operator=operator, values=frozenset(expression.values))


def _requirement(part: str, text: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = frozenset(_value(value.strip(), text) for value in found["values"].split(","))
        return Requirement(key=_key(found["key"], text), operator=Operator(found["operator"]), values=values)
    if found := _COMPARED.fullmatch(part):
        return _compared(_key(found["key"], text), found["operator"], _value(found["value"], text), text)
    if part.startswith("!"):
        return Requirement(key=_key(part[1:].strip(), text), operator=Operator.ABSENT)
    return Requirement(key=_key(part, text), operator=Operator.EXISTS)


def _compared(key: str, operator: str, value: str, text: str) -> Requirement:
    if operator in ("<", ">"):
        if not value.isdecimal():
            raise SelectorError(f"label selector {text!r}: {key}{operator} compares with a whole number, not {value!r}")
        return Requirement(key=key, operator=Operator(operator), values=frozenset({value}))
    negated = operator == "!="
    return Requirement(key=key, operator=Operator.NOT_IN if negated else Operator.IN, values=frozenset({value}))


def _field_requirement(part: str, text: str) -> FieldRequirement:
    found = _FIELD.fullmatch(part)
    if found is None:
        raise SelectorError(f"field selector {text!r}: {part!r} is not PATH=VALUE or PATH!=VALUE")
    return FieldRequirement(path=found["path"], value=found["value"], equal=found["operator"] != "!=")


def _key(text: str, selector: str) -> str:
    if not _KEY.fullmatch(text):
        raise SelectorError(
            f"label selector {selector!r}: {text!r} is not a label's name; write KEY=VALUE, KEY!=VALUE, "
            "KEY in (A,B), KEY notin (A,B), KEY or !KEY, with commas between"
        )
    return text


def _value(text: str, selector: str) -> str:
    if not _VALUE.fullmatch(text):
        raise SelectorError(
            f"label selector {selector!r}: {text!r} is not a label's value (at most 63 letters, digits, '-', '_', '.')"
        )
    return text
