"""What docs/quickstart.md shows is what `kintsugi init` writes; tests/cluster/test_story_quickstart.py runs its commands."""

from kintsugi.catalog.scaffold import FoundWorkload, document
from kintsugi.model.services import WorkloadRef
from kubeobjects.resources import DEPLOYMENTS
from tests.unit.project.test_documents import FENCE
from tests.unit.project.tree import ROOT

PAGE = (ROOT / "docs" / "quickstart.md").read_text()


def test_the_file_of_the_page_begins_as_it_is_written() -> None:
    [shown] = [text for language, text in FENCE.findall(PAGE) if language == "yaml"]
    workload = WorkloadRef(resource=DEPLOYMENTS, name="cart")
    found = FoundWorkload(workload=workload, namespace="shop", selector="app=cart")
    assert document(found, "cart", "catalog").startswith(shown.partition("  # …")[0])


def test_readme_and_the_page_on_installing_lead_to_the_page() -> None:
    for name in ("README.md", "docs/install.md"):
        assert "quickstart.md" in (ROOT / name).read_text(), name
