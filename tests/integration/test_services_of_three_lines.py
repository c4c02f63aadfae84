"""Services of three lines, as `kintsugi init` writes them: what is broken is noticed, mended where that can be, and else handed over."""

import asyncio
from pathlib import Path

import pytest

from kubeobjects.resources import CONFIGMAPS, PODS
from tests.integration.init_stage import (
    CRASHING,
    FRONT,
    GONE,
    GOOD,
    NAMESPACE,
    Json,
    init_stage,
    leads_to,
    workload,
)

pytestmark = pytest.mark.long

SERVER = """
import http.server, os, time
time.sleep(float(os.environ.get("STARTS_FOR", 0)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
address = os.environ["ADDRESS"], int(os.environ.get("PORT", 8080))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
PROBE = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 30}
BETTER = "market:2"


def probed(probe: Json, *env: Json) -> Json:
    """Describe a container that serves HTTP, how its readiness is asked for, and what its environment has besides."""
    address = {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    read = {"args": ["-c", SERVER], "env": [address, *env]}
    return {"name": "main", "image": "python:3", "readinessProbe": probe, **read}


async def test_a_pod_that_crash_loops_is_restarted(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        victim, other = (each["metadata"] for each in stage.pods())
        stage.cluster.faults.crash_loop(victim["uid"])
        incident = await stage.incident("recovered")
        left = {each["metadata"]["uid"] for each in stage.pods()}
        assert victim["uid"] not in left
        assert other["uid"] in left
        assert stage.changes() == [f"DELETE /api/v1/namespaces/{NAMESPACE}/pods/{victim['name']}"], incident


async def test_an_image_that_does_not_exist_is_taken_back_beside_pods_that_serve(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        before = {each["metadata"]["uid"] for each in stage.pods()}
        stage.image(GONE)
        incident = await stage.incident("recovered")
        assert stage.runs() == GOOD
        assert before <= {each["metadata"]["uid"] for each in stage.pods()}
        assert f"(image {GONE}) to 1 (image {GOOD})" in incident["reason"]


async def test_a_readiness_probe_on_a_wrong_port_is_taken_back(tmp_path: Path) -> None:
    front = workload("Deployment", FRONT, GOOD, replicas=2, containers=[probed(PROBE)])
    async with init_stage(tmp_path, front=front) as stage:
        stage.template(containers=[probed({**PROBE, "httpGet": {"path": "/health", "port": 8081}})])
        await stage.incident("recovered", "rolled-back")
        assert stage.found()["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] == 8080


async def test_a_node_selector_that_fits_no_node_is_taken_back(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        stage.template(nodeSelector={"disk": "none"})
        await stage.incident("recovered", "rolled-back")
        assert "nodeSelector" not in stage.found()["spec"]["template"]["spec"]


async def test_a_front_end_that_somebody_scaled_to_none_is_asked_about(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        stage.scale(0)
        incident = await stage.incident("awaiting-approval")
        assert "scaled to 0" in await stage.headline(incident)
        assert stage.changes() == []


async def test_a_kubernetes_service_that_selects_nothing_is_handed_over_with_its_selector(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        stage.cluster.apply(leads_to(FRONT, app="gone"))
        incident = await stage.incident("needs-operator", "ineffective")
        assert f"service/{FRONT}" in (line := await stage.headline(incident)), line
        assert "selector" in line
        assert stage.changes() == []


async def test_a_configmap_that_is_missing_is_handed_over_with_its_name(tmp_path: Path) -> None:
    apple = {"name": "APPLE", "valueFrom": {"configMapKeyRef": {"name": "prices", "key": "apple"}}}
    front = workload("Deployment", FRONT, GOOD, replicas=2, containers=[probed(PROBE, apple)])
    prices = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prices", "namespace": NAMESPACE}}
    async with init_stage(tmp_path, front=front, others=[{**prices, "data": {"apple": "1"}}]) as stage:
        stage.cluster.delete(CONFIGMAPS, "prices", NAMESPACE)
        stage.cluster.delete(PODS, stage.pods()[0]["metadata"]["name"], NAMESPACE)
        incident = await stage.incident("needs-operator", "ineffective")
        assert "prices" in (line := await stage.headline(incident)), line


async def test_a_version_that_crashes_is_taken_back_and_a_good_one_is_left_alone(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        stage.image(CRASHING)
        await stage.incident("recovered", "rolled-back")
        assert stage.runs() == GOOD
        made = stage.changes()
        stage.image(BETTER)
        await stage.until("the better one is good", lambda: stage.daemon.tail(400).count("good revision noted") >= 4)
        assert (stage.runs(), stage.changes()) == (BETTER, made)


async def test_a_variable_with_which_pods_start_and_do_not_answer_is_noticed_and_taken_back(tmp_path: Path) -> None:
    front = workload("Deployment", FRONT, GOOD, replicas=2, containers=[probed(PROBE)])
    async with init_stage(tmp_path, front=front) as stage:
        stage.template(containers=[probed(PROBE, {"name": "PORT", "value": "8081"})])
        await stage.incident("recovered", "rolled-back")
        names = [each["name"] for each in stage.found()["spec"]["template"]["spec"]["containers"][0]["env"]]
        assert names == ["ADDRESS"]


async def test_a_start_that_takes_as_long_as_its_probes_allow_is_left_alone(tmp_path: Path) -> None:
    """Longer than the rule that waits longest: a run begins, and changes nothing."""
    started = {"startupProbe": {**PROBE, "failureThreshold": 90}}
    front = workload("Deployment", FRONT, GOOD, replicas=2, containers=[{**probed(PROBE), **started}])
    async with init_stage(tmp_path, front=front) as stage:
        slow = probed(PROBE, {"name": "STARTS_FOR", "value": "15"})
        stage.template(containers=[{**slow, **started}])

        def rolled_out() -> bool:
            status = stage.found()["status"]
            return bool(status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == 2)

        await stage.until("the rollout is complete", rolled_out)
        await stage.until("all is well", lambda: all(each["closed"] for each in stage.daemon.incidents()))
        assert stage.changes() == []


async def test_an_application_that_is_well_is_left_alone(tmp_path: Path) -> None:
    async with init_stage(tmp_path) as stage:
        await asyncio.sleep(10)  # five minutes and more, as the rules count
        assert (stage.daemon.incidents(), stage.changes()) == ([], [])


async def test_a_daemon_that_observes_says_the_same_and_does_nothing(tmp_path: Path) -> None:
    async with init_stage(tmp_path, mode="observe") as stage:
        victim = stage.pods()[0]["metadata"]
        stage.cluster.faults.crash_loop(victim["uid"])

        def observed() -> bool:
            _, told = stage.daemon.get("/api/v1/signals")
            verdicts = [each.get("verdict", {}) for each in told["signals"]]
            return any(each.get("kind") == "observed" and each["rule"] == "front-pods-unhealthy" for each in verdicts)

        await stage.until("the verdict", observed)
        assert (stage.daemon.incidents(), stage.changes()) == ([], [])
        assert victim["uid"] in {each["metadata"]["uid"] for each in stage.pods()}
