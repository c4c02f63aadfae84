"""What was done is seen by `kubectl describe` too: an Event on the workload when a run begins and when it ends."""

from datetime import timedelta
from pathlib import Path

from kintsugi.cli.web_scenes import SPEED, crash_one, set_stage
from kintsugi.model.records import IncidentState
from kintsugi.objects import resources
from kintsugi.rehearsal import EmbeddedCluster
from kintsugi.rehearsal.shop import NAMESPACE, WEB
from tests.harness.waiting import eventually

WITHIN = timedelta(seconds=45).total_seconds()


async def test_a_run_is_told_on_its_workload_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    async with EmbeddedCluster.start(speed=SPEED) as cluster, set_stage(cluster, tmp_path, None, print) as stage:
        await stage.healthy()
        await crash_one(stage)

        def told() -> dict[str, dict[str, object]]:
            events = stage.cluster.find(resources.EVENTS, NAMESPACE)
            ours = [each for each in events if (each.get("source") or {}).get("component") == "kintsugi"]
            return {each["reason"]: each for each in ours}

        await eventually(lambda: "KintsugiRecovered" in told(), within=WITHIN, describe=told)

        events = told()
        assert set(events) == {"KintsugiStarted", "KintsugiRecovered"}
        workload = stage.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
        assert workload is not None
        (incident,) = await stage.core.ledger.incidents()
        assert incident.state is IncidentState.RECOVERED
        for event in events.values():
            about = event["involvedObject"]
            assert isinstance(about, dict)
            assert (about["kind"], about["uid"]) == ("Deployment", workload["metadata"]["uid"])
            assert incident.id in str(event["message"])
            assert event["type"] == "Normal"
