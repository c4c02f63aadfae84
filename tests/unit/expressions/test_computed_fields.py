"""The computed fields of objects as the API gives them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from kintsugi.expressions import ANY, STRING, ListOf, Scope, struct_type
from kintsugi.expressions.types import Type
from kintsugi.model.rules import RuleSource
from kintsugi.scope.types import SERVICE, rule_names
from kubeobjects.kept import Deployment, Event, KubeService, Node, Pod
from kubeobjects.metadata import Metadata

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO = "2026-03-01T09:00:00Z"


def pod(name: str = "web-1", *, ready: str = "True", waiting: str = "", restarts: int = 0) -> Pod:
    """Return a pod that started three hours ago, as the API gives it."""
    state: Mapping[str, object] = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": LONG_AGO}}
    return msgspec.convert(
        {
            "metadata": {"name": name, "namespace": "production", "uid": f"uid-{name}"},
            "spec": {"containers": [{"name": "app"}]},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": LONG_AGO}],
                "containerStatuses": [
                    {"name": "app", "ready": ready == "True", "restartCount": restarts, "state": state},
                ],
            },
        },
        Pod,
        strict=False,
    )


def ask(source: str, kind: Type, value: object, *, result: Type = ANY) -> object:
    """Ask an expression about one value named `x`."""
    scope = Scope(names={**rule_names(RuleSource.POD), "x": kind})
    return scope.expression(source, result=result).evaluate({"x": value, "now": NOW})


POD = struct_type(Pod)


@pytest.mark.parametrize(
    ("source", "looked_at", "expected"),
    [
        ("x.displayStatus", pod(), "Running"),
        ("x.displayStatus", pod(ready="False", waiting="CrashLoopBackOff"), "CrashLoopBackOff"),
        ("x.ready", pod(), True),
        ("x.ready", pod(ready="Unknown"), False),
        ("x.unhealthy", pod(), False),
        ("x.unhealthy", pod(ready="Unknown"), False),
        ("x.unhealthy", pod(ready="False"), True),
        ("x.unhealthy", pod(ready="False", waiting="CrashLoopBackOff"), True),
        ("x.crashLooping", pod(ready="False", waiting="CrashLoopBackOff"), True),
        ("x.crashLooping", pod(ready="False", waiting="ImagePullBackOff"), False),
        ("x.imageFailing", pod(ready="False", waiting="ImagePullBackOff"), True),
        ("x.unschedulable", pod(), False),
        ("x.restarts", pod(restarts=4), 4),
    ],
)
def test_facts_of_a_pod(source: str, looked_at: Pod, expected: object) -> None:
    assert ask(source, POD, looked_at) == expected


def test_a_pod_of_which_nothing_is_known_is_not_unhealthy() -> None:
    """P6: no readiness is no reason to act."""
    assert ask("x.unhealthy", POD, Pod()) is False


def test_unhealthy_reads_the_moment_it_is_asked_at() -> None:
    source = Scope(names=rule_names(RuleSource.POD)).expression("object.unhealthy")
    started = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    young = {"object": pod(ready="False"), "now": started + timedelta(seconds=5)}
    assert source.evaluate(young) is False
    assert source.evaluate({**young, "now": started + timedelta(hours=1)}) is True


def test_a_list_is_asked_one_by_one() -> None:
    pods = [pod("a"), pod("b", ready="False")]
    assert ask("x.filter(p, p.unhealthy).map(p, p.metadata.name)", ListOf(POD), pods) == ["b"]
    assert ask("size(x) > 0 && x.all(p, p.displayStatus == 'Running')", ListOf(POD), pods) is True


def test_an_object_that_an_expression_gave_can_be_asked_again() -> None:
    given = ask("x.filter(p, p.unhealthy)[0]", ListOf(POD), [pod("b", ready="False")])
    assert isinstance(given, dict)
    assert given["metadata"]["uid"] == "uid-b"
    assert ask("x.unhealthy && x.kind == 'Pod'", POD, given) is True


def test_nodes_are_ready_too() -> None:
    node = msgspec.convert({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, Node)
    assert ask("x.ready && !x.spec.unschedulable", struct_type(Node), node) is True
    assert ask("x.ready", struct_type(Node), Node()) is False


@pytest.mark.parametrize(
    ("points", "expected"), [([], ""), ([{"ip": "10.0.0.1"}], "10.0.0.1"), ([{"hostname": "lb.example"}], "lb.example")]
)
def test_the_address_of_a_service(points: list[dict[str, str]], expected: str) -> None:
    service = msgspec.convert({"status": {"loadBalancer": {"ingress": points}}}, KubeService)
    assert ask("x.address", struct_type(KubeService), service) == expected


WEB = {
    "name": "web-service",
    "namespace": "production",
    "owns": ["u1"],
    "workload": Deployment(metadata=Metadata(name="web")),
}


@pytest.mark.parametrize(
    ("about", "service", "expected"),
    [
        ({"kind": "PersistentVolumeClaim", "namespace": "production", "name": "data", "uid": "u1"}, WEB, True),
        ({"kind": "Deployment", "namespace": "production", "name": "web", "uid": "u7"}, WEB, True),
        ({"kind": "ReplicaSet", "namespace": "production", "name": "web-5b9f", "uid": "u8"}, WEB, True),
        ({"kind": "Pod", "namespace": "production", "name": "web-5b9f-xx", "uid": "gone"}, WEB, True),
        ({"kind": "Pod", "namespace": "production", "name": "webapp-5b9f-xx", "uid": "u9"}, WEB, False),
        ({"kind": "Pod", "namespace": "staging", "name": "web-5b9f-xx", "uid": "u9"}, WEB, False),
        ({"kind": "Node", "name": "node-1"}, WEB, False),
        ({"kind": "Pod", "namespace": "production", "name": "web-5b9f-xx"}, {**WEB, "workload": None}, False),
        (None, WEB, False),
    ],
)
def test_an_event_concerns_the_service_whose_object_it_is_about(
    about: Mapping[str, str] | None, service: Mapping[str, object], expected: bool
) -> None:
    """Events are read as the API has them, and of a service without a workload as of any other."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "type": "Warning",
        **({"involvedObject": about} if about else {}),
    }
    known = {name: value for name, value in service.items() if value is not None}
    scope = Scope(names={"x": struct_type(Event), "services": ListOf(SERVICE)})
    asked = scope.expression("x.concerns", result=ListOf(STRING))
    assert asked.evaluate({"x": event, "services": [known]}) == (["web-service"] if expected else [])
    assert asked.reads == {"x.concerns", "services"}
