"""The JSON Schemas name every key of the format, so that an editor can help."""

from collections.abc import Mapping
from typing import Any

from kintsugi.catalog import schema, schemas


def taken_apart(made: Mapping[str, object]) -> dict[str, Any]:
    """Return a schema whose shape the test knows."""
    return dict(made)


def test_every_kind_has_a_schema() -> None:
    assert set(schemas()) == {"Service", "Rule", "RuleTemplate", "Runbook", "Patterns"}
    for kind, found in schemas().items():
        assert taken_apart(found)["properties"]["kind"]["const"] == kind


def test_keys_stand_as_they_are_written() -> None:
    step = taken_apart(schemas()["Runbook"])["$defs"]["StepShape"]
    assert {"for", "forEach", "within", "run", "parallel"} <= set(step["properties"])
    assert "hold" not in step["properties"]
    assert step["additionalProperties"] is False


def test_the_whole_schema_tells_the_kinds_apart() -> None:
    assert taken_apart(schema())["discriminator"]["propertyName"] == "kind"
