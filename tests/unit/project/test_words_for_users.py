"""The rules that CONTRIBUTING.md has for words that users read: pages, help, and the descriptions of the API."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from kintsugi.cli import app
from tests.unit.project.prose import sentences, words
from tests.unit.project.tree import ROOT

LONGEST = 25
PHRASES = (
    "ended as told",
    "a service that does not answer is the answer",
    "cost no longer grows",
    "fourth death",
    "hung up on",
    "it knows why",
    "nobody could take back",
    "perhaps again",
    "a refusal with a time is provisional",
    "say yes to",
    "settled as not made",
    "what a person has said",
    "whole story",
)
LOOSE = re.compile(
    r"\b(nobody|whoever|whatever|(?:is|are) none|nor|mend(?:s|ed|ing)?|(?:says?|said) nothing|told|tells?|a look|looks? at|looked at|goes by)\b",
    re.IGNORECASE,
)
"""Words for which the second and the third rule have a standard verb or an outcome."""
NO_SUBJECT = re.compile(r"^(What|Who|Whoever|Whatever|Which|Whose)\b[^?]*\.$")
"""A sentence, not a heading and not a question, whose subject is a clause."""

PAGES = [
    *(ROOT / each for each in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "daemon").glob("*/README.md")),
]
QUOTES_THEM = ("CONTRIBUTING.md", "glossary.md")
"""The pages that name the words which the others have not."""


def helps() -> Iterator[str]:
    """Yield the help of the program and of each command."""
    for command in ("", *get_command(app).commands):  # type: ignore[attr-defined]
        yield CliRunner().invoke(app, [*([command] if command else []), "--help"]).output


def descriptions() -> Iterator[str]:
    """Yield each description and summary in the document of the API."""

    def of(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (value[key] for key in ("description", "summary") if isinstance(value.get(key), str))
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                yield from of(each)

    yield from of(json.loads((ROOT / "docs" / "openapi.json").read_text()))


def wrong_in(text: str) -> list[str]:
    """Return the sentences of a text that are too long, have a loose word, or a clause for their subject."""
    found = [each for each in sentences(text) if words(each) > LONGEST or LOOSE.search(each) or NO_SUBJECT.search(each)]
    plain = " ".join(text.lower().split())
    return [*found, *(each for each in PHRASES if each in plain)]


@pytest.mark.parametrize(
    "text",
    [
        "Kintsugi checks the pod. " + "one " * 26 + "end.",
        "Then a person is told.",
        "Nobody answers.",
        "What is held is evaluated later.",
        "It is hung up\non.",
    ],
)
def test_a_sentence_that_breaks_a_rule_is_found(text: str) -> None:
    assert len(wrong_in(text)) == 1


def test_a_sentence_that_keeps_the_rules_is_not_found() -> None:
    kept = (
        "# What it does\n\nKintsugi checks `the tells of nobody`. Who decides?\n\n```\nnobody\n```\n- The run ends.\n"
    )
    assert wrong_in(kept) == []


@pytest.mark.parametrize("page", [each for each in PAGES if each.name not in QUOTES_THEM], ids=lambda page: page.name)
def test_pages_keep_the_rules(page: Path) -> None:
    assert wrong_in(page.read_text()) == []


@pytest.mark.parametrize("page", [each for each in PAGES if each.name in QUOTES_THEM], ids=lambda page: page.name)
def test_pages_that_quote_loose_words_have_short_sentences(page: Path) -> None:
    assert [each for each in sentences(page.read_text()) if words(each) > LONGEST] == []


def test_the_help_of_commands_has_no_loose_word() -> None:
    shown = [" ".join(text.split()) for text in helps()]
    assert len(shown) > 15
    assert [found[0] for text in shown if (found := LOOSE.search(text))] == []


def test_the_descriptions_of_the_api_keep_the_rules() -> None:
    shown = list(descriptions())
    assert len(shown) > 100
    assert [each for each in shown if wrong_in(each)] == []
