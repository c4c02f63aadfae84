"""The functions that expressions may call, on objects as the API gives them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from kintsugi.commands.results import REVISIONS, SCANNED
from kintsugi.errors import EvaluationError
from kintsugi.expressions import ANY, BOOL, INT, ExpressionProblem, Function, ListOf, struct_type
from kintsugi.expressions.types import Type
from kintsugi.model.rules import RuleSource
from kintsugi.scope import seen
from kintsugi.scope.functions import FUNCTIONS
from kintsugi.scope.types import SERVICE, StepPlace, rule_names
from kintsugi.scope.types import step_names as type_names
from kintsugi.scope.values import EvaluationContext, step_names
from kubeobjects.kept import KEPT, EndpointSlice, Event, KubeService, Node, Pod
from tests.unit import factories

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
    scope = seen({**rule_names(RuleSource.POD), "x": kind})
    return scope.expression(source, result=result).evaluate({"x": value, "now": NOW})


POD = struct_type(Pod)


@pytest.mark.parametrize(
    ("source", "looked_at", "expected"),
    [
        ("statusOf(x)", pod(), "Running"),
        ("statusOf(x)", pod(ready="False", waiting="CrashLoopBackOff"), "CrashLoopBackOff"),
        ("ready(x)", pod(), True),
        ("ready(x)", pod(ready="Unknown"), False),
        ("unhealthy(x)", pod(), False),
        ("unhealthy(x)", pod(ready="Unknown"), False),
        ("unhealthy(x)", pod(ready="False"), True),
        ("unhealthy(x)", pod(ready="False", waiting="CrashLoopBackOff"), True),
        ("crashLooping(x)", pod(ready="False", waiting="CrashLoopBackOff"), True),
        ("crashLooping(x)", pod(ready="False", waiting="ImagePullBackOff"), False),
        ("imageFailing(x)", pod(ready="False", waiting="ImagePullBackOff"), True),
        ("unschedulable(x)", pod(), False),
        ("restarts(x)", pod(restarts=4), 4),
    ],
)
def test_facts_of_a_pod(source: str, looked_at: Pod, expected: object) -> None:
    assert ask(source, POD, looked_at) == expected


def test_a_pod_of_which_nothing_is_known_is_not_unhealthy() -> None:
    """P6: no readiness is no reason to act."""
    assert ask("unhealthy(x)", POD, Pod()) is False


def test_unhealthy_reads_the_moment_it_is_asked_at() -> None:
    source = seen(rule_names(RuleSource.POD)).expression("unhealthy(object)")
    started = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    young = {"object": pod(ready="False"), "now": started + timedelta(seconds=5)}
    assert source.evaluate(young) is False
    assert source.evaluate({**young, "now": started + timedelta(hours=1)}) is True


def test_a_list_is_asked_one_by_one() -> None:
    pods = [pod("a"), pod("b", ready="False")]
    assert ask("x.filter(p, unhealthy(p)).map(p, p.metadata.name)", ListOf(POD), pods) == ["b"]
    assert ask("size(x) > 0 && x.all(p, statusOf(p) == 'Running')", ListOf(POD), pods) is True


def test_an_object_that_an_expression_gave_can_be_asked_again() -> None:
    given = ask("x.filter(p, unhealthy(p))[0]", ListOf(POD), [pod("b", ready="False")])
    assert isinstance(given, dict)
    assert given["metadata"]["uid"] == "uid-b"
    assert ask("unhealthy(x) && x.kind == 'Pod'", POD, given) is True


def test_nodes_are_ready_too() -> None:
    node = msgspec.convert({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, Node)
    assert ask("ready(x) && !x.spec.unschedulable", struct_type(Node), node) is True
    assert ask("ready(x)", struct_type(Node), Node()) is False


@pytest.mark.parametrize(
    ("points", "expected"), [([], ""), ([{"ip": "10.0.0.1"}], "10.0.0.1"), ([{"hostname": "lb.example"}], "lb.example")]
)
def test_the_address_of_a_service(points: list[dict[str, str]], expected: str) -> None:
    service = msgspec.convert({"status": {"loadBalancer": {"ingress": points}}}, KubeService)
    assert ask("address(x)", struct_type(KubeService), service) == expected


REVISION_LIST = [
    {"number": 1, "good": True, "current": False},
    {"number": 3, "good": True, "current": False},
    {"number": 2, "good": True, "current": False},
    {"number": 4, "good": False, "current": False},
    {"number": 5, "good": True, "current": True},
]


def test_the_last_good_revision_is_neither_a_bad_one_nor_the_current_one() -> None:
    assert ask("lastGood(x).number", REVISIONS["revisions"], REVISION_LIST) == 3


def test_without_a_good_revision_there_is_no_answer() -> None:
    """P6: nothing is rolled back to a revision that nobody has seen good."""
    with pytest.raises(EvaluationError):
        ask("lastGood(x).number", REVISIONS["revisions"], REVISION_LIST[3:])


def test_an_object_belongs_to_the_service_that_owns_it() -> None:
    piece = msgspec.convert({"metadata": {"uid": "u1", "namespace": "production"}}, EndpointSlice)
    scope = seen({"x": struct_type(EndpointSlice), "s": SERVICE})
    asked = scope.expression("belongs(x, s)")
    assert asked.evaluate({"x": piece, "s": {"owns": ["u0", "u1"]}}) is True
    assert asked.evaluate({"x": piece, "s": {"owns": ["u0"]}}) is False
    with pytest.raises(EvaluationError):
        asked.evaluate({"x": EndpointSlice(), "s": {"owns": [""]}})


WEB = {"namespace": "production", "owns": ["u1"], "workload": {"metadata": {"name": "web"}}}


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
    event = {"type": "Warning", **({"involvedObject": about} if about else {})}
    known = {name: value for name, value in service.items() if value is not None}
    scope = seen({"x": struct_type(Event), "s": SERVICE})
    assert scope.expression("concerns(x, s)").evaluate({"x": event, "s": known}) is expected


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_refuses_what_it_is_not_for_and_says_what_it_is(function: Function) -> None:
    with pytest.raises(ExpressionProblem, match=f"it is {function.name}"):
        seen({}).expression(f"{function.name}('text')", result=ANY)
    assert function.meaning


def test_a_step_may_ask_what_belongs_to_its_own_service() -> None:
    """There `service` is a name, and so is each path below it."""
    scope = seen(type_names(StepPlace(own={"pods": ListOf(struct_type(Pod))})))
    mine = factories.pod("web-1")
    names = step_names(
        EvaluationContext(now=factories.NOW, service=factories.view(pods=(mine,))),
        own={"pods": [mine, factories.pod("other-1")]},
    )
    assert scope.expression("size(pods.filter(p, belongs(p, service)))", result=INT).evaluate(names) == 1


def test_every_kept_kind_may_be_asked_whether_it_belongs() -> None:
    for kept in KEPT.values():
        scope = seen({"x": struct_type(kept), "s": SERVICE})
        assert scope.expression("belongs(x, s)").reads == {"x", "s"}


STARTS = [{"pod": "database-0", "start": f"c{number}", "means": ["corruption", "failure"]} for number in range(3)]


@pytest.mark.parametrize(
    ("starts", "over"),
    [
        (STARTS, True),
        (STARTS[:2], False),
        ([*STARTS[:2], *STARTS[:2]], False),
        ([*STARTS[:2], {**STARTS[2], "means": ["recovering"]}], False),
        ([*STARTS[:2], {**STARTS[2], "pod": "database-1"}], False),
        ([], False),
    ],
)
def test_three_starts_are_three_containers_that_told_of_it(starts: list[dict[str, object]], over: bool) -> None:
    """What two looks show of one start counts once."""
    kind = SCANNED["starts"]
    assert ask('overThreeStarts(x, ["corruption", "panic"])', kind, starts, result=BOOL) is over
