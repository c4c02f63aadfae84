"""
The grammar of runbooks: text becomes typed commands, and typed commands become text.

`parse_template` reads a line of a runbook in the scope of its step, `Template.bind` puts the values in, `render` writes
what a person can paste, `encode` and `decode` carry a bound command through the ledger. Nothing is given to a shell.
"""

from kintsugi.commands.grammar import BY_VERB, ROWS
from kintsugi.commands.journal import decode, encode
from kintsugi.commands.parse import parse, parse_argv, parse_template
from kintsugi.commands.problem import CommandProblem
from kintsugi.commands.reference import reference
from kintsugi.commands.render import argv, render, verb_of
from kintsugi.commands.row import Flag, Row
from kintsugi.commands.template import Template
from kintsugi.durations import format_duration, parse_duration

__all__ = [
    "BY_VERB",
    "ROWS",
    "CommandProblem",
    "Flag",
    "Row",
    "Template",
    "argv",
    "decode",
    "encode",
    "format_duration",
    "parse",
    "parse_argv",
    "parse_duration",
    "parse_template",
    "reference",
    "render",
    "verb_of",
]
