"""The JSON Schemas name every key of the format, so that an editor can help."""

from kintsugi.catalog import schema, schemas


def test_there_is_a_schema_for_each_kind() -> None:
    assert set(schemas()) == {"Service", "Rule", "Runbook", "Patterns"}
    for kind, found in schemas().items():
        assert found["properties"]["kind"]["const"] == kind  # type: ignore[index]


def test_keys_stand_as_they_are_written() -> None:
    step = schemas()["Runbook"]["$defs"]["StepShape"]  # type: ignore[index]
    assert {"for", "for_each", "within", "run", "together"} <= set(step["properties"])
    assert "hold" not in step["properties"]
    assert step["additionalProperties"] is False


def test_one_schema_tells_the_kinds_apart() -> None:
    assert schema()["discriminator"]["propertyName"] == "kind"  # type: ignore[index]
