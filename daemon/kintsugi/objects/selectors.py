"""
Selectors as the commands, the documents and the kept objects have them; `kubeobjects.selectors` reads and matches them.

An invalid selector is a mistake in a person's text: a SelectorError becomes a UsageError here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kintsugi.errors import UsageError
from kintsugi.objects.metadata import LabelRequirement, LabelSelector
from kubeobjects.selectors import FieldSelector, Operator, Requirement, Selector, SelectorError

_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.ABSENT,
}


def label_selector(text: str) -> Selector:
    """Parse kubectl's `-l` language. Raises UsageError for an empty selector or one that cannot be read."""
    with _as_usage():
        return Selector.parse(text)


def field_selector(text: str) -> FieldSelector:
    """Parse kubectl's `--field-selector`. Raises UsageError for an empty selector or one that cannot be read."""
    with _as_usage():
        return FieldSelector.parse(text)


def selector_of(selector: LabelSelector) -> Selector:
    """Read a workload's `spec.selector`. Raises UsageError when it is empty or has an unknown operator."""
    equalities = [
        Requirement(key=key, operator=Operator.IN, values=frozenset({value}))
        for key, value in selector.match_labels.items()
    ]
    with _as_usage():
        return Selector.of([*equalities, *map(_requirement, selector.match_expressions)])


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether a selector of the API is met; an empty one is met by everything."""
    empty = not selector.match_labels and not selector.match_expressions
    return empty or selector_of(selector).matches(labels)


def _requirement(requirement: LabelRequirement) -> Requirement:
    operator = _OPERATORS.get(requirement.operator)
    if operator is None:
        raise UsageError(
            f"unknown operator {requirement.operator!r} on label {requirement.key}: one of {[*_OPERATORS]}"
        )
    return Requirement(key=requirement.key, operator=operator, values=frozenset(requirement.values))


@contextmanager
def _as_usage() -> Iterator[None]:
    try:
        yield
    except SelectorError as error:
        raise UsageError(str(error)) from error
