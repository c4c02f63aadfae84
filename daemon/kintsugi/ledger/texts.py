"""
Make what comes from outside fit to be stored, and JSON values come back as they went in.

PostgreSQL refuses NUL in text, and no encoder accepts a lone surrogate; both reach us inside alerts and pod logs. They
are replaced by U+FFFD on the way in, so that a strange character never costs an alert (A14).
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_KEY = 512
"""Characters of an indexed key: a B-tree entry of PostgreSQL holds at most 2,704 bytes, and a character takes up to 4."""

_TIME, _DURATION, _BYTES, _INTEGER = "$kintsugi.time", "$kintsugi.duration", "$kintsugi.bytes", "$kintsugi.integer"
_MARK = '"$kintsugi.'
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def clean(text: str) -> str:
    """Replace NUL and lone surrogates; all other text is given back as it is."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean_key(key: str) -> str:
    """Clean a key and shorten a very long one to its beginning and a digest, so that it stays unique and indexable."""
    key = clean(key)
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 65]}:{hashlib.sha256(key.encode()).hexdigest()}"


def dump(value: object) -> str:
    """
    Write a value as JSON text.

    Times, durations, bytes and integers beyond 64 bits keep their type through `load`; tuples come back as lists,
    NaN and the infinities as null.
    """
    try:
        text = orjson.dumps(value, _plain, _OPTIONS).decode()
    except TypeError:  # a lone surrogate, a key that is no string, or an integer beyond 64 bits
        return orjson.dumps(_cleaned(value), _plain, _OPTIONS).decode()
    if "\\u0000" in text:
        return orjson.dumps(_cleaned(value), _plain, _OPTIONS).decode()
    return text


def load(text: str) -> object:
    """Read what `dump` wrote."""
    value: object = orjson.loads(text)
    return _restored(value) if _MARK in text else value


def _plain(value: object) -> object:
    match value:
        case datetime():
            return {_TIME: value.isoformat()}
        case timedelta():
            return {_DURATION: str(value // timedelta(microseconds=1))}
        case bytes():
            return {_BYTES: base64.b64encode(value).decode()}
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case Mapping():
            return dict(value)
        case tuple() | list() | set() | frozenset():
            return list(value)
        case _:
            raise TypeError(f"a {type(value).__name__} cannot be kept in the ledger")


def _cleaned(value: object) -> object:
    match value:
        case str():
            return clean(value)
        case int() if not isinstance(value, bool) and not -(2**63) <= value < 2**64:
            return {_INTEGER: str(value)}
        case Mapping():
            return {clean(str(name)): _cleaned(held) for name, held in value.items()}
        case tuple() | list() | set() | frozenset():
            return [_cleaned(held) for held in value]
        case _:
            return value


def _restored(value: object) -> object:
    match value:
        case {"$kintsugi.time": str(text), **rest} if not rest:
            return datetime.fromisoformat(text)
        case {"$kintsugi.duration": str(text), **rest} if not rest:
            return timedelta(microseconds=int(text))
        case {"$kintsugi.bytes": str(text), **rest} if not rest:
            return base64.b64decode(text)
        case {"$kintsugi.integer": str(text), **rest} if not rest:
            return int(text)
        case dict():
            return {name: _restored(held) for name, held in value.items()}
        case list():
            return [_restored(held) for held in value]
        case _:
            return value
