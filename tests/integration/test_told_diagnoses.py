"""What is wrong is found once an incident and said by a real daemon wherever a person hears of it: its notice, story and Event."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from kubeobjects.resources import DEPLOYMENTS, EVENTS, PODS
from kubesim import EmbeddedCluster
from kubesim.images import GOOD
from tests.harness.waiting import eventually
from tests.integration.answering_service import serving
from tests.integration.process_stage import NAMESPACE, TIMEOUT
from tests.integration.test_cli_runs_the_daemon import CliProcess, kintsugi
from tests.integration.test_diagnosis import deployment
from tests.integration.test_notifier import NoticeReceiver

pytestmark = pytest.mark.long

CATALOG = """
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: {name}}}
spec:
  priority: 4
  dependsOn: []
  namespace: {namespace}
  selector: app={name}
  workload: deployment/{name}
  healthy: desired > 0 && ready >= desired
  runbook: look-at-{name}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: asked-{name}}}
spec: {{on: alert, matchers: ['alertname="Asked"', 'deployment="{name}"'], service: {name}, mode: {mode}, cooldown: 10m}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: look-at-{name}}}
spec:
  title: Look
  service: {name}
  steps:
    - id: look
      run: kubectl get deployment {name}
      expect: "false"
      onFailure: escalate
  rollback: {{after: 2h}}
"""
FIRST = "problem: ImagePull (certain): deployment/front containers[web].image: deployment/front: container web cannot pull image web:gone"


def named(name: str, image: str) -> dict[str, Any]:
    """Describe a Deployment of this name."""
    return json.loads(json.dumps(deployment(image)).replace("front", name))  # type: ignore[no-any-return]


@dataclass
class RecordedStory:
    """A daemon that looks after two Deployments, and whoever is sent its notices."""

    cluster: EmbeddedCluster
    receiver: NoticeReceiver
    url: str
    tokens: Path

    @classmethod
    @asynccontextmanager
    async def set(cls, folder: Path) -> AsyncIterator["RecordedStory"]:
        """Start them; `front` may be recovered by the daemon, `back` when a person agrees."""
        tokens, catalog = folder / "people", folder / "catalog"
        tokens.write_text("ana:the-token-of-ana\n", encoding="utf-8")
        catalog.mkdir()
        documents = [CATALOG.format(name=name, mode=mode, namespace=NAMESPACE) for name, mode in MODES.items()]
        (catalog / "all.yaml").write_text("---\n".join(documents))
        receiver = NoticeReceiver()
        app = web.Application()
        app.router.add_post("/notices", receiver.take)
        images = {"web:good": GOOD}
        async with EmbeddedCluster.start(speed=10, images=images) as cluster, serving(app) as receives:
            for name in MODES:
                cluster.apply(named(name, "web:good"))
            settings = folder / "settings.yaml"
            notifications = {"url": f"{receives}/notices", "interval": "100ms"}
            settings.write_text(yaml.safe_dump({"notifications": notifications}))
            flags = (
                *("--kubeconfig", cluster.kubeconfig(folder / "kubeconfig"), "--config", settings, "--mode", "auto"),
                *("--catalog-directory", catalog, "--ledger", f"sqlite:///{folder / 'ledger.db'}"),
                *("--host", "127.0.0.1", "--port", "0", "--health-port", "0"),
                *("--insecure-no-token", "--operator-tokens", tokens),
            )
            async with kintsugi("run", *flags) as daemon:
                url = (await daemon.says("Kintsugi takes webhooks on")).split()[-1]
                reading = asyncio.create_task(read_on(daemon))
                try:
                    yield cls(cluster, receiver, url, tokens)
                finally:
                    reading.cancel()

    def waits(self, name: str) -> bool:
        """Return whether a pod of a Deployment backs off from pulling its image."""
        pods = [each for each in self.cluster.find(PODS, NAMESPACE) if each["metadata"]["labels"]["app"] == name]
        states = [each for pod in pods for each in pod["status"].get("containerStatuses", [])]
        return any(each["state"].get("waiting", {}).get("reason") == "ImagePullBackOff" for each in states)

    def is_ready(self, name: str) -> bool:
        """Return whether a Deployment has its pods."""
        found = self.cluster.get(DEPLOYMENTS, name, NAMESPACE) or {}
        return bool(found.get("status", {}).get("readyReplicas") == 2)

    async def until(self, condition: Any) -> None:
        """Wait for something, and show what was told when it does not come."""
        await eventually(condition, within=4 * TIMEOUT, describe=lambda: f"{self.receiver.got}", every=0.1)

    async def break_and_alert(self, name: str) -> None:
        """Roll out an image that does not exist, and send the alert once that is seen."""
        await self.until(lambda: self.is_ready(name))
        self.cluster.apply(named(name, "web:gone"))
        await self.until(lambda: self.waits(name))
        labels = {"alertname": "Asked", "namespace": NAMESPACE, "deployment": name}
        alert = {"status": "firing", "startsAt": "2026-11-24T02:58:00Z", "labels": labels}
        body = {"version": "4", "groupKey": "g", "alerts": [alert]}
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/alertmanager", json=body) as answer:
            assert answer.status < 300, await answer.text()

    async def notice(self, kind: str) -> dict[str, Any]:
        """Wait for a notice of a kind, and return it."""

        def found() -> list[dict[str, Any]]:
            return [body for body, _ in self.receiver.got if body["kind"] == kind]

        await self.until(found)
        return found()[0]

    async def asked(self, *command: str) -> tuple[int, str]:
        """Return what a command answers."""
        async with kintsugi(*command, "--server", self.url, "--token-file", self.tokens) as looks:
            return await looks.ends()

    def events(self, name: str) -> list[str]:
        """Return the messages of our diagnoses in the Events of a Deployment."""
        ours = [each for each in self.cluster.find(EVENTS, NAMESPACE) if each["reason"] == "KintsugiDiagnosed"]
        return [each["message"] for each in ours if each["involvedObject"]["name"] == name]


MODES = {"front": "auto", "back": "approve"}


async def read_on(daemon: CliProcess) -> None:
    """Read what a daemon says, so that it never waits for its reader."""
    assert daemon.process.stderr is not None
    while await daemon.process.stderr.readline():
        pass


async def test_a_hand_over_says_first_what_is_wrong(tmp_path: Path) -> None:
    async with RecordedStory.set(tmp_path) as story:
        await story.break_and_alert("front")
        notice = await story.notice("needs-operator")
        assert notice["text"].splitlines()[1].startswith(FIRST), notice["text"]
        code, out = await story.asked("incident", notice["incident"], "-o", "json")
        assert code == 0
        detail = json.loads(out)
        occasions = [each["occasion"] for each in detail["diagnoses"]]
        assert occasions == ["opened", "hand-over"]
        for each in detail["diagnoses"]:
            first = each["diagnosis"]["causes"][0]
            assert (first["kind"], first["object"], first["field"]) == (
                "ImagePull",
                "deployment/front",
                "containers[web].image",
            )
        _, out = await story.asked("incident", notice["incident"])
        assert out.splitlines()[1].startswith("Cause: ImagePull (certain): deployment/front"), out
        await story.until(lambda: len(story.events("front")) == 2)
        assert all("ImagePull (certain)" in each for each in story.events("front"))


async def test_a_question_says_first_what_is_wrong_and_explain_says_it_without_an_incident(tmp_path: Path) -> None:
    async with RecordedStory.set(tmp_path) as story:
        await story.break_and_alert("back")
        notice = await story.notice("awaiting-approval")
        first = notice["text"].splitlines()[1]
        assert first.startswith("problem: ImagePull (certain): deployment/back containers[web].image"), notice
        _, out = await story.asked("incident", notice["incident"], "-o", "json")
        detail = json.loads(out)
        assert [each["occasion"] for each in detail["diagnoses"]] == ["opened"]
        assert detail["runs"] == []
        alert = tmp_path / "alert.yaml"
        alert.write_text(f"labels: {{alertname: Asked, namespace: {NAMESPACE}, deployment: front}}\n")
        code, out = await story.asked("explain", "--alert", str(alert), "-o", "json")
        assert code == 0
        (answer,) = json.loads(out)["explanations"]
        assert answer["diagnosis"]["object"] == "deployment/front"
        assert answer["diagnosis"]["causes"] == []
