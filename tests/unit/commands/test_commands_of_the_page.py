"""The commands of the runbook page, as people write them, become the values that are executed."""

from datetime import timedelta

import pytest

from kintsugi.commands import CommandProblem, parse, parse_template, render
from kintsugi.expressions import INT, Scope
from kintsugi.model.command import Command, Delete, ObjectName, SetMetadata, Verb
from kintsugi.verbs.curl import Curl
from kintsugi.verbs.get import Get
from kintsugi.verbs.logs import Logs
from kintsugi.verbs.nc import NcZ
from kintsugi.verbs.rollout import Rollout
from kintsugi.verbs.scale import Scale
from kubeobjects.resources import DEPLOYMENTS, NODES, PODS, PVCS, PVS, SERVICES, STATEFULSETS

WEB = ObjectName(resource=DEPLOYMENTS, name="web-app-deployment")

PAGE: list[tuple[str, Command]] = [
    (
        "kubectl get pods -l app=web-app",
        Get(resources=(PODS,), words=("pods",), namespace="production", labels="app=web-app"),
    ),
    (
        "kubectl delete pod web-app-1",
        Delete(objects=(ObjectName(resource=PODS, name="web-app-1"),), namespace="production"),
    ),
    (
        "kubectl scale deployment web-app-deployment --replicas=5",
        Scale(objects=(WEB,), namespace="production", replicas=5),
    ),
    (
        "kubectl get svc web-app-service",
        Get(objects=(ObjectName(resource=SERVICES, name="web-app-service"),), namespace="production"),
    ),
    ("curl http://203.0.113.7/health", Curl(url="http://203.0.113.7/health")),
    (
        "kubectl rollout history deployment/web-app-deployment",
        Rollout(verb=Verb.ROLLOUT_HISTORY, object=WEB, namespace="production"),
    ),
    (
        "kubectl rollout undo deployment/web-app-deployment",
        Rollout(verb=Verb.ROLLOUT_UNDO, object=WEB, namespace="production"),
    ),
    (
        "kubectl rollout status deployment/web-app-deployment",
        Rollout(verb=Verb.ROLLOUT_STATUS, object=WEB, namespace="production"),
    ),
    (
        "kubectl get pv,pvc -n production",
        Get(resources=(PVS, PVCS), words=("pv", "pvc"), namespace="production"),
    ),
    (
        "kubectl logs -f database-pod-name",
        Logs(object=ObjectName(resource=PODS, name="database-pod-name"), namespace="production", follow=True),
    ),
    ("kubectl get nodes", Get(resources=(NODES,), words=("nodes",), namespace=None)),
]


@pytest.mark.parametrize(("line", "command"), PAGE, ids=[line for line, _ in PAGE])
def test_a_command_of_the_page_is_understood(line: str, command: Command) -> None:
    assert parse(line, namespace="production") == command


SPELLINGS = [
    "kubectl get pods -n prod",
    "kubectl get pods -nprod",
    "kubectl get pods -n=prod",
    "kubectl get pods --namespace=prod",
    "kubectl get pods --namespace prod",
    "kubectl -n prod get pods",
    "kubectl --namespace=prod get pods",
    "kubectl get -n prod pods",
    "kubectl get pods -n prod -o wide",
    "kubectl get pods -n prod -ojson --no-headers",
    "kubectl get \"pods\" -n 'prod'",
    "kubectl get \\\n  pods -n prod",
]


@pytest.mark.parametrize("line", SPELLINGS)
def test_flags_stand_where_and_how_people_write_them(line: str) -> None:
    assert parse(line) == Get(resources=(PODS,), words=("pods",), namespace="prod")


@pytest.mark.parametrize(
    "line", ["kubectl -n prod rollout status deploy/web", "kubectl rollout -n prod status deploy/web"]
)
def test_a_namespace_may_stand_between_the_words_of_a_verb(line: str) -> None:
    expected = ObjectName(resource=DEPLOYMENTS, name="web")
    assert parse(line) == Rollout(verb=Verb.ROLLOUT_STATUS, object=expected, namespace="prod")


@pytest.mark.parametrize(
    "word", ["deployment", "deployments", "deploy", "Deployment", "deployments.apps", "deployments.v1.apps"]
)
def test_a_type_is_written_in_all_of_kubectls_ways(word: str) -> None:
    command = parse(f"kubectl scale {word} web --replicas=2", namespace="x")
    assert isinstance(command, Scale)
    assert command.objects == (ObjectName(resource=DEPLOYMENTS, name="web"),)


def test_several_objects_are_named_by_type_and_names_or_each_with_its_type() -> None:
    by_names = parse("kubectl get pod a b", namespace="x")
    slashed = parse("kubectl get pod/a pod/b", namespace="x")
    mixed = parse("kubectl get deployment/a statefulset/b", namespace="x")
    assert by_names == slashed
    assert isinstance(mixed, Get)
    assert [each.resource for each in mixed.objects] == [DEPLOYMENTS, STATEFULSETS]


def test_a_set_selector_is_one_argument() -> None:
    command = parse("kubectl get pods -l 'app in (web, api),tier!=test'", namespace="x")
    assert isinstance(command, Get)
    assert command.labels == "app in (web, api),tier!=test"


def test_all_namespaces_are_none_in_particular() -> None:
    command = parse("kubectl get events -A --sort-by=.metadata.creationTimestamp", namespace="x")
    assert isinstance(command, Get)
    assert command.namespace is None


def test_curl_is_understood_as_people_write_it() -> None:
    line = "curl -sS -k -L -X POST -H 'Accept: text/plain' -d '{\"a\": 1}' -m 2.5 -o /dev/null -w '%{http_code}' https://a.example/x?y=1"
    assert parse(line) == Curl(
        url="https://a.example/x?y=1",
        method="POST",
        headers=(("Accept", "text/plain"),),
        body='{"a": 1}',
        insecure=True,
        follow=True,
        max_time=timedelta(seconds=2.5),
    )
    assert parse("curl -I a.example/health") == Curl(url="http://a.example/health", method="HEAD")


def test_nc_knocks_at_a_port() -> None:
    assert parse("nc -zv -w 3 db.production 5432") == NcZ(host="db.production", port=5432, timeout=timedelta(seconds=3))


def test_a_name_that_ends_in_a_value_is_no_label_that_is_taken_away() -> None:
    """`web-${n}` goes on after its hyphen."""
    template = parse_template("kubectl label pod web-${n} a=b", Scope(names={"n": INT}))
    command = template.bind({"n": 3}, namespace="production")
    assert isinstance(command, SetMetadata)
    assert ([each.name for each in command.objects], command.values) == (["web-3"], {"a": "b"})
    command = parse("kubectl annotate pod web-1 kintsugi- b=c", namespace="production")
    assert isinstance(command, SetMetadata)
    assert command.values == {"kintsugi": None, "b": "c"}


@pytest.mark.parametrize(
    "line", ["kubectl logs web-1 app", "kubectl logs deployment/web app", "kubectl logs web-1 -c app"]
)
def test_the_container_of_logs_may_stand_behind_the_pod(line: str) -> None:
    command = parse(line, namespace="production")
    assert isinstance(command, Logs)
    assert command.container == "app"
    assert parse(render(command), namespace="production") == command


@pytest.mark.parametrize(
    "line", ["kubectl logs web-1 app -c app", "kubectl logs web-1 app --all-containers", "kubectl logs a b c"]
)
def test_a_container_that_is_named_twice_is_refused(line: str) -> None:
    with pytest.raises(CommandProblem):
        parse(line, namespace="production")


def test_the_history_of_all_workloads_of_a_type_is_a_look() -> None:
    command = parse("kubectl rollout history deployment", namespace="production")
    assert isinstance(command, Rollout)
    assert (command.object.name, command.object.resource.plural) == ("", "deployments")
    assert parse(render(command), namespace="production") == command
    with pytest.raises(CommandProblem, match="only the type"):
        parse("kubectl rollout restart deployment", namespace="production")
