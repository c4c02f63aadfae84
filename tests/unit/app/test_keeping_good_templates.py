"""The template of a revision that became good is read once and kept; one that cannot be read is tried again later."""

from dataclasses import replace
from datetime import timedelta

import pytest

from kintsugi.actions.good_templates import GoodTemplates
from kintsugi.app.good_revisions import AGAIN_AFTER, MOST_AT_ONCE, GoodTemplateKeeper
from kintsugi.errors import KubeError
from kintsugi.ledger import Ledger
from kintsugi.model.good_state import GoodRevision
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import deployment, replica_set
from tests.unit.factories import moment
from tests.unit.pipeline.business import PipelineBench, SlowCluster

pytestmark = pytest.mark.looptime

GOOD = GoodRevision(workload="uid-web", template="hash-1", number=1, first_good=moment(), last_good=moment())


def keeper(ledger: Ledger, kube: ClusterOfDicts) -> GoodTemplateKeeper:
    """Make the part that keeps, over a cluster in which web is there."""
    business = PipelineBench()
    business.cluster.deploy()
    business.cluster.services.refresh()
    return GoodTemplateKeeper(business.cluster.services, kube, GoodTemplates(ledger.good_state))


def web() -> SlowCluster:
    """Make the web Deployment, with a bad revision in force beside the good one."""
    return SlowCluster(
        (DEPLOYMENTS, deployment()), (REPLICASETS, replica_set(1, "web:1")), (REPLICASETS, replica_set(2, "web:2"))
    )


async def test_the_template_of_a_good_revision_is_kept_and_read_once(ledger: Ledger) -> None:
    kube = web()
    part = keeper(ledger, kube)
    for _ in range(3):
        await part.keep([GOOD])
    kept = await ledger.good_state.good_template("deployment", "production", "web")
    assert kept is not None
    assert (kept.template, kept.number, "web:1" in kept.document) == ("hash-1", 1, True)
    assert len(kube.asked) == 1
    await keeper(ledger, kube).keep([GOOD])
    assert len(kube.asked) == 1, "the next life has read again what is kept"


async def test_a_template_that_cannot_be_read_is_tried_again_later(ledger: Ledger) -> None:
    kube = web()
    kube.broken = KubeError("the API is away")
    part = keeper(ledger, kube)
    await part.keep([GOOD])
    await part.keep([GOOD])
    assert len(kube.asked) == 1
    kube.broken = None
    await part.keep([replace(GOOD, last_good=GOOD.last_good + AGAIN_AFTER)])
    assert await ledger.good_state.good_template("deployment", "production", "web") is not None


async def test_a_revision_of_a_workload_that_is_gone_is_passed_over(ledger: Ledger) -> None:
    kube = web()
    gone = [replace(GOOD, workload=f"uid-{number}") for number in range(MOST_AT_ONCE + 5)]
    await keeper(ledger, kube).keep([*gone, GOOD])
    assert len(kube.asked) == 1
    assert timedelta() < AGAIN_AFTER


async def test_a_template_that_became_good_again_is_kept_again(ledger: Ledger) -> None:
    """A revision that failed by itself is forgotten with its template."""
    part = keeper(ledger, web())
    await part.keep([GOOD])
    await ledger.good_state.forget_good(GOOD.workload, GOOD.template)
    part.forget(GOOD.workload)
    assert await ledger.good_state.good_template("deployment", "production", "web") is None
    await part.keep([GOOD])
    assert await ledger.good_state.good_template("deployment", "production", "web") is not None
