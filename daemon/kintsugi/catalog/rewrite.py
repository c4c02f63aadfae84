"""
Rewrites files of documents with even indentation.

Comments, quotes, folded texts and the order of keys stay as they are. The result is read again and compared: a file
whose meaning would change is refused.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kintsugi.catalog.library import Source
from kintsugi.catalog.problems import CatalogErrors, Problem
from kintsugi.catalog.source import Document, documents

_NO_LIMIT = 1_000_000
"""Lines are broken where their author broke them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewritten:
    """A file as it would be written."""

    file: str
    text: str


def rewrite(sources: Sequence[Source]) -> list[Rewritten]:
    """Write files anew. Raises CatalogErrors with what cannot be read, and what cannot be written without another meaning."""
    read = [documents(source.content, source.name) for source in sources]
    if problems := [problem for _, found in read for problem in found]:
        raise CatalogErrors(problems)
    return [_rewritten(source, before) for source, (before, _) in zip(sources, read, strict=True)]


def _rewritten(source: Source, before: Sequence[Document]) -> Rewritten:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _NO_LIMIT
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    try:
        yaml.dump_all(yaml.load_all(source.content.decode()), stream)
    except (YAMLError, ValueError) as error:
        raise CatalogErrors([_refused(source.name, f"it cannot be rewritten: {error}")]) from error
    written = stream.getvalue()
    read, problems = documents(written.encode(), source.name)
    if problems or [each.value for each in read] != [each.value for each in before]:
        raise CatalogErrors([_refused(source.name, "rewriting would change its meaning: rewrite it by hand")])
    return Rewritten(file=source.name, text=written)


def _refused(file: str, message: str) -> Problem:
    return Problem(file=file, line=1, column=1, path="", message=message)
