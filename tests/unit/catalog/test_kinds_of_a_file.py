"""A file lists the kinds of the cluster, so that documents are checked without it."""

from collections.abc import Iterator

import pytest

from kintsugi.catalog.scaffold import kinds_document
from kubeobjects import discovery
from tests.unit.catalog.documents import RUNBOOK, SERVICE, loaded, said
from tests.unit.objects.discovered import GROUPS, group, kind, kinds

READS = RUNBOOK.replace("get pods", "get certificates")
KINDS = kinds_document(kinds(*GROUPS, group("", v1=[kind("Null", "nulls", "no", scope="Cluster")])))


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """Know of no cluster."""
    discovery.forget()
    yield
    discovery.forget()


def test_steps_may_read_the_kinds_of_a_file_that_is_read_before_or_after_them() -> None:
    first = loaded(SERVICE, READS, KINDS)
    discovery.forget()
    assert loaded(KINDS, SERVICE, READS).digest == first.digest
    discovery.forget()
    with_other_kinds = loaded(KINDS.replace("certs", "crt"), SERVICE, READS)
    assert with_other_kinds.digest != first.digest


def test_without_it_the_mistake_says_what_to_do() -> None:
    (told,) = said(SERVICE, READS)
    assert told.startswith("b.yaml:8:12: spec.steps[0].run: kubectl get: 'certificates' is not a known type of object")
    assert "`kintsugi init` writes the types of the cluster to kinds.yaml" in told


def test_what_is_written_names_each_kind_in_its_preferred_version() -> None:
    loaded(SERVICE, RUNBOOK, KINDS)
    for word, api_version in (
        ("cert", "cert-manager.io/v1"),
        ("ksvc", "serving.knative.dev/v1"),
        ("nulls", "v1"),
        ("no", "v1"),
    ):
        found = discovery.find_any(word)
        assert found is not None
        assert found.api_version == api_version
    assert discovery.find_any("certificates.v1alpha2.cert-manager.io") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "scope: Namespaced",
            "scope: Namespace",
            "c.yaml:11:103: items[0].versions[0].resources[0].scope: 'Namespace' is",
        ),
        (
            "singularResource",
            "singularResorce",
            "the key 'singularResorce' is not known here; did you mean 'singularResource'?",
        ),
        ("resource: certificates", "resource: a/b", "'a/b' is not the name of a type: lower-case letters"),
        ("apidiscovery.k8s.io/v2", "v1", "apiVersion: 'v1' is not one of 'apidiscovery.k8s.io/v2'"),
    ],
)
def test_a_mistake_in_it_is_told_once_with_its_place(old: str, new: str, message: str) -> None:
    (told,) = said(SERVICE, RUNBOOK, KINDS.replace(old, new, 1))
    assert told.startswith("c.yaml:")
    assert message in told
