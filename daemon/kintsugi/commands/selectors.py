"""
The selectors of objects: a SelectorError of `kubeobjects` becomes a UsageError here.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from kintsugi.errors import UsageError
from kubeobjects import selectors
from kubeobjects.metadata import LabelSelector
from kubeobjects.selectors import Selector, SelectorError


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
