"""An alert that no rule matches: its page is read about the alert's service, and a person hears what was found and what is theirs."""

from pathlib import Path

import pytest

from kintsugi_demo.shop import NAMESPACE
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


async def verdict(stage: ManualStage) -> tuple[str, ...]:
    """Wait for the final verdict on the one signal."""
    query = "SELECT verdict, reason FROM signals WHERE verdict IS NOT NULL AND until IS NULL"
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

        await deliver(stage, status="resolved", alertname="WebPodHangs", pod=named)
        await deliver(stage, alertname="WebPodHangs", pod=max(before))
        assert [each["id"] for each in stage.daemon.incidents()] == [opened["id"]]
        told = await stage.kintsugi("incident", opened["id"])
        assert "$ kubectl -n $NAMESPACE delete pod $POD --force --grace-period=0" in told.out


async def test_a_page_is_not_read_for_an_alert_that_a_rule_matches(tmp_path: Path) -> None:
    async with staged(tmp_path, documents=DOCUMENTS, **written(tmp_path, "WebPodHangs", "Hanging")) as stage:
        await deliver(stage)
        assert await verdict(stage) == ("refused", "no-value")
        assert stage.daemon.incidents() == []


async def test_without_a_folder_of_pages_such_an_alert_has_no_rule(tmp_path: Path) -> None:
    written(tmp_path, "WebPodHangs")
    async with staged(tmp_path) as stage:
        await deliver(stage, alertname="WebPodHangs", pod=min(pods(stage)))
        assert await verdict(stage) == ("no-rule", "no-rule")
        assert stage.daemon.incidents() == []
