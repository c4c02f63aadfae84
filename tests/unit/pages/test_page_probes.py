"""What a page may read of a service: each command is judged once its values are filled in."""

from dataclasses import replace

import pytest

from kintsugi.commands import parse, render
from kintsugi.decisions.page_probes import limited, objection, own_objects
from kintsugi.model.views import ServiceView
from kubeobjects.selectors import NOTHING
from tests.unit.factories import pod, view

WEB = replace(view(), pods=(pod("web-1"),), host="web.production.svc")


def judged(line: str, shown: ServiceView = WEB) -> str:
    """Return what is said against a command."""
    return objection(parse(line, namespace="production"), shown)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kubectl exec web-1 -- ps", "a page only reads"),
        ("curl http://web.production/", "a page only reads"),
        ("kubectl delete pod web-1", "a page only reads"),
        ("kubectl rollout status deployment/web", "a page only reads"),
        ("kubectl describe pod api-1", "pod/api-1 is not known to belong to web"),
        ("kubectl describe pod web-1 -n staging", "it reads namespace staging, and web is in production"),
        ("kubectl get pods -A", "it reads all namespaces, and web is in production"),
        ("kubectl events -A", "it reads all namespaces, and web is in production"),
        ("kubectl events --for=pod/api-1", "pod/api-1 is not known to belong to web"),
        ("kubectl logs deployment/api", "deployment/api is not known to belong to web"),
        ("kubectl logs svc/web", "the pods that service/web selects may be others than those of web"),
        ("kubectl logs -l app=api -n staging", "it reads namespace staging, and web is in production"),
        ("kubectl top pod api-1", "pod/api-1 is not known to belong to web"),
        ("kubectl top nodes", "a list of nodes is about more than web"),
        ("kubectl get nodes", "a list of nodes is about more than web"),
        ("kubectl describe node other", "node/other is not known to belong to web"),
        ("kubectl describe deployments", "what it lists cannot be limited to web"),
        ("kubectl get secret web", "a page reads no Secret"),
        ("kubectl get pods,secrets", "a page reads no Secret"),
        ("kubectl describe secret web", "a page reads no Secret"),
        ("kubectl get --raw /readyz", "a page only reads"),
        ("kubectl get configmap web", "configmap/web is not known to belong to web"),
    ],
)
def test_what_is_not_about_the_service_or_more_than_reads_is_refused(line: str, said: str) -> None:
    assert said in judged(line)


@pytest.mark.parametrize(
    ("line", "run"),
    [
        ("kubectl describe pod web-1", "kubectl describe pod web-1 -n production"),
        ("kubectl get deployment web", "kubectl get deployment web -n production"),
        ("kubectl get svc web", "kubectl get service web -n production"),
        ("kubectl get pods", "kubectl get pods -n production -l app=web"),
        ("kubectl get pods -l tier=front", "kubectl get pods -n production -l tier=front,app=web"),
        ("kubectl get deployments,svc", "kubectl get deployments,svc -n production"),
        ("kubectl logs -l tier=front --tail=5", "kubectl logs -l tier=front,app=web -n production --tail=5"),
        ("kubectl top pods", "kubectl top pods -n production -l app=web"),
        ("kubectl events", "kubectl events -n production"),
    ],
)
def test_what_is_about_the_service_is_read_and_a_list_of_pods_is_limited_to_its_own(line: str, run: str) -> None:
    assert judged(line) == ""
    assert render(limited(parse(line, namespace="production"), WEB)) == run.replace(
        "app=web", WEB.service.selector.text
    )


def test_logs_and_usage_of_a_service_whose_selector_is_unknown_are_not_read() -> None:
    unknown = replace(WEB, service=replace(WEB.service, selector=NOTHING))
    assert "cannot be limited" in judged("kubectl logs -l app=web", unknown)
    assert "cannot be limited" in judged("kubectl top pods", unknown)


def test_of_a_list_only_the_objects_of_the_service_and_the_events_about_them_are_kept() -> None:
    def found(kind: str, name: str, **more: object) -> dict[str, object]:
        return {"kind": kind, "metadata": {"name": name, **more}}

    def event(about: str) -> dict[str, object]:
        return {**found("Event", "e"), "involvedObject": {"kind": "Pod", "name": about}}

    owned = found("ReplicaSet", "web-abc", ownerReferences=[{"kind": "Deployment", "name": "web"}])
    items = [
        found("Pod", "web-1"),
        found("Pod", "api-1"),
        found("Service", "web-1"),
        owned,
        event("web-1"),
        event("api-1"),
    ]
    kept = own_objects({"items": items, "lines": ["a line"], "text": "text"}, WEB)
    assert kept == {"items": [items[0], owned, event("web-1")], "lines": ["a line"], "text": "text"}
