"""An alert that no rule matches: its page is read about the alert's service, and a person hears what was found and what is theirs."""

import asyncio
from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE
from kubesim.apiserver.api_faults import Fault, FaultKind
from tests.harness.waiting import eventually
from tests.integration.manual_stage import TIMEOUT, ManualStage, staged
from tests.integration.test_values_of_an_alert import DOCUMENTS, deliver, pods

pytestmark = pytest.mark.long

PAGE = """\
# Web pods hang

## Diagnosis

- Look at the pod: `kubectl -n $NAMESPACE describe pod $POD`
- Look at all pods: `kubectl -n $NAMESPACE get pods`
- Look at the database: `kubectl -n $NAMESPACE get statefulset database`
- Ask it: `kubectl -n $NAMESPACE exec $POD -- ps`

## Mitigation

1. If it hangs, delete it: `kubectl -n $NAMESPACE delete pod $POD --force --grace-period=0`
2. Inform the owners of the service.
"""


def written(folder: Path, *names: str) -> dict[str, str]:
    """Write pages, and one that is too large, and return the setting that names their folder."""
    pages = folder / "pages"
    pages.mkdir()
    for name in names:
        (pages / f"{name}.md").write_text(PAGE)
    (pages / "TooLarge.md").write_bytes(b"x" * 300_000)
    return {"KINTSUGI_PAGES__DIRECTORY": str(pages)}


async def verdict(stage: ManualStage, *, before: int = 0) -> tuple[str, ...]:
    """Wait for the verdict on a signal that comes after others, and return it with its reason and its text."""
    query = (
        f"SELECT verdict, reason, text FROM signals WHERE verdict IS NOT NULL ORDER BY received LIMIT 1 OFFSET {before}"
    )
    (found,) = await eventually(lambda: stage.daemon.rows(query), within=TIMEOUT, describe=stage.daemon.tail)
    return tuple(found)


@pytest.mark.parametrize("mode", ["observe", "approve"])
async def test_a_page_is_read_whatever_the_mode_and_what_it_changes_is_left_to_a_person(
    tmp_path: Path, mode: str
) -> None:
    async with staged(tmp_path, mode=mode, **written(tmp_path, "WebPodHangs")) as stage:
        before = pods(stage)
        named = min(before)
        await deliver(stage, alertname="WebPodHangs", pod=named)
        (opened,) = await eventually(stage.daemon.incidents, within=TIMEOUT, describe=stage.daemon.tail)
        ended = await stage.ended(opened["id"])
        incident, (run,) = ended["incident"], ended["runs"]
        assert (incident["state"], incident["kind"], incident["service"]) == ("needs-operator", "page", "web")
        head, _, report = incident["reason"].partition("\n")
        assert "the page WebPodHangs.md (sha256:" in head
        assert report.split("\n") == [
            "Found:",
            f"  kubectl describe pod {named} -n {NAMESPACE}: 1 Pod",
            f"  kubectl get pods -n {NAMESPACE} -l app=web-app: 3 Pods",
            "Left to a person, as on the page:",
            "  Ask it",
            "  $ kubectl -n $NAMESPACE exec $POD -- ps",
            "  If it hangs, delete it",
            "  $ kubectl -n $NAMESPACE delete pod $POD --force --grace-period=0",
            "  Inform the owners of the service.",
            "Not read:",
            f"  kubectl get statefulset database -n {NAMESPACE}: not run: statefulset/database is not known to belong to web",
        ]
        assert (ended["questions"], run["run"]["changed"], set(pods(stage))) == ([], False, set(before))
        found = next(each for each in run["steps"] if each["path"] == "section_1_diagnosis/look_at_all_pods")
        assert {each["metadata"]["name"] for each in found["result"]["items"]} == set(before)
        assert "page not read" in stage.daemon.said(), "of the one that is too large"

        ((notice,),) = stage.daemon.rows("SELECT text FROM notices")
        assert notice == incident["reason"]
        told = await stage.kintsugi("incident", opened["id"])
        assert "$ kubectl -n $NAMESPACE delete pod $POD --force --grace-period=0" in told.out


async def test_a_page_is_not_read_for_an_alert_that_a_rule_matches(tmp_path: Path) -> None:
    async with staged(tmp_path, documents=DOCUMENTS, **written(tmp_path, "WebPodHangs", "Hanging")) as stage:
        await deliver(stage)
        assert (await verdict(stage))[:2] == ("refused", "no-value")
        assert stage.daemon.incidents() == []


async def test_without_a_folder_of_pages_such_an_alert_has_no_rule(tmp_path: Path) -> None:
    written(tmp_path, "WebPodHangs")
    async with staged(tmp_path) as stage:
        await deliver(stage, alertname="WebPodHangs", pod=min(pods(stage)))
        assert await verdict(stage) == ("no-rule", "no-rule", "no rule matches")
        assert stage.daemon.incidents() == []


async def test_a_page_is_read_for_the_one_service_of_the_alert_and_once_in_a_while_unless_it_is_paused(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, **written(tmp_path, "WebPodHangs")) as stage:
        await deliver(stage, alertname="WebPodHangs")
        kind, _, text = await verdict(stage)
        assert (kind, "no object of exactly one service" in text) == ("no-rule", True), "web and api are both there"
        await deliver(stage, alertname="WebPodHangs", service="web")
        assert (await verdict(stage, before=1))[0] == "started"
        (opened,) = stage.daemon.incidents()
        await stage.ended(opened["id"])
        await deliver(stage, alertname="WebPodHangs", service="web", severity="warning")
        assert (await verdict(stage, before=2))[:2] == ("attached", "active-run")
        paused = await stage.kintsugi("pause", "--rule", "page", "--why", "a test")
        assert paused.code == 0, paused.err
        await deliver(stage, alertname="WebPodHangs", service="api", severity="warning", team="shop")
        assert (await verdict(stage, before=3))[:2] == ("refused", "paused")
        assert [each["id"] for each in stage.daemon.incidents()] == [opened["id"]]


async def test_a_daemon_that_is_killed_at_a_look_goes_on_and_its_findings_are_told_once(tmp_path: Path) -> None:
    settings = written(tmp_path, "WebPodHangs")
    page = tmp_path / "pages" / "WebPodHangs.md"
    page.write_text(PAGE.replace("get statefulset database", "get statefulsets"))
    hanging = Fault(kind=FaultKind.HANG, verb="list", path="*/namespaces/*/statefulsets")
    async with staged(tmp_path, **settings) as stage:
        named = min(pods(stage))
        stage.cluster.api_faults.order(hanging)
        await deliver(stage, alertname="WebPodHangs", pod=named)

        def hangs() -> bool:
            arrived = (each for each in stage.cluster.requests if hanging.meets(each.verb, each.path, continued=False))
            return any(each.status == 0 for each in arrived)

        await eventually(hangs, within=TIMEOUT, describe=stage.daemon.tail)
        ((opened,),) = stage.daemon.rows("SELECT closed IS NULL FROM incidents")
        assert opened, "its run is under way"
        await asyncio.to_thread(stage.daemon.kill)
        await stage.restart()
        await deliver(stage, alertname="WebPodHangs", pod=named)
        (opened,) = stage.daemon.incidents()
        ended = await stage.ended(opened["id"])
        reason, (run,) = ended["incident"]["reason"], ended["runs"]
        lines = reason.split("\n")
        assert [each for each in lines if "kubectl get" in each or "describe" in each] == [
            f"  kubectl describe pod {named} -n {NAMESPACE}: 1 Pod",
            f"  kubectl get pods -n {NAMESPACE} -l app=web-app: 3 Pods",
            f"  kubectl get statefulsets -n {NAMESPACE}: No resources found",
        ]
        paths = [each["path"] for each in run["steps"]]
        assert len(paths) == len(set(paths))
        assert [each["id"] for each in stage.daemon.incidents()] == [opened["id"]]
        assert stage.daemon.rows("SELECT text FROM notices") == [(reason,)]
