"""Own documents are added to the shipped runbooks: what fits is there, what is named must fit, and no name is taken twice."""

from pathlib import Path

import pytest

from kintsugi.catalog import CatalogErrors, load
from kintsugi.catalog.library import catalog_paths
from kintsugi.model.catalog import Catalog
from tests.unit.catalog.documents import RULE, RUNBOOK, SERVICE, runbook

NAMING = "runbook: mend"


def added(folder: Path, *documents: str, example: bool = False) -> Catalog:
    """Load the shipped documents with some of one's own."""
    (folder / "own.yaml").write_text("---\n".join(documents))
    return load(catalog_paths(None, [folder], example=example))


def test_without_the_example_there_are_no_services_and_the_runbooks_that_fit_any() -> None:
    catalog = load(catalog_paths(None, example=False))
    assert not catalog.services
    assert not catalog.rules
    assert "workload-recovery" in catalog.runbooks
    assert "full-stack-recovery" not in catalog.runbooks


def test_a_service_of_ones_own_is_recovered_by_a_shipped_runbook(tmp_path: Path) -> None:
    own = SERVICE.replace(NAMING, "runbook: workload-recovery")
    catalog = added(tmp_path, own, RULE.replace(NAMING, "runbook: workload-recovery"))
    assert set(catalog.services) == {"web"}
    assert "workload-recovery" in catalog.runbooks
    assert load([Path(name) for name in catalog.texts]).digest == catalog.digest, "the ledger keeps it whole"


def test_a_shipped_runbook_that_is_named_must_fit(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, SERVICE.replace(NAMING, "runbook: database-restore"), RULE, RUNBOOK)
    assert {Path(each.file).name for each in errors.value.problems} == {"own.yaml", "database-restore.yaml"}
    assert "runbook database-restore needs database, backups, host" in str(errors.value)
    assert "there is no service with checks called 'integrity'" in str(errors.value)


def test_a_mistake_in_ones_own_is_told_alone(tmp_path: Path) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(tmp_path, SERVICE, RULE.replace("service: web", "service: wep"), RUNBOOK)
    assert {Path(each.file).name for each in errors.value.problems} == {"own.yaml"}


@pytest.mark.parametrize("example", [True, False])
def test_a_name_twice_is_told_with_both_places(tmp_path: Path, *, example: bool) -> None:
    with pytest.raises(CatalogErrors) as errors:
        added(
            tmp_path,
            SERVICE,
            RULE,
            RUNBOOK,
            runbook("- {id: a, run: kubectl get pods}", name="workload-recovery"),
            example=example,
        )
    (problem,) = errors.value.problems
    assert Path(problem.file).name == "own.yaml"
    assert "there is a Runbook 'workload-recovery' already, in " in problem.message
    assert "runbooks/workload-recovery.yaml:" in problem.message


def test_ones_own_runbook_may_have_the_name_of_one_that_does_not_fit(tmp_path: Path) -> None:
    own = runbook("- {id: a, run: kubectl get pods}", name="full-stack-recovery")
    catalog = added(tmp_path, SERVICE.replace(NAMING, "runbook: full-stack-recovery"), own)
    assert [step.id for step in catalog.runbooks["full-stack-recovery"].steps] == ["a"]


def test_a_folder_is_added_to_the_one_that_replaces_the_shipped_one(tmp_path: Path) -> None:
    instead, more = tmp_path / "instead", tmp_path / "more"
    for folder, texts in ((instead, (SERVICE, RUNBOOK)), (more, (RULE,))):
        folder.mkdir()
        (folder / "own.yaml").write_text("---\n".join(texts))
    catalog = load(catalog_paths(instead, [more]))
    assert (set(catalog.services), set(catalog.runbooks), len(catalog.rules)) == ({"web"}, {"mend"}, 1)
