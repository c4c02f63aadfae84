"""`kintsugi run --mode approve`: a yes that could not be acted on in time starts nothing, through a pause and a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kintsugi_demo.shop import NAMESPACE, WEB, WEB_LABELS, shop
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.waiting import HopelessError, eventually
from tests.integration.test_cli_runs_the_daemon import CliProcess, kintsugi

pytestmark = pytest.mark.long

DURATIONS = 0.01
"""Half an hour, for which an answer is good, is 18 seconds; the rule's two minutes are 1.2."""

TIMEOUT = 180.0
TOKEN = "the-token-of-ana"

Json = dict[str, Any]


@dataclass
class Person:
    """Ana, who asks and tells the daemon that is alive."""

    session: aiohttp.ClientSession
    url: str = ""

    async def ask(self, method: str, path: str, body: object = None) -> Json:
        """Call the API."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.session.request(method, f"{self.url}/api/v1{path}", headers=headers, json=body) as answer:
            assert answer.status < 300, await answer.text()
            found: Json = await answer.json()
            return found

    async def incident(self) -> Json | None:
        """Return the web service's incident with its questions, if there is one."""
        listed = (await self.ask("GET", "/incidents?service=web-service"))["incidents"]
        return await self.ask("GET", f"/incidents/{listed[0]['id']}") if listed else None

    async def questions(self) -> list[Json]:
        """Return what was asked about the web service, oldest first."""
        found = await self.incident()
        return list(found["approvals"]) if found else []

    async def approve(self, question: Json) -> None:
        """Approve what is shown."""
        await self.ask("POST", f"/incidents/{question['incident']}/approve", {"plan": question["plan"]})


@asynccontextmanager
async def daemon(flags: tuple[str | Path, ...], ana: Person) -> AsyncIterator[CliProcess]:
    """Have a daemon that is killed at the end."""
    async with kintsugi("run", *flags) as process:
        ana.url = (await process.says("Kintsugi takes webhooks on")).split()[-1]
        assert process.process.stderr is not None
        reading = asyncio.create_task(process.process.stderr.read())  # a pipe that is full would hold the daemon up
        try:
            yield process
        finally:
            process.process.kill()
            process.told.append((await reading).decode())


@pytest.fixture
async def embedded() -> AsyncIterator[EmbeddedCluster]:
    """Have the shop, with one web pod that crashes again and again."""
    async with EmbeddedCluster.start(speed=100) as cluster:
        for manifest in shop():
            cluster.apply(manifest)

        async def is_well() -> bool:
            found = cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE) or {}
            wanted = found.get("spec", {}).get("replicas")
            return wanted is not None and found.get("status", {}).get("readyReplicas") == wanted

        await eventually(is_well, within=TIMEOUT)
        cluster.faults.crash_loop(pods(cluster)[0])
        yield cluster


def pods(cluster: EmbeddedCluster) -> list[str]:
    """Return the uids of the web pods."""
    return sorted(each["metadata"]["uid"] for each in cluster.find(resources.PODS, NAMESPACE, WEB_LABELS))


async def test_a_yes_that_a_pause_outlasted_starts_nothing_and_is_asked_anew(
    embedded: EmbeddedCluster, tmp_path: Path
) -> None:
    """E28: Ana approves during Bob's pause; the daemon is killed; when the pause is lifted she is asked again."""
    tokens = tmp_path / "people"
    tokens.write_text(f"ana:{TOKEN}\n", encoding="utf-8")
    flags = (
        *("--kubeconfig", embedded.kubeconfig(tmp_path / "kubeconfig")),
        *("--ledger", f"sqlite:///{tmp_path / 'ledger.db'}"),
        *(
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--health-port",
            "0",
            "--insecure-no-token",
            "--operator-tokens",
            tokens,
        ),
        *("--mode", "approve", "--durations", str(DURATIONS)),
    )
    before = pods(embedded)
    async with aiohttp.ClientSession() as session:
        ana = Person(session)
        async with daemon(flags, ana):
            (asked,) = await eventually(ana.questions, within=TIMEOUT)
            pause = await ana.ask("POST", "/pauses", {"scope": "global", "why": "a release", "who": "ana"})
            await ana.approve(asked)
        async with daemon(flags, ana):

            async def is_asked_anew() -> Json | None:
                found = await ana.incident()
                assert found is not None
                if found["runs"]:
                    raise HopelessError(f"the yes that had run out started {found['runs']}")
                newest: Json = found["approvals"][-1]
                return newest if newest["answered"] is None else None

            await eventually(lambda: has_run_out(asked), within=TIMEOUT)
            await ana.ask("DELETE", f"/pauses/{pause['id']}", {"why": "released"})
            again = await eventually(is_asked_anew, within=TIMEOUT)
            found = await ana.incident()
            assert found is not None
            assert found["runs"] == []
            assert pods(embedded) == before
            assert found["incident"]["state"] == "awaiting-approval"

            async def has_a_run() -> bool:
                found = await ana.incident()
                return found is not None and bool(found["runs"])

            await ana.approve(again)
            await eventually(has_a_run, within=TIMEOUT, describe=lambda: again)


def has_run_out(question: Json) -> bool:
    """Return whether a question's time is over."""
    return datetime.now(UTC) > datetime.fromisoformat(question["expires"])
