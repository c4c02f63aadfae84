"""The guides for authors tell the truth: every example loads, every table is that of the code, and the schemas name every key."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kintsugi.catalog import Source, load_sources, read_sources, schema, schemas, shipped_paths
from kintsugi.catalog.schema import ACTIONS, StepShape
from kintsugi.commands import argv, parse, parse_argv, rows, verb_of
from kintsugi.commands.command_spec import CommandSpec
from kintsugi.expressions import computed_fields
from kintsugi.scope.types import PARAMETERS
from tests.unit.project.guides import metrics, reference, rights

DOCS = Path(__file__).parents[3] / "docs"
GUIDES = [DOCS / "rules.md", DOCS / "runbooks.md", DOCS / "answers.md"]
_NAME = re.compile(r"kind: (\w+)\nmetadata: \{name: ([-a-z]+)\}")


def examples(guide: Path) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", guide.read_text(), re.DOTALL)


def beside(example: str) -> list[Source]:
    """The shipped documents, without the one that an example writes anew."""
    found = _NAME.search(example)
    assert found, example
    named = f"kind: {found[1]}\nmetadata: {{name: {found[2]}}}"
    return [
        Source(
            name=source.name,
            content="---\n".join(part for part in source.content.decode().split("---\n") if named not in part).encode(),
        )
        for source in read_sources(shipped_paths())
    ]


CASES = [
    pytest.param(text, id=f"{guide.name}-{number}") for guide in GUIDES for number, text in enumerate(examples(guide))
]


@pytest.mark.parametrize("example", CASES)
def test_an_example_of_the_guides_loads(example: str) -> None:
    catalog = load_sources([*beside(example), Source(name="example", content=example.encode())])
    assert any(
        each.place.file == "example"
        for group in (catalog.services, catalog.rules, catalog.runbooks, catalog.patterns)
        for each in group.values()
    )


def test_the_table_of_commands_is_that_of_the_grammar() -> None:
    assert reference() in (DOCS / "runbooks.md").read_text()


def test_the_table_of_metrics_is_that_of_the_daemon() -> None:
    assert metrics() in (DOCS / "metrics.md").read_text()


def test_the_table_of_rights_is_that_of_the_verbs() -> None:
    assert rights() in (DOCS / "runbooks.md").read_text()


@pytest.mark.parametrize("spec", rows(), ids=lambda spec: spec.verb)
def test_the_example_of_each_verb_is_a_command_of_it(spec: CommandSpec) -> None:
    """Its words are that command again, and the schema of a step shows it."""
    command = parse(spec.example, namespace="production")
    assert verb_of(command) == spec.verb
    assert parse_argv(argv(command)) == command
    assert spec.example in schema()["$defs"]["StepShape"]["properties"]["run"]["examples"]  # type: ignore[index]


def test_the_page_on_adding_a_verb_quotes_the_one_that_was_added() -> None:
    """What stands in it as Python stands in the modules of `kubectl drain` and its evictions, line by line."""
    verbs = DOCS.parent / "daemon" / "kintsugi" / "verbs"
    module = "".join((verbs / name).read_text() for name in ("drain.py", "evict.py"))
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / "adding-a-verb.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    for piece in (piece.strip("\n") for block in blocks for piece in block.split("    …\n")):
        assert piece in module, piece


def test_the_table_of_computed_fields_is_complete() -> None:
    text = (DOCS / "rules.md").read_text()
    for each in computed_fields():
        kind = each.of.__name__.removeprefix("Kube")
        assert f"| `{each.name}` | {kind} | {each.type} | {each.meaning} |\n" in text


def test_every_key_of_a_step_and_every_type_is_explained() -> None:
    text = (DOCS / "runbooks.md").read_text()
    keys = {field.alias or name for name, field in StepShape.model_fields.items()}
    for key in (keys | set(ACTIONS)) - {"id", "name"}:
        assert f"`{key}`" in text or f"`{key}:" in text, key
    for word in PARAMETERS:
        assert f"`{word}`" in text, word


def taken_apart(made: Mapping[str, object]) -> dict[str, Any]:
    """Return a schema whose shape the test knows."""
    return dict(made)


def test_every_kind_has_a_schema() -> None:
    assert set(schemas()) == {"Service", "Rule", "RuleTemplate", "Runbook", "Patterns", "NoticeRoute"}
    for kind, found in schemas().items():
        assert taken_apart(found)["properties"]["kind"]["const"] == kind


def test_keys_stand_as_they_are_written() -> None:
    step = taken_apart(schemas()["Runbook"])["$defs"]["StepShape"]
    assert {"for", "forEach", "within", "run", "parallel"} <= set(step["properties"])
    assert "hold" not in step["properties"]
    assert step["additionalProperties"] is False


def test_the_whole_schema_tells_the_kinds_apart() -> None:
    assert taken_apart(schema())["discriminator"]["propertyName"] == "kind"
