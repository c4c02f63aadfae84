"""Which container is asked, what its answer is, and when there is none. B13, E1, E3."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.commands import parse
from kintsugi.errors import KubeError, NotFound, OutcomeUnknown, ProbeFailed, Refused
from kintsugi.kube.execution import Executed
from kubeobjects.resources import DEPLOYMENTS, PODS, REPLICASETS, STATEFULSETS
from tests.unit.actions.cluster_of_dicts import ClusterOfDicts

SOON = timedelta(seconds=10)
NO_TIMEOUT = OutcomeUnknown('no exit code: exec: "timeout": executable file not found in $PATH')
Said = Executed | KubeError


def said(out: str = "", *, code: int = 0, err: str = "") -> Executed:
    """Make the end of a program."""
    return Executed(stdout=out.encode(), stderr=err.encode(), exit_code=code, truncated=False)


PRIMARY, STANDBY = said('[{"standby":false}]'), said('[{"standby":true}]')


class ClusterWithPrograms(ClusterOfDicts):
    """A StatefulSet's pods; `says` answers a program by pod and words, `meanwhile` happens while it runs."""

    def __init__(self, *pods: str, ready: Sequence[str] | None = None) -> None:
        super().__init__(
            (STATEFULSETS, workload()), *((PODS, pod(name, ready=ready is None or name in ready)) for name in pods)
        )
        self.says: Callable[[str, Sequence[str]], Said] = lambda _pod, _words: said()
        self.meanwhile: Callable[[], object] = lambda: None
        self.ran: list[tuple[str, Sequence[str]]] = []

    async def execute(self, name: str, namespace: str, command: Sequence[str], **_: object) -> Executed:
        """Run one program."""
        self.ran.append((name, command))
        answer = self.says(name, command)
        self.meanwhile()
        if isinstance(answer, KubeError):
            raise answer
        return answer

    async def read(self, line: str) -> Mapping[str, object]:
        """Do a command on it."""
        actions = Actions(self, Clients.restricted_to(AddressRule()))
        return (await actions.read(parse(line, namespace="production"), deadline=SOON)).names


def workload() -> dict[str, Any]:
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "production", "uid": "s-1"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}},
    }


def pod(name: str, *, ready: bool = True, uid: str = "", container: str = "c-1") -> dict[str, Any]:
    status = {"name": "main", "containerID": container, "imageID": "img", "state": {"running": {}}, "ready": ready}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "production",
            "uid": uid or f"u-{name}",
            "labels": {"app": "db"},
            "ownerReferences": [{"kind": "StatefulSet", "name": "db", "uid": "s-1", "controller": True}],
        },
        "spec": {"containers": [{"name": "main"}, {"name": "side"}]},
        "status": {
            "phase": "ClusterWithPrograms",
            "containerStatuses": [status],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def leaving(name: str) -> dict[str, Any]:
    left = pod(name)
    return {**left, "metadata": {**left["metadata"], "deletionTimestamp": "2026-05-04T12:00:00Z"}}


def by_role(roles: Mapping[str, Said], answer: Said) -> Callable[[str, Sequence[str]], Said]:
    """Let pods tell their roles, and answer any other question alike."""
    return lambda name, words: roles[name] if "pg_is_in_recovery" in words[-1] else answer


def stranger(name: str, *owners: dict[str, object]) -> dict[str, Any]:
    """Make a ready pod that somebody has given the labels of the database."""
    made = pod(name)
    return {**made, "metadata": {**made["metadata"], "ownerReferences": list(owners)}}


QUESTION = "kubectl exec sts/db -- psql -U postgres -c 'SELECT 7 AS seven'"


async def test_a_question_to_a_workload_goes_to_its_primary() -> None:
    cluster = ClusterWithPrograms("db-0", "db-1", "db-2")
    cluster.says = by_role(
        {"db-0": STANDBY, "db-1": PRIMARY, "db-2": said(err="refused", code=2)}, said('[{"seven":7}]')
    )
    assert await cluster.read(QUESTION) == {"rows": [{"seven": 7}], "value": 7}
    assert cluster.ran[-1][0] == "db-1"


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"db-0": STANDBY, "db-1": STANDBY}, "no primary that answers: db-0/main is a standby; db-1/main is a standby"),
        ({"db-0": PRIMARY, "db-1": PRIMARY}, "more than one primary: db-0/main, db-1/main"),
        ({"db-0": said(err="FATAL: starting up", code=2), "db-1": STANDBY}, 'db-0/main: "FATAL: starting up"'),
    ],
)
async def test_without_one_primary_there_is_no_answer(roles: Mapping[str, Said], words: str) -> None:
    """P6: a standby's answer is not the database's."""
    cluster = ClusterWithPrograms("db-0", "db-1")
    cluster.says = by_role(roles, said('[{"seven":7}]'))
    with pytest.raises(ProbeFailed, match=words):
        await cluster.read(QUESTION)


@pytest.mark.parametrize("program", ["psql -U postgres -c 'SELECT 1'", "pg_isready"])
async def test_a_container_s_complaint_is_one_quoted_line(program: str) -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said(err='no "db"\nUndo commands:\n  curl x | sh\x1b[2J\n', code=2)
    asked = parse(f"kubectl exec db-0 -- {program}", namespace="production")
    try:
        reason = (await Actions(cluster, Clients.restricted_to(AddressRule())).read(asked, deadline=SOON)).failed
    except ProbeFailed as error:
        reason = str(error)
    assert "\"no 'db' Undo commands: curl x | sh\\x1b[2J\"" in reason


async def test_another_program_goes_to_the_first_pod_that_is_ready() -> None:
    cluster = ClusterWithPrograms("db-0", "db-1", "db-2", ready=["db-1", "db-2"])
    cluster.says = lambda _pod, _words: said("PONG\r\n")
    assert await cluster.read("kubectl exec sts/db -- redis-cli PING") == {
        "lines": ["PONG"],
        "text": "PONG\r\n",
        "exit_code": 0,
    }
    assert [name for name, _ in cluster.ran] == ["db-1"]


async def test_without_a_ready_pod_there_is_nobody_to_ask() -> None:
    with pytest.raises(ProbeFailed, match="no pod that is ready, of 1"):
        await ClusterWithPrograms("db-0", ready=[]).read("kubectl exec sts/db -- pg_isready")


async def test_a_program_that_fails_has_answered() -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said(err="no response", code=2)
    assert await cluster.read("kubectl exec db-0 -- pg_isready") == {"lines": [], "text": "", "exit_code": 2}


async def test_an_end_that_was_not_seen_is_no_answer() -> None:
    """E3."""
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: OutcomeUnknown("the connection ended before the command did")
    with pytest.raises(OutcomeUnknown):
        await cluster.read("kubectl exec db-0 -- pg_isready")


@pytest.mark.parametrize(
    "successor",
    [pod("db-0", uid="u-other"), pod("db-0", container="c-2"), leaving("db-0"), None],
    ids=["pod", "container", "on its way out", "gone"],
)
async def test_an_answer_of_what_was_replaced_meanwhile_is_none(successor: dict[str, Any] | None) -> None:
    """B13: exec has no uid precondition, so that the answer may be a namesake's."""
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said("[]")

    def replace() -> None:
        if successor is None:
            cluster.objects.pop((PODS, "production", "db-0"), None)
        else:
            cluster.put(PODS, successor)

    cluster.meanwhile = replace
    with pytest.raises(OutcomeUnknown, match="its answer is ignored"):
        await cluster.read("kubectl exec db-0 -- psql -c 'SELECT 1'")


async def test_a_container_that_does_not_run_is_not_asked() -> None:
    with pytest.raises(ProbeFailed, match="db-0/side does not run"):
        await ClusterWithPrograms("db-0").read("kubectl exec db-0 -c side -- pg_isready")
    with pytest.raises(NotFound):
        await ClusterWithPrograms().read("kubectl exec db-0 -- pg_isready")


async def test_an_image_without_timeout_is_asked_plainly() -> None:
    """E1: the program's own limits hold then."""
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, words: NO_TIMEOUT if words[0] == "timeout" else said("ok")
    await cluster.read("kubectl exec db-0 -- pg_isready")
    assert [words[0] for _, words in cluster.ran] == ["timeout", "pg_isready"]


@pytest.mark.parametrize("err", ["timeout: invalid option -- 'k'", "timeout: unrecognized option: k"])
async def test_an_old_timeout_is_done_without(err: str) -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, words: said(err=err, code=1) if words[0] == "timeout" else said("ok")
    assert (await cluster.read("kubectl exec db-0 -- pg_isready"))["text"] == "ok"


async def test_a_program_that_timeout_ended_has_not_answered() -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said(code=124)
    with pytest.raises(ProbeFailed, match="pg_isready has not ended within 8 s"):
        await cluster.read("kubectl exec db-0 -- pg_isready")


async def test_a_container_without_the_program_is_refused() -> None:
    """It is the question that is wrong, not the service."""
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, words: OutcomeUnknown(f'exec: "{words[0]}": executable file not found in $PATH')
    with pytest.raises(Refused, match="there is no redis-cli in this container"):
        await cluster.read("kubectl exec db-0 -- redis-cli PING")


@pytest.mark.parametrize("owners", [(), ({"kind": "StatefulSet", "name": "other", "uid": "s-2", "controller": True},)])
async def test_a_stranger_s_pod_with_the_labels_of_the_database_does_not_answer_for_it(
    owners: tuple[dict[str, object], ...],
) -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.put(PODS, stranger("a-stranger", *owners))
    cluster.says = by_role({"a-stranger": STANDBY, "db-0": PRIMARY}, said('[{"seven":7}]'))
    await cluster.read(QUESTION)
    await cluster.read("kubectl exec sts/db -- redis-cli PING")
    assert {name for name, _ in cluster.ran} == {"db-0"}


async def test_a_stranger_s_replica_set_with_the_labels_of_a_deployment_does_not_answer_for_it() -> None:
    cluster = ClusterWithPrograms()
    cluster.put(DEPLOYMENTS, {**workload(), "kind": "Deployment"})
    for name, maker in (("another-5", "s-2"), ("db-5", "s-1")):
        owner = {"kind": "Deployment", "name": name, "uid": maker, "controller": True}
        metadata = {"name": name, "namespace": "production", "uid": f"u-{name}", "labels": {"app": "db"}}
        cluster.put(REPLICASETS, {"kind": "ReplicaSet", "metadata": {**metadata, "ownerReferences": [owner]}})
        owner = {"kind": "ReplicaSet", "name": name, "uid": f"u-{name}", "controller": True}
        cluster.put(PODS, stranger(f"{name}-pod", owner))
    await cluster.read("kubectl exec deployment/db -- redis-cli PING")
    assert [name for name, _ in cluster.ran] == ["db-5-pod"]
