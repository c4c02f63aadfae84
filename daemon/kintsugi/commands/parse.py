"""Parses a line of text into a command, or into a template of one."""

from collections.abc import Sequence

from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.line import read
from kintsugi.commands.template import ParsedTemplate, template
from kintsugi.commands.tokens import Tokens, split
from kintsugi.expressions import Scope
from kintsugi.model.command import Command


def parse(line: str, *, namespace: str = "") -> Command:
    """Parse a command without holes; `namespace` is where it runs without -n. Raises CommandError."""
    return _without_values(line, split(line), namespace)


def parse_argv(argv: Sequence[str], *, namespace: str = "") -> Command:
    """Parse a command whose words are apart already: nothing in them is syntax. Raises CommandError."""
    if not argv:
        raise CommandProblem("the command is empty")
    return _without_values(" ".join(argv), Tokens(texts=tuple(argv), placeholders=()), namespace)


def parse_template(
    line: str, scope: Scope, *, waits: float = 1.0, allowed_functions: frozenset[str] = frozenset()
) -> ParsedTemplate:
    """
    Parse a command with `${…}` holes, as a runbook has it, in the scope of its step.

    `waits` scales how long it waits (`--timeout`); `allowed_functions` are functions that its SQL may call besides those that all
    may. Raises CommandProblem or ExpressionProblem; their offsets count from the start of the line.
    """
    tokens = split(line)
    return template(tokens, read(tokens), scope, source=line, waits=waits, allowed_functions=allowed_functions)


def _without_values(line: str, tokens: Tokens, namespace: str) -> Command:
    if tokens.placeholders:
        raise CommandProblem("there are no values to put in here", offset=tokens.placeholders[0].offset)
    return template(tokens, read(tokens), Scope(names={}), source=line).bind({}, namespace=namespace)
