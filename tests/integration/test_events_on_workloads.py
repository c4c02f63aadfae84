"""What was done is seen by `kubectl describe` too: an Event on the workload when a run begins, of what is wrong, and when it ends."""

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from kintsugi.cli.demo.shop import NAMESPACE, WEB
from kintsugi.cli.demo.teller import PlainTeller
from kintsugi.cli.demo.web_scenes import PART, crash_one
from kintsugi.model.records import IncidentState
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.waiting import eventually

WITHIN = timedelta(seconds=45).total_seconds()


async def test_a_run_is_told_on_its_workload_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    async with AsyncExitStack() as opened:
        cluster = await opened.enter_async_context(EmbeddedCluster.start(speed=PART.speed))
        await PART.furnish(cluster, tmp_path)
        stage = await opened.enter_async_context(PART.watch(cluster, tmp_path, None, PlainTeller(print)))
        await stage.known_good()
        await crash_one(stage)

        def told() -> dict[str, dict[str, object]]:
            events = stage.cluster.find(resources.EVENTS, NAMESPACE)
            ours = [each for each in events if (each.get("source") or {}).get("component") == "kintsugi"]
            return {each["reason"]: each for each in ours}

        await eventually(lambda: "KintsugiRecovered" in told(), within=WITHIN, describe=told)

        events = told()
        assert set(events) == {"KintsugiStarted", "KintsugiDiagnosed", "KintsugiRecovered"}
        workload = stage.cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE)
        assert workload is not None
        (incident,) = await stage.core.ledger.incidents.newest()
        assert incident.state is IncidentState.RECOVERED
        for event in events.values():
            about = event["involvedObject"]
            assert isinstance(about, dict)
            assert (about["kind"], about["uid"]) == ("Deployment", workload["metadata"]["uid"])
            assert incident.id in str(event["message"])
            assert event["type"] == "Normal"
