"""
Column types that mean the same on SQLite and on PostgreSQL.

Values go in and come out as the model has them: cleaned text, aware UTC times, enums, mappings, small frozen records.
An unreadable value comes out as `Unreadable`, so that one value never fails a query: `rows` handles its row.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from sqlalchemy import TIMESTAMP, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine
from typing_extensions import override

from kintsugi.ledger.store.texts import clean, dump, dump_labels, for_people, load, load_labels

T = TypeVar("T")

_WRONG = (ValueError, TypeError, OverflowError, RecursionError, msgspec.ValidationError)
"""The errors of reading a value that this version cannot understand: no JSON, no member, no time, another shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """The value of a column that cannot be read: `raw` as the database has it, and the reason."""

    raw: object
    why: str


class TextColumn(TypeDecorator[str]):
    """Text that may come from outside: stored without NUL and lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Clean the text."""
        return None if value is None else clean(value)


class RedactedText(TextColumn):
    """Text for people that may quote what a stranger wrote: stored without secrets, and in lines of our own."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Mask what is secret, and leave no line break of a stranger."""
        return None if value is None else str(for_people(value))


class TolerantColumn(TypeDecorator[T]):
    """A column whose values may be unreadable."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read a value; `Unreadable` where that cannot be done, and None for NULL."""
        try:
            return None if value is None else self.read(value)
        except _WRONG as error:
            return Unreadable(raw=value, why=f"{error}" or type(error).__name__)

    @abstractmethod
    def read(self, value: Any) -> T:
        """Read what the database gave. Raises one of `_WRONG`."""


class Moment(TolerantColumn[datetime]):
    """
    An aware time to the microsecond: TIMESTAMPTZ on PostgreSQL, ISO 8601 of fixed width on SQLite.

    The text form sorts as time does, and both can be read by a person with a database client.
    """

    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
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

    def read(self, value: Any) -> datetime:
        """Return the time in UTC."""
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return moment.astimezone(UTC)


class Choice(TolerantColumn[StrEnum]):
    """A member of one enum, stored as its value."""

    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        super().__init__()
        self.members = members

    @override
    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else value.value

    @override
    def read(self, value: str) -> StrEnum:
        return self.members(value)


class Json(TolerantColumn[object]):
    """
    A JSON value as text, on both databases alike.

    Text rather than JSONB: the ledger never searches inside, and what was written comes back to the byte. `kind` is what
    the value as a whole must be.
    """

    cache_ok = True

    def __init__(self, kind: type[object] = object) -> None:
        super().__init__()
        self.kind = kind

    @override
    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else dump(value)

    @override
    def read(self, value: str) -> object:
        found = load(value)
        if not isinstance(found, self.kind):
            raise TypeError(f"a {type(found).__name__} where a {self.kind.__name__} must be")
        return found


class Labels(TolerantColumn[Mapping[str, str]]):
    """Labels and annotations: names and texts of anybody's, stored without secrets."""

    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, dialect: Dialect) -> str | None:
        """Write them as JSON, without secrets."""
        return None if value is None else dump_labels(value)

    def read(self, value: str) -> Mapping[str, str]:
        """Return them as they were stored."""
        return load_labels(value)


class Packed(TolerantColumn[object]):
    """A small frozen record of the model, kept as one JSON value."""

    cache_ok = True

    def __init__(self, record: type[object]) -> None:
        super().__init__()
        self.record = record

    @override
    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else dump(value)

    @override
    def read(self, value: str) -> object:
        return msgspec.convert(load(value), self.record)
