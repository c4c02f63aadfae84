"""The next step of a person: a whole sentence for each cause, and no command that does not fit it."""

from collections.abc import Callable

import pytest

from kubediagnosis.causes import (
    Cause,
    CauseKind,
    Confidence,
    Diagnosis,
    EvidenceItem,
    EvidenceSource,
    Keeping,
    ObjectChange,
)
from kubediagnosis.diagnose import diagnose
from kubediagnosis.next_steps import NextStep, next_step
from tests.unit.diagnosis import test_rows_of_the_faults_page, test_rows_of_what_stands_around
from tests.unit.diagnosis.workload import NOW, Workload

BROKEN = {**test_rows_of_the_faults_page.BROKEN, **test_rows_of_what_stands_around.BROKEN}


KEPT_BY_NOBODY = Keeping(previous=3)


def step_for(
    kind: CauseKind,
    thing: str,
    field: str = "",
    *evidence: EvidenceItem,
    of: str = "deployment/web",
    namespace: str = "",
    changed: str = "",
    keeping: Keeping = KEPT_BY_NOBODY,
    restarted: bool = False,
) -> NextStep:
    """Return the next step against such a cause of a workload in the namespace shop."""
    cause = Cause(
        kind=kind,
        object=thing,
        field=field,
        confidence=Confidence.LIKELY,
        text="it is so",
        evidence=evidence,
        namespace=namespace,
    )
    changes = (ObjectChange(object=of, field=changed),) if changed else ()
    found = Diagnosis(
        object=of, namespace="shop", at=NOW, summary="", causes=(cause,), changes=changes, keeping=keeping
    )
    return next_step(found, restarted=restarted)


def seen(thing: str, field: str = "") -> EvidenceItem:
    return EvidenceItem(source=EvidenceSource.FIELD, object=thing, field=field, text="not found")


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_the_next_step_of_each_row_is_a_whole_sentence_with_whole_commands(make: Callable[[], Workload]) -> None:
    step = next_step(diagnose(make().facts()))
    assert step.text.endswith(".")
    for each in (step.text, step.probe, *step.commands):
        assert each == " ".join(each.split()), "something is empty in it"


def test_a_service_that_is_there_and_leads_nowhere_is_not_called_gone() -> None:
    there = step_for(CauseKind.SERVICE_ROUTING, "service/web", "", seen("deployment/web", "check answers"))
    gone = step_for(CauseKind.SERVICE_ROUTING, "service/web", "", seen("service/web"))
    assert "nothing of it is left" not in there.text
    assert "nothing of it is left" in gone.text


def test_what_is_wrong_with_an_upstream_changes_nothing_of_the_service_itself() -> None:
    step = step_for(CauseKind.UPSTREAM, "secret/token", "data[token]", namespace="data")
    assert step.commands == ("kubectl edit secret/token -n data",)
    assert "manifest of service/db" in step_for(CauseKind.UPSTREAM, "service/db", "", seen("service/db")).text


@pytest.mark.parametrize(
    ("kind", "field", "said"),
    [
        (CauseKind.OUT_OF_MEMORY, "containers[app]", "more memory"),
        (CauseKind.POD_CREATION, "containers[app].resources.limits.memory", "Correct containers"),
        (CauseKind.CERTIFICATE, "", "Renew the certificate of deployment/web"),
    ],
    ids=["no limit", "limit range", "certificate of unknown place"],
)
def test_a_step_follows_from_the_kind_where_a_field_has_several(kind: CauseKind, field: str, said: str) -> None:
    assert said in step_for(kind, "deployment/web", field).text


def test_a_rollout_of_a_stateful_set_is_undone_with_the_pods_that_wait() -> None:
    """A StatefulSet does not replace a pod that never became ready."""
    field, of = "containers[app].image", "statefulset/db"
    step = step_for(CauseKind.IMAGE_PULL, of, field, seen("pod/db-1", "status"), of=of, changed=field)
    assert step.commands == (
        "kubectl rollout undo statefulset/db --to-revision=3 -n shop",
        "kubectl delete pod/db-1 -n shop",
    )


IMAGE = "containers[app].image"


@pytest.mark.parametrize(
    ("keeping", "commands", "said"),
    [
        (Keeping(previous=3), ("kubectl rollout undo deployment/web --to-revision=3 -n shop",), "Undo"),
        (Keeping(), ("kubectl edit deployment/web -n shop",), "name one that the registry has"),
        (Keeping(previous=3, release="shop"), ("helm rollback shop -n shop",), "Undo"),
        (Keeping(release="shop"), ("kubectl edit deployment/web -n shop",), "values of the Helm release shop"),
        (Keeping(previous=3, managers=("Argo CD shop",)), (), "where Argo CD shop has it"),
    ],
    ids=["nobody", "no revision before", "Helm", "Helm without a revision before", "GitOps"],
)
def test_a_command_fits_who_keeps_the_workload_and_the_revisions_that_it_has(
    keeping: Keeping, commands: tuple[str, ...], said: str
) -> None:
    step = step_for(CauseKind.IMAGE_PULL, "deployment/web", IMAGE, changed=IMAGE, keeping=keeping)
    assert step.commands == commands
    assert said in step.text


@pytest.mark.parametrize(
    ("kind", "thing", "field"),
    [(CauseKind.CONTAINER_EXIT, "pod/web-1", "containers[app]"), (CauseKind.NOT_ANSWERING, "deployment/web", "")],
)
def test_a_restart_that_was_in_vain_is_not_offered_again(kind: CauseKind, thing: str, field: str) -> None:
    assert len(step_for(kind, thing, field).commands) == 1
    assert step_for(kind, thing, field, restarted=True).commands == ()
