"""
Rewrites files of documents with even indentation.

Comments, quotes, folded texts and the order of keys stay as they are. The result is read again and compared: a file
whose meaning would change is refused.
"""

import io
from collections.abc import Mapping, Sequence

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kintsugi.catalog.library import Source
from kintsugi.catalog.problems import CatalogErrors, Problem
from kintsugi.catalog.source import Document, documents

_NO_LIMIT = 1_000_000
"""Lines are broken where their author broke them."""


def rewrite(sources: Sequence[Source]) -> Mapping[str, str]:
    """
    Return the files that would be written differently, each with its new text.

    Raises CatalogErrors with what cannot be read, and what cannot be written without another meaning.
    """
    read = [documents(source.content, source.name) for source in sources]
    if problems := [problem for _, found in read for problem in found]:
        raise CatalogErrors(problems)
    written = {source: _rewritten(source, before) for source, (before, _) in zip(sources, read, strict=True)}
    return {source.name: text for source, text in written.items() if text.encode() != source.content}


def _rewritten(source: Source, before: Sequence[Document]) -> str:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _NO_LIMIT
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    try:
        yaml.dump_all(yaml.load_all(source.content.decode()), stream)
    except (YAMLError, ValueError) as error:
        raise CatalogErrors([Problem(file=source.name, message=f"it cannot be rewritten: {error}")]) from error
    written = stream.getvalue()
    read, problems = documents(written.encode(), source.name)
    if problems or [each.value for each in read] != [each.value for each in before]:
        refused = "rewriting would change its meaning: rewrite it by hand"
        raise CatalogErrors([Problem(file=source.name, message=refused)])
    return written
