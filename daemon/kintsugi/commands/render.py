"""Renders a command back into words, and into text that a person can paste into a terminal."""

from kintsugi.commands.registry import definition_of
from kintsugi.model.command import Command


def render(command: Command) -> str:
    """Write a command as text for a terminal, quoted, with its namespace; `parse` gives the same command back, without uids."""
    return definition_of(command).text(command)


def verb_of(command: Command) -> str:
    """Return the words that start a command, "" for one that no line means."""
    spec = definition_of(command).spec
    return str(spec.verb) if spec is not None else ""


def argv(command: Command) -> list[str]:
    """Return a command's words; the manifest of what is created is its input, not one of them."""
    return definition_of(command).argv(command)
