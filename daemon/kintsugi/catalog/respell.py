"""Documents in the earlier spelling: finds the earlier words, and returns the document in today's spelling."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from kintsugi.catalog.problems import Problem
from kintsugi.catalog.source import Document, Path, Plain
from kintsugi.catalog.spellings import BY_NAME, KEYS, PARTS, VALUES

HOW = "`kintsugi fmt --upgrade FILE` rewrites it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Respelling:
    """One word that is spelled differently now: a key (`is_key`), or the value at `path`; `path` is as it is written."""

    path: Path
    old: str
    new: str
    is_key: bool


def respellings(document: Document) -> list[Respelling]:
    """List what in a document has the earlier spelling; nothing of one that is no document."""
    value = document.value
    if not isinstance(value, dict) or not isinstance(kind := value.get("kind"), str):
        return []
    return list(_in_part(value.get("spec"), ("spec",), kind))


def _in_part(value: Plain, path: Path, part: str) -> Iterator[Respelling]:
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        at = (*path, key)
        new = KEYS.get(part, {}).get(key, key)
        if new != key:
            yield Respelling(path=at, old=key, new=new, is_key=True)
        word = VALUES.get((part, new), {}).get(inner) if isinstance(inner, str) else None
        if isinstance(inner, str) and word is not None:
            yield Respelling(path=at, old=inner, new=word, is_key=False)
        below = PARTS.get((part, new))
        if below is not None:
            for where, each in _parts(inner, at, by_name=(part, new) in BY_NAME):
                yield from _in_part(each, where, below)


def _parts(value: Plain, path: Path, *, by_name: bool) -> Iterator[tuple[Path, Plain]]:
    """Yield the parts under a key with their paths."""
    match value:
        case list():
            yield from (((*path, index), each) for index, each in enumerate(value))
        case dict() if by_name:
            for name, each in value.items():
                yield from _parts(each, (*path, name), by_name=False)
        case _:
            yield path, value


def problems_of_spelling(document: Document, found: Iterable[Respelling]) -> Iterator[Problem]:
    """Yield a problem for each word that is spelled differently now."""
    for each in found:
        what = "key" if each.is_key else "value"
        yield document.problem(
            each.path, f"the {what} `{each.old}` is written `{each.new}` now", suggestion=HOW, key=each.is_key
        )


def respelled(document: Document, found: Sequence[Respelling]) -> Document:
    """Return a document as it is written now; its places are those in the file."""
    if not found:
        return document
    keys = {each.path: each.new for each in found if each.is_key}
    values = {each.path: each.new for each in found if not each.is_key}

    def moved(path: Path) -> Path:
        return tuple(keys.get(path[: end + 1], part) for end, part in enumerate(path))

    def copy(part: Plain, path: Path) -> Plain:
        match part:
            case dict():
                return {keys.get((*path, key), key): copy(inner, (*path, key)) for key, inner in part.items()}
            case list():
                return [copy(inner, (*path, index)) for index, inner in enumerate(part)]
            case _:
                return values.get(path, part)

    return replace(
        document,
        value=copy(document.value, ()),
        keys={moved(path): span for path, span in document.keys.items()},
        values={moved(path): span for path, span in document.values.items()},
    )
