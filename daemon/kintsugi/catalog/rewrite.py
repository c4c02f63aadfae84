"""
Rewrites files of documents: with even indentation, and on request in today's spelling.

Comments, quotes, folded texts and the order of keys stay as they are. The result is read again and compared: a file
whose meaning would change is refused.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import ScalarString

from kintsugi.catalog.library import Source
from kintsugi.catalog.load import deprecated_spellings
from kintsugi.catalog.problems import CatalogErrors, Problem
from kintsugi.catalog.respell import Respelling, respelled, respellings
from kintsugi.catalog.respell_text import Edit, RespelledText
from kintsugi.catalog.source import Document, Path, Plain, documents

_NO_LIMIT = 1_000_000
"""Lines are broken where their author broke them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """A file as it would be written: `text`, and how many words of it are spelled differently than before."""

    file: str
    text: str
    respelled: int = 0


@dataclass(kw_only=True, slots=True)
class _Upgrade:
    """The changes of one document; `texts` are its expressions, by their paths under today's keys."""

    document: Document
    words: Sequence[Respelling] = ()
    texts: Mapping[Path, RespelledText] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Return the number of words that change."""
        return len(self.words) + sum(len(each.edits) for each in self.texts.values())

    def wanted(self) -> Plain:
        """Return the document's expected value after the changes."""
        return _with_texts(self.document.value, (), self.texts)


def rewrite(sources: Sequence[Source], *, upgrade: bool) -> list[Rewritten]:
    """
    Write files anew; `upgrade` puts them into today's spelling, expressions too, as far as these files are one catalog.

    Raises CatalogErrors with what cannot be read, and what cannot be written without another meaning.
    """
    problems: list[Problem] = []
    found: list[list[_Upgrade]] = []
    for source in sources:
        read, wrong = documents(source.content, source.name)
        problems += wrong
        found.append([_upgrade(each) if upgrade else _Upgrade(document=each) for each in read])
    if problems:
        raise CatalogErrors(problems)
    if upgrade:
        everything = [each for file in found for each in file]
        for each, texts in zip(everything, deprecated_spellings(each.document for each in everything), strict=True):
            each.texts = texts
    return [_rewritten(source, upgrades) for source, upgrades in zip(sources, found, strict=True)]


def _upgrade(document: Document) -> _Upgrade:
    words = respellings(document)
    return _Upgrade(document=respelled(document, words), words=words)


def _rewritten(source: Source, upgrades: Sequence[_Upgrade]) -> Rewritten:
    text = source.content.decode()
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _NO_LIMIT
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        trees = list(yaml.load_all(text))
        for tree, upgrade in zip((each for each in trees if each is not None), upgrades, strict=True):
            _apply(tree, upgrade)
        stream = io.StringIO()
        yaml.dump_all(trees, stream)
    except (YAMLError, ValueError) as error:
        raise CatalogErrors([_refused(source.name, f"it cannot be rewritten: {error}")]) from error
    written = stream.getvalue()
    read, problems = documents(written.encode(), source.name)
    if problems or [each.value for each in read] != [each.wanted() for each in upgrades]:
        raise CatalogErrors([_refused(source.name, "rewriting would change its meaning: rewrite it by hand")])
    return Rewritten(file=source.name, text=written, respelled=sum(each.count for each in upgrades))


def _refused(file: str, message: str) -> Problem:
    return Problem(file=file, line=1, column=1, path="", message=message)


def _with_texts(part: Plain, path: Path, texts: Mapping[Path, RespelledText]) -> Plain:
    match part:
        case dict():
            return {key: _with_texts(inner, (*path, key), texts) for key, inner in part.items()}
        case list():
            return [_with_texts(inner, (*path, index), texts) for index, inner in enumerate(part)]
        case _:
            return texts[path].text if path in texts else part


def _apply(tree: Any, upgrade: _Upgrade) -> None:
    """Put other words in; the deepest first, so that the paths of the others stay right."""
    for change in sorted(upgrade.words, key=lambda each: (len(each.path), not each.is_key), reverse=True):
        around = _at(tree, change.path[:-1])
        last = change.path[-1]
        if change.is_key:
            _rename(around, str(last), change.new)
        elif around[last] == change.old:
            around[last] = _like(around[last], change.new)
    for path, text in upgrade.texts.items():
        around = _at(tree, path[:-1])
        if around[path[-1]] == text.written:
            around[path[-1]] = _like(around[path[-1]], text.text, text.edits)


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _like(value: Any, new: str, edits: Sequence[Edit] = ()) -> Any:
    """Return a text that is quoted, folded and commented as another one is."""
    if not isinstance(value, ScalarString):
        return new
    text: Any = type(value)(new)
    if hasattr(value, "fold_pos"):
        text.fold_pos = [
            fold + sum(len(each.new) - len(each.old) for each in edits if each.offset < fold) for fold in value.fold_pos
        ]
    if hasattr(value, "comment"):
        text.comment = value.comment
    return text


def _rename(around: Any, old: str, new: str) -> None:
    """Rename a key in its place, with its comments; a key that an alias shows twice is renamed once."""
    if old not in around:
        return
    comments: Mapping[str, object] = around.ca.items
    position, value, comment = list(around).index(old), around[old], comments.get(old)
    del around[old]
    around.insert(position, new, value)
    if comment is not None:
        around.ca.items[new] = comment
