"""
The grammar of runbooks: text becomes typed commands, and typed commands become text.

`parse_template` reads a line of a runbook in the scope of its step, `ParsedTemplate.bind` puts the values in, `render` writes
what a person can paste, `encode` and `decode` carry a bound command through the ledger. Nothing is given to a shell.
"""

from kintsugi.commands.command_problem import CommandProblem
from kintsugi.commands.command_spec import CommandSpec, Flag
from kintsugi.commands.registry import by_verb, enable, rows
from kintsugi.commands.render import argv, decode, encode, render, verb_of
from kintsugi.commands.template import ParsedTemplate, parse, parse_argv, parse_template

__all__ = [
    "CommandProblem",
    "CommandSpec",
    "Flag",
    "ParsedTemplate",
    "argv",
    "by_verb",
    "decode",
    "enable",
    "encode",
    "parse",
    "parse_argv",
    "parse_template",
    "render",
    "rows",
    "verb_of",
]
