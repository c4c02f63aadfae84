"""
Column types that mean the same on SQLite and on PostgreSQL.

Values go in and come out as the model has them: cleaned text, aware UTC times, enums, mappings, small frozen records.
"""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import TIMESTAMP, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from kintsugi.ledger.texts import clean, dump, load


class Words(TypeDecorator[str]):
    """Text that may come from outside: stored without NUL and lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean the text."""
        return None if value is None else clean(value)


class Moment(TypeDecorator[datetime]):
    """
    An aware time to the microsecond: TIMESTAMPTZ on PostgreSQL, ISO 8601 of fixed width on SQLite.

    The text form sorts as time does, and both can be read by a person with a database client.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the database."""
        return dialect.type_descriptor(TIMESTAMP(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Turn the time to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a naive time cannot be kept: {value.isoformat()} needs a time zone")
        if dialect.name == "postgresql":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give the time in UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromisoformat(value)


class Choice(TypeDecorator[StrEnum]):
    """A member of one enum, stored as its value."""

    impl = Text
    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        """Store the member's value."""
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        """Give the member back."""
        return None if value is None else self.members(value)


class Json(TypeDecorator[object]):
    """
    A JSON value as text, on both databases alike.

    Text rather than JSONB: the ledger never searches inside, and what was written comes back to the byte.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Write the value as JSON."""
        return None if value is None else dump(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """Read the value."""
        return None if value is None else load(value)


class Packed(TypeDecorator[object]):
    """A small frozen record of the model, kept as one JSON value."""

    impl = Text
    cache_ok = True

    def __init__(self, record: type[object]) -> None:
        super().__init__()
        self.record = record

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Write the record's fields."""
        if value is None or isinstance(value, type) or not is_dataclass(value):
            return None
        return dump(_fields(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """Build the record again."""
        return None if value is None else msgspec.convert(load(value), self.record)


def _fields(record: Any) -> Mapping[str, object]:
    return asdict(record)
