"""The replication steps of the shipped database runbook, against a real primary and a real streaming standby."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from typing_extensions import override

from kintsugi.actions.probe import ProbeContext
from kintsugi.catalog import load, shipped_paths
from kintsugi.errors import ProbeFailed
from kintsugi.model.runbooks import Run, Step
from kintsugi.model.views import ServiceView
from kintsugi.scope.values import EvaluationContext, step_names
from kubeobjects.kept import StatefulSet
from kubeobjects.metadata import Metadata
from kubeobjects.resources import PODS, STATEFULSETS
from tests.contract.psql.asking import LocalContainer
from tests.harness.fixtures import scratch
from tests.harness.postgres import Postgres
from tests.harness.waiting import wait_for
from tests.unit.actions.cluster_of_dicts import actions_on
from tests.unit.factories import NOW

SOON = timedelta(seconds=10)
CATALOG = load(shipped_paths())
STEPS = {step.id: step for step in CATALOG.runbooks["database-recovery"].steps}
SLOTS = CATALOG.services["database"].checks["replication"][0]
PARAMETERS = {"standbys": 1, "lag_bytes": 67108864, "lag_seconds": 60, "slot_bytes": 1073741824}

WORKLOAD = StatefulSet(metadata=Metadata(name="database", namespace="production", uid="s"))
DATABASE = ServiceView(service=CATALOG.services["database"], workload=WORKLOAD)


@dataclass
class ReplicationPair:
    """A primary with data, and a standby that streams from it."""

    primary: Postgres
    standby: Postgres

    def streams(self) -> bool:
        """Return whether the primary sees the standby stream."""
        return self.primary.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1"


@pytest.fixture
def pair() -> Iterator[ReplicationPair]:
    """Start both, and wait until the standby streams."""
    with scratch("pair-") as folder:
        (folder / "primary").mkdir()
        primary = Postgres.prepare(folder / "primary")
        primary.start()
        standby = primary.standby(folder / "standby")
        standby.start()
        made = ReplicationPair(primary, standby)
        wait_for(made.streams, within=20, describe=standby.server.tail)
        try:
            yield made
        finally:
            standby.stop()
            primary.stop()


class TwoPods(LocalContainer):
    """A StatefulSet of two pods, each of which knows its own server only."""

    def __init__(self, pair: ReplicationPair) -> None:
        workload: dict[str, Any] = {
            "metadata": {"name": "database", "namespace": "production", "uid": "s"},
            "spec": {"selector": {"matchLabels": {"app": "database"}}},
        }
        pods = [(PODS, pod(name)) for name in ("database-0", "database-1")]
        super().__init__(pair.primary.programs.bin, (STATEFULSETS, workload), *pods)
        self.ports = {"database-0": pair.standby.port, "database-1": pair.primary.port}

    @override
    def environment(self, pod: str) -> Mapping[str, str]:
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.ports[pod])}


def pod(name: str) -> dict[str, Any]:
    owner = {"kind": "StatefulSet", "name": "database", "uid": "s", "controller": True}
    labels = {"app": "database"}
    return {
        "metadata": {
            "name": name,
            "namespace": "production",
            "uid": name,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {"containers": [{"name": "postgres"}]},
        "status": {"containerStatuses": [{"name": "postgres", "containerID": name, "state": {"running": {}}}]},
    }


async def met(pair: ReplicationPair, step: Step) -> tuple[bool, Mapping[str, Any]]:
    """Do a step's look and ask its expectation."""
    assert isinstance(step.do, Run), step.id
    assert step.expect is not None, step.id
    around = EvaluationContext(now=NOW, parameters=PARAMETERS, service=DATABASE)
    command = step.do.command.bind(step_names(around), namespace="production")
    result = await actions_on(TwoPods(pair)).read(command, deadline=SOON, probe_context=ProbeContext())
    names = step_names(around, own=result.names)
    return step.expect.evaluate(names) is True, result.names


async def test_a_standby_that_streams_is_connected_near_and_holds_nothing_back(pair: ReplicationPair) -> None:
    """The second pod is the primary: a question to the StatefulSet finds it."""
    for name in ("connect", "replication", "lag", "slots"):
        assert (await met(pair, STEPS[name]))[0], name
    assert (await met(pair, SLOTS))[0]
    _, streaming = await met(pair, STEPS["replication"])
    assert [row["state"] for row in streaming["rows"]] == ["streaming"]
    _, lag = await met(pair, STEPS["lag"])
    assert {type(row["bytes"]) for row in lag["rows"]} == {int}


async def test_a_standby_that_is_cut_off_is_missed_by_the_runbook_and_by_our_own_check(pair: ReplicationPair) -> None:
    pair.standby.kill()
    wait_for(lambda: not pair.streams(), within=20)
    assert not (await met(pair, STEPS["replication"]))[0]
    assert not (await met(pair, SLOTS))[0]
    assert (await met(pair, STEPS["connect"]))[0]
    pair.standby.start()
    wait_for(pair.streams, within=20, describe=pair.standby.server.tail)
    assert (await met(pair, STEPS["replication"]))[0]


async def test_a_slot_that_holds_much_of_the_log_back_is_told(pair: ReplicationPair) -> None:
    pair.standby.kill()
    wait_for(lambda: not pair.streams(), within=20)
    pair.primary.psql("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
    ok, slots = await met(pair, STEPS["slots"])
    assert ok, "less than a gigabyte is nothing"
    (row,) = slots["rows"]
    assert (row["slot_name"], row["active"]) == ("standby_1", False)
    assert row["bytes"] > 10_000_000


async def test_with_the_primary_gone_a_standby_s_answer_does_not_count(pair: ReplicationPair) -> None:
    pair.primary.kill()
    with pytest.raises(ProbeFailed, match="database-0/postgres is a standby"):
        await met(pair, STEPS["connect"])
