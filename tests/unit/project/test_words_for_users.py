"""Phrases that were rewritten by the rules of CONTRIBUTING.md stand in no text for users any more."""

from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from kintsugi.cli import app
from tests.unit.project.tree import ROOT

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
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs" / "openapi.json",
]


def helps() -> Iterator[str]:
    """Yield the help of the program and of each command."""
    for command in ("", *get_command(app).commands):  # type: ignore[attr-defined]
        yield CliRunner().invoke(app, [*([command] if command else []), "--help"]).output


def found_in(text: str) -> list[str]:
    """Return the phrases that stand in a text, however its lines are broken."""
    plain = " ".join(text.lower().split())
    return [each for each in PHRASES if each in plain]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_have_no_phrase_that_was_rewritten(page: object) -> None:
    assert found_in(page.read_text()) == []  # type: ignore[attr-defined]


def test_the_help_of_commands_has_no_phrase_that_was_rewritten() -> None:
    shown = list(helps())
    assert len(shown) > 15
    assert [found for text in shown if (found := found_in(text))] == []
