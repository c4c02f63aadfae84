"""The grammar as a table for people: the usage of each command, and its result names."""

from kintsugi.commands.parse import parse_template
from kintsugi.commands.registry import definitions_by_verb
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.expressions import Scope
from kintsugi.model.command import Command

_ESCAPED_BAR = "\\|"


def reference() -> str:
    """Write the table in Markdown, one row a command, with the names that its example gives."""
    lines = [_line(verb) for verb in definitions_by_verb().values()]
    return "\n".join(["| command | changes | names afterwards | example |", "|---|---|---|---|", *lines]) + "\n"


def rights() -> str:
    """Write what each verb needs in the cluster besides reading, in Markdown; of verbs that are about any kind nothing is said."""
    needed: dict[str, list[str]] = {}
    for words, verb in definitions_by_verb().items():
        if verb.rules:
            needed.setdefault(", ".join(f"`{rule}`" for rule in verb.rules), []).append(f"`{words}`")
    lines = [f"| {', '.join(verbs)} | {rules} |" for rules, verbs in needed.items()]
    return "\n".join(["| command | rights |", "|---|---|", *lines]) + "\n"


def _line(verb: VerbDefinition[Command]) -> str:
    spec = verb.spec
    assert spec is not None, "every verb of the table has a row"
    names = parse_template(spec.example, Scope(names={})).columns()
    cells = (
        f"`{spec.usage}`",
        "yes" if spec.changes else "if it sends" if verb.sometimes_sends else "",
        ", ".join(f"`{name}`" for name in names),
        f"`{spec.example}`",
    )
    return f"| {' | '.join(cell.replace('|', _ESCAPED_BAR) for cell in cells)} |"
