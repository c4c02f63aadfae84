"""The catalog that a daemon has beside parcels: the documents of `kintsugi init` with what docs/faults.md says besides, and they are valid."""

from pathlib import Path

import pytest

from kintsugi.catalog.scaffold import FoundWorkload, document
from kintsugi.cli.documents import validate
from kintsugi.cli.errors import ExitCode
from kintsugi.cli.options import OutputFormat
from kintsugi.model.services import WorkloadRef
from kubeobjects.resources import find
from tests.faults import first_catalog, page
from tests.harness.parcels import PARCELS


def written(service: str) -> str:
    """Return the documents of a service of parcels."""
    kind, _, name = page.workloads()[service].partition("/")
    resource = find(kind)
    assert resource is not None
    workload = WorkloadRef(resource=resource, name=name)
    check = f"http://{name}.{PARCELS}/ready" if page.services_of(PARCELS)[service] else ""
    found = FoundWorkload(workload=workload, namespace=PARCELS, selector=f"app={name}", check=check)
    return first_catalog.completed(document(found, service, "catalog"), service)


def test_the_documents_are_valid_beside_those_that_are_shipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for service in page.services_of(PARCELS):
        (tmp_path / f"{service}.yaml").write_text(written(service))
    assert (
        validate(
            [tmp_path],
            OutputFormat.TEXT,
        )
        is ExitCode.DONE
    ), capsys.readouterr()


def test_a_service_depends_on_what_the_page_says_and_is_asked_by_each_of_its_ports() -> None:
    reception = written("reception")
    assert "dependsOn: [consignments]" in reception
    assert 'run: "curl http://reception.parcels/"' in reception
    assert "run: curl https://reception.parcels/" in reception
    assert reception.count("curl ") == 2
    assert "check: " not in written("scanner")
    assert page.upstreams()["api-service"] == ("database", "cache-service")
