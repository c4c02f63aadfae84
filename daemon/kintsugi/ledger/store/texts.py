"""
Cleans foreign texts for storage, and encodes JSON values so that they come back unchanged.

PostgreSQL refuses NUL in text, and no encoder accepts a lone surrogate; both reach us inside alerts and pod logs. They
are replaced by U+FFFD on the way in, so that a strange character never costs an alert (A14).
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import orjson

from kintsugi.model.records import StepRecord, UndoRecord
from kintsugi.offload import searched
from kintsugi.telemetry import SECRETS
from kubeobjects.lines import Lines, line, lines

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_KEY = 512
"""Characters of an indexed key: a B-tree entry of PostgreSQL holds at most 2,704 bytes, and a character takes up to 4."""

_TIME, _DURATION, _BYTES, _INTEGER = "$kintsugi.time", "$kintsugi.duration", "$kintsugi.bytes", "$kintsugi.integer"
_MAP = "$kintsugi.map"
_OURS = "$kintsugi."
"""The prefix of a mark, the only key of its map: it names the value's type, or quotes a map that looks like a mark."""

_MARK = f'"{_OURS}'
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

_READ_AGAIN = frozenset(
    {"claim", "digest", "job", "mark", "name", "namespace", "run", "step", "template", "then", "uid", "volume"}
)
"""Facts that name an object, or hold commands (`then`): they are gone by after a restart, even where a password is a name."""


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


def for_people(text: str) -> str:
    """Return a text for people as it is kept: without secrets, and in one line unless `lines` has made it of several."""
    masked = SECRETS.text(text)
    return lines(map(line, masked.split("\n"))) if isinstance(text, Lines) else line(clean(masked))


def clean_key(key: str) -> str:
    """Clean a key and shorten a very long one to its beginning and a digest, so that it stays unique and indexable."""
    key = clean(key)
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 65]}:{hashlib.sha256(key.encode()).hexdigest()}"


def dump(value: object) -> str:
    """
    Write a value as JSON text.

    Times, durations, bytes and integers beyond 64 bits keep their type through `load`; tuples come back as lists, NaN
    and the infinities as null, NUL and lone surrogates as U+FFFD. A map that looks like a mark of these types is kept
    inside another mark, and comes back as the map. Raises TypeError for any other type, and for a value nested deeper
    than 254 levels.
    """
    try:
        text = _encoded(value)
    except TypeError:  # a lone surrogate, a key that is no string, or an integer beyond 64 bits
        return _encoded(_fit(value))
    return _encoded(_fit(value)) if "\\u0000" in text or _MARK in text else text


def load(text: str) -> object:
    """
    Read what `dump` wrote.

    Nothing that is JSON is refused: a mark that `dump` would not have written so (a stranger's in an old ledger, another
    version's) stays the map that it is. Raises ValueError for what is no JSON.
    """
    value: object = orjson.loads(text)
    return _restored(value) if _MARK in text else value


def dump_labels(labels: Mapping[str, str]) -> str:
    """Write labels or annotations as JSON: anybody's names and texts, none of which is a mark of ours, without secrets."""
    return _written(SECRETS.labels(labels))


def dump_labels_and_annotations(labels: Mapping[str, str], annotations: Mapping[str, str]) -> tuple[str, str, bool]:
    """
    Write both as `dump_labels` does, and say whether they are read back as they are: nothing was masked or cleaned.

    Where nothing in either is secret both are gone through at once.
    """
    if not SECRETS.may_hold_secret(labels, annotations):
        texts = _as_they_are(labels), _as_they_are(annotations)
        if all(texts):
            return *texts, True
    return dump_labels(labels), dump_labels(annotations), False


def _written(labels: Mapping[str, str]) -> str:
    return _as_they_are(labels) or _encoded({clean(name): clean(label) for name, label in labels.items()})


def _as_they_are(labels: Mapping[str, str]) -> str:
    """Write labels as JSON, "" for those that must be cleaned."""
    try:
        text = _encoded(labels)
    except TypeError:  # a lone surrogate
        return ""
    return "" if "\\u0000" in text else text


def load_labels(text: str) -> Mapping[str, str]:
    """Read what `dump_labels` wrote. Raises ValueError for anything but an object of texts."""
    labels = orjson.loads(text)
    if not isinstance(labels, dict) or not all(isinstance(label, str) for label in labels.values()):
        raise ValueError("not an object of texts")
    return labels


def _encoded(value: object) -> str:
    return orjson.dumps(value, _plain, _OPTIONS).decode()


def _plain(value: object) -> object:
    match value:
        case datetime() if value.tzinfo is not None:
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
            raise TypeError(f"a {type(value).__name__} cannot be kept in the ledger")  # a time without a zone, too


def _fit(value: object) -> object:
    """Clean every text, mark integers beyond 64 bits, and keep maps that look like marks inside one."""
    match value:
        case str():
            return clean(value)
        case int() if not isinstance(value, bool) and not _is_short(value):
            return {_INTEGER: str(value)}
        case Mapping():
            cleaned = {clean(str(name)): _fit(held) for name, held in value.items()}
            return {_MAP: cleaned} if _is_marker_shaped(cleaned) else cleaned
        case tuple() | list() | set() | frozenset():
            return [_fit(held) for held in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: _fit(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def _is_short(number: int) -> bool:
    return -(2**63) <= number < 2**64


def _is_marker_shaped(value: Mapping[str, object]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(_OURS)


def _restored(value: object) -> object:
    match value:
        case dict() if _is_marker_shaped(value):
            ((mark, held),) = value.items()
            return _unmarked(mark, held)
        case dict():
            return {name: _restored(held) for name, held in value.items()}
        case list():
            return [_restored(held) for held in value]
        case _:
            return value


def _unmarked(mark: str, held: object) -> object:
    """Return the value of a mark; a mark that `dump` does not write is a map, whose values may be marks."""
    match held:
        case str() if mark in _TYPES and (typed := _typed(mark, held)) is not None:
            return typed
        case dict() if mark == _MAP and _is_marker_shaped(held):
            return {name: _restored(inner) for name, inner in held.items()}
        case _:
            return {mark: _restored(held)}


def _typed(mark: str, text: str) -> object:
    """Read a typed value; None unless this very text is what `dump` writes for it."""
    try:
        value = _TYPES[mark](text)
        marked = _fit(value) if mark == _INTEGER else _plain(value)
    except (ValueError, OverflowError, TypeError):
        return None
    return value if marked == {mark: text} else None


_TYPES: Mapping[str, Callable[[str], object]] = {
    _TIME: datetime.fromisoformat,
    _DURATION: lambda text: timedelta(microseconds=int(text)),
    _BYTES: partial(base64.b64decode, validate=True),
    _INTEGER: int,
}


async def without_secrets(step: StepRecord) -> StepRecord:
    """
    Return a step in the form that is stored: texts, facts and result masked by place, shape and known values.

    Commands stay as they are, also those of an undo and those that complete a change: they are executed again after a
    restart. A change whose commands hold a secret is refused beforehand (`actions.command_secrets`).
    """
    return await searched(len(repr(step)), lambda: masked_step(step))


def masked_step(step: StepRecord) -> StepRecord:
    """Do what `without_secrets` does, for a step whose texts are short."""
    return replace(
        step,
        name=SECRETS.text(step.name),
        text=SECRETS.text(step.text),
        why=for_people(step.why),
        error=for_people(step.error),
        facts={**_masked_map(step.facts), **{key: step.facts[key] for key in _READ_AGAIN & step.facts.keys()}},
        result=None if step.result is None else _masked_map(step.result),
        undo=None if step.undo is None else _masked_undo(step.undo),
    )


def _masked_map(value: Mapping[str, object]) -> Mapping[str, object]:
    masked = SECRETS.value(value)
    assert isinstance(masked, dict), masked
    return masked


def _masked_undo(undo: UndoRecord) -> UndoRecord:
    return replace(undo, texts=tuple(SECRETS.text(text) for text in undo.texts), note=SECRETS.text(undo.note))
