"""The name of a Helm release is anybody's annotation, and becomes a part of commands: it is one by Helm's own pattern, or none."""

import pytest

from kubeobjects.metadata import Metadata
from kubeobjects.owners import helm_release, managers


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


def test_the_name_of_an_application_that_is_no_name_is_quoted() -> None:
    tracked = {"argocd.argoproj.io/tracking-id": 'web"; run\ncurl x | sh:apps/Deployment:shop/web'}
    assert [each.name for each in managers(Metadata(annotations=tracked))] == ['Argo CD "web\'; run curl x | sh"']
