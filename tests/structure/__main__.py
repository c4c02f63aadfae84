"""
Prints how far a reader jumps who follows the code: modules entered, and returns to one that was left before.

A real daemon on an embedded cluster, whose web service has a pod in a crash loop, is sent the alert about it, deletes the
pod and closes the incident. Every call of its event loop is traced; a function counts where it is called first. A *delete* is
what one effect calls in the executor and the actions; a *step* what one step of the runbook calls in the runner; an *alert*
everything that the daemon calls from the POST to its end. Beside it stand the modules and lines of each distribution and of
all tests, and how many floors the daemon has. Fewer is better; the figures are reported, and only the floors are asserted.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from kintsugi_demo.shop import NAMESPACE, WEB, WEB_LABELS, shop
from kubeobjects import resources
from kubesim import EmbeddedCluster
from tests.harness.waiting import eventually
from tests.structure.floors import floors
from tests.structure.visits import visits

TIMEOUT = 300.0
TOKEN = "the-token-of-ana"
DELETE = "verbs/delete.py"
ROOT = Path(__file__).parents[2]
COUNTED = {
    "kintsugi": ROOT / "daemon" / "kintsugi",
    "kintsugi_restore": ROOT / "daemon" / "kintsugi_restore",
    "kintsugi_demo": ROOT / "daemon" / "kintsugi_demo",
    "kintsugi_import": ROOT / "daemon" / "kintsugi_import",
    "kubesim": ROOT / "daemon" / "kubesim",
    "kubediagnosis": ROOT / "daemon" / "kubediagnosis",
    "kubeobjects": ROOT / "daemon" / "kubeobjects",
    "tests": ROOT / "tests",
}


async def main() -> None:
    """Print how much code there is, let one alert be handled, and print what it took."""
    print(f"{'':16} modules    lines")
    for title, folder in COUNTED.items():
        texts = [file.read_text(encoding="utf-8") for file in folder.rglob("*.py")]
        print(f"{title:16} {len(texts):7}  {sum(len(text.splitlines()) for text in texts):7}")
    print(f"\nfloors of kintsugi: {max(floors(COUNTED['kintsugi']).values())}")
    with TemporaryDirectory(prefix="kintsugi-structure-") as name:
        folder = Path(name)
        async with EmbeddedCluster.start(speed=100) as cluster:
            for manifest in shop():
                cluster.apply(manifest)
            await eventually(lambda: ready(cluster), within=TIMEOUT)
            cluster.faults.crash_loop(cluster.find(resources.PODS, NAMESPACE, WEB_LABELS)[0]["metadata"]["uid"])
            await mended(cluster, folder)
        told = json.loads((folder / "calls").read_text())
    delete = visits(shortest(told["courses"], "effect"), within=("executor.py", "actions/", "verbs/"))
    step = visits(shortest(told["courses"], "step"), within=("runner/",))
    print(f"\n{'':16} modules  returns")
    for title, way in (("a delete", delete), ("a step", step)):
        print(f"{title:11} {way.modules:7}  {way.returns:7}")
    print(f"{'an alert':11} {visits(told['calls']).modules:7}")
    print("\nthe delete:", " > ".join(delete.stays))
    print("\nthe step:", " > ".join(step.stays))


def ready(cluster: EmbeddedCluster) -> bool:
    """Return whether all of the web service's pods are ready."""
    found = cluster.get(resources.DEPLOYMENTS, WEB, NAMESPACE) or {}
    wanted = found.get("spec", {}).get("replicas")
    return wanted is not None and found.get("status", {}).get("readyReplicas") == wanted


async def mended(cluster: EmbeddedCluster, folder: Path) -> None:
    """Run a traced daemon until the incident about the web service is closed."""
    tokens = folder / "people"
    tokens.write_text(f"ana:{TOKEN}\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.structure.traced", str(folder / "calls"), "run"),
        *(
            "--kubeconfig",
            str(cluster.kubeconfig(folder / "kubeconfig")),
            "--ledger",
            f"sqlite:///{folder / 'ledger.db'}",
        ),
        *("--host", "127.0.0.1", "--port", "0", "--health-port", "0", "--insecure-no-token"),
        *("--operator-tokens", str(tokens)),
        *("--mode", "auto", "--durations", "0.02"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stderr is not None
    try:
        lines = process.stderr
        url = ""
        while not url:
            line = (await lines.readline()).decode()
            assert line, "the daemon has ended"
            url = line.split()[-1] if "Kintsugi takes webhooks on" in line else ""
        reading = asyncio.create_task(lines.read())  # a pipe that is full would hold the daemon up
        async with aiohttp.ClientSession() as session:
            await eventually(lambda: sent(session, url), within=TIMEOUT)
            await eventually(lambda: closed(session, url), within=TIMEOUT)
        process.terminate()
        await reading
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def sent(session: aiohttp.ClientSession, url: str) -> bool:
    """Send the alert about the web service, and return whether it was accepted: after a 503 it is sent again."""
    labels = {"alertname": "KubePodCrashLooping", "deployment": WEB, "namespace": NAMESPACE}
    alert = {"status": "firing", "labels": labels, "annotations": {}, "startsAt": datetime.now(UTC).isoformat()}
    body = {"version": "4", "status": "firing", "alerts": [alert]}
    async with session.post(f"{url}/alertmanager", json=body) as answer:
        assert answer.status in (200, 503), await answer.text()
        return answer.status == 200


async def closed(session: aiohttp.ClientSession, url: str) -> bool:
    """Return whether the incident about the web service has ended."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with session.get(f"{url}/api/v1/incidents?service=web-service", headers=headers) as answer:
        found: Sequence[Mapping[str, object]] = (await answer.json())["incidents"]
    return any(each["closed"] is not None for each in found)


def shortest(courses: Sequence[tuple[str, Sequence[str]]], kind: str) -> Sequence[str]:
    """Return the shortest course of a kind that deletes the pod: no step that holds another one."""
    found = [calls for each, calls in courses if each == kind and any(call.startswith(DELETE) for call in calls)]
    assert found, f"no {kind} went through {DELETE}"
    return min(found, key=len)


if __name__ == "__main__":
    asyncio.run(main())
