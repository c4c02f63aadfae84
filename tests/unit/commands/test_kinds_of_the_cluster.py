"""What only reads takes every kind of the cluster; what changes takes none that is not built in, and Secrets stay."""

import json
from collections.abc import Iterator

import pytest

from kintsugi.commands import CommandProblem, decode, encode, parse, parse_template, render
from kintsugi.expressions import ANY, Scope
from kubeobjects import discovery
from tests.unit.objects.discovered import GROUPS, kinds


@pytest.fixture(autouse=True)
def known_kinds() -> Iterator[None]:
    """Know the kinds of a cluster, and forget them again."""
    discovery.forget()
    discovery.set_served(kinds(*GROUPS))
    yield
    discovery.forget()


@pytest.mark.parametrize(
    "line",
    [
        "kubectl get certificates,pods -n x",
        "kubectl get certificate web -n x",
        "kubectl get service.serving.knative.dev web -n x",
        "kubectl get certificate.v1alpha2.cert-manager.io web -n x",
        "kubectl describe certificate web -n x",
        "kubectl describe service.serving.knative.dev -n x -l app=web",
        "kubectl describe services -n x -l app=web",
        "kubectl events --for=certificate/web -n x",
        "kubectl auth can-i list certificates.cert-manager.io -n x",
        "kubectl wait certificate web --for=condition=Ready --timeout=30s -n x",
    ],
)
def test_what_only_reads_takes_a_kind_of_the_cluster_and_is_written_and_journalled_without_loss(line: str) -> None:
    command = parse(line)
    assert render(command) == line
    journalled = json.loads(json.dumps(encode(command)))
    discovery.forget()
    assert decode(journalled) == command


@pytest.mark.parametrize(
    "line",
    [
        "kubectl label certificate web a=b",
        "kubectl annotate certificate web a=b",
        'kubectl patch certificate web -p \'{"spec":{"a":1}}\' --type=merge',
        "kubectl scale certificate web --replicas=1",
        "kubectl delete certificate web",
        "kubectl rollout restart services.serving.knative.dev/web",
        "kubectl logs certificate/web",
    ],
)
def test_what_changes_or_is_about_pods_refuses_a_kind_that_is_not_built_in(line: str) -> None:
    with pytest.raises(CommandProblem, match=r"does not take .*: a type that is not built in can be read"):
        parse(line, namespace="x")


@pytest.mark.parametrize("word", ["secrets", "secret", "secrets.v1", "Secret"])
@pytest.mark.parametrize("verb", ["get", "describe", "wait --for=delete"])
def test_secrets_are_not_read(verb: str, word: str) -> None:
    with pytest.raises(CommandProblem, match="Secret's content must not reach"):
        parse(f"kubectl {verb} {word} token", namespace="x")


def test_a_type_that_nobody_knows_is_refused_with_what_to_do() -> None:
    with pytest.raises(CommandProblem, match=r"'widgets' is not .* not built in; .* `kintsugi init` .* kinds\.yaml"):
        parse("kubectl get widgets", namespace="x")
    with pytest.raises(CommandProblem, match="did you mean 'certificate'"):
        parse("kubectl get certifcate", namespace="x")


@pytest.mark.parametrize("line", ["kubectl get ${x}", "kubectl get service.serving.knative.dev ${x}"])
def test_an_object_of_the_cluster_is_meant_by_its_api_group_and_not_a_namesake(line: str) -> None:
    scope = Scope(names={"x": ANY})
    knative = {"kind": "Service", "apiVersion": "serving.knative.dev/v1", "metadata": {"name": "web", "uid": "u-1"}}
    command = parse_template(line, scope).bind({"x": knative}, namespace="x")
    assert render(command) == "kubectl get service.serving.knative.dev web -n x"
    for wrong in ("kubectl get service ${x}", "kubectl label service ${x} a=b"):
        with pytest.raises(CommandProblem, match=r"'web' is a Service.serving.knative.dev, not a service"):
            parse_template(wrong, scope).bind({"x": knative}, namespace="x")
