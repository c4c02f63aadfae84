"""
One suite, two servers: the embedded cluster, and a real Kubernetes. No case knows which one it meets.

What is expected lies in `expected/`, a file a test, as the real server answered. With KINTSUGI_RECORD=1 the real
server's answers are written there anew.
"""

import difflib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from kubesim import EmbeddedCluster, ExecReply, Image, Rule
from tests.contract.kube.plain import plain
from tests.contract.kube.talk import Answer, ApiUser, Check, Json
from tests.harness.access import Access
from tests.harness.cluster import RealCluster

EXPECTED = Path(__file__).parent / "expected"
RECORD = "KINTSUGI_RECORD"
EMBEDDED, REAL = "embedded", "real"
# What the embedded cluster's containers say to the commands that cases execute; a real one executes them.
COMMANDS = {
    "sh -c *exit 3'": ExecReply(stdout="out\n", stderr="err\n", exit_code=3),
    "sh -c *": ExecReply(stdout="out\n"),
}


@pytest.fixture(params=[EMBEDDED, pytest.param(REAL, marks=pytest.mark.cluster)])
def server(request: pytest.FixtureRequest) -> str:
    """Name the server that this case runs against."""
    return str(request.param)


@pytest.fixture
async def api(server: str, request: pytest.FixtureRequest) -> AsyncIterator[ApiUser]:
    """Be the administrator of a server, in a namespace of the case's own."""
    if server == REAL:
        cluster: RealCluster = request.getfixturevalue("cluster")
        with cluster.namespace("contract") as namespace:
            async with aiohttp.ClientSession() as session:
                yield _real(cluster, session, namespace)
        return
    async with EmbeddedCluster.start(speed=10, images={"web:good": Image(commands=COMMANDS)}) as embedded:
        name = "contract-1-1"
        embedded.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        async with aiohttp.ClientSession() as session:
            yield _embedded(embedded, session, name)


def _real(cluster: RealCluster, session: aiohttp.ClientSession, namespace: str) -> ApiUser:
    access = Access.read(cluster.kubeconfig)
    admin = ApiUser(session=session, server=access.server, namespace=namespace, token=access.token, tls=access.tls())

    def new_user(name: str, rules: Sequence[Json]) -> ApiUser:
        granted = Access.read(cluster.kubeconfig_for(name, rules, namespace=namespace))
        return replace(admin, token=granted.token, tls=granted.tls())

    def forget() -> None:
        if not cluster.ours:
            pytest.skip("the history of a lent cluster is left alone")
        cluster.lose_watch_history()

    return replace(admin, new_user=new_user, forget=forget)


def _embedded(cluster: EmbeddedCluster, session: aiohttp.ClientSession, namespace: str) -> ApiUser:
    admin = ApiUser(session=session, server=cluster.url, namespace=namespace, token=cluster.admin_token)

    def new_user(name: str, rules: Sequence[Json]) -> ApiUser:
        granted = [
            Rule(
                verbs=tuple(rule["verbs"]),
                resources=tuple(rule["resources"]),
                groups=tuple(rule["apiGroups"]),
                namespaces=(namespace,),
                names=tuple(rule.get("resourceNames", ())),
            )
            for rule in rules
        ]
        cluster.users.add(name, f"system:serviceaccount:{namespace}:{name}", granted)
        return replace(admin, token=name)

    return replace(admin, new_user=new_user, forget=cluster.compact)


@pytest.fixture
def expected(api: ApiUser, server: str, request: pytest.FixtureRequest) -> Iterator[Check]:
    """Compare answers, whole, with what the real server is known to answer."""
    function = request.node.function.__name__
    path = EXPECTED / f"{function.removeprefix('test_')}.yaml"
    recording = server == REAL and os.environ.get(RECORD) == "1"
    known: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() and not recording else {}
    seen: dict[str, Any] = {}

    def check(label: str, answer: object) -> None:
        shown = {"status": answer.status, "body": answer.body} if isinstance(answer, Answer) else answer
        seen[label] = plain(shown, api.namespace)
        if not recording and seen[label] != known.get(label):
            pytest.fail(f"{label}:\n{_difference(known.get(label), seen[label])}", pytrace=False)

    yield check
    if recording:
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(seen, sort_keys=False, width=110))


def _difference(wanted: object, found: object) -> str:
    """Show what differs, line by line."""
    before, after = (yaml.safe_dump(each, width=110).splitlines() for each in (wanted, found))
    return "\n".join(difflib.unified_diff(before, after, "expected", "found", lineterm="", n=2))
