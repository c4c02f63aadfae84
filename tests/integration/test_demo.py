"""The demonstration ends well with the shipped files, without a terminal, and badly when a rule is missing."""

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kintsugi.catalog.shipped import shipped_paths
from kintsugi.cli.demonstration import play
from kintsugi.cli.exits import Exit
from kintsugi.cli.showing import verdict
from kintsugi.model.records import IncidentState


@pytest.mark.timeout(150)
def test_every_scene_ends_as_it_should_without_a_terminal() -> None:
    """A crash loop and too few pods are healed, a bad version is rolled back; the outcomes come from the ledger."""
    ended = subprocess.run(
        [sys.executable, "-m", "kintsugi.cli", "demo", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "daemon"), "PATH": "/usr/bin:/bin"},
    )

    assert ended.returncode == Exit.DONE, ended.stdout + ended.stderr
    scenes = json.loads(ended.stdout)["scenes"]
    assert [scene["state"] for scene in scenes] == ["recovered", "recovered", "rolled-back"]
    assert "kubectl scale deployment web-app-deployment --replicas=5" in ended.stderr
    assert "kubectl rollout undo deployment/web-app-deployment --to-revision=1" in ended.stderr


async def test_without_its_rules_the_first_scene_does_not_end_and_the_demonstration_fails(tmp_path: Path) -> None:
    """Nothing but the daemon heals the faults: with the rules on the web service's pods removed, the pod crash-loops on."""
    catalog = tmp_path / "catalog"
    for folder in shipped_paths():
        shutil.copytree(folder, catalog / folder.name)
    file = catalog / "rules" / "web-service.yaml"
    documents = [each for each in yaml.safe_load_all(file.read_text()) if each["metadata"]["name"] not in REMOVED]
    file.write_text(yaml.safe_dump_all(restored(each) for each in documents))

    outcomes = await play(folder=tmp_path, catalog=catalog, say=print, patience=timedelta(seconds=8))

    assert [outcome.state for outcome in outcomes] == [None]
    assert outcomes[0].wanted is IncidentState.RECOVERED
    assert verdict(outcomes) is Exit.FINDINGS


REMOVED = {"web-pods-unhealthy", "web-too-few-ready"}


def restored(document: dict[str, object]) -> dict[str, object]:
    """Give the key `on` back, which YAML 1.1 reads as a truth value."""
    spec = document["spec"]
    assert isinstance(spec, dict)
    return {**document, "spec": {("on" if key is True else key): value for key, value in spec.items()}}
