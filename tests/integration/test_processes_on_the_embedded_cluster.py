"""Containers of the embedded cluster that are real processes: started, asked, told to end, and ended for sure."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kintsugi_demo.shop import workload
from kubeobjects import resources
from kubeobjects.resources import PODS
from tests.harness.waiting import eventually, wait_for
from tests.integration.process_stage import CLAIM_SPEC, CLAIM_TEMPLATES, NAMESPACE, PYTHON, ProcessStage, alive, pod

FOR_EVER = "import signal\nprint('up')\nsignal.pause()"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\nwhile True: signal.pause()"
# A child that leads a session of its own, as PostgreSQL's do.
WITH_CHILD = (
    "import subprocess, signal, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True)\n"
    "print(child.pid)\nsignal.pause()"
)
CREDENTIALS = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "credentials", "namespace": NAMESPACE},
    "stringData": {"password": "a 'quoted' $(HOME) one", "user": "postgres"},
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[ProcessStage]:
    """A cluster that runs Python."""
    async with ProcessStage.set(tmp_path, {"python:3": PYTHON}) as stage:
        yield stage


async def first_line(stage: ProcessStage, name: str) -> str:
    """Wait for the first line of a pod's log."""

    async def written() -> str:
        return (await stage.log(name)).partition("\n")[0]

    return await eventually(written, within=60)


def is_unready(stage: ProcessStage, name: str) -> bool:
    """Return whether a pod's container is not ready."""
    return not stage.container(name)["ready"]


async def execute(stage: ProcessStage, name: str, script: str, stdin: bytes | None = None) -> tuple[bytes, bytes, int]:
    """Execute a script in a running pod."""
    done = await stage.kube.execute(name, NAMESPACE, ["python", "-c", script], stdin=stdin)
    return done.stdout, done.stderr, done.exit_code


async def test_a_program_s_output_is_the_log_and_its_exit_code_the_container_s(stage: ProcessStage) -> None:
    stage.cluster.apply(pod("one", "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)"))
    ended = await stage.until_ended("one")
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert stage.get(PODS, "one")["status"]["phase"] == "Failed"
    assert await stage.log("one") == "out\nerr\n"


async def test_a_program_that_the_image_does_not_have_is_not_found_on_the_machine(stage: ProcessStage) -> None:
    stage.cluster.apply(pod("one", "", command=["sh"]))
    assert (await stage.until_ended("one"))["exitCode"] == 128
    assert await stage.log("one") == 'exec: "sh": executable file not found in $PATH\n'


async def test_the_environment_is_what_the_pod_says_and_nothing_of_ours(stage: ProcessStage) -> None:
    stage.cluster.apply(CREDENTIALS)
    env = [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "password"}}},
        {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "LINE", "value": "$(WHO)@$(db_user) $$(WHO) $(NOBODY)"},
    ]
    sources = [{"secretRef": {"name": "credentials"}, "prefix": "db_"}]
    script = "import os\nprint(sorted(os.environ.items()))"
    stage.cluster.apply(pod("one", script, env=env, envFrom=sources))
    await stage.until_ended("one")
    seen = dict(eval(await stage.log("one")))
    assert seen["PASSWORD"] == seen["db_password"] == "a 'quoted' $(HOME) one"
    assert (seen["WHO"], seen["LINE"]) == ("one", "one@postgres $(WHO) $(NOBODY)")
    assert seen["POD_ADDRESS"] == stage.get(PODS, "one")["status"]["podIP"]
    assert "PATH" not in seen


async def test_a_program_that_is_deleted_is_asked_to_end_and_may_clear_up(stage: ProcessStage, tmp_path: Path) -> None:
    mark = tmp_path / "cleared"
    script = f"import signal, sys\nsignal.signal(15, lambda *_: (open('{mark}', 'w'), sys.exit(0)))\nprint('up')\nsignal.pause()"
    stage.cluster.apply(pod("one", script))
    await first_line(stage, "one")
    stage.cluster.delete(PODS, "one", NAMESPACE)
    await stage.until(lambda: stage.cluster.get(PODS, "one", NAMESPACE) is None)
    assert mark.exists()


async def test_a_program_that_does_not_listen_is_killed_when_its_grace_is_over(stage: ProcessStage) -> None:
    """Its grace is of this machine's time: real programs live at their own pace."""
    stage.cluster.apply(pod("one", STUBBORN))
    await first_line(stage, "one")
    began = asyncio.get_running_loop().time()
    stage.cluster.delete(PODS, "one", NAMESPACE, grace=1)
    await stage.until(lambda: stage.cluster.get(PODS, "one", NAMESPACE) is None)
    assert asyncio.get_running_loop().time() - began >= 1


async def test_a_child_that_a_program_leaves_behind_ends_with_it(stage: ProcessStage) -> None:
    stage.cluster.apply(pod("one", WITH_CHILD, policy="Always"))
    child = int(await first_line(stage, "one"))
    stage.cluster.delete(PODS, "one", NAMESPACE, grace=0)
    await stage.until(lambda: not alive(child))


def test_no_process_outlives_a_cluster_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL, so that nobody can clear up: the kernel closes the pipe that held the programs alive."""
    host = (
        "import asyncio, sys\n"
        "from kubesim import EmbeddedCluster\n"
        "from tests.integration.process_stage import PYTHON, pod\n"
        "from tests.integration.test_processes_on_the_embedded_cluster import WITH_CHILD\n"
        "async def main():\n"
        "    async with EmbeddedCluster.start(images={'python:3': PYTHON}) as cluster:\n"
        "        cluster.apply(pod('one', WITH_CHILD))\n"
        "        while True:\n"
        "            await asyncio.sleep(0.1)\n"
        "            found = cluster.runtime.children()\n"
        "            print(*found, flush=True) if found else None\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", host], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            below = wait_for(lambda: descendants(first) if len(descendants(first)) > 1 else None, within=60)
        finally:
            process.kill()
    wait_for(lambda: not any(map(alive, [first, *below])), within=30)


def descendants(pid: int) -> list[int]:
    """Return the processes below one."""
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


async def test_a_command_is_executed_with_its_input_and_both_outputs_apart(stage: ProcessStage) -> None:
    """P10: words are words, whatever is in them; no shell sees them."""
    stage.cluster.apply(pod("one", FOR_EVER))
    await first_line(stage, "one")
    script = "import sys\ntext = sys.stdin.buffer.read()\nsys.stdout.buffer.write(text * 2)\nprint('$(reboot); `x`', file=sys.stderr)\nsys.exit(7)"
    assert await execute(stage, "one", script, stdin=b"caf\xc3\xa9\x00\xff") == (
        b"caf\xc3\xa9\x00\xff" * 2,
        b"$(reboot); `x`\n",
        7,
    )


async def test_a_command_ends_with_the_container_in_which_it_runs(stage: ProcessStage) -> None:
    stage.cluster.apply(pod("one", FOR_EVER))
    await first_line(stage, "one")
    waits = asyncio.create_task(execute(stage, "one", "import signal\nsignal.pause()"))
    await stage.until(lambda: len(stage.cluster.runtime.children()) == 2)
    stage.cluster.delete(PODS, "one", NAMESPACE)
    assert (await waits)[2] == 128 + signal.SIGKILL


async def test_a_command_whose_client_has_gone_is_ended(stage: ProcessStage) -> None:
    stage.cluster.apply(pod("one", FOR_EVER))
    await first_line(stage, "one")
    waits = asyncio.create_task(execute(stage, "one", "import signal\nsignal.pause()"))
    await stage.until(lambda: len(stage.cluster.runtime.children()) == 2)
    waits.cancel()
    await stage.until(lambda: len(stage.cluster.runtime.children()) == 1)


async def test_a_log_is_followed_as_it_is_written_until_its_container_ends(stage: ProcessStage) -> None:
    script = "import time, os\nprint('first')\nwhile not os.path.exists('go'): time.sleep(0.02)\nprint('last')"
    stage.cluster.apply(pod("one", script))
    await first_line(stage, "one")
    logs = stage.kube.logs("one", NAMESPACE, follow=True, timestamps=True, deadline=timedelta(seconds=60))
    stamp, _, text = (await anext(logs)).decode().partition(" ")
    assert (text, stamp.startswith("20"), stamp.endswith("Z")) == ("first\n", True, True)
    await execute(stage, "one", "open('go', 'w')")
    assert [chunk.decode().partition(" ")[2] async for chunk in logs] == ["last\n"]


async def test_readiness_is_asked_by_command_tcp_and_http(stage: ProcessStage) -> None:
    server = (
        "import http.server, os\n"
        "class Answer(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200 if os.path.exists('well') else 503)\n"
        "        self.end_headers()\n"
        "http.server.HTTPServer((os.environ['POD_ADDRESS'], 8080), Answer).serve_forever()\n"
    )
    ports = [{"name": "web", "containerPort": 8080}]
    well = {"command": ["python", "-c", "open('well')"]}
    often = {"periodSeconds": 1, "timeoutSeconds": 20, "failureThreshold": 1}
    probes: dict[str, dict[str, Any]] = {
        "by-command": {"exec": well},
        "by-http": {"httpGet": {"port": "web"}},
        "by-tcp": {"tcpSocket": {"port": 8080}},
    }
    for name, probe in probes.items():
        stage.cluster.apply(pod(name, server, ports=ports, readinessProbe={**probe, **often}))
    await stage.until_ready("by-tcp")
    for name in ("by-command", "by-http"):
        assert not stage.container(name)["ready"]
        await execute(stage, name, "open('well', 'w')")
        await stage.until_ready(name)
        await execute(stage, name, "import os\nos.unlink('well')")
        await stage.until(partial(is_unready, stage, name))


async def test_a_claim_made_anew_is_an_empty_folder_and_the_old_one_stays_with_its_volume(stage: ProcessStage) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": NAMESPACE},
        "spec": CLAIM_SPEC,
    }
    mounts = {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    look = "import os, sys\nprint(sorted(os.listdir(sys.argv[1])))\nopen(sys.argv[2], 'w').write('kept')"
    words: dict[str, Any] = {"args": ["-c", look, "/data", "/data/file"], **mounts}

    stage.cluster.apply(claim)
    stage.cluster.apply(pod("one", "", **words))
    await stage.until_ended("one")
    old, folder = stage.get(resources.PVCS, "data")["spec"]["volumeName"], stage.cluster.disk_of("data", NAMESPACE)
    keep = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
    stage.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": old}, **keep})
    stage.cluster.delete(resources.PVCS, "data", NAMESPACE)
    await stage.until(lambda: stage.cluster.get(resources.PVCS, "data", NAMESPACE) is None)

    stage.cluster.apply(claim)
    stage.cluster.apply(pod("two", "", **words))
    await stage.until_ended("two")
    assert (await stage.log("one"), await stage.log("two")) == ("[]\n", "[]\n")
    assert (folder / "file").read_text() == "kept"

    stage.cluster.delete(PODS, "two", NAMESPACE)
    new = stage.cluster.disk_of("data", NAMESPACE)
    stage.cluster.delete(resources.PVCS, "data", NAMESPACE)
    await stage.until(lambda: not new.exists())
    assert folder.exists()


async def test_a_job_is_ended_when_its_time_is_over_and_taken_away_when_its_stay_is(stage: ProcessStage) -> None:
    template = {"spec": pod("one", FOR_EVER)["spec"]}
    spec = {"template": template, "activeDeadlineSeconds": 2, "ttlSecondsAfterFinished": 1, "backoffLimit": 0}
    metadata = {"name": "endless", "namespace": NAMESPACE}
    stage.cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    await stage.until(stage.cluster.runtime.children)
    await stage.until(lambda: stage.get(resources.JOBS, "endless")["status"].get("conditions"))
    [ended] = stage.get(resources.JOBS, "endless")["status"]["conditions"]
    assert (ended["type"], ended["reason"]) == ("Failed", "DeadlineExceeded")
    await stage.until(lambda: not stage.cluster.runtime.children())
    await stage.until(lambda: stage.cluster.get(resources.JOBS, "endless", NAMESPACE) is None)


async def test_claims_go_with_pods_that_are_scaled_away_where_the_statefulset_says_so(stage: ProcessStage) -> None:
    found = workload(
        "StatefulSet",
        "store",
        {"app": "store"},
        pod("", FOR_EVER, policy="Always")["spec"],
        replicas=1,
        volumeClaimTemplates=CLAIM_TEMPLATES,
        persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"},
    )
    stage.cluster.apply(found)
    await stage.until_ready("store-0")
    folder = stage.cluster.disk_of("data-store-0", NAMESPACE)
    stage.cluster.apply({**found, "spec": {"replicas": 0}})
    await stage.until(lambda: stage.cluster.get(resources.PVCS, "data-store-0", NAMESPACE) is None)
    await stage.until(lambda: not folder.exists())


def with_first(made: dict[str, Any], *first: dict[str, Any]) -> dict[str, Any]:
    """Put containers before a pod's own, which share a folder with it."""
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    spec = {**made["spec"], "volumes": [{"name": "shared", "emptyDir": {}}]}
    spec["containers"] = [{**each, "volumeMounts": mounts} for each in spec["containers"]]
    spec["initContainers"] = [{"image": "python:3", "volumeMounts": mounts, **each} for each in first]
    return {**made, "spec": spec}


def script(text: str) -> list[str]:
    """Write the words of a container that runs a script on the shared folder."""
    return ["-c", f"import pathlib, signal, sys\nshared = pathlib.Path(sys.argv[1])\n{text}", "/shared"]


async def test_an_init_container_runs_to_its_end_before_the_next_one_begins(stage: ProcessStage) -> None:
    """And a sidecar runs beside the pod's own container, until that ends."""
    made = pod("one", "")
    made["spec"]["containers"][0]["args"] = script("print(sorted(each.name for each in shared.iterdir()))")
    stage.cluster.apply(
        with_first(
            made,
            {"name": "first", "args": script("(shared / 'first').touch()")},
            {"name": "second", "args": script("assert (shared / 'first').exists(); (shared / 'second').touch()")},
            {"name": "beside", "restartPolicy": "Always", "args": script("print('up')\nsignal.pause()")},
        )
    )
    assert (await stage.until_ended("one"))["exitCode"] == 0
    assert await log_of(stage, "one", "main") == "['first', 'second']\n"

    def beside() -> dict[str, object]:
        return dict(stage.get(PODS, "one")["status"]["initContainerStatuses"][2]["state"])

    await stage.until(lambda: "terminated" in beside())
    assert stage.get(PODS, "one")["status"]["phase"] == "Succeeded"


async def test_a_pod_whose_first_container_fails_has_failed_and_its_own_never_runs(stage: ProcessStage) -> None:
    made = pod("one", "print('never')")
    stage.cluster.apply(with_first(made, {"name": "first", "args": script("sys.exit('no room')")}))
    await stage.until(lambda: stage.get(PODS, "one")["status"]["phase"] == "Failed")
    status = stage.get(PODS, "one")["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}


async def test_a_sidecar_that_ends_is_started_again_while_the_pod_s_own_container_runs(stage: ProcessStage) -> None:
    made = pod("one", FOR_EVER)
    again = {"name": "beside", "restartPolicy": "Always", "args": script("(shared / 'ran').touch(); sys.exit(1)")}
    stage.cluster.apply(with_first(made, again))

    def restarts() -> int:
        return int(
            stage.get(PODS, "one")["status"].get("initContainerStatuses", [{"restartCount": 0}])[0]["restartCount"]
        )

    await stage.until(lambda: restarts() > 0)
    assert "running" in stage.container("one")["state"]


async def log_of(stage: ProcessStage, name: str, container: str) -> str:
    """Read the log of one container of a pod."""
    return b"".join([chunk async for chunk in stage.kube.logs(name, NAMESPACE, container=container)]).decode()
