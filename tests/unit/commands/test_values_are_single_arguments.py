"""A value that is put into a command stays one argument of its place: never syntax, a flag or a second object (P10, E5)."""

import json
from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kintsugi.commands import CommandProblem, parse_template
from kintsugi.expressions import ANY, DURATION, INT, STRING, ExpressionProblem, ListOf, Scope, struct_type
from kintsugi.model.command import Command, Delete, Patch, SetMetadata
from kintsugi.verbs.curl import Curl
from kintsugi.verbs.scale import Scale
from kubeobjects.kept import Pod
from kubeobjects.resources import PODS, STATEFULSETS

POD = struct_type(Pod)
SCOPE = Scope(
    names={
        "x": ANY,
        "each": POD,
        "text": STRING,
        "count": INT,
        "wait": DURATION,
        "pods": ListOf(POD),
        "names": ListOf(STRING),
    }
)
OBJECT = {"kind": "Pod", "metadata": {"name": "web-1", "namespace": "production", "uid": "u-1"}}

CORPUS = [
    "",
    " ",
    "a b",
    "a;b",
    "$(id)",
    "`id`",
    "a\nb",
    "-rf",
    "--all",
    "--",
    "-n",
    "a|b",
    "../../x",
    "a/b",
    "a,b",
    "pods,secrets",
    "ａ",
    "a\u202eb",
    "*",
    "x" * 300,
]


def bind(line: str, values: Mapping[str, object]) -> Command:
    return parse_template(line, SCOPE).bind(values, namespace="production")


@pytest.mark.parametrize("uid", ["", None])
def test_an_object_whose_uid_is_not_known_is_shown_and_not_changed(uid: str | None) -> None:
    node = {"kind": "Node", "name": "node-1", "uid": uid}
    bind("kubectl describe node ${x}", {"x": node})
    with pytest.raises(CommandProblem, match="uid of 'node-1' is not known"):
        bind("kubectl cordon ${x}", {"x": node})


@pytest.mark.parametrize("value", CORPUS)
@pytest.mark.parametrize(
    "line",
    [
        "kubectl delete pod ${x}",
        "kubectl delete pod/${x}",
        "kubectl delete pod web-${x}",
        "kubectl scale deployment ${x} --replicas=1",
        "kubectl get pods -n ${x}",
        "kubectl get pods -l app=${x}",
        "kubectl logs a -c ${x}",
        "kubectl cordon node/${x}",
        "curl http://${x}/health",
        "nc -z ${x} 80",
        "kubectl scale deployment web --replicas=${x}",
        "promtool query instant http://a 'up{namespace=\"${x}\"}'",
        "promtool query instant http://${x}:9090 up",
        "kintsugi backup fetch ${x} --database=d",
        "kintsugi backup fetch s3://bucket/x --max-age=1h --database=${x}",
        "pg_restore -e -1 -h d.p -U u -d d ${x}",
        "pg_restore -e -1 -h d.p -U ${x} -d d /backups/x",
        "pg_restore -e -1 -h ${x} -U u -d d /backups/x",
    ],
)
def test_a_value_that_does_not_fit_its_place_is_refused(line: str, value: str) -> None:
    with pytest.raises(CommandProblem):
        bind(line, {"x": value})


@pytest.mark.parametrize("line", ["kubectl delete pod ${x}", "kubectl get pods -n ${x}", "kubectl logs a -c ${x}"])
def test_a_name_has_no_capitals(line: str) -> None:
    with pytest.raises(CommandProblem, match="not a name"):
        bind(line, {"x": "Web"})


@pytest.mark.parametrize("value", ["pods", "pods,secrets", "all", "pods.metrics.k8s.io/x", "pod/a/b", "node"])
@pytest.mark.parametrize("line", ["kubectl scale ${x} --replicas=1", "kubectl get ${x}", "kubectl delete ${x}"])
def test_a_value_alone_is_an_object_and_never_a_whole_type(line: str, value: str) -> None:
    with pytest.raises(CommandProblem):
        bind(line, {"x": value})


def test_an_object_gives_its_name_and_its_uid_as_the_precondition() -> None:
    for line in ("kubectl delete pod ${each}", "kubectl delete ${each}", "kubectl delete pod/${each}"):
        command = bind(line, {"each": OBJECT})
        assert isinstance(command, Delete)
        (found,) = command.objects
        assert (found.resource, found.name, found.uid) == (PODS, "web-1", "u-1")


def test_a_name_that_is_made_of_an_object_s_name_is_another_object() -> None:
    command = bind("kubectl delete pod copy-of-${each}", {"each": OBJECT})
    assert isinstance(command, Delete)
    assert (command.objects[0].name, command.objects[0].uid) == ("copy-of-web-1", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "Node"}, "is a Node"),
        ({"metadata": {"name": "web-1", "namespace": "other", "uid": "u"}}, "is in namespace 'other'"),
        ({"metadata": {}}, "cannot be put into a text"),
    ],
)
def test_an_object_of_another_kind_or_namespace_is_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(CommandProblem, match=why):
        bind("kubectl delete pod ${each}", {"each": {**OBJECT, **change}})


def test_a_workload_is_written_as_type_and_name() -> None:
    command = bind("kubectl scale ${text} --replicas=${count}", {"text": "statefulset/db", "count": 3})
    assert isinstance(command, Scale)
    assert command.replicas == 3
    assert command.objects[0].resource == STATEFULSETS


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("203.0.113.7", "http://203.0.113.7/health"),
        ("2001:db8::7", "http://[2001:db8::7]/health"),
        ("lb.example", "http://lb.example/health"),
    ],
)
def test_an_address_becomes_the_host_of_a_url(value: str, url: str) -> None:
    command = bind("curl http://${text}/health", {"text": value})
    assert isinstance(command, Curl)
    assert command.url == url


@pytest.mark.parametrize("value", ["evil.example/x?", "a@evil.example", "evil.example#", "a:80/../x", "a b", "a\\b"])
def test_a_value_cannot_move_a_url_to_another_place(value: str) -> None:
    with pytest.raises(CommandProblem, match="not a host"):
        bind("curl http://${text}/health", {"text": value})


def test_a_value_in_the_path_of_a_url_is_encoded() -> None:
    command = bind("curl http://a/items/${text}?q=${text}", {"text": "x y?&#/z"})
    assert isinstance(command, Curl)
    assert command.url == "http://a/items/x%20y%3F%26%23/z?q=x%20y%3F%26%23%2Fz"


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_any_text_in_a_json_patch_is_text_again(value: str) -> None:
    command = bind("""kubectl patch deployment web -p '{"a": "${text}", "b": ${text}}'""", {"text": value})
    assert isinstance(command, Patch)
    assert json.loads(command.patch) == {"a": value, "b": value}


def test_the_value_of_a_label_is_not_a_second_label() -> None:
    command = bind("kubectl label pod a owner=${text}", {"text": "me"})
    assert isinstance(command, SetMetadata)
    assert command.values == {"owner": "me"}
    with pytest.raises(CommandProblem, match="label"):
        bind("kubectl label pod a owner=${text}", {"text": "me,b=c d"})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kubectl delete pod ${pods}", "forEach"),
        ("kubectl scale deployment web --replicas=${text}", "gives a string, but N"),
        ("kubectl scale deployment web --replicas=${each}", "gives a Pod"),
        ("kubectl logs a --since=${count > 1}", "gives a bool"),
        ("kubectl logs a --since=${count}", "gives a int, but DURATION"),
        ("curl ${count}", "gives a int, but URL"),
        ("${text} get pods", "cannot come from a value"),
        ("kubectl ${text} pods", "verb cannot come from a value"),
        ("kubectl get pods -l app=${names}", "forEach"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_before_anything_runs(line: str, why: str) -> None:
    with pytest.raises(CommandProblem, match=why):
        parse_template(line, SCOPE)


def test_a_template_that_is_wrong_for_all_values_is_refused_before_the_run() -> None:
    with pytest.raises(CommandProblem, match="grace-period=0"):
        parse_template("kubectl delete pod ${each} --grace-period=0", SCOPE)


def test_a_misspelt_name_in_a_hole_is_pointed_at() -> None:
    line = "kubectl delete pod ${eahc}"
    with pytest.raises(ExpressionProblem) as caught:
        parse_template(line, SCOPE)
    assert line[caught.value.offset :].startswith("eahc")


def test_holes_with_quotes_and_braces_are_one_word() -> None:
    template = parse_template("""kubectl get pod ${{"a": "x } y", "b": text}["b"]} -n prod""", SCOPE)
    assert str(template.bind({"text": "web"}, namespace="x").objects[0]) == "pod/web"  # type: ignore[attr-defined]


def test_a_plain_hole_is_written_with_two_dollars() -> None:
    command = bind("kubectl annotate pod a 'note=$${x}'", {})
    assert isinstance(command, SetMetadata)
    assert command.values == {"note": "${x}"}


def test_how_long_to_wait_is_a_duration_or_a_number_of_seconds() -> None:
    waits = [
        bind(f"nc -z a 80 -w {hole}", {"count": 3, "wait": timedelta(seconds=3)})
        for hole in ("${count}", "${wait}", "3")
    ]
    assert [command.timeout for command in waits] == [timedelta(seconds=3)] * 3  # type: ignore[attr-defined]
    logs = bind("kubectl logs a --since=${wait}", {"wait": timedelta(minutes=90)})
    assert logs.since == timedelta(minutes=90)  # type: ignore[attr-defined]
