"""What was done is seen by `kubectl describe` too: an Event on the workload when a run begins, of what is wrong, and when it ends."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from kintsugi.model.records import IncidentState
from kintsugi_demo.scenes import WEB_CLUSTER, crash_one
from kintsugi_demo.shop import NAMESPACE, WEB
from kintsugi_demo.stage import furnished, wait_until, watched
from kubeobjects import resources
from tests.harness.waiting import eventually

WITHIN = timedelta(seconds=45).total_seconds()


async def test_a_run_is_told_on_its_workload_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    async with (
        furnished(WEB_CLUSTER) as cluster,
        watched(cluster, WEB_CLUSTER, folder=tmp_path, catalog=None, write=print) as stage,
    ):
        await wait_until(stage.is_known_good, "good revisions")
        await crash_one(stage)

        def told() -> dict[str, dict[str, object]]:
            events = cluster.find(resources.EVENTS, NAMESPACE)
            ours = [each for each in events if (each.get("source") or {}).get("component") == "kintsugi"]
            return {each["reason"]: each for each in ours}

        await eventually(lambda: "KintsugiRecovered" in told(), within=WITHIN, describe=told)

        events = told()
        scaled = {
            "KintsugiServiceDown"
        }  # three minutes are two seconds here: a slow recovery is told as an outage, too
        assert set(events) - scaled == {"KintsugiStarted", "KintsugiDiagnosed", "KintsugiRecovered"}
        workload = cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
        assert workload is not None
        (incident,) = (each.incident for each in (await stage.incidents(began)).values())
        assert incident.state is IncidentState.RECOVERED
        for event in events.values():
            about = event["involvedObject"]
            assert isinstance(about, dict)
            assert (about["kind"], about["uid"]) == ("Deployment", workload["metadata"]["uid"])
            assert incident.id in str(event["message"])
            assert event["type"] == "Normal"
