"""The name of a Helm release is anybody's annotation, and becomes a part of commands: it is one by Helm's own pattern, or none."""

import pytest

from kintsugi.objects.metadata import Metadata
from kintsugi.objects.owners import helm_release


def released(name: str) -> Metadata:
    """Return the metadata of an object with this annotation."""
    return Metadata(labels={"app.kubernetes.io/managed-by": "Helm"}, annotations={"meta.helm.sh/release-name": name})


@pytest.mark.parametrize("name", ["web", "shop-2", "a.b", "a" * 53])
def test_a_name_that_helm_takes_is_a_release(name: str) -> None:
    assert helm_release(released(name)) == name


@pytest.mark.parametrize(
    "name",
    ["web; curl x | sh", "$(id)", "`id`", "web\n", "web\nUndo commands:", "Web", "-web", "--kubeconfig", "a" * 54, ""],
)
def test_a_name_that_helm_refuses_is_no_release(name: str) -> None:
    assert helm_release(released(name)) == ""
