"""`kintsugi recover` against a real daemon: shown, approved by the yes, refused with its reason, started once."""

import asyncio
import re
from pathlib import Path

import pytest

from kintsugi_demo.shop import WEB
from tests.harness.crash_points import KILL_AT
from tests.harness.daemon import TOKEN
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, Json, ManualStage, staged, told

pytestmark = pytest.mark.long

LONG_COOLDOWN = """
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {name: web-down}
spec: {on: services, service: web, when: "service.desired < 0", mode: observe, cooldown: 24h}
"""
"""A rule whose cooldown outlasts what a test does."""


async def test_in_mode_observe_the_plan_is_shown_and_nothing_is_started(tmp_path: Path) -> None:
    """P6: exit code 4 says that it is only shown."""
    async with staged(tmp_path, mode="observe") as stage:
        ended = await stage.kintsugi("recover", "renew", "--why", "the pods are old", "--yes")
        assert ended.code == 4, ended
        assert "  Restart it: kubectl rollout restart ${service.workload}" in ended.err.splitlines(), ended.err
        assert "mode is observe" in ended.err.splitlines()[-1]
        plan = await stage.shown("renew")
        forced = {"why": "a test", "confirm": True, "digest": plan["digest"]}
        assert (await stage.post("/api/v1/runbooks/renew/recover", forced))[0] == 409
        assert (stage.daemon.incidents(), stage.restarts()) == ([], 0)


async def test_in_mode_approve_a_yes_is_the_approval_of_the_plan_and_nobody_is_asked_again(tmp_path: Path) -> None:
    """The run goes to its end; who and why stand in the incident, the run and each change."""
    async with staged(tmp_path, mode="approve") as stage:
        ended = await stage.kintsugi("recover", "renew", "--why", "the pods are old", "--yes", "-o", "json")
        assert ended.code == 0, ended
        begun = told(ended)
        found = await stage.ended(begun["incident"])
        assert found["incident"]["state"] == "recovered", found
        assert (found["incident"]["rule"], found["incident"]["mode"]) == ("manual", "approve")
        (approval,) = found["approvals"]
        assert (approval["who"], approval["plan"]) == ("tester", begun["digest"])
        assert "the pods are old" in approval["question"]
        steps = {each["path"]: each for each in found["runs"][0]["steps"]}
        assert steps["@started"]["result"]["who"] == "tester"
        assert steps["restart#0"]["why"] == "started by tester: the pods are old (rule manual)"
        assert stage.restarts() == 1


async def test_a_cooldown_is_overruled_by_its_name_and_that_is_recorded(tmp_path: Path) -> None:
    """What cannot be overruled is said, and so is how the rest can be."""
    async with staged(tmp_path, documents=LONG_COOLDOWN) as stage:
        await stage.ended((await stage.begun("renew"))["incident"])
        refused = await stage.kintsugi("recover", "renew", "--why", "again", "--yes")
        assert refused.code == 4, refused
        assert refused.err.splitlines()[-1].endswith("(to start it anyway: --override cooldown)"), refused.err
        unknown = await stage.kintsugi("recover", "renew", "--why", "again", "--yes", "--override", "paused")
        assert (unknown.code, unknown.err.splitlines()[-1]) == (
            2,
            "error: --override: 'paused' cannot be overruled; choose from: cooldown, failures, handed-over",
        )
        ended = await stage.kintsugi("recover", "renew", "--why", "again", "--yes", "--override", "cooldown")
        assert ended.code == 0, ended
        assert "Overruled (cooldown): cooling down until" in ended.err
        newest = stage.daemon.incident(stage.daemon.incidents()[0]["id"])
        assert newest["runs"][0]["steps"][0]["result"]["overrides"] == ["cooldown"]
        await stage.ended(newest["incident"]["id"])
        assert stage.restarts() == 2


async def test_asked_again_for_the_same_it_is_started_once_also_by_another_life_and_when_it_is_over(
    tmp_path: Path,
) -> None:
    """P2, D2: the answer was lost, and the daemon killed."""
    async with staged(tmp_path) as stage:
        plan = await stage.shown("renew", key="wish-1")
        wish = {"why": "a test", "key": "wish-1", "confirm": True, "digest": plan["digest"]}
        answers = await asyncio.gather(*(stage.post("/api/v1/runbooks/renew/recover", wish) for _ in range(3)))
        await asyncio.to_thread(stage.daemon.kill)
        await stage.restart()
        answers += [await stage.post("/api/v1/runbooks/renew/recover", wish)]
        (incident,) = {answer["incident"] for status, answer in answers if status == 202}
        assert len(answers) == 4, answers
        found = await stage.ended(incident)
        assert found["incident"]["state"] == "recovered", found
        answers += [await stage.post("/api/v1/runbooks/renew/recover", wish)]
        assert {(status, answer["incident"]) for status, answer in answers} == {(202, incident)}
        assert (len(stage.daemon.incidents()), stage.restarts()) == (1, 1)


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


async def test_a_start_by_hand_that_is_not_allowed_is_refused_and_says_why(tmp_path: Path) -> None:
    """P2, E28: an open incident by its id, a person's pause, and an upstream; none of them is queued."""
    async with staged(tmp_path) as stage:
        for name, scope in (("web", "service"), ("manual", "rule")):
            _, pause = await stage.post("/api/v1/pauses", {"scope": scope, "name": name, "why": "a release"})
            assert reasons(await stage.shown("renew")) == ["paused"]
            stopped = await stage.kintsugi("recover", "renew", "--why", "old", "--yes", "--override", "cooldown")
            assert (stopped.code, "a release" in stopped.err) == (4, True), stopped
            await lift(stage, pause)
        begun = await stage.begun("look", service="api")
        await stage.lose_api()
        assert reasons(await stage.shown("renew")) == ["upstream"]
        held = await stage.kintsugi("recover", "renew", "--why", "old", "--yes")
        assert (held.code, "cause first: api is not serving" in held.err) == (4, True), held
        second = await stage.kintsugi("recover", "look", "--service", "api", "--why", "old", "--yes")
        assert (second.code, f"api has the open incident {begun['incident']}" in second.err) == (4, True), second
        await stage.renew_api()
        await stage.ended(begun["incident"])
        assert (len(stage.daemon.incidents()), stage.restarts()) == (1, 0)


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
        asked = {each["incident"]["service"]: len(each["approvals"]) for each in runs}
        assert asked == {"stack": 1, "api": 0, "web": 0}
        assert stage.restarts() == 1


def children(stage: ManualStage) -> list[Json]:
    """Return the incidents of the runs that were started for one service."""
    return [each for each in stage.daemon.incidents() if each["service"] != "stack"]


WRONG = (
    (("renov",), 1, "there is no runbook renov: did you mean 'renew'?"),
    (("renew", "--service", "wep"), 1, "there is no service wep: did you mean 'web'?"),
    (("look",), 2, "service: name the service for look, because no service has this runbook: api, web"),
    (("renew", "--set", "replicas=many"), 2, "parameters: replicas: 'many' is not a whole number"),
    (
        ("renew", "--set", "size=3"),
        2,
        "parameters: renew has no parameter 'size': its parameters are patience, replicas",
    ),
    (("renew", "--set", "replicas"), 2, "--set: 'replicas': write NAME=VALUE"),
)


async def test_a_wish_that_makes_no_sense_is_answered_in_one_line(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        for arguments, code, error in WRONG:
            ended = await stage.kintsugi("recover", *arguments, "--why", "old", "--yes")
            said = (ended.code, ended.err.startswith(f"error: {error}"), ended.err.count("\n"))
            assert said == (code, True, 1), ended


def reasons(plan: Json) -> list[str]:
    """Name what stands against a plan."""
    return [each["reason"] for each in plan["answers"]]


async def lift(stage: ManualStage, pause: Json) -> None:
    """End a pause."""
    ended = await stage.kintsugi("resume", pause["id"], "--why", "released")
    assert ended.code == 0, ended


REHEARSED = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: more-pods}}
spec:
  title: Is there room for more pods?
  rehearsal: true
  service: web
  steps:
    - {{id: scale, run: "kubectl scale ${{service.workload}} --replicas=5", expect: service.ready >= {ready}, within: 20m}}
  rollback: {{after: 1h}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: web-slow}}
spec: {{on: alert, service: web, mode: auto, matchers: ['alertname="WebSlow"'], runbook: renew}}
"""
SLOW = {"alertname": "WebSlow", "namespace": "production", "deployment": WEB}


async def test_a_rehearsal_goes_on_after_a_kill_and_undoes_what_it_has_changed(tmp_path: Path) -> None:
    """P3, P8: killed when the outcome of its steps is known, and nothing is undone yet."""
    point = "after commit save-step @outcome done 1"
    async with staged(tmp_path, documents=REHEARSED.format(ready=5), **{KILL_AT: point}) as stage:
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


async def test_a_rehearsal_gives_way_to_a_recovery_of_its_service(tmp_path: Path) -> None:
    """The recovery starts as soon as the rehearsal has undone its changes."""
    async with staged(tmp_path, documents=REHEARSED.format(ready=50)) as stage:
        begun = await stage.begun("more-pods")
        await eventually(lambda: stage.replicas() == 5, within=TIMEOUT, describe=stage.daemon.tail)
        alert = {"status": "firing", "labels": SLOW, "startsAt": "2026-05-04T12:00:00Z"}
        body = {"version": "4", "groupKey": "g", "alerts": [alert]}
        assert (await asyncio.to_thread(stage.daemon.post, "/alertmanager", body, token=TOKEN))[0] == 200
        found = await stage.ended(begun["incident"])
        assert found["incident"]["state"] == "cancelled", found
        assert found["incident"]["reason"] == "a recovery of web is needed"
        await eventually(lambda: stage.restarts() == 1, within=TIMEOUT, describe=stage.daemon.tail)
        assert stage.replicas() == 3
