"""A stranger's label meets a rule's regular expression: it is judged like any other, now and after the next start."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from kintsugi_demo.shop import NAMESPACE, WEB
from kubesim import EmbeddedCluster
from tests.harness.daemon import TOKEN, DaemonProcess
from tests.harness.waiting import eventually

TIMEOUT = 60
CATALOG = f"""
apiVersion: kintsugi.dev/v1alpha1
kind: Service
metadata: {{name: web-service}}
spec:
  priority: 4
  dependsOn: []
  namespace: {NAMESPACE}
  selector: app=web-app
  workload: deployment/{WEB}
  healthy: desired > 0 && ready >= desired
  runbook: look
---
apiVersion: kintsugi.dev/v1alpha1
kind: Rule
metadata: {{name: about-a-word}}
spec: {{on: alert, matchers: ['summary=~"((a|aa)+)+b"', 'summary=~".*a.*b.*c.*d.*"'], service: web-service, mode: observe}}
---
apiVersion: kintsugi.dev/v1alpha1
kind: Runbook
metadata: {{name: look}}
spec:
  title: Look
  service: web-service
  steps:
    - {{id: look, name: Look, run: kubectl get pods}}
  rollback: {{after: 2h}}
"""
LABEL = "a" * 20_000 + "!"


def verdicts(ledger: Path) -> list[str]:
    """Return what became of the signals, as the daemon's ledger has it."""
    with closing(sqlite3.connect(ledger)) as asked:
        return [verdict for (verdict,) in asked.execute("SELECT verdict FROM signals")]


async def test_a_label_on_which_an_expression_could_go_back_for_ever_is_judged(tmp_path: Path) -> None:
    """
    E27: it is committed before it is matched, so that a loop that stands still over it does so at every start.

    How late the loop was is told meanwhile.
    """
    catalog = tmp_path / "catalog"
    catalog.mkdir()
    (catalog / "all.yaml").write_text(CATALOG)
    async with EmbeddedCluster.start() as cluster:
        config = cluster.kubeconfig(tmp_path / "kubeconfig")
        daemon = DaemonProcess(kubeconfig=config, folder=tmp_path / "daemon", catalog=catalog)
        try:
            for life in (1, 2):
                await asyncio.to_thread(daemon.start)
                await asyncio.to_thread(daemon.wait_ready)
                labels = {"alertname": "Foreign", "summary": LABEL}
                alert = {"status": "firing", "startsAt": "2026-11-24T02:58:00Z", "labels": labels}
                told = {"version": "4", "groupKey": "g", "alerts": [{**alert, "fingerprint": f"{life:016x}"}]}
                status, _ = await asyncio.to_thread(daemon.post, "/alertmanager", told, token=TOKEN)
                assert status == 200

                def are_judged(life: int = life) -> bool:
                    return verdicts(daemon.folder / "ledger.db") == ["no-rule"] * life

                await eventually(are_judged, within=TIMEOUT, describe=daemon.tail)
                await eventually(lambda: lags(daemon) > 0, within=TIMEOUT, describe=daemon.tail)
                assert await asyncio.to_thread(daemon.stop) == 0, daemon.tail()
        finally:
            await asyncio.to_thread(daemon.kill)


def lags(daemon: DaemonProcess) -> float:
    """Return how often the daemon has looked how late its loop is."""
    _, text = daemon.get("/metrics")
    line = next(line for line in text.splitlines() if line.startswith("kintsugi_event_loop_lag_seconds_count"))
    return float(line.split()[1])
