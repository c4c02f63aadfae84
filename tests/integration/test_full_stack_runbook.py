"""The claims that the shipped full-stack runbook looks at; its other looks are judged in tests/unit/catalog and tests/unit/runner."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from kintsugi.actions.actions import Actions
from kintsugi.catalog import load, shipped_paths
from kintsugi.catalog.call_graph import steps_of
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.model.runbooks import Run
from kintsugi.scope.values import EvaluationContext, step_names
from kintsugi_demo.shop import stateful_set
from kubeobjects.resources import PVCS
from kubesim.images import GOOD
from tests.integration.process_stage import NAMESPACE, ProcessStage
from tests.unit.factories import view

CATALOG = load(shipped_paths())
CLAIM = "data-database-0"


async def test_claims_are_bound_and_those_that_are_not_are_kept(tmp_path: Path) -> None:
    (step,) = [step for step, _ in steps_of(CATALOG.runbooks["full-stack-recovery"]) if step.id == "claims"]
    assert isinstance(step.do, Run)
    assert step.expect is not None
    assert step.keep is not None
    around = EvaluationContext(now=datetime.now(UTC), services={"database": view(CATALOG.services["database"])})
    command = step.do.command.bind(step_names(around), namespace="")
    async with ProcessStage.set(tmp_path, {"postgres:good": GOOD}) as stage:
        stage.cluster.apply(stateful_set("database", {"image": "postgres:good"}, mounted="/data"))
        actions = Actions(stage.kube, Clients.restricted_to(AddressRule()))
        for phase, left in (("Bound", []), ("Lost", [(CLAIM, "Lost")])):
            if left:
                stage.cluster.lose_volume(CLAIM, NAMESPACE)
            await claims_are(stage, phase)
            seen = step_names(around, own=(await actions.read(command, deadline=timedelta(seconds=20))).names)
            assert bool(seen["sc"])
            assert step.expect.evaluate(seen) is (phase == "Bound")
            kept = step.keep.evaluate(seen)
            assert isinstance(kept, list)
            assert [(each["metadata"]["name"], each["status"]["phase"]) for each in kept] == left


async def claims_are(stage: ProcessStage, phase: str) -> None:
    """Wait until there are claims, all in this phase."""
    await stage.until(lambda: {each["status"].get("phase") for each in stage.cluster.find(PVCS, NAMESPACE)} == {phase})
