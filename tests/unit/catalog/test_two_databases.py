"""The database runbooks take workload, namespace, labels and Service from the database that they are about."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from kintsugi.catalog import CatalogErrors, load, shipped_paths
from kintsugi.model.catalog import Catalog
from tests.unit.catalog.two_databases import RUNBOOKS, SECOND, both, rendered


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
