"""What is gone is made again by the tool that owned it; a mark that is no name becomes no part of a command."""

import pytest

from kubeobjects.metadata import Metadata
from kubeobjects.owners import recreating_command

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
