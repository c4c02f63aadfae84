"""A real daemon beside the document that it serves: whatever is sent, each answer is one that stands there."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kintsugi_demo.shop import NAMESPACE, WEB_LABELS, shop
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.daemon import OPERATOR, ROOT, TOKEN, DaemonProcess
from tests.harness.waiting import eventually
from tests.unit.sources.webhooks import alert, webhook

pytestmark = pytest.mark.long

TIMEOUT = 120.0
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "20")
HEALTH = "^/(healthz|readyz|metrics)$"
CONFIGURATION = """
hooks = "tests.integration.schemathesis_hooks"

[auth.openapi.webhook]
bearer = "{webhook}"

[auth.openapi.operator]
bearer = "{operator}"

[dictionaries.incidents]
values = {incidents}

[dictionaries.letters]
values = {letters}

[dictionaries.services]
values = ["web-service", "database"]

[[operations]]
include-path-regex = "/incidents/"
parameters = {{id = {{dictionary = "incidents", probability = 0.7}}}}

[[operations]]
include-path-regex = "/dead-letters/"
parameters = {{id = {{dictionary = "letters", probability = 0.7}}}}

[dictionaries.runbooks]
values = ["web-service-recovery", "workload-recovery"]

[[operations]]
include-path-regex = "/runbooks/"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
parameters = {{name = {{dictionary = "runbooks", probability = 0.7}}}}

[[operations]]
include-path-regex = "/services/"
parameters = {{name = {{dictionary = "services", probability = 0.7}}}}
"""


@dataclass(frozen=True)
class Lived:
    """A daemon that has lived through something: a run that has ended, an alert that no rule knows, dead letters."""

    daemon: DaemonProcess
    configuration: Path

    def run(self, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Let schemathesis try every operation of one port."""
        command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(self.configuration)]
        command += ["run", f"{self.daemon.url}/openapi.json", "--url", url, "--max-examples", EXAMPLES]
        command += ["--generation-deterministic", "--request-timeout", "60"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        folder = self.configuration.parent
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, cwd=folder, env=environment
        )


@pytest.fixture
async def lived(tmp_path: Path) -> AsyncIterator[Lived]:
    async with EmbeddedCluster.start(speed=10) as cluster:
        for manifest in shop():
            cluster.apply(manifest)
        daemon = DaemonProcess(kubeconfig=cluster.kubeconfig(tmp_path / "kubeconfig"), folder=tmp_path / "daemon")
        await asyncio.to_thread(daemon.start)
        try:
            await asyncio.to_thread(daemon.wait_ready)
            await eventually(lambda: is_healthy(daemon), within=TIMEOUT, describe=daemon.tail)
            cluster.faults.crash_loop(web_pod(cluster))
            for delivery in (webhook(alert()), webhook({"status": "firing"}), webhook({"labels": {"a": "b"}})):
                await asyncio.to_thread(daemon.post, "/alertmanager", json.loads(delivery), token=TOKEN)
            incident = await eventually(lambda: mended(daemon), within=TIMEOUT, describe=daemon.tail)
            letters = daemon.get("/api/v1/dead-letters")[1]["dead_letters"]
            configuration = tmp_path / "schemathesis.toml"
            values = {"webhook": TOKEN, "operator": OPERATOR, "incidents": json.dumps([incident])}
            values["letters"] = json.dumps([each["id"] for each in letters])
            configuration.write_text(CONFIGURATION.format(**values))
            yield Lived(daemon, configuration)
        finally:
            await asyncio.to_thread(daemon.stop)


def is_healthy(daemon: DaemonProcess) -> bool:
    """Return whether the web service is known to be healthy."""
    _, told = daemon.get("/api/v1/services")
    return {"web-service": True}.items() <= {each["name"]: each["healthy"] for each in told["services"]}.items()


def web_pod(cluster: EmbeddedCluster) -> str:
    """Return the uid of a web pod."""
    return str(cluster.find(resources.PODS, NAMESPACE, WEB_LABELS)[0]["metadata"]["uid"])


def mended(daemon: DaemonProcess) -> str | None:
    """Return the id of an incident that has ended."""
    return next((str(each["id"]) for each in daemon.incidents() if each["closed"]), None)


async def test_every_answer_of_a_daemon_is_one_that_its_document_tells(lived: Lived) -> None:
    """All checks of schemathesis: no answer that is not told, no field more or less, no 5xx, nothing without its token."""
    told = await asyncio.to_thread(lived.run, lived.daemon.url, "--checks", "all", "--exclude-path-regex", HEALTH)
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-2000:] + lived.daemon.tail()
    assert operations_tested(told.stdout) == operations(lived.daemon, health=False), told.stdout
    assert lived.daemon.get("/healthz")[0] == 200, lived.daemon.tail()

    told = await asyncio.to_thread(
        lived.run, lived.daemon.health_url, "--checks", "all", "--include-path-regex", HEALTH
    )
    assert told.returncode == 0, told.stdout[-8000:] + told.stderr[-2000:] + lived.daemon.tail()
    assert operations_tested(told.stdout) == operations(lived.daemon, health=True), told.stdout
    assert "Traceback" not in lived.daemon.log.read_text()


def operations_tested(told: str) -> int:
    """Return how many operations schemathesis says that it has tested."""
    found = re.search(r"^ *Tested: (\d+)$", told, re.MULTILINE)
    assert found is not None, told
    return int(found[1])


def operations(daemon: DaemonProcess, *, health: bool) -> int:
    """Count the operations of one port in the document that the daemon serves; that document itself is not tried."""
    paths: dict[str, Any] = daemon.get("/openapi.json")[1]["paths"]
    tried = paths.keys() - {"/openapi.json"}
    ours = {path: paths[path] for path in tried if bool(re.match(HEALTH, path)) is health}
    return sum(len(item.keys() - {"servers"}) for item in ours.values())


async def test_the_document_is_served_to_everybody_and_is_the_one_in_docs(lived: Lived) -> None:
    assert lived.daemon.get("/openapi.json") == (200, json.loads((ROOT / "docs" / "openapi.json").read_bytes()))
