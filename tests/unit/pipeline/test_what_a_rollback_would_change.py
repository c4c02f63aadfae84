"""The preview of a rollback: from which revision to which, and what each has."""

import pytest

from kintsugi.model.services import WorkloadRef
from kintsugi.pipeline.rollback_difference import RollbackDifference
from kubeobjects.resources import DEPLOYMENTS, REPLICASETS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts
from tests.unit.actions.samples import NAMESPACE, deployment, replica_set

WEB = WorkloadRef(resource=DEPLOYMENTS, name="web")


@pytest.mark.parametrize(
    ("workload", "number", "said"),
    [
        (WEB, 1, "deployment/web from revision 2 (image web:2) to 1 (image web:1)"),
        (WEB, 7, ""),
        (WorkloadRef(resource=DEPLOYMENTS, name="gone"), 1, ""),
    ],
)
async def test_a_preview_says_what_the_template_would_have_instead_of_what(
    workload: WorkloadRef, number: int, said: str
) -> None:
    kube = ClusterOfDicts(
        (DEPLOYMENTS, deployment()), (REPLICASETS, replica_set(1, "web:1")), (REPLICASETS, replica_set(2, "web:2"))
    )
    assert await RollbackDifference(kube=kube).to_revision(workload, NAMESPACE, number) == said
