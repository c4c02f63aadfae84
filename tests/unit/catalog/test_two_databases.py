"""The database runbooks take workload, namespace, labels and Service from the database that they are about."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from kintsugi.catalog import CatalogErrors, load, shipped_paths
from kintsugi.catalog.call_graph import steps_of
from kintsugi.commands import render
from kintsugi.decisions.planner import parameters_for
from kintsugi.model.catalog import Catalog
from kintsugi.model.runbooks import Run, Runbook, Step
from kintsugi.model.services import Service
from kintsugi.model.views import ServiceView
from kintsugi.scope.values import EvaluationContext, StepOutcome, shown_view, step_names
from kubeobjects.kept import Metadata, PersistentVolume, PersistentVolumeClaim, StatefulSet
from kubeobjects.metadata import ObjectReference
from kubeobjects.storage import ClaimSpec, ClaimStatus, VolumeSpec
from kubeobjects.workloads import StatefulSetSpec
from tests.unit.catalog.second_database import BILLING
from tests.unit.factories import NOW, incident, pod

MORE = """\
    cronjobs: [cronjob/month-end]
    standbys: 1
    standby_hosts: [ledger-standby.finance]
  drill: {}
"""
SECOND = BILLING.replace("  env:\n", f"{MORE}  env:\n")
RUNBOOKS = ("database-recovery", "database-restore", "database-drill")


def both(folder: Path) -> Catalog:
    """Load the shipped documents with the second database."""
    (folder / "billing.yaml").write_text(SECOND)
    return load([*shipped_paths(), folder])


def seen(service: Service) -> ServiceView:
    """Return the database as the caches show it: one pod, one claim, its StatefulSet."""
    name = service.workload.name
    workload = StatefulSet(
        metadata=Metadata(name=name, namespace=service.namespace, uid=f"uid-{name}"),
        spec=StatefulSetSpec(replicas=2),
    )
    return ServiceView(
        service=service,
        workload=workload,
        pods=(pod(f"{name}-0", namespace=service.namespace, uid=f"uid-{name}-0"),),
        pvcs=(_claim(service),),
        desired=2,
        ready=1,
        is_current=True,
    )


def _claim(service: Service) -> PersistentVolumeClaim:
    return PersistentVolumeClaim(
        metadata=Metadata(name=f"data-{service.workload.name}-0", namespace=service.namespace, uid="uid-claim"),
        spec=ClaimSpec(volume_name=f"pv-{service.name}"),
        status=ClaimStatus(phase="Bound"),
    )


def _volume(service: Service) -> PersistentVolume:
    about = ObjectReference(namespace=service.namespace, name=f"data-{service.workload.name}-0")
    meta = Metadata(name=f"pv-{service.name}", uid="uid-volume")
    return PersistentVolume(metadata=meta, spec=VolumeSpec(claim_ref=about))


def rendered(catalog: Catalog, service: Service, name: str) -> Iterator[tuple[str, str]]:
    """Yield every command of a runbook as it would be run at a service, for each item where there are several."""
    runbook = catalog.runbooks[name]
    for step, _ in steps_of(runbook):
        if isinstance(step.do, Run):
            for each in _items(step, service, runbook):
                names = step_names(_around(service, runbook), earlier=_earlier(service), each=each)
                yield step.id, render(step.do.command.bind(names, namespace=service.namespace))


def _around(service: Service, runbook: Runbook) -> EvaluationContext:
    view = seen(service)
    return EvaluationContext(
        now=NOW,
        incident=incident(service=service.name),
        parameters=parameters_for(runbook, service),
        service=view,
        services={service.name: view},
    )


def _items(step: Step, service: Service, runbook: Runbook) -> Iterator[object]:
    if step.for_each is None:
        yield None
        return
    items = step.for_each.evaluate(step_names(_around(service, runbook), earlier=_earlier(service)))
    assert isinstance(items, list | tuple), step.id
    yield from items


def _earlier(service: Service) -> dict[str, StepOutcome]:
    """Return the steps whose results commands are made of, as they would have ended."""
    shown = shown_view(seen(service))["workload"]
    volumes = {"items": [_volume(service)], "pv": [_volume(service)], "pvc": []}
    found: dict[str, Mapping[str, object]] = {
        "newest": {"backup": {"file": f"/backups/{service.name}.dump"}},
        "before": {"item": shown, "items": [shown]},
        "volumes": volumes,
        "keep": volumes,
    }
    return {step: StepOutcome(ran=True, met=True, result=result) for step, result in found.items()}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return both(tmp_path_factory.mktemp("second"))


def lines(catalog: Catalog, service: str, runbook: str) -> Sequence[str]:
    return [text for _, text in rendered(catalog, catalog.services[service], runbook)]


FIRST_S = re.compile(r"production|statefulset/database|app=database|data-database|backup-bucket|\bapp\b")


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_no_command_for_the_second_database_names_anything_of_the_first(catalog: Catalog, runbook: str) -> None:
    found = lines(catalog, "billing", runbook)
    assert found
    assert [text for text in found if FIRST_S.search(text.replace("app=ledger", ""))] == []


CLUSTER_WIDE = re.compile(r"kubectl (get pv|(patch|label) persistentvolume pv-\S+)( |$)")


@pytest.mark.parametrize("runbook", RUNBOOKS)
@pytest.mark.parametrize(("service", "namespace"), [("database", "production"), ("billing", "finance")])
def test_each_command_is_in_the_namespace_of_its_database(
    catalog: Catalog, service: str, namespace: str, runbook: str
) -> None:
    """But for those about volumes, which are in none."""
    asked = [text for text in lines(catalog, service, runbook) if text.startswith("kubectl")]
    placed = [text for text in asked if not CLUSTER_WIDE.match(text) or "pv,pvc" in text]
    assert [text for text in placed if f" -n {namespace}" not in text] == []


@pytest.mark.parametrize(
    ("service", "restored"),
    [
        ("database", "-h database.production -U postgres -d app /backups/database.dump"),
        ("billing", "-h ledger.finance -U postgres -d billing /backups/billing.dump"),
    ],
)
def test_each_database_is_restored_through_its_own_service_from_its_own_backups(
    catalog: Catalog, service: str, restored: str
) -> None:
    found = lines(catalog, service, "database-restore")
    assert f"pg_restore --exit-on-error --single-transaction {restored}" in found
    (fetched,) = [text for text in found if text.startswith("kintsugi backup fetch")]
    assert fetched.startswith(f"kintsugi backup fetch {catalog.services[service].parameters['backups']} ")


def test_the_second_database_is_stopped_and_started_and_the_first_is_not_named(catalog: Catalog) -> None:
    found = lines(catalog, "billing", "database-restore")
    scaled = [text for text in found if text.startswith("kubectl scale")]
    assert scaled == [
        "kubectl scale deployment invoices --replicas=0 -n finance",
        "kubectl scale statefulset ledger-postgres --replicas=0 -n finance",
        "kubectl scale statefulset ledger-postgres --replicas=1 -n finance",
        "kubectl scale statefulset ledger-postgres --replicas=2 -n finance",
    ]


def test_a_database_that_does_not_say_its_service_is_refused(tmp_path: Path) -> None:
    """Which of several Services takes writes cannot be guessed."""
    (tmp_path / "billing.yaml").write_text(SECOND.replace("    host: ledger.finance\n", ""))
    with pytest.raises(CatalogErrors, match="database-restore needs host"):
        load([*shipped_paths(), tmp_path])


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_no_value_stands_in_sql(catalog: Catalog, runbook: str) -> None:
    """What is asked is the same for every database, word by word."""
    questions = [
        [text.partition(" -c ")[2] for text in lines(catalog, service, runbook) if " -c " in text]
        for service in ("database", "billing")
    ]
    assert set(questions[0]) == set(questions[1])
