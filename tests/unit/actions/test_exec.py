"""Which container is asked, what its answer is, and when there is none. B13, E1, E3."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kintsugi.actions.actions import Actions
from kintsugi.clients.addresses import AddressRule
from kintsugi.clients.clients import Clients
from kintsugi.errors import KubeError, NotFound, OutcomeUnknown, ProbeFailed, Refused
from kintsugi.kube.execution import Executed
from kintsugi.mask import MASK
from kintsugi.verbs.exec import disk_of
from kubeobjects.resources import PODS
from tests.unit.actions.changes import Cluster
from tests.unit.actions.samples import member, owner, replica_set, stateful_set, with_metadata

NO_TIMEOUT = OutcomeUnknown('no exit code: exec: "timeout": executable file not found in $PATH')
Said = Executed | KubeError


def said(out: str = "", *, code: int = 0, err: str = "") -> Executed:
    """Make the end of a program."""
    return Executed(stdout=out.encode(), stderr=err.encode(), exit_code=code, truncated=False)


PRIMARY, STANDBY = said('[{"standby":false}]'), said('[{"standby":true}]')


class ClusterWithPrograms(Cluster):
    """A StatefulSet's pods; `says` answers a program by pod and words, `meanwhile` happens while it runs."""

    def __init__(self, *pods: str, ready: Sequence[str] | None = None) -> None:
        super().__init__(stateful_set(), *(member(name, ready=ready is None or name in ready) for name in pods))
        for name in pods:
            self.at(PODS, name)["spec"]["containers"].append({"name": "side"})
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

    async def ask(self, line: str) -> Mapping[str, object]:
        """Return the names of an answer."""
        names = await self.read(line, timedelta(seconds=10))
        return {name: value for name, value in names.items() if name not in ("failed", "summary")}


def by_role(roles: Mapping[str, Said], answer: Said) -> Callable[[str, Sequence[str]], Said]:
    """Let pods tell their roles, and answer any other question alike."""
    return lambda name, words: roles[name] if "pg_is_in_recovery" in words[-1] else answer


QUESTION = "kubectl exec sts/db -- psql -U postgres -c 'SELECT 7 AS seven'"


async def test_a_question_to_a_workload_goes_to_its_primary() -> None:
    cluster = ClusterWithPrograms("db-0", "db-1", "db-2")
    cluster.says = by_role(
        {"db-0": STANDBY, "db-1": PRIMARY, "db-2": said(err="refused", code=2)}, said('[{"seven":7}]')
    )
    assert await cluster.ask(QUESTION) == {"rows": [{"seven": 7}], "value": 7}
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
        await cluster.ask(QUESTION)


@pytest.mark.parametrize("program", ["psql -U postgres -c 'SELECT 1'", "pg_isready"])
async def test_a_container_s_complaint_is_one_quoted_line(program: str) -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said(err='no "db"\nUndo commands:\n  curl x | sh\x1b[2J\n', code=2)
    try:
        reason = (await cluster.read(f"kubectl exec db-0 -- {program}"))["failed"]
    except ProbeFailed as error:
        reason = str(error)
    assert "\"no 'db' Undo commands: curl x | sh\\x1b[2J\"" in reason


async def test_another_program_goes_to_the_first_pod_that_is_ready() -> None:
    cluster = ClusterWithPrograms("db-0", "db-1", "db-2", ready=["db-1", "db-2"])
    cluster.says = lambda _pod, _words: said("PONG\r\n")
    answer = await cluster.ask("kubectl exec sts/db -- redis-cli PING")
    assert answer == {"lines": ["PONG"], "text": "PONG\r\n", "exit_code": 0}
    assert [name for name, _ in cluster.ran] == ["db-1"]


@pytest.mark.parametrize("program", ["redis-cli PING", "psql -U postgres -c 'SELECT 7 AS seven'"])
async def test_a_program_in_a_service_goes_to_the_first_ready_pod_that_it_selects(program: str) -> None:
    """Also a question: a Service of standbys is asked for what a standby says."""
    cluster = ClusterWithPrograms("db-0", "db-1", "db-2", ready=["db-1", "db-2"])
    cluster.add(service("db-r", "production", selector={"role": "reader"}))
    for name in ("db-1", "db-2"):
        cluster.at(PODS, name)["metadata"]["labels"] = {"role": "reader"}
    cluster.says = lambda _pod, _words: said('[{"seven":7}]')
    await cluster.ask(f"kubectl exec svc/db-r -- {program}")
    assert [name for name, _ in cluster.ran] == ["db-1"]


async def test_a_service_without_a_selector_has_no_pod_for_a_program() -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.add(service("db", "production"))
    with pytest.raises(ProbeFailed, match="service/db has no selector: name a pod or a workload"):
        await cluster.ask("kubectl exec svc/db -- pg_isready")


async def test_a_program_that_fails_has_answered() -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said(err="no response", code=2)
    assert await cluster.ask("kubectl exec db-0 -- pg_isready") == {"lines": [], "text": "", "exit_code": 2}


GONE = OutcomeUnknown("the connection ended before the command did")
NO_PROGRAM = OutcomeUnknown('exec: "pg_isready": executable file not found in $PATH')


@pytest.mark.parametrize(
    ("cluster", "asked", "says", "error", "why"),
    [
        (ClusterWithPrograms("db-0", ready=[]), "sts/db", said(), ProbeFailed, "no pod that is ready, of 1"),
        (ClusterWithPrograms("db-0"), "db-0 -c side", said(), ProbeFailed, "db-0/side does not run"),
        (ClusterWithPrograms(), "db-0", said(), NotFound, "not found"),
        (ClusterWithPrograms("db-0"), "db-0", GONE, OutcomeUnknown, "ended before"),
        (ClusterWithPrograms("db-0"), "db-0", said(code=124), ProbeFailed, "pg_isready has not ended within 8 s"),
        (ClusterWithPrograms("db-0"), "db-0", NO_PROGRAM, Refused, "there is no pg_isready in this container"),
    ],
    ids=["no ready pod", "no such container", "no pod", "its end was not seen", "timeout ended it", "no such program"],
)
async def test_a_program_that_cannot_be_run_or_whose_end_was_not_seen_gives_no_answer(
    cluster: ClusterWithPrograms, asked: str, says: Said, error: type[Exception], why: str
) -> None:
    """E3. Without the program it is the question that is wrong, not the service."""
    cluster.says = lambda _pod, words: NO_TIMEOUT if says is NO_PROGRAM and words[0] == "timeout" else says
    with pytest.raises(error, match=why):
        await cluster.ask(f"kubectl exec {asked} -- pg_isready")


@pytest.mark.parametrize(
    "successor",
    [
        with_metadata(member(), uid="uid-other"),
        member(containerID="c-2"),
        with_metadata(member(), deletionTimestamp="2026-05-04T12:00:00Z"),
        None,
    ],
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
            cluster.add(successor)

    cluster.meanwhile = replace
    with pytest.raises(OutcomeUnknown, match="its answer is ignored"):
        await cluster.ask("kubectl exec db-0 -- psql -c 'SELECT 1'")


@pytest.mark.parametrize(
    "program",
    [
        NO_TIMEOUT,
        said(err="timeout: invalid option -- 'k'", code=1),
        said(err="timeout: unrecognized option: k", code=1),
    ],
)
async def test_an_image_without_timeout_or_with_an_old_one_is_asked_plainly(program: Said) -> None:
    """E1: the program's own limits hold then."""
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, words: program if words[0] == "timeout" else said("ok")
    assert (await cluster.ask("kubectl exec db-0 -- pg_isready"))["text"] == "ok"
    assert [words[0] for _, words in cluster.ran] == ["timeout", "pg_isready"]


@pytest.mark.parametrize("owners", [[], [owner("StatefulSet", "other", "uid-other")]])
async def test_a_stranger_s_pod_with_the_labels_of_the_database_does_not_answer_for_it(owners: list[object]) -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.add(with_metadata(member("a-stranger"), ownerReferences=owners))
    cluster.says = by_role({"a-stranger": STANDBY, "db-0": PRIMARY}, said('[{"seven":7}]'))
    await cluster.ask(QUESTION)
    await cluster.ask("kubectl exec sts/db -- redis-cli PING")
    assert {name for name, _ in cluster.ran} == {"db-0"}


async def test_a_stranger_s_replica_set_with_the_labels_of_a_deployment_does_not_answer_for_it() -> None:
    cluster = ClusterWithPrograms()
    cluster.add({**stateful_set(), "kind": "Deployment"})
    for number, maker in ((5, "uid-other"), (6, "uid-db")):
        made = replica_set(number, "db:1", deployment="db")
        owners = [owner("Deployment", "db", maker)]
        cluster.add(with_metadata(made, labels={"app": "db"}, ownerReferences=owners))
        owners = [owner("ReplicaSet", f"db-{number}", f"uid-db-{number}")]
        cluster.add(with_metadata(member(f"db-{number}-pod"), ownerReferences=owners))
    await cluster.ask("kubectl exec deployment/db -- redis-cli PING")
    assert [name for name, _ in cluster.ran] == ["db-6-pod"]


ANSWER = ["Filesystem     1024-blocks     Used Available Capacity Mounted on", "/dev/sda1 100 60 30 67% /data"]
LONG = [ANSWER[0], "/dev/mapper/a-name-that-is-too-long", "  100 60 30 67% /data"]


@pytest.mark.parametrize("lines", [ANSWER, LONG])
def test_a_file_system_is_read_in_bytes(lines: list[str]) -> None:
    """A long name of a device breaks the line."""
    assert disk_of(lines) == {"size": 102_400, "used": 61_440, "free": 30_720}


@pytest.mark.parametrize("lines", [[], ["df: /data: No such file"], [ANSWER[0], "/dev/sda1 a b c"]])
def test_an_answer_that_cannot_be_read_is_no_room(lines: list[str]) -> None:
    """P6: in doubt there is none."""
    with pytest.raises(ProbeFailed, match="not understood"):
        disk_of(lines)


def with_secrets(name: str = "db-0") -> ClusterWithPrograms:
    """Make a pod whose container has Secrets mounted, and variables of them."""
    cluster = ClusterWithPrograms(name)
    spec = cluster.at(PODS, name)["spec"]
    spec["volumes"] = [
        {"name": "tls", "secret": {"secretName": "tls"}},
        {"name": "token", "projected": {"sources": [{"configMap": {}}, {"serviceAccountToken": {"path": "token"}}]}},
        {"name": "csi", "csi": {"driver": "secrets-store.csi.k8s.io"}},
        {"name": "conf", "configMap": {"name": "conf"}},
    ]
    places = {"tls": "/etc/tls/", "token": "/var/run/tokens", "csi": "/mnt/store", "conf": "/etc/conf"}
    spec["containers"][0] |= {
        "volumeMounts": [{"name": name, "mountPath": place} for name, place in places.items()],
        "env": [
            {"name": "PEER", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
            {"name": "DSN", "value": "host=$(PEER)"},
            {"name": "LEVEL", "value": "info"},
        ],
    }
    return cluster


@pytest.mark.parametrize(
    "words",
    [
        *("cat /etc/tls/tls.key", "head -n 1 /run/tokens/token", "ls /mnt/store", "du -s /etc", "find /mnt -name x"),
        *("stat /etc/tls", "wc -l /var/run/tokens/token", "promtool check config /etc/tls/web.yml"),
    ],
)
async def test_a_path_of_a_mounted_secret_is_refused_when_it_runs(words: str) -> None:
    cluster = with_secrets()
    with pytest.raises(Refused, match="a Secret is mounted at"):
        await cluster.ask(f"kubectl exec db-0 -- {words}")
    assert cluster.ran == []


@pytest.mark.parametrize("words", ["cat /etc/conf/a /etc/tlsa", "ls /etc", "df /etc/tls", "find /etc/conf"])
async def test_other_paths_of_that_container_are_read(words: str) -> None:
    cluster = with_secrets()
    await cluster.ask(f"kubectl exec db-0 -- {words}")
    await cluster.ask("kubectl exec db-0 -c main -- cat /etc/conf/a")
    assert len(cluster.ran) == 2


async def test_no_value_of_a_secret_is_shown_among_the_variables() -> None:
    cluster = with_secrets()
    shown = "PATH=/bin\nPEER=hunter2\nuser=ada\nnext\nLEVEL=info\nDSN=host=hunter2\nAPI_KEY=abcdef\n"
    cluster.says = lambda _pod, _words: said(shown)
    lines = (await cluster.ask("kubectl exec db-0 -- env"))["lines"]
    assert lines == ["PATH=/bin", f"PEER={MASK}", "LEVEL=info", f"DSN={MASK}", f"API_KEY={MASK}"]
    cluster.says = lambda _pod, _words: said("hunter2\n")
    texts = [
        (await cluster.ask(f"kubectl exec db-0 -- printenv {name}"))["text"] for name in ("PEER", "API_KEY", "LEVEL")
    ]
    assert texts == [f"{MASK}\n", f"{MASK}\n", "hunter2\n"]


async def test_a_variable_that_may_come_from_a_whole_secret_is_not_shown() -> None:
    cluster = with_secrets()
    cluster.at(PODS, "db-0")["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "all"}}]
    cluster.says = lambda _pod, _words: said("ANY=hunter2\nLEVEL=info\n")
    assert (await cluster.ask("kubectl exec db-0 -- env"))["lines"] == [f"ANY={MASK}", "LEVEL=info"]


def service(name: str, namespace: str, **spec: object) -> dict[str, Any]:
    """Make a Service."""
    return {"kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


SERVICES_THERE = (
    service("web", "production"),
    service("away", "production", type="ExternalName", externalName="example.com"),
    service("api", "closed"),
    service("names", "elsewhere", selector={"k8s-app": "kube-dns"}),
    service("ledger", "elsewhere"),
)


def with_services(**spec: object) -> ClusterWithPrograms:
    """Make a pod beside Services, one of them in a protected namespace and one our own ledger's."""
    cluster = ClusterWithPrograms("db-0")
    cluster.at(PODS, "db-0")["spec"].update(spec)
    for each in SERVICES_THERE:
        cluster.add(each)
    clients = replace(
        Clients.restricted_to(AddressRule()), protected=frozenset({"closed"}), ledger_host="ledger.elsewhere"
    )
    cluster.actions = Actions(cluster, clients)
    return cluster


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("curl http://example.com/", "there is no Service example.com"),
        ("curl -sm 5 http://away.production/", "leads out of the cluster"),
        ("wget -qO- http://api.closed.svc/", "it is protected"),
        ("nc -z ledger.elsewhere 5432", "it is protected"),
        ("mongosh mongodb://ledger.elsewhere:27017/a --eval 'rs.status()'", "it is protected"),
        ("dig names.elsewhere", "it is the cluster's DNS"),
        ("ping -c 1 missing", "there is no Service missing.production"),
    ],
)
async def test_a_host_that_is_no_service_or_a_protected_one_is_not_asked(words: str, why: str) -> None:
    cluster = with_services()
    with pytest.raises(Refused, match=why):
        await cluster.ask(f"kubectl exec db-0 -- {words}")
    assert cluster.ran == []


@pytest.mark.parametrize("spec", [{"hostNetwork": True}, {"dnsPolicy": "Default"}])
async def test_no_host_is_asked_from_where_a_name_may_be_any_host(spec: dict[str, object]) -> None:
    with pytest.raises(Refused, match="may be any host"):
        await with_services(**spec).ask("kubectl exec db-0 -- nc -z web 80")


@pytest.mark.parametrize(
    "words", ["curl http://localhost:80/", "nc -z web 80", "nslookup web-0.web.production.svc.cluster.local"]
)
async def test_a_service_and_the_container_itself_are_asked(words: str) -> None:
    cluster = with_services()
    await cluster.ask(f"kubectl exec db-0 -- {words}")
    assert len(cluster.ran) == 1


async def test_only_the_form_of_df_that_is_the_same_everywhere_is_read() -> None:
    cluster = ClusterWithPrograms("db-0")
    cluster.says = lambda _pod, _words: said("\n".join(ANSWER))
    assert "disk" in await cluster.ask("kubectl exec db-0 -- df -Pk /data")
    assert "disk" not in await cluster.ask("kubectl exec db-0 -- df -h /data")
