"""
Two databases in one cluster, by the same runbooks: what is done for the second one leaves the first as it is.

Server and worker are doubles here: what counts is what is done to the cluster, and to whom.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kintsugi.model.records import IncidentState
from kintsugi_demo.shop import deployment
from kubeobjects import resources
from kubeobjects.resources import PODS, PVCS, STATEFULSETS
from tests.harness.billing import BILLING, FINANCE, FRONT, INVOICES, LABELS, LEDGER, SERVICE
from tests.harness.s3 import KEY, SECRET
from tests.integration.database_doubles import OWN_CLAIM, PROBE, SERVER, images, with_a_claim_of_its_own
from tests.integration.database_stage import NAMESPACE, POD, DatabaseStage, secret, stateful_set

pytestmark = pytest.mark.long

LEDGER_POD, LEDGER_CLAIM = f"{LEDGER}-0", f"data-{LEDGER}-0"

Json = dict[str, Any]


def second() -> Sequence[Json]:
    """Return the second database with its Service, its Secrets and who writes to it, in a namespace of its own."""
    volume = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    database: Any = deepcopy(stateful_set(SERVER, PROBE))
    database["metadata"] = {"name": LEDGER, "namespace": FINANCE}
    database["spec"] |= {"selector": {"matchLabels": LABELS}, "volumeClaimTemplates": [volume], "serviceName": FRONT}
    database["spec"]["template"]["metadata"] = {"labels": LABELS}
    writer: Any = deepcopy(deployment(INVOICES, {"app": INVOICES}, image="shop/api:good", replicas=2))
    writer["metadata"]["namespace"] = FINANCE
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FINANCE}},
        secret("database-credentials", namespace=FINANCE, **{"password": "postgres", "app-password": "app"}),
        secret("s3-credentials", namespace=FINANCE, AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": FRONT, "namespace": FINANCE},
            "spec": {"selector": LABELS, "ports": [{"port": 5432, "targetPort": 5432}]},
        },
        writer,
        database,
    )


def first_as_it_is(stage: DatabaseStage) -> Mapping[str, object]:
    """Return what of the first database would show that somebody has touched it."""
    pod, claim = stage.get(PODS, POD), stage.get(PVCS, OWN_CLAIM)
    return {
        "pod": pod["metadata"]["uid"],
        "restarts": [each["restartCount"] for each in pod["status"]["containerStatuses"]],
        "claim": claim["metadata"]["uid"],
        "volume": claim["spec"]["volumeName"],
        "policy": stage.policy(claim["spec"]["volumeName"]),
        "asked for": stage.get(STATEFULSETS, "database")["spec"],
        "writers": stage.replicas(),
    }


async def elsewhere(stage: DatabaseStage) -> Sequence[str]:
    """List the changes of the daemon that are neither in the second database's namespace nor about its volumes."""
    volumes = {each["metadata"]["name"] for each in stage.cluster.find(resources.PVS, None) if _is_of_ledger(each)}
    made = [each for each in stage.cluster.requests.changes() if each.user.endswith(":kintsugi")]
    paths = [each.path for each in made]
    return [path for path in paths if f"/{FINANCE}/" not in path and path.rpartition("/")[2] not in volumes]


def _is_of_ledger(volume: Json) -> bool:
    about: Json = volume["spec"].get("claimRef", {})
    return about.get("namespace") == FINANCE


async def test_the_second_database_is_mended_and_the_first_is_left_alone(tmp_path: Path) -> None:
    database = (*with_a_claim_of_its_own(), *second())
    async with DatabaseStage.set(tmp_path, database=database, images=images(tmp_path), rules=BILLING) as stage:
        billing = replace(stage, about=SERVICE)
        await stage.until(lambda: stage.core.services.views[SERVICE].healthy is True)
        before = first_as_it_is(stage)
        sick = ledger_pod(stage)
        stage.cluster.faults.make_unready(sick)

        ended = await billing.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        assert ended.state is IncidentState.RECOVERED, await stage.story()
        assert ledger_pod(stage) != sick
        assert first_as_it_is(stage) == before
        assert await elsewhere(stage) == []
        assert not await stage.core.ledger.incidents.newest(limit=1, service="database")
        pods = (await billing.steps())["pods"]
        assert pods.text == f"kubectl get pods -n {FINANCE} -l app=ledger,tier=data"


async def test_the_second_database_is_restored_and_the_first_is_left_alone(tmp_path: Path) -> None:
    database = (*with_a_claim_of_its_own(), *second())
    async with DatabaseStage.set(tmp_path, database=database, images=images(tmp_path), rules=BILLING) as stage:
        billing = replace(stage, about=SERVICE)
        await stage.until(lambda: stage.core.services.views[SERVICE].healthy is True)
        before = first_as_it_is(stage)
        old = stage.cluster.get(PVCS, LEDGER_CLAIM, FINANCE)
        assert old is not None
        stage.cluster.lose_volume(LEDGER_CLAIM, FINANCE)

        assert "The data of billing are gone or corrupt." in await billing.question()
        await billing.agree()
        ended = await billing.reaches(IncidentState.RECOVERED, IncidentState.NEEDS_OPERATOR)
        assert ended.state is IncidentState.RECOVERED, await stage.story()
        assert "public.orders 1000 rows" in ended.reason
        new = stage.cluster.get(PVCS, LEDGER_CLAIM, FINANCE)
        assert new is not None
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert new["status"]["phase"] == "Bound"
        writer = stage.cluster.get(resources.DEPLOYMENTS, INVOICES, FINANCE)
        assert writer is not None
        assert writer["spec"]["replicas"] == 2
        assert first_as_it_is(stage) == before
        assert await elsewhere(stage) == []
        assert (NAMESPACE, "jobs") not in {(each["metadata"]["namespace"], "jobs") for each in jobs(stage)}


def jobs(stage: DatabaseStage) -> Sequence[Json]:
    """List the Jobs of both namespaces."""
    return [job for namespace in (NAMESPACE, FINANCE) for job in stage.cluster.find(resources.JOBS, namespace)]


def ledger_pod(stage: DatabaseStage) -> str:
    """Name the second database's pod by its uid, "" while there is none."""
    pod = stage.cluster.get(PODS, LEDGER_POD, FINANCE)
    return str(pod["metadata"]["uid"]) if pod else ""
