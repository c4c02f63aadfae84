"""The alerts of the chart ask for metrics that there are."""

import re

from kintsugi.telemetry import Metrics
from tests.unit.project.tree import ROOT


def test_each_metric_of_an_alert_is_one_that_the_daemon_has() -> None:
    text = (ROOT / "helm" / "kintsugi" / "templates" / "prometheusrule.yaml").read_text()
    asked = set(re.findall(r"\b(kintsugi_\w+)\{", text))
    exposition = Metrics().exposition().decode()
    assert asked
    assert asked - {line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")} == set()
