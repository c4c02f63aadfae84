"""Each value of the chart is in its schema, and its alerts ask for metrics that there are."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from kintsugi.telemetry import Metrics
from tests.harness import helm
from tests.unit.project.tree import ROOT

CHART = ROOT / "helm" / "kintsugi"
VALUES = (CHART / "values.yaml").read_text()


def paths(values: Mapping[str, Any], schema: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Yield the values that are not in the schema, by their paths."""
    for name, value in values.items():
        known = schema.get("properties", {}).get(name)
        if known is None:
            yield f"{at}{name}"
        elif isinstance(value, dict) and "properties" in known:
            yield from paths(value, known, f"{at}{name}.")


def test_each_value_is_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert list(paths(yaml.safe_load(VALUES), schema)) == []
    assert set(yaml.safe_load(VALUES)) | {"global"} == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_schema_knows_each_setting_and_no_other() -> None:
    """A misspelt one is refused by helm; a daemon that refuses it has taken the place of one that worked."""
    assert helm.SCHEMA.read_text() == helm.schema(), "run `make docs`"
    assert "goodAfter" in helm.schema()


def test_each_alert_of_the_chart_has_a_section_that_it_can_link_to() -> None:
    text = (CHART / "templates" / "prometheusrule.yaml").read_text()
    alerts, links = re.findall(r"- alert: (\w+)", text), re.findall(r"runbook_url: .*#(\w+)\"", text)
    assert links == [each.lower() for each in alerts]
    assert re.findall(r"^### (\w+)", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE) == alerts


def test_each_metric_of_an_alert_is_one_that_the_daemon_has() -> None:
    text = (CHART / "templates" / "prometheusrule.yaml").read_text()
    asked = set(re.findall(r"\b(kintsugi_\w+)\{", text))
    exposition = Metrics().exposition().decode()
    assert asked
    assert asked - {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")} == set()
