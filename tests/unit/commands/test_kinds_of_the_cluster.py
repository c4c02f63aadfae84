"""What only reads takes every kind of the cluster; what changes takes of those the ones that are named, and Secrets stay."""

import json
from collections.abc import Iterator

import pytest

from kintsugi.commands import CommandProblem, decode, encode, parse, parse_template, render
from kintsugi.commands.kinds import allow_changes
from kintsugi.expressions import ANY, Scope
from kintsugi.verbs.describe import Describe
from kintsugi.verbs.get import Get
from kubeobjects import discovery
from kubeobjects.resources import SECRETS
from tests.unit.objects.discovered import GROUPS, group, kind, kinds

ISSUER = group("issuers.example.com", v1=[kind("Issuer", "issuers", scope="Cluster")])


@pytest.fixture(autouse=True)
def known_kinds() -> Iterator[None]:
    """Know the kinds of a cluster, two of which may be changed, and forget them again."""
    discovery.forget()
    discovery.set_served(kinds(*GROUPS, ISSUER))
    allow_changes(["certificates.cert-manager.io", "issuers.issuers.example.com"])
    yield
    allow_changes(())
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
        "kubectl label certificate web a=b -n x",
        "kubectl annotate certificate web a=b -n x",
        """kubectl patch certificate web --type=merge -p '{"spec":{"a":1}}' -n x""",
        "kubectl scale certificate.v1alpha2.cert-manager.io web --replicas=1 -n x",
    ],
)
def test_a_kind_of_the_cluster_is_taken_and_written_and_journalled_without_loss(line: str) -> None:
    command = parse(line)
    assert render(command) == line
    journalled = json.loads(json.dumps(encode(command)))
    discovery.forget()
    assert decode(journalled) == command


@pytest.mark.parametrize(
    "line",
    [
        "kubectl delete certificate web",
        "kubectl rollout restart services.serving.knative.dev/web",
        "kubectl logs certificate/web",
    ],
)
def test_what_deletes_rolls_out_or_is_about_pods_refuses_a_kind_that_is_not_built_in(line: str) -> None:
    with pytest.raises(CommandProblem, match=r"does not take .*: a type that is not built in can be read"):
        parse(line, namespace="x")


MERGE = "kubectl patch certificate web --type=merge -p"
JSON = "kubectl patch certificate web --type=json -p"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        *(
            (
                line,
                r"services\.serving\.knative\.dev is not among .* rbac\.changeKinds: \[services\.serving\.knative\.dev\] .*guards\.changeK",
            )
            for line in (
                "kubectl label services.serving.knative.dev web a=b",
                "kubectl annotate services.serving.knative.dev web a=b",
                "kubectl scale services.serving.knative.dev web --replicas=1",
                """kubectl patch services.serving.knative.dev web --type=merge -p '{"spec":{"a":1}}'""",
            )
        ),
        ("kubectl label issuer web a=b", "objects of issuers.issuers.example.com are in no namespace"),
        ("""kubectl patch certificate web -p '{"spec":{"a":1}}'""", "no strategic merge patch .* write --type=merge"),
        (
            f"""{MERGE} '{{"status":{{"a":1}}}}'""",
            "/status is not changed: of a certificate only /spec, /metadata/labels",
        ),
        (f"""{MERGE} '{{"spec":{{"a":1}},"metadata":{{"ownerReferences":[]}}}}'""", "/metadata/ownerReferences is not"),
        (f"""{MERGE} '{{"metadata":{{"labels":{{"a":"b"}},"finalizers":null}}}}'""", "/metadata/finalizers is not"),
        (f"""{MERGE} '{{"metadata":null}}'""", "/metadata is not"),
        (f"""{MERGE} '{{"specification":{{"a":1}}}}'""", "/specification is not"),
        (f"""{JSON} '[{{"op":"remove","path":"/metadata/finalizers/0"}}]'""", "/metadata/finalizers/0 is not"),
        (f"""{JSON} '[{{"op":"move","from":"/status/a","path":"/spec/a"}}]'""", "/status/a is not"),
        (f"""{JSON} '[{{"op":"replace","path":"","value":{{}}}}]'""", "the whole object is not"),
    ],
)
def test_a_change_of_a_kind_of_the_cluster_says_why_it_is_refused(line: str, why: str) -> None:
    with pytest.raises(CommandProblem, match=why):
        parse(line, namespace="x")


@pytest.mark.parametrize("word", ["secrets", "secret", "secrets.v1", "Secret"])
def test_a_secret_is_never_a_kind_of_the_cluster_that_is_read_whole(word: str) -> None:
    for verb in ("get", "describe"):
        command = parse(f"kubectl {verb} {word} token", namespace="x")
        assert isinstance(command, Get | Describe)
        assert [each.resource for each in command.objects] == [SECRETS]
    with pytest.raises(CommandProblem, match="Secret's content must not reach"):
        parse(f"kubectl wait --for=delete {word} token", namespace="x")


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
