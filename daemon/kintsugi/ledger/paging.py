"""Pages of a list that is sorted by several columns: each begins after a row, not at a number."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, literal, tuple_


def is_before(order: Sequence[Column[Any]], place: Sequence[object]) -> ColumnElement[bool]:
    """Compare rows with a position in their order, by all columns at once: both databases use an index on them for it."""
    values = [literal(value, type_=column.type) for column, value in zip(order, place, strict=True)]
    return tuple_(*order) < tuple_(*values)
