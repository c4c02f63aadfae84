"""`kintsugi recover` against a real daemon: approved by the yes, started once."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.harness.crash_points import KILL_AT
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged, told

pytestmark = pytest.mark.long


async def test_in_mode_approve_a_yes_is_the_approval_of_the_plan_and_nobody_is_asked_again(tmp_path: Path) -> None:
    """The run goes to its end; who and why stand in the incident, the run and each change."""
    async with staged(tmp_path, mode="approve") as stage:
        ended = await stage.kintsugi("recover", "renew", "--why", "the pods are old", "--yes", "-o", "json")
        assert ended.code == 0, ended
        begun = told(ended)
        found = await stage.ended(begun["incident"])
        assert found["incident"]["state"] == "recovered", found
        assert (found["incident"]["rule"], found["incident"]["mode"]) == ("manual", "approve")
        (approval,) = found["questions"]
        assert (approval["given"][0]["who"], approval["plan"]) == ("tester", begun["digest"])
        assert "the pods are old" in approval["text"]
        steps = {each["path"]: each for each in found["runs"][0]["steps"]}
        assert steps["@started"]["result"]["who"] == "tester"
        assert steps["restart#0"]["why"] == "started by tester: the pods are old (rule manual)"
        assert stage.restarts() == 1


@pytest.mark.parametrize(
    "point", ["before commit request-run 1", "after commit request-run 1", "after commit save-step restart#0 intent 1"]
)
async def test_killed_while_it_starts_the_command_asks_again_and_gets_one_run(tmp_path: Path, point: str) -> None:
    """C1, C2: before and after the claim is committed, and in the middle of its effect."""
    async with staged(tmp_path, **{KILL_AT: point}) as stage:
        command = asyncio.create_task(stage.kintsugi("recover", "renew", "--why", "old", "--yes", "-o", "json"))
        await asyncio.to_thread(stage.daemon.wait, within=60)
        stage.daemon.environment = {}
        await stage.restart()
        ended = await command
        assert ended.code == 0, f"{ended}\n{stage.daemon.tail()}"
        found = await stage.ended(told(ended)["incident"])
        assert found["incident"]["state"] == "recovered", found
        assert (len(stage.daemon.incidents()), stage.restarts()) == (1, 1)


EVERYTHING = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: everything}
spec:
  title: Everything, the cause first
  steps:
    - {id: api, name: The API, service: api, runbook: look}
    - {id: web, name: The web service, service: web, runbook: renew}
    - {id: well, expect: "services.all(s, s.healthy)", within: 20m}
  rollback: {after: 1h}
"""


async def test_a_runbook_about_all_services_is_started_by_hand_and_its_children_are_asked_about_once(
    tmp_path: Path,
) -> None:
    """In mode approve: the yes to the plan is the yes to the runs that it starts; they go on through a kill."""
    async with staged(tmp_path, mode="approve", documents=EVERYTHING) as stage:
        wanted = ("recover", "everything", "--service", "stack", "--why", "as agreed", "--yes", "-o", "json")
        ended = await stage.kintsugi(*wanted)
        assert ended.code == 0, ended
        assert ended.err.splitlines()[:3] == [
            "everything on all services together",
            "  The API: runbook look",
            "  The web service: runbook renew",
        ]
        begun = told(ended)
        await eventually(lambda: children(stage), within=TIMEOUT, describe=stage.daemon.tail)
        _, tree = stage.daemon.get("/api/v1/services")
        assert (tree["stack"]["incident"], tree["stack"]["run"]["runbook"]) == (begun["incident"], "everything"), tree
        shown = (await stage.kintsugi("services")).out.splitlines()[2]
        assert re.match(r"- +stack .*running everything: .*; deadline", shown), shown
        await asyncio.to_thread(stage.daemon.kill)
        await stage.restart()
        found = await stage.ended(begun["incident"])
        assert (found["incident"]["state"], found["incident"]["rule"]) == ("recovered", "manual"), found
        assert {each["name"]: [child["state"] for child in each["children"]] for each in found["covers"]} == {
            "api": ["no-action"],
            "web": ["recovered"],
        }
        story = (await stage.kintsugi("incident", begun["incident"], "--all")).out
        assert re.search(r"Covered services\n +api: healthy, serving\n +no-action look \(kintsugi incident inc-", story)
        runs = [stage.daemon.incident(each["id"]) for each in stage.daemon.incidents()]
        asked = {each["incident"]["service"]: len(each["questions"]) for each in runs}
        assert asked == {"stack": 1, "api": 0, "web": 0}
        assert stage.restarts() == 1


def children(stage: ManualStage) -> list[Json]:
    """Return the incidents of the runs that were started for one service."""
    return [each for each in stage.daemon.incidents() if each["service"] != "stack"]


REHEARSED = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: more-pods}
spec:
  title: Is there room for more pods?
  rehearsal: true
  service: web
  steps:
    - {id: scale, run: "kubectl scale ${service.workload} --replicas=5", expect: service.ready >= 5, within: 20m}
  rollback: {after: 1h}
"""


async def test_a_rehearsal_goes_on_after_a_kill_and_undoes_what_it_has_changed(tmp_path: Path) -> None:
    """P3, P8: killed when the outcome of its steps is known, and nothing is undone yet."""
    point = "after commit save-step @outcome done 1"
    async with staged(tmp_path, documents=REHEARSED, **{KILL_AT: point}) as stage:
        begun = await stage.begun("more-pods")
        await asyncio.to_thread(stage.daemon.wait, within=60)
        assert stage.replicas() == 5
        stage.daemon.environment = {}
        await stage.restart()
        found = await stage.ended(begun["incident"])
        assert (found["incident"]["kind"], found["incident"]["state"]) == ("rehearsal", "passed"), found
        assert stage.replicas() == 3
        again = await stage.kintsugi("rollback", begun["incident"], "--yes")
        assert "was a rehearsal, which has undone all its changes" in again.err, again
