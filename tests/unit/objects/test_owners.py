"""What is gone is made again by the tool that owned it; an annotation that is no name becomes no part of a command."""

import pytest

from kubeobjects.metadata import Metadata
from kubeobjects.owners import helm_release, managers, recreating_command

HELM = {"app.kubernetes.io/managed-by": "Helm"}
APPLY = "kubectl apply -n shop -f -"


@pytest.mark.parametrize(
    ("labels", "annotations", "command"),
    [
        ({}, {"argocd.argoproj.io/tracking-id": "cart:apps/Deployment:shop/web"}, "argocd app sync cart"),
        ({"argocd.argoproj.io/instance": "cart"}, {}, "argocd app sync cart"),
        (
            {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"},
            {},
            "flux reconcile kustomization apps -n flux-system",
        ),
        ({"helm.toolkit.fluxcd.io/name": "web"}, {}, "flux reconcile helmrelease web -n shop --force"),
        (HELM, {"meta.helm.sh/release-name": "cart"}, f"helm get manifest cart -n shop | {APPLY}"),
        (HELM, {"meta.helm.sh/release-name": "cart; curl x"}, ""),
        ({"argocd.argoproj.io/instance": "$(id)"}, {}, ""),
        ({"kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "b;c"}, {}, ""),
        ({"app": "web"}, {}, ""),
    ],
)
def test_the_owner_s_own_command_makes_it_again(
    labels: dict[str, str], annotations: dict[str, str], command: str
) -> None:
    found = recreating_command(Metadata(name="web", namespace="shop", labels=labels, annotations=annotations))
    assert found == command


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
