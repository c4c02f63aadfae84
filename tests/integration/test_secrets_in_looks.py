"""What a step gets of Secrets is what the API server prints of them: no answer that reaches the daemon has their content."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import Forbidden, NotFound, ServerUnavailable
from kintsugi.kube.api_errors import Request
from kintsugi.kube.client import KubeClient
from kintsugi.settings import KubeSettings
from kintsugi_demo.shop import NAMESPACE
from kubesim import EmbeddedCluster, Rule
from tests.harness.results import named
from tests.integration.manual_stage import staged

RUNBOOK = """
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {name: secrets}
spec:
  title: Look at the Secrets
  steps:
    - id: all
      run: kubectl get secrets
      expect: items.exists(s, s.type == "kubernetes.io/tls" && s.keys == 2) && items.all(s, s.age < duration("24h"))
    - {id: each, forEach: steps.all.items, run: "kubectl describe secret ${each}"}
    - {id: one, when: size(steps.each.items) > 0, run: kubectl get secret web-tls, expect: item.keys == 2}
"""
CONTENT = "aHVudGVyMg=="
SOON = timedelta(seconds=10)


class Overheard(KubeClient):
    """A client that keeps the requests, and the answers as they came."""

    requests: list[Request]
    answers: list[bytes]
    instead: bytes | None = None

    async def fetch(self, request: Request) -> bytes:
        """Send a request; an answer that is set comes in place of the server's."""
        answer = await super().fetch(request)
        self.requests.append(request)
        self.answers.append(answer)
        return self.instead or answer


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedCluster]:
    """Yield a cluster with two Secrets, whose content also stands in an annotation of kubectl apply."""
    async with EmbeddedCluster.start() as cluster:
        add_secrets(cluster)
        yield cluster


def add_secrets(cluster: EmbeddedCluster) -> None:
    """Apply two Secrets."""
    for name, kind in (("web-tls", "kubernetes.io/tls"), ("password", "Opaque")):
        applied = {"kubectl.kubernetes.io/last-applied-configuration": CONTENT}
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app": name}, "annotations": applied}
        data = {"tls.crt": CONTENT, "tls.key": CONTENT}
        cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data})


@pytest.fixture
async def kube(embedded: EmbeddedCluster, tmp_path: Path) -> AsyncIterator[Overheard]:
    """Yield a client of an administrator."""
    async with Overheard.connect(KubeSettings(kubeconfig=embedded.kubeconfig(tmp_path / "kubeconfig"))) as kube:
        kube.requests, kube.answers = [], []
        yield kube


async def read(kube: KubeClient, line: str) -> dict[str, object]:
    """Return the result of a command."""
    actions = Actions(kube, Clients.restricted_to(AddressRule()))
    return dict(named(await actions.read(parse(line, namespace=NAMESPACE), deadline=SOON)))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("kubectl get secrets", ["password", "web-tls"]),
        ("kubectl get secrets -l app=web-tls -o wide", ["web-tls"]),
        ("kubectl get secrets --field-selector type=Opaque", ["password"]),
        ("kubectl get secret/web-tls -o name", ["web-tls"]),
        ("kubectl get secret web-tls none --ignore-not-found", ["web-tls"]),
        ("kubectl describe secret password web-tls", ["password", "web-tls"]),
        ("kubectl describe secrets -l app=password", ["password"]),
    ],
)
async def test_a_look_at_secrets_gets_their_rows_and_never_their_content(
    kube: Overheard, line: str, names: list[str]
) -> None:
    items = (await read(kube, line))["items"]
    assert isinstance(items, list)
    assert sorted(each["name"] for each in items) == names
    assert all((each["namespace"], each["keys"]) == (NAMESPACE, 2) for each in items)
    assert all(timedelta() <= each["age"] < SOON for each in items)
    assert [CONTENT.encode() in answer for answer in kube.answers] == [False] * len(kube.answers)
    assert {(each.accept, dict(each.params)["includeObject"]) for each in kube.requests} == {
        ("application/json;as=Table;v=v1;g=meta.k8s.io", "None")
    }


async def test_a_description_of_a_secret_says_its_type_and_how_many_keys_it_has(kube: Overheard) -> None:
    lines = str((await read(kube, "kubectl describe secret web-tls"))["text"]).splitlines()
    assert lines[:5] == [
        "Kind:       Secret",
        "Name:       web-tls",
        "Namespace:  production",
        "Type:       kubernetes.io/tls",
        "Keys:       2",
    ]


@pytest.mark.parametrize(
    ("written", "age"),
    [
        ("0s", timedelta()),
        ("5m10s", timedelta(minutes=5, seconds=10)),
        ("7h59m", timedelta(hours=7, minutes=59)),
        ("2d23h", timedelta(days=2, hours=23)),
        ("3y40d", timedelta(days=3 * 365 + 40)),
        ("<unknown>", None),
        ("", None),
    ],
)
async def test_the_age_of_a_secret_is_a_duration_where_the_server_knows_it(
    kube: Overheard, written: str, age: timedelta | None
) -> None:
    columns = [{"name": each} for each in ("Name", "Type", "Data", "Age")]
    rows = [{"cells": ["web-tls", "Opaque", 2, written], "object": None}]
    kube.instead = json.dumps({"kind": "Table", "columnDefinitions": columns, "rows": rows}).encode()
    item = (await read(kube, "kubectl get secret web-tls"))["item"]
    assert isinstance(item, dict)
    assert item.get("age") == age


@pytest.mark.parametrize(
    "answer",
    [
        b'{"kind":"Secret","metadata":{"name":"web-tls"},"data":{"tls.key":"aHVudGVyMg=="}}',
        b'{"kind":"SecretList","items":[]}',
        b'{"kind":"Table","columnDefinitions":[{"name":"Name"}],"rows":[{"cells":["web-tls","aHVudGVyMg=="]}]}',
        b'{"kind":"Table","columnDefinitions":[{"name":"Name"}],"rows":[{"cells":[{"data":"aHVudGVyMg=="}]}]}',
    ],
)
async def test_an_answer_that_is_no_table_is_not_read_as_a_secret(kube: Overheard, answer: bytes) -> None:
    kube.instead = answer
    with pytest.raises(ServerUnavailable, match="the answer is not a table") as caught:
        await read(kube, "kubectl get secret web-tls")
    assert CONTENT not in str(caught.value)


async def test_a_secret_that_is_missing_or_may_not_be_read_is_named_with_the_right(
    embedded: EmbeddedCluster, kube: Overheard, tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match='secrets "none" not found'):
        await read(kube, "kubectl get secret none")
    pods = Rule(verbs=("get", "list"), resources=("pods",))
    settings = KubeSettings(kubeconfig=embedded.kubeconfig(tmp_path / "reader", "reader", (pods,)))
    async with KubeClient.connect(settings) as reader:
        for line in ("kubectl get secrets", "kubectl describe secret web-tls"):
            with pytest.raises(Forbidden, match=r"secrets.* is forbidden.*rbac\.readSecrets: \[NAMESPACE\] grants it"):
                await read(reader, line)


@pytest.mark.long
async def test_a_runbook_expects_something_of_secrets_and_is_told_none_of_their_content(tmp_path: Path) -> None:
    async with staged(tmp_path, documents=RUNBOOK) as stage:
        add_secrets(stage.cluster)
        begun = await stage.begun("secrets", service="web")
        ended = await stage.ended(begun["incident"])
        states = {each["path"]: each["state"] for each in ended["runs"][0]["steps"]}
        assert {each: states[each] for each in ("all", "each", "one")} == dict.fromkeys(("all", "each", "one"), "done")
        assert CONTENT not in json.dumps(ended)
