"""The way into the grammar: a line of text becomes a command, or a template of one."""

from collections.abc import Sequence

from kintsugi.commands.line import read
from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.template import Template, template
from kintsugi.commands.words import Words, split
from kintsugi.expressions import Scope
from kintsugi.model.command import Command


def parse(line: str, *, namespace: str = "") -> Command:
    """Parse a command without holes; `namespace` is where it runs without -n. Raises CommandError."""
    return _without_values(line, split(line), namespace)


def parse_argv(argv: Sequence[str], *, namespace: str = "") -> Command:
    """Parse a command whose words are apart already: nothing in them is syntax. Raises CommandError."""
    if not argv:
        raise CommandProblem("the command is empty")
    return _without_values(" ".join(argv), Words(texts=tuple(argv), holes=()), namespace)


def parse_template(line: str, scope: Scope, *, waits: float = 1.0, vouched: frozenset[str] = frozenset()) -> Template:
    """
    Parse a command with `${…}` holes, as a runbook has it, in the scope of its step.

    `waits` scales how long it waits (`--timeout`); `vouched` are functions that its SQL may call besides those that all
    may. Raises CommandProblem or ExpressionProblem; their offsets count from the start of the line.
    """
    words = split(line)
    return template(words, read(words), scope, source=line, waits=waits, vouched=vouched)


def _without_values(line: str, words: Words, namespace: str) -> Command:
    if words.holes:
        raise CommandProblem("there are no values to put in here", offset=words.holes[0].offset)
    return template(words, read(words), Scope(names={}), source=line).bind({}, namespace=namespace)
