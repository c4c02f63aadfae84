"""
Selectors in a person's commands and documents, and of objects: a SelectorError of `kubeobjects` becomes a UsageError here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kintsugi.errors import UsageError
from kubeobjects import selectors
from kubeobjects.metadata import LabelSelector
from kubeobjects.selectors import FieldSelector, Selector, SelectorError


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
    with _as_usage():
        return selectors.selector_of(selector)


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Return whether a selector of the API is met; an empty one is met by everything. Raises UsageError as `selector_of`."""
    with _as_usage():
        return selectors.selects(selector, labels)


@contextmanager
def _as_usage() -> Iterator[None]:
    try:
        yield
    except SelectorError as error:
        raise UsageError(str(error)) from error
