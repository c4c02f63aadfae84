"""Kinds are found by every word that kubectl knows; what is gone is made again by the tool that owned it."""

import pytest

from kubeobjects import resources
from kubeobjects.metadata import Metadata
from kubeobjects.owners import helm_release, managers, recreating_command
from kubeobjects.resources import Resource, find, suggest


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("pods", resources.PODS),
        ("pod", resources.PODS),
        ("po", resources.PODS),
        ("Pod", resources.PODS),
        ("deploy", resources.DEPLOYMENTS),
        ("deployments.apps", resources.DEPLOYMENTS),
        ("deployment.v1.apps", resources.DEPLOYMENTS),
        ("Deployment", resources.DEPLOYMENTS),
        ("hpa", resources.HPAS),
        ("horizontalpodautoscalers.v2.autoscaling", resources.HPAS),
        ("sc", resources.STORAGECLASSES),
        ("endpointslices", resources.ENDPOINTSLICES),
        ("ENDPOINTSLICES", resources.ENDPOINTSLICES),
        ("pods.metrics.k8s.io", resources.POD_METRICS),
        ("pods.v1", resources.PODS),
    ],
)
def test_a_kind_is_found_by_the_words_of_kubectl(word: str, expected: Resource) -> None:
    """Plural, singular, short name, kind, and with its group; case does not matter."""
    assert find(word) is expected


@pytest.mark.parametrize("word", ["", "pods ", "widgets", "deployments.batch", "deployments.v2.apps"])
def test_an_unknown_word_finds_nothing(word: str) -> None:
    """A group or version that is not ours is another kind."""
    assert find(word) is None


@pytest.mark.parametrize(
    ("word", "nearest"), [("deplyoment", "deployment"), ("statefullset", "statefulset"), ("xyzzy", None)]
)
def test_a_misspelt_word_is_met_with_the_nearest_one(word: str, nearest: str | None) -> None:
    """So that an error can say what would be right."""
    assert suggest(word) == nearest


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (resources.PODS.path("production"), "/api/v1/namespaces/production/pods"),
        (resources.PODS.path(None), "/api/v1/pods"),
        (resources.PODS.path("production", "web-1", "log"), "/api/v1/namespaces/production/pods/web-1/log"),
        (resources.NODES.path("ignored", "n1"), "/api/v1/nodes/n1"),
        (
            resources.DEPLOYMENTS.path("production", "web", "scale"),
            "/apis/apps/v1/namespaces/production/deployments/web/scale",
        ),
        (resources.PODS.path("a/b", "../c"), "/api/v1/namespaces/a%2Fb/pods/..%2Fc"),
    ],
)
def test_paths_are_those_of_the_api_server(path: str, expected: str) -> None:
    """P10: a name is one segment, whatever stands in it."""
    assert path == expected


def test_a_path_to_an_object_of_a_namespaced_kind_needs_its_namespace() -> None:
    """A path without it would name another thing."""
    with pytest.raises(ValueError, match="needs a namespace"):
        resources.PODS.path(None, "web-1")
    with pytest.raises(ValueError, match="needs the name"):
        resources.PODS.path("production", None, "log")


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


TAKEN = ["web", "shop-2", "a.b", "a" * 53]
REFUSED = [
    *("web; curl x | sh", "$(id)", "`id`", "web\n", "web\nUndo commands:"),
    *("Web", "-web", "--kubeconfig", "a" * 54, ""),
]


@pytest.mark.parametrize("name", [*TAKEN, *REFUSED])
def test_a_name_is_a_release_if_helm_takes_it(name: str) -> None:
    annotated = Metadata(labels=HELM, annotations={"meta.helm.sh/release-name": name})
    assert helm_release(annotated) == (name if name in TAKEN else "")


def test_the_name_of_an_application_that_is_no_name_is_quoted() -> None:
    tracked = {"argocd.argoproj.io/tracking-id": 'web"; run\ncurl x | sh:apps/Deployment:shop/web'}
    assert [each.name for each in managers(Metadata(annotations=tracked))] == ['Argo CD "web\'; run curl x | sh"']
