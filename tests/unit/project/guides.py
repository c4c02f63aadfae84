"""
Writes tables into the pages, and the forms of programs into the admission policy: `make docs`.

The tables of verbs and of programs stand in docs/runbooks.md, that of repairs in docs/reliability.md, that of metrics in
docs/metrics.md.
"""

from prometheus_client.metrics import MetricWrapperBase

from kintsugi.commands.programs import ABOVE, HIDDEN, PROGRAMS, SCRIPT, UNSAID
from kintsugi.commands.registry import definitions_by_verb
from kintsugi.commands.template import parse_template
from kintsugi.commands.verb_definition import VerbDefinition
from kintsugi.expressions import Scope
from kintsugi.model.command import Command
from kintsugi.telemetry import Metrics
from tests.unit.project.tree import ROOT
from tests.unit.runner import test_seen_workload as repairs

_ESCAPED_BAR = "\\|"


def reference() -> str:
    """Write the table in Markdown, one row a command, with the names that its example gives."""
    lines = [_line(verb) for verb in definitions_by_verb().values()]
    return "\n".join(["| command | changes | names afterwards | example |", "|---|---|---|---|", *lines]) + "\n"


def programs() -> str:
    """Write the programs that are run in containers, in Markdown."""
    lines = [f"| `{name}` | `{each.usage.replace('|', _ESCAPED_BAR)}` |" for name, each in PROGRAMS.items()]
    return "\n".join(["| program | how it is written |", "|---|---|", *lines]) + "\n"


def policy() -> str:
    """Write the variables of the admission policy that bound the words of those programs, in YAML."""
    forms = ",\n".join(f"        '{name}': r'{each.form}'" for name, each in PROGRAMS.items() if name != "psql")
    walking = [name for name, each in PROGRAMS.items() if each.recursive]
    return f"""\
{POLICY}
      expression: >-
        {{
{forms}
        }}
    - name: program                         # its name among them: scripts of Kafka have a folder and an ending
      expression: >-
        size(variables.words) <= variables.at ? '' : !variables.words[variables.at].matches(r'^{SCRIPT}$') ?
        variables.words[variables.at] : variables.words[variables.at].substring(
        variables.words[variables.at].lastIndexOf('/') + 1).replace('.sh', '')
    - name: hidden                          # Secrets, processes and devices, and the settings of Redis that are passwords
      expression: >-
        r'^(?:{HIDDEN}|{UNSAID})$'
    - name: above                           # the folders above them, for the programs that go through folders
      expression: >-
        size(variables.words) > variables.at && variables.words[variables.at] in {walking} ? r'^{ABOVE}$' : '^$'
"""


def rights() -> str:
    """Write what each verb needs in the cluster besides reading, in Markdown; of verbs that are about any kind nothing is said."""
    needed: dict[str, list[str]] = {}
    for words, verb in definitions_by_verb().items():
        if verb.rules:
            needed.setdefault(", ".join(f"`{rule}`" for rule in verb.rules), []).append(f"`{words}`")
    lines = [f"| {', '.join(verbs)} | {rules} |" for rules, verbs in needed.items()]
    return "\n".join(["| command | rights |", "|---|---|", *lines]) + "\n"


def metrics() -> str:
    """Write the daemon's metrics in Markdown, by name."""
    lines = []
    for each in (each for each in vars(Metrics()).values() if isinstance(each, MetricWrapperBase)):
        [found] = each.describe()
        name = found.name + {"counter": "_total", "info": "_info"}.get(found.type, "")
        labels = ", ".join(f"`{label}`" for label in each._labelnames)
        lines.append(f"| `{name}` | {found.type} | {labels} | {found.documentation} |")
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *sorted(lines)]) + "\n"


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


POLICY = "    - name: forms                           # the words of each program, which `make docs` writes here"
_END = "    - name: looks\n"
HEADS = {
    "| program | how it is written |\n": ("runbooks.md", programs),
    "| command | changes | names afterwards | example |\n": ("runbooks.md", reference),
    "| command | rights |\n": ("runbooks.md", rights),
    "| metric | type | labels | meaning |\n": ("metrics.md", metrics),
    repairs.HEAD: ("reliability.md", repairs.table),
}


def main() -> None:
    """Put each table in the place of the one that stands under its head."""
    for head, (name, table) in HEADS.items():
        path = ROOT / "docs" / name
        before, found, after = path.read_text(encoding="utf-8").partition(head)
        assert found, f"{path} has no table {head!r}"
        path.write_text(before + table() + after[after.index("\n\n") + 1 :], encoding="utf-8")
    path = ROOT / "docs" / "admission-policies.yaml"
    before, _, after = path.read_text(encoding="utf-8").partition(POLICY)
    assert _END in after, f"{path} has no variable of forms"
    path.write_text(before + policy() + _END + after.partition(_END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
