"""P9: a rule on alerts that nothing could ever start is told when the files are checked, and is no mistake."""

import json
from pathlib import Path

import pytest

from kintsugi.cli import main
from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded, runbook, said


def rule(*match: str, more: str = "") -> str:
    """Write a rule on alerts of the service web, which lives in production."""
    head = "apiVersion: kintsugi.dev/v1alpha1\nkind: Rule\nmetadata: {name: told}\nspec:\n  on: alert\n  service: web\n"
    return f"{head}{more}  matchers: [{', '.join(match)}]\n"


def warnings(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what `kintsugi validate` warns of, for one rule with its service and runbook."""
    for name, document in (("service", SERVICE), ("runbook", RUNBOOK), ("rule", text)):
        (folder / f"{name}.yaml").write_text(document)
    with pytest.raises(SystemExit) as done:
        main(["validate", "-o", "json", str(folder)])
    assert done.value.code in (0, None)
    found: list[str] = json.loads(capsys.readouterr().out)["warnings"]
    return found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (rule("alertname=Down", "namespace=staging"), "alerts of another namespace start nothing"),
        (rule("alertname=Down", 'namespace=""'), "write `namespace: any`"),
        (rule("alertname=Down", "pod=a", "pod=b"), "no alert has pod=a and pod=b"),
    ],
)
def test_a_rule_that_could_never_start_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, why: str
) -> None:
    found = warnings(tmp_path, text, capsys)
    assert len(found) == 1
    (warning,) = found
    assert "rule.yaml:3" in warning
    assert "rule told can never start" in warning
    assert why in warning


@pytest.mark.parametrize(
    "text",
    [
        rule("alertname=Down"),
        rule("alertname=Down", "namespace=production"),
        rule("alertname=Down", 'namespace=""', more="  namespace: any\n"),
        rule("alertname=Down", "shop=web"),
    ],
)
def test_a_rule_that_could_start_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert warnings(tmp_path, text, capsys) == []


def test_only_rules_on_alerts_say_where_alerts_may_come_from() -> None:
    text = (
        rule()
        .replace("on: alert", "on: pod\n  when: object.unhealthy\n  namespace: any")
        .replace("  matchers: []\n", "")
    )
    (problem,) = said(SERVICE, RUNBOOK, text)
    assert "`namespace: any` is for rules on alerts" in problem


@pytest.mark.parametrize("label", ["shop=web", "env=production", "team=payments"])
def test_no_label_is_a_name_of_a_service(label: str) -> None:
    """Alerts of other clusters have it, too: whose an alert without a namespace is, a rule's author says in so many words."""
    assert not loaded(SERVICE, RUNBOOK, rule("alertname=Down", label)).rules["told"].any_namespace


def test_a_rule_on_alerts_that_names_no_service_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about_all = rule("alertname=Down", more="  runbook: nodes\n").replace("  service: web\n", "")
    nodes = runbook("- {id: nodes, run: kubectl get nodes}", name="nodes")
    (warning,) = warnings(tmp_path, f"{about_all}---\n{nodes}", capsys)
    assert "rule told names no service: one of its alerts starts nodes for all services" in warning


def test_a_service_where_nothing_is_ever_changed_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dns = SERVICE.replace("name: web", "name: dns").replace("namespace: production", "namespace: kube-system")
    (warning,) = warnings(tmp_path, f"{rule('alertname=Down')}---\n{dns}", capsys)
    assert warning.startswith("service dns is in kube-system, a namespace of the cluster itself")
