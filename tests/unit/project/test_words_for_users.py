"""The rules that CONTRIBUTING.md has for words that users read: sentences are short, and have a subject and a standard verb."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.project.tree import pages

LONGEST = 25
LOOSE = re.compile(
    r"\b(nobody|whoever|whatever|(?:is|are) none|nor|mend(?:s|ed|ing)?|(?:says?|said) nothing|told|tells?|a look|looks? at|looked at|goes by)\b",
    re.IGNORECASE,
)
"""Words for which the second and the third rule have a standard verb or an outcome."""
NO_SUBJECT = re.compile(r"^(What|Who|Whoever|Whatever|Which|Whose)\b[^?]*\.$")
"""A sentence, not a heading and not a question, whose subject is a clause."""
QUOTES_THEM = ("CONTRIBUTING.md", "glossary.md")
"""The pages that name the words which the others have not."""

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
        yield from filter(None, (" ".join(each.split()) for each in _END.split(_MARKUP.sub("", block))))


def wrong_in(text: str, *, quotes: bool = False) -> list[str]:
    """Return the sentences of a text that are too long or, unless it quotes such, have a loose word or no subject."""
    long = [each for each in sentences(text) if sum(1 for word in each.split() if re.search(r"\w", word)) > LONGEST]
    return long + [each for each in sentences(text) if not quotes and (LOOSE.search(each) or NO_SUBJECT.search(each))]


@pytest.mark.parametrize(
    "text",
    ["Kintsugi checks the pod. " + "one " * 26 + "end.", "Then a person is told.", "What is held is evaluated later."],
)
def test_a_sentence_that_breaks_a_rule_is_found(text: str) -> None:
    kept = (
        "# What it does\n\nKintsugi checks `the tells of nobody`. Who decides?\n\n```\nnobody\n```\n- The run ends.\n"
    )
    assert len(wrong_in(kept + text)) == 1


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_pages_keep_the_rules(page: Path) -> None:
    assert wrong_in(page.read_text(), quotes=page.name in QUOTES_THEM) == []
