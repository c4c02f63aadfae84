"""Kinds are found by every word that kubectl knows, and have the paths that the API server serves."""

import pytest

from kubeobjects import resources
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
