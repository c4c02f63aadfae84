"""The sentences of a page, for the rules that CONTRIBUTING.md has for words that users read."""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_NO_PROSE = re.compile(r"^(\s*<.*|\s*!\[.*|\|[\s|:-]+)$", re.MULTILINE)
"""HTML, pictures, and the line below a table's head."""
_BLOCK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=#)|(?<=\n)(?=\|)|\s\|\s|^\|\s|\s\|$", re.MULTILINE)
"""Where no sentence goes on: a blank line, an item of a list, a heading, a cell of a table."""
_MARKUP = re.compile(r"^\s*(?:[-*]|\d+\.|#+) +|\*\*|(?<!\w)[*_]|[*_](?!\w)", re.MULTILINE)
_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)[)\"”*]*\s+(?=[A-Z`\"“(*\[])")


def sentences(page: str) -> Iterator[str]:
    """Yield each sentence of a page in Markdown, code spans and addresses as one word each, blocks of code left out."""
    text = _NO_PROSE.sub("", _FENCE.sub("\n\n", page))
    text = re.sub(r"`[^`]*`", lambda span: "`" + re.sub(r"\W+", "_", span[0].strip("`")) + "`", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for block in _BLOCK.split(text):
        for sentence in _END.split(_MARKUP.sub("", block)):
            plain = " ".join(sentence.split())
            if plain:
                yield plain


def words(sentence: str) -> int:
    """Return how many words a sentence has; what has no letter and no digit is none."""
    return sum(1 for word in sentence.split() if re.search(r"\w", word))
