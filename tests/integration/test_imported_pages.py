"""An alert starts the runbook that was made of its page: looks run, a person is asked before the change and for the rest."""

from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE
from kintsugi_import.command import import_page
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged
from tests.integration.test_values_of_an_alert import deliver, pods

pytestmark = pytest.mark.long

PAGE = """\
# WebPodHangs

## Diagnosis

- Look at the pod: `kubectl -n $NAMESPACE describe pod $POD`
- Read its log: `kubectl -n $NAMESPACE logs $POD --tail=20 | grep ERROR`

## Mitigation

1. If it hangs, delete it: `kubectl -n $NAMESPACE delete pod $POD --force --grace-period=0`
2. Inform the owners of the service.
"""


async def asked(stage: ManualStage, incident: str, path: str) -> Json:
    """Wait until a step of an incident asks."""

    def question() -> Json | None:
        found = stage.daemon.incident(incident)["questions"]
        return next((each for each in found if each["path"] == path and each["answered"] is None), None)

    return await eventually(question, within=TIMEOUT, describe=stage.daemon.tail)


async def test_an_imported_page_looks_asks_before_its_change_and_leaves_the_rest_to_a_person(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    [imported] = import_page(page)
    async with staged(tmp_path, documents=imported.text) as stage:
        before = pods(stage)
        named = min(before)
        await stage.make_unready(named)
        await deliver(stage, alertname="WebPodHangs", pod=named)
        opened = await eventually(stage.daemon.incidents, within=TIMEOUT, describe=stage.daemon.tail)
        incident = opened[0]["id"]
        for path, answer in (
            ("section_2_mitigation/if_it_hangs_delete_it", "yes"),
            ("section_2_mitigation/inform_the_owners_of_the", "done"),
        ):
            question = await asked(stage, incident, path)
            if answer == "yes":
                assert "without --force" in question["text"]
                assert set(pods(stage)) == set(before), "nothing is changed without an answer"
            told = {"plan": question["plan"], "path": path, "answer": answer}
            status, given = await stage.post(f"/api/v1/incidents/{incident}/answer", told)
            assert status == 200, given
        await deliver(stage, status="resolved", alertname="WebPodHangs", pod=named)
        ended = await stage.ended(incident)
        (run,) = ended["runs"]
        assert ended["incident"]["state"] == "recovered", ended["incident"]
        assert named not in pods(stage)
        steps = {each["path"]: each for each in run["steps"]}
        look = steps["section_1_diagnosis/look_at_the_pod"]
        assert (look["state"], look["text"]) == ("done", f"kubectl describe pod {named} -n {NAMESPACE}")
