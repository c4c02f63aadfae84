"""What docs/install.md shows beside its commands, as far as no cluster is needed; tests/cluster/test_story_chart_page.py runs these."""

import re
from pathlib import Path

import pytest
import yaml

from kintsugi.cli import main
from kintsugi.settings import load
from tests.unit.project.test_documents import FENCE
from tests.unit.project.tree import ROOT

BLOCKS = FENCE.findall((ROOT / "docs" / "install.md").read_text())
FILES = {found[1]: text for _, text in BLOCKS if (found := re.match(r"# ([\w-]+\.ya?ml)\n", text))}
COMMANDS = "".join(text for language, text in BLOCKS if language == "sh")


def test_every_file_of_the_page_is_used_by_a_command_of_it() -> None:
    assert list(FILES) == ["services.yaml", "alertmanager.yml", "alertmanagerconfig.yaml", "people.yaml"]
    assert [name for name in FILES if name not in COMMANDS] == []


def test_the_services_of_the_page_are_valid_beside_what_is_shipped(tmp_path: Path) -> None:
    """What stands under `services` in the chart's values are Services without their heads."""
    for each in yaml.safe_load(FILES["services.yaml"])["services"]:
        head = {"apiVersion": "kintsugi.dev/v1alpha1", "kind": "Service", "metadata": {"name": each.pop("name")}}
        (tmp_path / "service.yaml").write_text(yaml.safe_dump({**head, "spec": each}))
        with pytest.raises(SystemExit) as left:
            main(["validate", str(tmp_path / "service.yaml")])
        assert left.value.code == 0


def test_readme_installs_what_the_page_installs() -> None:
    readme = (ROOT / "README.md").read_text()
    [installed] = re.findall(r"^helm install .*\\\n +(--set .*)$", readme, re.MULTILINE)
    assert installed in COMMANDS
    assert "(docs/install.md)" in readme


def test_notifications_are_set_as_the_page_says(tmp_path: Path) -> None:
    """What stands under `settings` in the chart's values is the settings file."""
    [values] = [yaml.safe_load(text) for _, text in BLOCKS if "notifications:" in text]
    folder = values["volumeMounts"][0]["mountPath"]
    assert values["settings"]["notifications"]["tokenFile"].startswith(f"{folder}/")
    told = values["settings"]["notifications"] | {"tokenFile": str(tmp_path / "token")}
    (tmp_path / "token").write_text(f"{'0' * 32}\n")
    file = tmp_path / "kintsugi.yaml"
    file.write_text(yaml.safe_dump({"server": {"insecureNoToken": True}, "notifications": told}))
    found = load(flags={}, environ={}, file=file).notifications
    assert (str(found.url), found.token_file) == ("https://chat.example.com/hooks/on-call", tmp_path / "token")
