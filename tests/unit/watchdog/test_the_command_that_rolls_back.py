"""A notice names the command that rolls a workload back where that may help, and no other."""

from dataclasses import replace

import pytest

from kintsugi.decisions.rollback_evidence import RollbackEvidence, rollback_command
from kubeobjects.owners import Manager, ManagerKind
from kubeobjects.workloads import Deployment, DeploymentSpec
from tests.unit.factories import moment, view
from tests.unit.watchdog.judging import INNOCENT

FAILING = view(healthy=False, ready=0, since=moment(minutes=20))
HELM = "helm rollback shop -n production  # to the previous release"
UNDO = "kubectl rollout undo deployment/web --to-revision=4 -n production  # a revision that was seen healthy"


def test_a_workload_of_nobody_goes_back_to_the_revision_that_was_seen_good() -> None:
    assert rollback_command(FAILING, INNOCENT, last_good=4) == UNDO


def test_a_paused_rollout_is_resumed_first() -> None:
    """kubectl refuses to undo it before."""
    paused = replace(FAILING, workload=Deployment(spec=DeploymentSpec(paused=True)))
    resumed = f"kubectl rollout resume deployment/web -n production && {UNDO}"
    assert rollback_command(paused, INNOCENT, last_good=4) == resumed


def test_a_workload_without_a_good_revision_has_no_command() -> None:
    assert rollback_command(FAILING, INNOCENT, last_good=0) == ""
    why = "no revision was seen good yet: healthy since 01:43:00, 10m are required"
    assert rollback_command(FAILING, INNOCENT, last_good=0, none_good=why) == f"# {why}"


def test_a_revision_that_was_adopted_is_named_so() -> None:
    assert "# an adopted revision" in rollback_command(FAILING, INNOCENT, last_good=4, adopted=True)


@pytest.mark.parametrize("last_good", [0, 4])
def test_a_workload_of_a_helm_release_goes_back_by_helm_alone(last_good: int) -> None:
    assert rollback_command(FAILING, replace(INNOCENT, release="shop"), last_good=last_good) == HELM


@pytest.mark.parametrize(
    "evidence",
    [
        replace(INNOCENT, known_good=True),
        replace(INNOCENT, known_good=True, release="shop"),
        replace(INNOCENT, managers=(Manager(kind=ManagerKind.GITOPS, name="Argo CD shop"),)),
        replace(INNOCENT, managers=(Manager(kind=ManagerKind.OPERATOR, name="Web/web"),), release="shop"),
    ],
    ids=["seen good", "a release that was seen good", "GitOps", "an operator's release"],
)
def test_a_workload_that_no_rollback_would_help_has_no_command(evidence: RollbackEvidence) -> None:
    assert rollback_command(FAILING, evidence, last_good=4) == ""
