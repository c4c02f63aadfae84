"""The real kubectl understands the embedded cluster: a client that nobody here has written."""

import asyncio
import shutil
from pathlib import Path

import pytest

from kubeobjects import resources
from kubesim import EmbeddedCluster, ExecReply, Image, Rule
from kubesim.manifest import is_true
from tests.contract.kube.objects import deployment
from tests.unit.kubesim.waiting import until

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl on PATH")


async def kubectl(kubeconfig: Path, *arguments: str) -> tuple[int, str]:
    """Run kubectl; answer with its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(KUBECTL),
        f"--kubeconfig={kubeconfig}",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, output.decode()


async def test_the_commands_of_a_runbook_work(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    config = embedded.kubeconfig(tmp_path / "kubeconfig")
    embedded.apply(deployment(image="web:1"))
    for arguments, expected in (
        (("rollout", "status", "deploy/web", "--timeout=20s"), "successfully rolled out"),
        (("get", "all"), "deployment.apps/web"),
        (("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.phase}"), "Running Running"),
        (("describe", "deploy/web"), "NewReplicaSetAvailable"),
        (("set", "image", "deploy/web", "web=web:2"), "image updated"),
        (("rollout", "status", "deploy/web", "--timeout=20s"), "successfully rolled out"),
        (("rollout", "history", "deploy/web"), "2         <none>"),
        (("rollout", "undo", "deploy/web"), "rolled back"),
        (("rollout", "restart", "deploy/web"), "restarted"),
        (("rollout", "status", "deploy/web", "--timeout=20s"), "successfully rolled out"),
        (("scale", "deploy/web", "--replicas=1"), "scaled"),
        (("wait", "--for=condition=Available", "deploy/web", "--timeout=20s"), "condition met"),
        (("logs", "deploy/web"), "listening on :8080"),
        (("top", "pods"), "CPU(cores)"),
        (("get", "deploy"), "UP-TO-DATE"),
        (("get", "pods"), "1/1     Running"),
        (("get", "nodes"), "Ready    <none>"),
        (("auth", "can-i", "delete", "pods"), "yes"),
        (("auth", "whoami"), "kubernetes-admin"),
        # With its input kubectl says that it has made its streams: what comes before, it loses (client-go, remotecommand/websocket.go).
        (("exec", "-i", "deploy/web", "--", "true"), ""),
        (("events",), "ScalingReplicaSet"),
        (("label", "deploy/web", "a=b"), "labeled"),
        (("annotate", "deploy/web", "a=b"), "annotated"),
        (("patch", "deploy/web", "-p", '{"spec":{"paused":true}}'), "patched"),
        (("cordon", "node-1"), "cordoned"),
        (("uncordon", "node-1"), "uncordoned"),
        (("delete", "pod", "-l", "app=web"), "deleted"),
    ):
        code, output = await kubectl(config, *arguments)
        assert code == 0, (arguments, output)
        assert expected in output, arguments


async def test_a_right_that_is_missing_is_named_to_kubectl(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    """A right is taken away while the cluster runs."""
    reader = Rule(verbs=("get", "list", "delete"), resources=("pods",), groups=("",))
    config = embedded.kubeconfig(tmp_path / "kubeconfig", account="reader", rules=[reader])
    assert (await kubectl(config, "get", "pods"))[0] == 0
    embedded.user("reader").take(Rule(verbs=("delete",), resources=("pods",)))
    code, output = await kubectl(config, "delete", "pod", "one")
    assert code == 1
    assert (
        'Error from server (Forbidden): pods "one" is forbidden: User "system:serviceaccount:default:reader" '
        'cannot delete resource "pods" in API group "" in the namespace "default"'
    ) in output


async def test_an_expired_token_is_refused(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    config = embedded.kubeconfig(tmp_path / "kubeconfig", account="mine")
    embedded.users.expire("token-of-mine")
    code, output = await kubectl(config, "get", "pods")
    assert code == 1
    assert "You must be logged in to the server" in output


async def test_a_command_in_a_container_ends_as_its_image_says(embedded: EmbeddedCluster, tmp_path: Path) -> None:
    psql = ExecReply(stdout=" ?column?\n----------\n        1\n", needs_ready=True)
    embedded.images.add(
        "db:1", Image(commands={"psql * 'SELECT 1'": psql, "exit3": ExecReply(stderr="no\n", exit_code=3)})
    )
    config = embedded.kubeconfig(tmp_path / "kubeconfig")
    embedded.apply(deployment("db", replicas=1, image="db:1"))
    await kubectl(config, "wait", "--for=condition=Available", "deploy/db", "--timeout=20s")
    words = ("exec", "deploy/db", "--")
    assert await kubectl(config, *words, "psql", "-c", "SELECT 1") == (0, psql.stdout)
    code, output = await kubectl(config, *words, "exit3")
    assert (code, output) == (3, "no\ncommand terminated with exit code 3\n")
    code, output = await kubectl(config, *words, "none-such")
    assert code == 1
    assert 'exec: "none-such": executable file not found in $PATH' in output
    (pod,) = embedded.find(resources.PODS, "default")
    embedded.faults.make_unready(pod["metadata"]["uid"])
    await until(lambda: not is_true(embedded.find(resources.PODS, "default")[0], "Ready"), lambda: "still ready")
    assert (await kubectl(config, *words, "psql", "-c", "SELECT 1"))[0] == 2
