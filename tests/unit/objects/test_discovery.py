"""Kinds that are not built in are found by kubectl's words for them; a built-in kind keeps all of its own."""

from collections.abc import Iterator

import pytest

from kubeobjects import discovery, resources
from kubeobjects.discovery import find_any, kinds_in
from kubeobjects.errors import ReadError
from tests.unit.objects.discovered import GROUPS, Json, group, kind, kinds


@pytest.fixture(autouse=True)
def known_kinds() -> Iterator[None]:
    """Know the kinds of a cluster, and forget them again."""
    discovery.forget()
    discovery.set_served(kinds(*GROUPS))
    yield
    discovery.forget()


@pytest.mark.parametrize(
    ("word", "path"),
    [
        *(
            (word, "/apis/cert-manager.io/v1/certificates")
            for word in ("certificates", "certificate", "Certificate", "cert", "certs", "certificate.cert-manager.io")
        ),
        ("certificates.v1.cert-manager.io", "/apis/cert-manager.io/v1/certificates"),
        ("certificates.v1alpha2.cert-manager.io", "/apis/cert-manager.io/v1alpha2/certificates"),
        ("services.serving", "/apis/serving.knative.dev/v1/services"),
        ("services", "/api/v1/services"),
        ("services.serving.knative.dev", "/apis/serving.knative.dev/v1/services"),
        ("ksvc", "/apis/serving.knative.dev/v1/services"),
    ],
)
def test_a_kind_of_the_cluster_is_found_by_the_words_of_kubectl(word: str, path: str) -> None:
    """The preferred version comes first, and what is built in has its plain words."""
    found = find_any(word)
    assert found is not None
    assert found.path(None) == path


def test_each_kind_is_found_by_the_word_that_it_is_written_with() -> None:
    for each in kinds(*GROUPS):
        assert find_any(each.singular) == each


@pytest.mark.parametrize(
    "served",
    [
        group("", v1=[kind("Secret", "secrets")], v2=[kind("Secret", "secrets")]),
        group("metrics.k8s.io", v1=[kind("PodMetrics", "pods")]),
        group("a.io", v1=[kind("Widget", "widgets", verbs=["create"])]),
        group("a.io", v1=[kind("Widget", "widgets", verbs=["list"])]),
        group("a.io", v1=[{**kind("Widget", "widgets"), "responseKind": None}]),
        group("a.io", v1=[kind("Secret", "../../api/v1/secrets")]),
        group("a.io/../../api", v1=[kind("Secret", "secrets")]),
    ],
)
def test_what_is_built_in_or_cannot_be_read_or_is_no_name_is_left_out(served: Json) -> None:
    """No version of Secrets is another kind, and no path leads to them."""
    assert kinds(served) == ()


def test_the_kinds_of_the_api_server_replace_those_before_and_go_before_those_of_a_file() -> None:
    discovery.add_filed(kinds(group("a.io", v1=[kind("Widget", "widgets")], v1beta1=[kind("Widget", "widgets")])))
    discovery.set_served(kinds(group("a.io", v1beta1=[kind("Widget", "widgets")])))
    assert find_any("certificates") is None
    found = find_any("widgets")
    assert found is not None
    assert found.version == "v1beta1"
    discovery.set_served(())
    found = find_any("widgets")
    assert found is not None
    assert found.version == "v1"


def test_a_builtin_kind_is_found_before_all_others() -> None:
    discovery.add_filed(kinds(group("a.io", v1=[kind("Pod", "pods", "po")])))
    assert find_any("po") is resources.PODS


def test_a_document_of_another_form_cannot_be_read() -> None:
    with pytest.raises(ReadError):
        kinds_in([{"items": [{"versions": "v1"}]}])
